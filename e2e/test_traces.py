"""Traces in a real Jaeger: one for each run, whole, as its Job and log tell it, whatever is killed."""

import json
import random
import time
from dataclasses import replace

import pytest

from controller.core.contract import Status
from devcluster.jaeger import Jaeger
from e2e import retold
from e2e.agent_runs import make_agent_run, with_spans_of_its_own
from e2e.conftest import told
from e2e.installation import values
from e2e.runs import API_RETRY, HOOKS, MAX_TURNS, SUBAGENT, TERMINATED, make_run, replay

FILES = {"subagent": SUBAGENT, "retries": API_RETRY, "hooks": HOOKS, "turns": MAX_TURNS, "killed": TERMINATED}
LONG = replay(SUBAGENT, 0.3)
"""About 15 s."""
SEED = 20261126
KILLS = 22
ROUND = 2
"""Runs submitted before each kill."""


@pytest.fixture(scope="module")
def jaeger(machine, installation, collector):
    """One with all in memory, to which the installation sends its traces."""
    with Jaeger(machine.host) as made:
        installation.install(values(made.otlp))
        yield made
        installation.install(values(collector.url))


@pytest.fixture
def durable(machine, installation, collector):
    """One that keeps what it has taken when it is killed."""
    with Jaeger(machine.host, durable=True) as made:
        installation.install(values(made.otlp))
        yield made
        installation.install(values(collector.url))


def check(stage, jaeger, *names, kept=lambda span: span):
    """Each has one trace in Jaeger: the one that its Job and its log tell, and nothing to warn of.

    `kept`: what its store makes of a span.
    """
    for name in names:
        trace_id = stage.said(name, Status.TRACE_ID)
        stored = retold.by_id(jaeger.spans(trace_id))
        want = retold.spans(stage, name, retold.POLICY)
        assert retold.differences(stored, {key: kept(span) for key, span in want.items()}) == [], name
        roots = [span for span in stored.values() if span.parent_id not in stored]
        assert [span.parent_id for span in roots] == [""], f"{name}: one root, and no span without its parent"
        assert warnings(jaeger.trace(trace_id)) == [], name


def on_disk(span):
    """Badger's model of a span knows no lists, and has one kind of link."""
    attributes = {key: in_text(value) for key, value in span.attributes.items()}
    link = {"opentracing.ref_type": "follows_from"}
    links = tuple(replace(each, attributes=link) for each in span.links)
    return replace(span, attributes=attributes, links=links)


def in_text(value):
    return json.dumps(value, separators=(",", ":")) if isinstance(value, list) else value


def warnings(trace):
    """What Jaeger finds strange: times of children outside of their parents, ids that are there twice."""
    said = [*(trace.get("warnings") or ())]
    return said + [text for span in trace["spans"] for text in span.get("warnings") or ()]


def test_each_recorded_run_is_in_jaeger_span_by_span_as_its_job_and_log_tell_it(stage, jaeger):
    for name, file in FILES.items():
        stage.submit(make_run(name, replay(file, 0.02, "exit 1" if file is MAX_TURNS else "")))
    stage.published(*FILES, seconds=90)
    check(stage, jaeger, *FILES)
    found = {span.name for span in jaeger.spans(stage.said("subagent", Status.TRACE_ID))}
    assert {"queued", "attempt 1", "scheduling", "agent startup", "invoke_agent general-purpose"} <= found


def test_traces_of_runs_that_end_while_jaeger_is_away_come_when_it_is_back(stage, installation, jaeger):
    names = ["away-1", "away-2"]
    stage.submit(*(make_run(name, LONG) for name in names))
    stage.starts(*names)
    installation.kill(stage.until(installation.leader, 60), grace=0)
    jaeger.stop()
    stage.ends(*names, seconds=90)
    assert not any(stage.said(name, Status.TRACE_EXPORTED) for name in names)
    installation.kill(stage.until(installation.leader, 60), grace=0)
    jaeger.start()
    stage.published(*names, seconds=120)
    check(stage, jaeger, *names)


def test_spans_of_the_agents_own_join_the_trace_of_its_run(stage, jaeger, messages_url):
    """In mode `link`, by a TRACEPARENT that a shell in its container makes of Job and pod."""
    submitter = {"paperclip.io/traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    job = make_agent_run("joins", "tools", messages_url, notes=submitter)
    stage.submit(with_spans_of_its_own(job, jaeger.otlp))
    stage.published("joins", seconds=120)
    assert stage.standing("joins") == "Succeeded/Completed"
    trace_id = stage.uid("joins").replace("-", "")
    assert stage.said("joins", Status.TRACE_ID) == trace_id
    spans = jaeger.spans(trace_id)
    ours = retold.spans(stage, "joins", retold.POLICY)
    stored = {span.span_id: span for span in spans if span.span_id in ours}
    assert retold.differences(stored, ours) == []
    theirs = {span.name: span for span in spans if span.span_id not in ours}
    (attempt,) = (span for span in ours.values() if span.name == "attempt 1")
    assert {"claude_code.interaction", "claude_code.llm_request", "claude_code.tool"} <= set(theirs)
    assert theirs["claude_code.interaction"].parent_id == attempt.span_id
    (root,) = (span for span in ours.values() if not span.parent_id)
    assert [(link.trace_id, link.span_id) for link in root.links] == [("ab" * 16, "cd" * 8)]


def test_whenever_controller_or_jaeger_are_killed_each_run_has_one_whole_trace(stage, installation, durable):
    dice = random.Random(SEED)
    names, kills = [], []
    began = time.monotonic()
    for number in range(KILLS):
        batch = [f"k-{number}-{place}" for place in range(ROUND)]
        for place, name in enumerate(batch):
            file = (HOOKS, SUBAGENT)[place % 2]
            stage.submit(make_run(name, replay(file, dice.uniform(0.01, 0.08))))
        names += batch
        stage.until(lambda: dice.random() < 0.25, 60)  # after one of the next changes in the cluster
        kills.append(dice.choice(["controller", "jaeger"]))
        if kills[-1] == "controller":
            installation.kill(stage.until(installation.leader, 60), grace=0)
        else:
            durable.stop(kill=True)
            durable.start()
    stage.published(*names, seconds=240)
    told(
        f"{len(names)} traces are whole after {kills.count('jaeger')} kills of Jaeger "
        f"and {kills.count('controller')} of the controller, in {time.monotonic() - began:.0f} s"
    )
    check(stage, durable, *names, kept=on_disk)
