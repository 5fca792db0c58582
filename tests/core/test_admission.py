from dataclasses import replace

import pytest

from controller.core import admission
from controller.core.contract import Phase, Reason
from controller.core.snapshot import Ghost, Policy
from tests.core.builders import (
    NAMESPACE,
    POLICY,
    make_condition,
    make_ended_pod,
    make_ids,
    make_job,
    make_pod,
    make_run,
    make_snapshot,
    make_waiting,
    uid_of,
)

TWO_AT_ONCE = Policy(agent_concurrency=2)
GHOST = Ghost(NAMESPACE, "lost", uid_of("lost"))


def waits(name="waits", **changes):
    return make_run(make_waiting(name, **changes))


def released(run):
    """The Job holds no place by itself, and its pods have been read since."""
    read = replace(run, pods_read_at=5.0)
    return make_snapshot(read, since={admission.release_mark(run.job): 5.0})


def admitted(seen, policy=POLICY):
    verdicts = admission.decide(seen, policy)
    names = {run.job.uid: run.job.name for run in seen.runs}
    return [names[uid] for uid, verdict in verdicts.items() if verdict.phase is Phase.STARTING]


@pytest.mark.parametrize(
    ("seen", "held"),
    [
        pytest.param(make_snapshot(make_run()), 1, id="a live Job"),
        pytest.param(
            make_snapshot(make_run(make_job(), make_pod())), 1, id="a live Job and its pod hold one"
        ),
        pytest.param(
            make_snapshot(make_run(make_job(), make_pod(), make_pod(name="y"))), 1, id="two pods of one Job"
        ),
        pytest.param(make_snapshot(waits(started_at=1)), 1, id="a suspended Job that was started"),
        pytest.param(released(waits(started_at=1)), 0, id="a suspended Job whose pods have been read since"),
        pytest.param(
            released(make_run(make_waiting(started_at=1), make_pod())),
            1,
            id="a suspended Job with a pod",
        ),
        pytest.param(released(make_run(make_job(parallelism=0))), 0, id="parallelism 0"),
        pytest.param(make_snapshot(make_run(make_job(over="Complete"))), 0, id="a finished Job"),
        pytest.param(make_snapshot(make_run(make_job(over="x"), make_pod())), 1, id="a finished Job's pod"),
        pytest.param(
            make_snapshot(make_run(make_job(over="x"), make_ended_pod(1))), 0, id="a finished Job's ended pod"
        ),
        pytest.param(make_snapshot(make_run(make_job(deleted_at=1))), 1, id="a Job that is being deleted"),
        pytest.param(released(make_run(make_job(deleted_at=1))), 0, id="a deleted Job, pods read since"),
        pytest.param(
            make_snapshot(make_run(make_job(deleted_at=1), make_pod(deleted_at=1))),
            1,
            id="a terminating pod of a deleted Job",
        ),
        pytest.param(make_snapshot(make_run(make_waiting(), make_pod())), 1, id="a suspended Job's pod"),
        pytest.param(
            make_snapshot(make_run(make_job(conditions=(make_condition("FailureTarget"),)))),
            1,
            id="a Job that is about to fail",
        ),
        pytest.param(make_snapshot(strays=(make_pod(job="lost"),)), 1, id="a pod of an unknown Job"),
        pytest.param(make_snapshot(strays=(make_pod(job_uid=""),)), 1, id="a pod of no Job"),
        pytest.param(make_snapshot(strays=(make_ended_pod(0),)), 0, id="an ended pod of an unknown Job"),
        pytest.param(
            make_snapshot(strays=(make_pod(phase="Unknown"),)), 1, id="a pod of which nothing is known"
        ),
        pytest.param(make_snapshot(ghosts=(GHOST,)), 1, id="a Job that vanished"),
        pytest.param(
            make_snapshot(ghosts=(GHOST,), strays=(make_pod(job="lost"),)), 1, id="a vanished Job and its pod"
        ),
    ],
)
def test_who_holds_a_place(seen, held):
    assert len(admission.holders(seen)) == held
    assert admitted(replace(seen, runs=(*seen.runs, waits("next", created=99)))) == ([] if held else ["next"])


@pytest.mark.parametrize(
    ("runs", "policy", "want"),
    [
        pytest.param([waits("b", created=1), waits("a", created=2)], POLICY, ["b"], id="oldest first"),
        pytest.param([waits("b"), waits("a")], POLICY, ["a"], id="then by name"),
        pytest.param([waits("a"), waits("b"), waits("c")], TWO_AT_ONCE, ["a", "b"], id="two at once"),
        pytest.param([make_run(), waits("a"), waits("b")], TWO_AT_ONCE, ["a"], id="one place is left"),
        pytest.param(
            [make_run(), make_run(make_job("run-2")), make_run(make_job("run-3")), waits()],
            TWO_AT_ONCE,
            [],
            id="an overfilled slot admits nobody",
        ),
        pytest.param(
            [waits("a", run="same"), waits("b", run="same", created=1)],
            TWO_AT_ONCE,
            ["a"],
            id="of one run id only the oldest",
        ),
        pytest.param(
            [make_run(make_job(run="same", over="x", phase="Failed")), waits(run="same")],
            POLICY,
            [],
            id="a run that has ended is not started again",
        ),
        pytest.param(
            [make_run(make_waiting(run="same", phase="Rejected", result=True)), waits(run="same")],
            POLICY,
            ["waits"],
            id="a rejected Job never ran",
        ),
        pytest.param([waits(external_queue="gpus")], POLICY, [], id="Kueue's Jobs are left to it"),
        pytest.param([waits(deleted_at=1)], POLICY, [], id="not one that is being deleted"),
        pytest.param([waits(started_at=1)], POLICY, [], id="not one that somebody suspended"),
        pytest.param([waits(phase="Running")], POLICY, [], id="not one that has been running"),
        pytest.param([waits(phase="Queued")], POLICY, ["waits"], id="one that was told to wait"),
        pytest.param(
            [waits("a", parallelism=2), waits("b", created=1)],
            POLICY,
            ["b"],
            id="an invalid one holds up nobody",
        ),
    ],
)
def test_who_may_start(runs, policy, want):
    assert admitted(make_snapshot(*runs), policy) == want
    assert admitted(make_snapshot(*reversed(runs)), policy) == want


@pytest.mark.parametrize(
    ("mine", "theirs", "same"),
    [
        pytest.param((("run", "r/1"),), (("run", "r/1"),), True, id="raw with raw"),
        pytest.param((("run", "r/1"),), (("run", "r:1"),), False, id="different raw ids of one label"),
        pytest.param((("run", "r/1"),), (), True, id="label with label if one side has no raw id"),
        pytest.param((), (), True, id="label with label"),
    ],
)
def test_run_ids_are_compared_as_the_contract_says(mine, theirs, same):
    older = make_run(make_job("older", over="x", ids=make_ids(run="r1", raw=theirs)))
    newer = waits(ids=make_ids(run="r1", raw=mine))
    assert admitted(make_snapshot(older, newer)) == ([] if same else ["waits"])
    settled = make_snapshot(newer, settled=(older.job,))
    assert admitted(settled) == ([] if same else ["waits"])


def test_a_twin_is_told_in_the_same_words_whatever_the_order():
    runs = [make_run(make_job(name, over="x", run="same")) for name in ("b", "a")]
    mine = waits(run="same")
    first, second = (
        admission.decide(make_snapshot(*some, mine), POLICY)[mine.job.uid] for some in (runs, runs[::-1])
    )
    assert first == second


def test_who_must_wait_is_told_by_whom_the_place_is_taken():
    seen = make_snapshot(make_run(), waits())
    (verdict,) = admission.decide(seen, POLICY).values()
    assert (verdict.phase, verdict.reason) == (Phase.QUEUED, Reason.AGENT_BUSY)
    assert "run-1" in verdict.message


@pytest.mark.parametrize(
    ("changes", "valid"),
    [
        pytest.param({}, True, id="a whole run"),
        pytest.param({"ids": make_ids(agent="")}, False, id="no agent"),
        pytest.param({"ids": make_ids(run="")}, False, id="no run id"),
        pytest.param({"ids": make_ids(adapter="")}, False, id="no adapter type"),
        pytest.param({"parallelism": 2}, False, id="two at a time"),
        pytest.param({"parallelism": 0}, False, id="none at a time"),
        pytest.param({"completions": 2}, False, id="two completions"),
        pytest.param({"completions": None}, False, id="a work queue"),
        pytest.param({"indexed": True}, False, id="indexed: it could be given more pods while it runs"),
        pytest.param({"parallelism": 0, "phase": "Queued"}, True, id="changed after it was seen"),
    ],
)
def test_what_is_a_run(changes, valid):
    assert (admission.problem(make_waiting(**changes)) == "") is valid


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"started_at": 1}, id="it was started before"),
        pytest.param({"failed": 1}, id="a pod of it has failed, though its start time was taken back"),
        pytest.param({"active": 1}, id="a pod of it is active"),
        pytest.param({"external_queue": "gpu"}, id="it stands in somebody else's queue"),
        pytest.param({"parallelism": 0, "status": {"phase": "Queued"}}, id="its parallelism was set to 0"),
        pytest.param({"completions": 2, "status": {"phase": "Queued"}}, id="its completions were changed"),
    ],
)
def test_a_suspended_job_is_not_started_if(changes):
    assert admitted(make_snapshot(waits(**changes))) == []


def test_a_run_whose_start_was_refused_is_passed_over_for_a_while():
    first, second = waits("first", created=1), waits("second", created=2)
    seen = make_snapshot(first, second, refused=frozenset({first.job.uid}))
    assert admitted(seen) == ["second"]
    assert admission.decide(seen, POLICY)[first.job.uid].reason is Reason.AGENT_BUSY
