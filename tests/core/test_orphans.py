"""The decision table of the contract, row by row; every verdict can be made again from its record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core import orphans
from controller.core.contract import Status
from controller.core.model import Ids
from controller.core.orphans import Decision, Other
from controller.core.reconcile import reconcile
from tests.core.builders import at, make_condition, make_job, stamp
from tests.core.strategies import NOW, policies, snapshots
from tests.core.test_laws import LAW, patches, written

ME = Ids("a-1", "me", "claude_k8s", "t-1", "s-1")


def other(name="live", run="theirs", **changes):
    told = {"task": "t-1", "session": "s-1", "raw": ()}
    ids = {key: changes.pop(key, default) for key, default in told.items()}
    return Other(name, f"uid-{name}", Ids("a-1", run, "claude_k8s", **ids), **changes)


def rule(*others, me=ME, reattach=False, full=True):
    return orphans.judge(me, others, reattach=reattach, full=full)


def decide(*others, **asked):
    return rule(*others, **asked).decision


# ── Row by row ───────────────────────────────────────────────────────────────────────────────────

SAID = pytest.mark.parametrize("reattach", [False, True])
RAW = (("task", "t/1"),)


@SAID
@pytest.mark.parametrize(
    "live",
    [
        pytest.param(other(run="me", allows=True), id="its run id now"),
        pytest.param(other(served=(Ids(run="me"),), allows=True), id="one of its history"),
        pytest.param(other(run="me", task="t-2", session="s-2"), id="whatever task and session say"),
        pytest.param(other(run="me", task=""), id="whether or not there is a task"),
        pytest.param(other(run="me", live=False), id="though it has ended"),
    ],
)
def test_row_0_the_same_run_is_a_duplicate(live, reattach):
    assert decide(live, reattach=reattach) is Decision.DUPLICATE


@SAID
@pytest.mark.parametrize(
    ("mine", "theirs"), [("", "t-1"), ("t-1", ""), ("", "")], ids=["mine", "theirs", "both"]
)
def test_row_1_an_unknown_task_blocks(mine, theirs, reattach):
    me = Ids(run="me", task=mine, session="s-1")
    assert decide(other(task=theirs, allows=True), me=me, reattach=reattach) is Decision.BLOCK_TASK_UNKNOWN


@SAID
@pytest.mark.parametrize("session", ["s-1", "s-2", ""])
def test_row_2_another_task_blocks_whatever_the_session(session, reattach):
    live = other(task="t-2", session=session, allows=True)
    assert decide(live, reattach=reattach) is Decision.BLOCK_TASK_MISMATCH


@SAID
def test_row_3_another_session_of_the_same_task_blocks(reattach):
    assert decide(other(session="s-2", allows=True), reattach=reattach) is Decision.BLOCK_SESSION_MISMATCH


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [("s-1", "s-1"), ("s-1", ""), ("", "s-1"), ("", "")],
    ids=["the same session", "theirs absent", "mine absent", "both absent"],
)
def test_row_4_the_same_task_blocks_or_is_continued(mine, theirs):
    me = Ids(run="me", task="t-1", session=mine)
    live = other(session=theirs, allows=True)
    assert decide(live, me=me) is Decision.BLOCK_BUSY
    assert decide(live, me=me, reattach=True) is Decision.REATTACH


def test_row_4_what_does_not_allow_it_is_not_continued():
    assert decide(other(allows=False), reattach=True) is Decision.BLOCK_BUSY


@pytest.mark.parametrize(
    ("mine", "theirs", "decision"),
    [
        pytest.param(RAW, RAW, Decision.BLOCK_BUSY, id="raw with raw"),
        pytest.param(RAW, (("task", "t:1"),), Decision.BLOCK_TASK_MISMATCH, id="raw ids of one label"),
        pytest.param(RAW, (), Decision.BLOCK_BUSY, id="label with label if one side has no raw id"),
    ],
)
def test_ids_are_compared_as_the_contract_says(mine, theirs, decision):
    me = Ids(run="me", task="t1", raw=mine)
    assert decide(other(task="t1", session="", raw=theirs), me=me) is decision


# ── Which of several ─────────────────────────────────────────────────────────────────────────────


def test_a_duplicate_with_any_of_them_wins():
    same = other("old", run="me", created_at=1)
    ruling = rule(other("newer", allows=True, created_at=2), same, reattach=True)
    assert (ruling.decision, ruling.other) == (Decision.DUPLICATE, same)


def test_of_two_that_are_the_same_run_the_live_one_counts():
    live = other("live", run="me", created_at=1)
    assert rule(other("ended", run="me", live=False, created_at=2), live).other == live


def test_the_newest_that_allows_it_is_continued():
    first, second = (other(name, allows=True, created_at=at) for name, at in (("first", 1), ("second", 2)))
    closed = other("closed", created_at=3)
    assert rule(closed, first, second, reattach=True).other == second


def test_else_the_newest_blocks():
    newest = other("newest", task="t-2", created_at=2)
    ruling = rule(other("older", created_at=1), newest)
    assert (ruling.decision, ruling.other) == (Decision.BLOCK_TASK_MISMATCH, newest)


def test_of_the_same_second_the_name_decides_whatever_the_order():
    both = [other("a", task="t-2"), other("b")]
    assert rule(*both) == rule(*both[::-1])


def test_blocks_hold_back_only_while_the_slot_is_full():
    blocks = other(task="t-2")
    assert decide(blocks, full=False) is Decision.ADMIT
    assert decide(full=False) is Decision.ADMIT


def test_while_a_place_is_free_the_same_run_and_its_continuation_are_attached_all_the_same():
    assert decide(other(run="me"), full=False) is Decision.DUPLICATE
    assert decide(other(allows=True), reattach=True, full=False) is Decision.REATTACH


def test_a_full_slot_without_a_live_job_is_busy():
    assert rule() == (Decision.BLOCK_BUSY, None, False, True)


def test_a_job_that_has_ended_blocks_nothing_and_is_not_continued():
    ended = other(live=False, allows=True)
    assert decide(ended, full=False, reattach=True) is Decision.ADMIT
    assert rule(ended, reattach=True).other is None


# ── Which Job allows to be continued ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        pytest.param({}, True, id="one that was started before"),
        pytest.param({"run": ""}, False, id="not without a run id"),
        pytest.param({"started_at": at(5)}, False, id="not one started in the same second"),
        pytest.param({"started_at": at(6)}, False, id="not one started later"),
        pytest.param({"started_at": None}, False, id="not one that has not been started"),
        pytest.param({"notes": {Status.STOP: "{}"}}, False, id="not one that is stopped"),
        pytest.param({"deleted_at": at(4)}, False, id="not one that is being deleted"),
        pytest.param({"conditions": (make_condition("FailureTarget"),)}, False, id="not one about to fail"),
    ],
)
def test_who_may_be_continued(changes, allowed):
    assert orphans.allows(make_job(**changes), at(5)) is allowed


def test_a_job_whose_cancel_was_requested_may_not_be_continued():
    wishes = make_job().wishes.__class__(cancel_requested="enough")
    assert orphans.allows(make_job(wishes=wishes), at(5)) is False


# ── The record ───────────────────────────────────────────────────────────────────────────────────


def test_the_record_says_what_the_contract_says():
    ruling = rule(other(task="t-2", allows=True), reattach=True)
    assert orphans.record(ME, ruling, "queue", at(3)) == (
        '{"decision":"block_task_mismatch","live":"live/uid-live",'
        '"run":{"runId":"me","taskId":"t-1","sessionId":"s-1"},'
        '"other":{"runId":"theirs","taskId":"t-2","sessionId":"s-1"},'
        f'"reattach":true,"onConflict":"queue","at":"{stamp(3)}","allows":true,"full":true}}'
    )


def test_ids_that_are_absent_are_left_out_of_the_record():
    text = orphans.record(Ids(run="me"), rule(full=False), "fail", at(3))
    assert text == f'{{"decision":"admit","run":{{"runId":"me"}},"onConflict":"fail","at":"{stamp(3)}"}}'


@pytest.mark.parametrize("text", ["", "[]", "{", '{"run":3}', "[" * 5000])
def test_what_is_no_record_is_none(text):
    assert orphans.read(text) is None


_WORDS = st.sampled_from(["", "1", "2", "x-1"])
_RAWS = st.sampled_from(["1", "/1", "2", "☃2", "x-1", "x-☃1"])


@st.composite
def _ids(draw):
    labels, raw = {}, []
    for name in ("run", "task", "session"):
        if draw(st.booleans()):
            raw.append((name, draw(_RAWS)))
            labels[name] = orphans.sanitise(raw[-1][1])
        else:
            labels[name] = draw(_WORDS)
    return Ids("a-1", adapter="claude_k8s", **labels, raw=tuple(raw))


@st.composite
def _others(draw, number):
    served = tuple(draw(st.lists(_ids(), max_size=2)))
    asked = [draw(st.booleans()) for _ in range(2)]
    return Other(f"o-{number}", f"u-{number}", draw(_ids()), served, *asked, draw(st.integers(0, 2)))


@given(st.data(), _ids(), st.integers(0, 3), st.booleans(), st.booleans())
def test_every_verdict_can_be_made_again_from_its_record(data, me, count, reattach, full):
    others = [data.draw(_others(number)) for number in range(count)]
    ruling = orphans.judge(me, others, reattach=reattach, full=full)
    record = orphans.read(orphans.record(me, ruling, "queue", at(3)))
    assert record is not None
    assert orphans.replay(record) is ruling.decision


@LAW
@given(snapshots(), policies())
def test_every_verdict_that_is_written_can_be_made_again_from_what_is_written(seen, policy):
    before = {run.job.uid: run.job.status for run in seen.runs}
    for patch in patches(reconcile(seen, NOW, policy)):
        if (text := written(patch, Status.DECISION)) is not None:
            record = orphans.read(text)
            assert orphans.replay(record) == record.decision
            reason = written(patch, Status.REASON) or before[patch.job_uid][Status.REASON]
            assert orphans.REASONS[Decision(record.decision)] == reason


def test_the_longest_ids_keep_a_record_small():
    raw = tuple((name, "☃" * 200 + "x" * 56) for name in ("run", "task", "session"))
    me = Ids(run="x" * 56, task="x" * 56, session="x" * 56, raw=raw)
    theirs = Other("n" * 253, "u" * 36, me, served=(me,))
    assert len(orphans.record(me, rule(theirs, me=me), "queue", at(3)).encode()) < 6 * 1024
