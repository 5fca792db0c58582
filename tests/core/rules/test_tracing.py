import pytest

from controller.core.actions import ExportTrace, PatchJob, TellJob
from controller.core.contract import Status
from controller.core.rules import tracing
from controller.core.snapshot import Export
from tests.core.builders import (
    KEYS,
    POLICY,
    TRACED,
    at,
    make_ended_pod,
    make_job,
    make_log,
    make_open_log,
    make_run,
    make_snapshot,
    now,
    stamp,
    uid_of,
)
from tests.core.world import after

DONE = {"phase": "Succeeded", "result": True, "over": "Complete"}
RECORDED = {**DONE, "notes": {Status.TRACE_EXPORTED: stamp(99)}}


def export(run, policy=TRACED):
    return tracing.export(make_snapshot(run), now(), policy)


def done(*logs, **more):
    return make_run(make_job(**DONE), make_ended_pod(0), logs=logs, **more)


def test_a_concluded_run_hands_over_its_trace():
    (action,) = export(done(make_log())).actions
    assert isinstance(action, ExportTrace)
    assert (action.job_uid, action.tree.trace_id) == (uid_of("run-1"), uid_of("run-1").replace("-", ""))


@pytest.mark.parametrize(
    ("run", "policy"),
    [
        pytest.param(done(make_log()), POLICY, id="no traces are wanted"),
        pytest.param(make_run(make_job(phase="Running")), TRACED, id="it is not over"),
        pytest.param(make_run(make_job(phase="Failed")), TRACED, id="there is no result"),
        pytest.param(make_run(make_job(**RECORDED)), TRACED, id="it was accepted before"),
        pytest.param(done(make_log(), export=Export.PENDING), TRACED, id="it is on its way"),
        pytest.param(done(make_log(), export=Export.ACCEPTED), TRACED, id="it was accepted"),
        pytest.param(done(make_log(), export=Export.GIVEN_UP), TRACED, id="it was given up"),
    ],
)
def test_whose_trace_is_not_handed_over(run, policy):
    assert export(run, policy).actions == ()


@pytest.mark.parametrize("logs", [(make_open_log(),), ()], ids=["being read", "never opened"])
def test_a_trace_waits_for_logs_but_not_for_ever(logs):
    run = done(*logs)
    first = export(run)
    assert (first.actions, first.look_again) == ((), 300)
    seen = after(make_snapshot(run), first, now(100))
    assert tracing.export(seen, now(399), TRACED).actions == ()
    assert len(tracing.export(seen, now(400), TRACED).actions) == 1


def test_acceptance_is_written_without_a_version():
    run = done(export=Export.ACCEPTED)
    patch, told = tracing.record(make_snapshot(run), now(), TRACED).actions
    assert isinstance(patch, PatchJob)
    assert (patch.version, patch.why, patch.spec) == ("", "trace", {})
    assert patch.annotations == {KEYS.status(Status.TRACE_EXPORTED): stamp(100)}
    assert isinstance(told, TellJob)


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(done(export=Export.PENDING), id="not before it is accepted"),
        pytest.param(done(export=Export.GIVEN_UP), id="not if it was given up"),
        pytest.param(make_run(make_job(**RECORDED), export=Export.ACCEPTED), id="not twice"),
    ],
)
def test_when_no_acceptance_is_written(run):
    assert tracing.record(make_snapshot(run), now(), TRACED).actions == ()


def close(*runs, policy=TRACED):
    return tracing.close_vanished(make_snapshot(vanished=runs), now(), policy)


def test_a_run_whose_job_was_deleted_in_mid_run_gets_its_trace_and_an_event():
    run = make_run(make_job(phase="Running"), make_ended_pod(143), logs=[make_open_log()])
    told, closed = close(run).actions
    assert (told.name, told.reason, told.warning) == ("run-1", "JobDeleted", True)
    root, *others = closed.tree.spans
    said = dict(root.attributes)
    assert (said["cicd.pipeline.result"], said["agent.run.reason"]) == ("cancellation", "JobDeleted")
    assert said["agent.log.state"] == "truncated"
    assert root.end == at(100)
    assert "attempt 1" in [span.name for span in others]


def test_a_run_that_was_deleted_is_closed_without_traces_as_well():
    _, closed = close(make_run(make_job(phase="Running")), policy=POLICY).actions
    assert (closed.job_uid, closed.tree) == (uid_of("run-1"), None)


def test_a_run_that_was_deleted_is_closed_once():
    seen = make_snapshot(vanished=(make_run(make_job(phase="Running")),))
    plan = tracing.close_vanished(seen, now(), TRACED)
    assert tracing.close_vanished(after(seen, plan, now()), now(), TRACED).actions == ()
