"""Laws of traces, for whatever may be known of a run."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import facts
from controller.core.contract import Status
from controller.core.snapshot import Policy
from controller.core.spans import tree as trees
from tests.core import strategies
from tests.core.spans.test_tree import assert_well_formed

POLICIES = st.sampled_from([Policy(), Policy(trace_parent="parent")])


def without_pods(run, text):
    """The same run after its pods and their Events have gone, and its facts were written down."""
    job = replace(run.job, status={**run.job.status, Status.FACTS: text})
    return replace(run, job=job, pods=(), gone=(), heard={}, logs=run.logs[::-1])


@settings(max_examples=150, deadline=None)
@given(strategies.runs("run-0"), POLICIES)
def test_any_run_has_one_well_formed_tree(run, policy):
    tree = trees.build(run, facts.gather(run), policy)
    assert_well_formed(tree)
    assert [span for span in tree.spans if not span.parent or span.parent == tree.spans[0].parent] == [
        tree.spans[0]
    ]


@settings(max_examples=150, deadline=None)
@given(strategies.runs("run-0"), POLICIES)
def test_it_is_the_same_when_only_the_job_and_the_logs_are_left(run, policy):
    text = facts.encode(facts.gather(run))
    before = trees.build(run, facts.decode(text), policy)
    left = without_pods(run, text)
    assert facts.encode(facts.gather(left)) == text
    assert trees.build(left, facts.decode(text), policy) == before


@settings(max_examples=150, deadline=None)
@given(strategies.runs("run-0"), POLICIES)
def test_what_is_settled_is_part_of_the_tree(run, policy):
    known = facts.decode(facts.encode(facts.gather(run)))
    told = trees.settled(run, known, policy)
    whole = trees.build(run, known, policy)
    assert set(told) <= set(whole.spans[1:])
    assert trees.settled(without_pods(run, ""), known, policy) == told
