import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from controller.core.snapshot import Policy
from controller.core.spans import tree as trees
from controller.core.spantree import Span, SpanEvent, SpanKind, SpanLink, SpanTree
from controller.telemetry import otlp
from devcluster.otlp import decode_spans
from tests.core.spans.test_settled import over
from tests.core.spans.test_tree import OUTPUTS, RECORDED
from tests.telemetry import sdk_spans
from tests.telemetry.test_traces import make_tree

INSTANTS = st.integers(0, 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
VALUES = st.one_of(
    TEXTS,
    st.booleans(),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(TEXTS, max_size=3).map(tuple),
)
ATTRIBUTES = st.lists(st.tuples(TEXTS.filter(bool), VALUES), max_size=4).map(tuple)


def hexes(digits):
    return st.integers(1, 16**digits - 1).map(lambda number: f"{number:0{digits}x}")


SPANS = st.builds(
    Span,
    id=hexes(16),
    parent=hexes(16),
    name=TEXTS,
    kind=st.sampled_from([SpanKind.INTERNAL, SpanKind.CLIENT]),
    start=INSTANTS,
    end=INSTANTS,
    attributes=ATTRIBUTES,
    events=st.lists(st.builds(SpanEvent, TEXTS, INSTANTS, ATTRIBUTES), max_size=2).map(tuple),
    links=st.lists(st.builds(SpanLink, hexes(32), hexes(16), ATTRIBUTES), max_size=2).map(tuple),
    error=st.none() | TEXTS,
)
ROOTS = st.builds(replace, SPANS, kind=st.just(SpanKind.SERVER), parent=st.just("") | hexes(16))
TREES = st.builds(
    lambda trace_id, resource, root, others: SpanTree(trace_id, resource, (root, *others)),
    hexes(32),
    ATTRIBUTES,
    ROOTS,
    st.lists(SPANS, max_size=3),
)


@given(TREES)
def test_what_is_written_is_what_the_sdk_would_write(tree):
    assert otlp.request([(tree, tree.spans)]) == sdk_spans.encoded(tree)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_so_it_is_for_a_recorded_run(path):
    lines = [(42 + n / 100, line) for n, line in enumerate(path.read_bytes().splitlines())]
    tree = trees.build(*over(lines, output=OUTPUTS[path.parent.name]), Policy())
    assert otlp.request([(tree, tree.spans)]) == sdk_spans.encoded(tree)


def test_true_is_not_one():
    root = replace(make_tree().spans[0], attributes=(("a", True), ("b", 1), ("c", 1.0), ("a2", 1)))
    tree = SpanTree("ab" * 16, (), (root,))
    (span,) = decode_spans(otlp.request([(tree, tree.spans)]))
    assert [repr(value) for value in span.attributes.values()] == ["True", "1", "1.0", "1"]


def test_a_part_is_written_as_it_is_in_the_whole():
    tree = make_tree(spans=6)
    whole = decode_spans(otlp.request([(tree, tree.spans)]))
    parts = [span for one in tree.spans for span in decode_spans(otlp.request([(tree, [one])]))]
    assert tuple(parts) == whole
    assert otlp.request([(tree, [])]) == b""


def test_two_trees_in_one_request_keep_their_own_resource_and_spans():
    first, second = make_tree(), replace_resource(make_tree(trace_id="ba" * 16), "run-2")
    found = decode_spans(otlp.request([(first, first.spans), (second, second.spans[:1])]))
    assert list(found) == [
        *decode_spans(otlp.request([(first, first.spans)])),
        *decode_spans(otlp.request([(second, second.spans[:1])])),
    ]
    assert {span.resource["k8s.job.name"] for span in found} == {"run-1", "run-2"}


def replace_resource(tree, job):
    return SpanTree(tree.trace_id, (("k8s.job.name", job),), tree.spans)
