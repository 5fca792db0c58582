import json
from dataclasses import replace

import pytest

from controller.core import quiet
from controller.core.actions import FollowLog, PatchJob, ReadPods, TellJob
from controller.core.contract import Reason, Status
from controller.core.model import Wishes
from controller.core.reconcile import reconcile
from controller.core.rules import hanging
from controller.core.snapshot import Policy
from controller.core.transcript import LogState
from tests.core.builders import (
    KEYS,
    POLICY,
    at,
    exited,
    make_claim,
    make_condition,
    make_ended_pod,
    make_finished_seen,
    make_ids,
    make_job,
    make_log,
    make_pod,
    make_run,
    make_seen,
    make_snapshot,
    make_waiting,
    now,
    running,
    stamp,
    uid_of,
)
from tests.core.world import after

RUNNING = make_job(phase="Running", reason="AgentWorking")
SIDECAR = running("proxy")
STALLS = replace(POLICY, stall_stop_seconds=900)
TASKS = make_finished_seen(tasks_live=1)
FAILED = make_finished_seen(claim=make_claim("error_max_turns"))


def make_heard_log(seen=None, **changes):
    """A log that works, and whose reader has heard nothing new."""
    log = make_log(state=LogState.READING, seen=make_finished_seen() if seen is None else seen)
    return replace(log, **{"works": True, "streaming": True, **changes})


def make_quiet(seen=None, *, job=RUNNING, pod=None, **log):
    """A run with one pod whose log has brought `seen` and nothing since."""
    return make_run(job, pod or make_pod(), logs=(make_heard_log(seen, **log),))


def make_outlived(code=0, seen=None, *, state=LogState.COMPLETE, job=RUNNING):
    """A run whose agent has ended and whose sidecar has not."""
    return make_run(job, make_pod(exited(code), SIDECAR), logs=(make_log(state=state, seen=seen),))


def at_second(run, *seconds, policy=POLICY):
    """The plan at the last of these seconds, if the run was as it is at the first.

    At each the rule is asked as often as it takes until it asks for nothing that only has to be looked up.
    """
    seen = make_snapshot(run)
    for second in seconds:
        for _ in range(3):
            plan = hanging.stop_hanging(seen, now(second), policy)
            seen = after(seen, plan, now(second))
            if not any(isinstance(action, FollowLog | ReadPods) for action in plan.actions):
                break
    return plan


def stops(plan):
    """The reasons of the stops in a plan."""
    patches = [action for action in plan.actions if isinstance(action, PatchJob)]
    return [json.loads(patch.annotations[KEYS.status(Status.STOP)])["reason"] for patch in patches]


# ── After a result ───────────────────────────────────────────────────────────────────────────────


def test_an_agent_that_does_not_exit_after_its_result_is_stopped_by_one_patch():
    plan = at_second(make_quiet(), 100, 700)
    patch, told = plan.actions
    assert patch.spec == {"activeDeadlineSeconds": 1}
    stop = {"reason": Reason.COMPLETED_HUNG, "at": stamp(700)}
    assert json.loads(patch.annotations[KEYS.status(Status.STOP)]) == stop
    assert patch.annotations[KEYS.status(Status.REASON)] == Reason.STOPPING
    assert (patch.version, patch.why) == ("7", "stop")
    assert isinstance(told, TellJob)
    assert (told.reason, told.warning) == ("Stopping", True)


@pytest.mark.parametrize(
    ("run", "seconds", "reasons"),
    [
        pytest.param(make_quiet(), [700], [], id="not at first sight, as after a restart"),
        pytest.param(make_quiet(), [100, 699], [], id="not before its time"),
        pytest.param(make_quiet(), [100, 700], [Reason.COMPLETED_HUNG], id="in time"),
        pytest.param(make_quiet(FAILED), [100, 700], [Reason.MAX_TURNS], id="a failure is its own"),
        pytest.param(make_quiet(make_seen()), [100, 9000], [], id="not while a turn is open"),
        pytest.param(
            make_quiet(make_finished_seen(turn_open=True)), [100, 9000], [], id="nor a turn after the result"
        ),
        pytest.param(make_quiet(TASKS), [100, 9000], [], id="not while a background task is live"),
        pytest.param(make_quiet(works=False), [100, 9000], [], id="not while its log can't be read"),
        pytest.param(make_quiet(state=LogState.MISSING), [100, 9000], [], id="nor if there is none"),
        pytest.param(make_run(RUNNING, make_pod()), [100, 9000], [], id="nor before it was asked for"),
        pytest.param(
            make_quiet(make_seen(), job=make_job(wishes=Wishes(output="text"))),
            [100, 9000],
            [],
            id="not a program that gives no results",
        ),
        pytest.param(make_quiet(pod=make_pod(deleted_at=at(1))), [100, 9000], [], id="not one that goes"),
        pytest.param(make_quiet(pod=make_ended_pod()), [100, 9000], [], id="not one that has gone"),
    ],
)
def test_when_an_agent_is_taken_to_hang(run, seconds, reasons):
    assert stops(at_second(run, *seconds)) == reasons


@pytest.mark.parametrize(
    ("job", "reasons"),
    [
        pytest.param(make_job(), [Reason.COMPLETED_HUNG], id="submitted running, and not told of yet"),
        pytest.param(
            replace(RUNNING, external_queue="gpus"), [Reason.COMPLETED_HUNG], id="started by another queue"
        ),
        pytest.param(make_job(conditions=(make_condition("FailureTarget"),)), [], id="about to fail"),
        pytest.param(make_job(conditions=(make_condition("SuccessCriteriaMet"),)), [], id="about to succeed"),
        pytest.param(make_job(over="Complete"), [], id="over"),
        pytest.param(make_job(deleted_at=1), [], id="being deleted"),
        pytest.param(make_waiting(), [], id="suspended"),
        pytest.param(make_job(notes={Status.STOP: "{}"}), [], id="stopped already"),
        pytest.param(make_job(ids=make_ids(run="")), [], id="no run"),
        pytest.param(make_job(wishes=Wishes(cancel_requested="enough")), [], id="a cancel goes before"),
    ],
)
def test_whose_agent_may_be_stopped(job, reasons):
    assert stops(at_second(make_quiet(job=job), 100, 700)) == reasons


def test_a_cancel_at_the_same_time_is_what_the_run_is_stopped_for():
    run = make_quiet(job=replace(RUNNING, wishes=Wishes(cancel_requested="enough")))
    seen = make_snapshot(run)
    plans = [reconcile(seen, now(second), POLICY) for second in (100, 700)]
    assert [stops(plan) for plan in plans] == [[Reason.CANCELLED_BY_HOST]] * 2


def test_time_is_that_of_the_monotonic_clock():
    seen = make_snapshot(make_quiet())
    seen = after(seen, hanging.stop_hanging(seen, now(100), POLICY), now(100))
    plan = hanging.stop_hanging(seen, now(9000, mono=150), POLICY)
    assert plan.actions == ()


def test_before_a_stop_the_log_is_read_to_its_end_and_the_pods_are_listed():
    seen = make_snapshot(make_quiet(read_at=699))
    seen = replace(seen, runs=(replace(seen.runs[0], pods_read_at=699),))
    seen = after(seen, hanging.stop_hanging(seen, now(100), POLICY), now(100))
    check, pods = hanging.stop_hanging(seen, now(700), POLICY).actions
    assert (check.check, check.pod_uid) == (True, uid_of("run-1-x"))
    assert isinstance(pods, ReadPods)


def test_what_was_known_when_a_stop_failed_is_too_old_a_minute_later():
    seen = make_snapshot(make_quiet())
    for second in (100, 700):
        seen = after(seen, hanging.stop_hanging(seen, now(second), POLICY), now(second))
    assert stops(hanging.stop_hanging(seen, now(700), POLICY)), "which the API server refuses"
    actions = hanging.stop_hanging(seen, now(761), POLICY).actions
    assert {type(action) for action in actions} == {FollowLog, ReadPods}


@pytest.mark.parametrize(
    "news",
    [
        pytest.param(make_finished_seen(lines=13), id="a line"),
        pytest.param(make_finished_seen(lines=13, turn_open=True), id="a turn"),
        pytest.param(make_finished_seen(lines=13, tasks_live=1), id="a task"),
    ],
)
def test_a_line_that_the_last_read_brings_begins_it_anew(news):
    seen = make_snapshot(make_quiet())
    seen = after(seen, hanging.stop_hanging(seen, now(100), POLICY), now(100))
    read = make_heard_log(news, read_at=700.0)
    run = replace(seen.runs[0], logs=(read,), pods_read_at=700.0)
    plan = hanging.stop_hanging(replace(seen, runs=(run,)), now(700), POLICY)
    assert plan.actions == ()
    assert plan.look_again >= 300


def test_time_in_which_the_log_could_not_be_read_does_not_count():
    seen = make_snapshot(make_quiet())
    for second, works in ((100, True), (500, False), (501, True)):
        run = replace(seen.runs[0], logs=(make_heard_log(works=works),))
        seen = replace(seen, runs=(run,))
        seen = after(seen, hanging.stop_hanging(seen, now(second), POLICY), now(second))
    assert stops(at_later(seen, 1100)) == []
    assert stops(at_later(seen, 1101)) == [Reason.COMPLETED_HUNG]


def at_later(seen, second):
    """The plan at that second, when what it asks for first has been looked up."""
    seen = after(seen, hanging.stop_hanging(seen, now(second), POLICY), now(second))
    return hanging.stop_hanging(seen, now(second), POLICY)


def test_a_stream_is_waited_for_a_few_seconds_and_no_longer():
    polled = make_quiet(streaming=False)
    assert stops(at_second(polled, 100, 700)) == []
    assert stops(at_second(polled, 100, 700, 705)) == [Reason.COMPLETED_HUNG]


@pytest.mark.parametrize(
    ("other", "reasons"),
    [
        pytest.param(make_pod(name="other", created=1), [], id="works: the Job's end would be its own"),
        pytest.param(make_ended_pod(1, name="other", created=1), [Reason.COMPLETED_HUNG], id="has ended"),
        pytest.param(
            make_pod(name="other", created=1, deleted_at=at(2)), [Reason.COMPLETED_HUNG], id="is going"
        ),
    ],
)
def test_of_several_pods_one_must_be_alone(other, reasons):
    run = make_run(RUNNING, other, make_pod(), logs=(make_heard_log(),))
    assert stops(at_second(run, 100, 700)) == reasons


def test_a_result_of_before_the_container_s_restart_closes_nothing():
    restarted = make_pod(running(restarts=1, started_at=at(95)))
    assert stops(at_second(make_quiet(pod=restarted, restarts=1), 100, 9000)) == []
    restarted = make_pod(running(restarts=1, started_at=at(80)))
    assert stops(at_second(make_quiet(pod=restarted, restarts=1), 100, 700)) == [Reason.COMPLETED_HUNG]


def test_the_log_of_an_earlier_start_says_nothing_of_the_one_that_runs():
    restarted = make_pod(running(restarts=1, started_at=at(80)))
    assert quiet.of(make_quiet(pod=restarted)) is None


# ── A sidecar ────────────────────────────────────────────────────────────────────────────────────


def test_a_sidecar_that_outlives_its_agent_is_stopped_and_the_agent_is_noted_to_have_ended():
    plan = at_second(make_outlived(), 100, 700)
    stop = json.loads(plan.actions[0].annotations[KEYS.status(Status.STOP)])
    assert stop == {"reason": Reason.AGENT_HANGING, "at": stamp(700), "ended": uid_of("run-1-x")}


@pytest.mark.parametrize(
    ("run", "seconds", "reasons"),
    [
        pytest.param(make_outlived(), [700], [], id="not at first sight"),
        pytest.param(make_outlived(), [100, 699], [], id="not before its time"),
        pytest.param(make_outlived(1), [100, 700], [Reason.AGENT_HANGING], id="whatever the agent's exit"),
        pytest.param(
            make_outlived(job=make_job(wishes=Wishes(output="text"))),
            [100, 700],
            [Reason.AGENT_HANGING],
            id="whatever it was",
        ),
        pytest.param(
            make_run(RUNNING, make_pod(replace(exited(128, reason="StartError"), started_at=None), SIDECAR)),
            [100, 9000],
            [],
            id="not one whose agent never started",
        ),
    ],
)
def test_when_a_sidecar_is_stopped(run, seconds, reasons):
    assert stops(at_second(run, *seconds)) == reasons


def test_the_rest_of_the_log_is_waited_for_as_long_as_always():
    hasty = Policy(hang_timeout_seconds=60)
    unread = make_outlived(state=LogState.READING)
    assert stops(at_second(unread, 100, 399, policy=hasty)) == []
    assert stops(at_second(unread, 100, 400, policy=hasty)) == [Reason.AGENT_HANGING]


# ── Silence ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("seen", "policy", "seconds", "reasons"),
    [
        pytest.param(make_seen(), POLICY, [100, 10**7], [], id="never, unless it is wanted"),
        pytest.param(make_seen(), STALLS, [100, 999], [], id="not before its time"),
        pytest.param(make_seen(), STALLS, [100, 1000], [Reason.STALLED_TOO_LONG], id="in time"),
        pytest.param(make_seen(lines=0, last_at=None), STALLS, [100, 1000], ["StalledTooLong"], id="dumb"),
        pytest.param(TASKS, STALLS, [100, 1000], [Reason.STALLED_TOO_LONG], id="in the background too"),
        pytest.param(make_finished_seen(), STALLS, [100, 1000], ["CompletedHung"], id="a result is no stall"),
    ],
)
def test_when_a_silent_agent_is_stopped(seen, policy, seconds, reasons):
    assert stops(at_second(make_quiet(seen), *seconds, policy=policy)) == reasons


@pytest.mark.parametrize("output", ["text", "claude-stream-json"])
def test_silence_that_lasts_is_told_once_and_made_certain_before(output):
    job = replace(RUNNING, wishes=Wishes(output=output))
    story = told(make_quiet(make_seen(), job=job), 100, 3699, 3700, 3706, 3707, 3800, 5000)
    assert story == [(3706, "Running/AgentSilent")]


def test_an_event_says_that_an_agent_is_silent():
    story = events(make_quiet(make_seen()), 100, 3700, 3706, 3900)
    assert story == [("Silent", "No output for 3600 s: its last line is of " + stamp(88) + ".")]


def test_an_agent_that_has_never_said_a_word_is_silent_too():
    ((_, note),) = events(make_quiet(make_seen(lines=0, last_at=None)), 100, 3700, 3706)
    assert note == "No output for 3600 s: it has said nothing yet."


def test_who_speaks_again_works_again():
    seen = settled(make_quiet(make_seen()), 100, 3700, 3706)
    assert standing(seen) == "Running/AgentSilent"
    spoken = make_heard_log(make_seen(lines=13, last_at=at(3750)), read_at=3770.0)
    seen = replace(seen, runs=(replace(seen.runs[0], logs=(spoken,)),))
    seen = passed(seen, 3770, 3776)
    assert standing(seen) == "Running/AgentWorking"


def test_of_a_silent_agent_it_is_looked_each_minute_whether_it_speaks():
    seen = settled(make_quiet(make_seen()), 100, 3700, 3706)
    plan = hanging.stop_hanging(seen, now(3740), POLICY)
    assert (plan.actions, plan.look_again) == ((), 60)
    (asked,) = hanging.stop_hanging(seen, now(3761), POLICY).actions
    assert asked.check


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        pytest.param((), "AgentSilent", id="before its log is read again"),
        pytest.param(
            (make_heard_log(make_seen(last_at=at(60))),), "AgentSilent", id="while it is read again"
        ),
        pytest.param((make_heard_log(make_seen()),), "AgentSilent", id="when it has been"),
        pytest.param((make_heard_log(make_seen(), works=False),), "AgentSilent", id="while it can't be read"),
        pytest.param((make_heard_log(make_seen(last_at=at(90))),), "AgentWorking", id="unless a line came"),
    ],
)
def test_a_restart_does_not_take_back_that_an_agent_is_silent(log, reason):
    seen = settled(make_quiet(make_seen()), 100, 3700, 3706)
    anew = replace(seen, runs=(replace(seen.runs[0], logs=log),), since={})
    assert standing(passed(anew, 3710, 3716, 3800)) == f"Running/{reason}"


def test_a_hanging_agent_is_told_of_while_there_is_time_to_look():
    for run in (make_quiet(), make_outlived()):
        story = told(run, 100, 399, 400, 406, 500)
        assert story == [(100, "Finishing/AgentFinished"), (406, "Finishing/AgentHanging")]


def test_a_new_attempt_begins_anew():
    seen = settled(make_quiet(make_seen(), job=replace(RUNNING, backoff_limit=3)), 100, 3700, 3706)
    pods = (make_ended_pod(1), make_pod(name="new", created=3710))
    seen = replace(seen, runs=(replace(seen.runs[0], pods=pods),))
    assert standing(passed(seen, 3712, 3718)) == "Running/AgentStarting"


def passed(seen, *seconds, notice=lambda _second, _plan: None):
    """The slot after those seconds, each looked at until nothing more is asked."""
    quiet = Policy(heartbeat_seconds=3600)
    for second in seconds:
        for _ in range(3):
            plan = reconcile(seen, now(second), quiet)
            notice(second, plan)
            seen = after(seen, plan, now(second))
    return seen


def settled(run, *seconds):
    return passed(make_snapshot(run), *seconds)


def standing(seen):
    job = seen.runs[0].job
    return f"{job.phase}/{job.status[Status.REASON]}"


def told(run, *seconds):
    """(second, phase and reason) of each that was written."""
    story, seen = [], make_snapshot(run)
    for second in seconds:
        before, seen = seen, passed(seen, second)
        if standing(seen) != f"{before.runs[0].job.phase}/{before.runs[0].job.status.get(Status.REASON)}":
            story.append((second, standing(seen)))
    return story


def events(run, *seconds):
    found = []

    def notice(_second, plan):
        found.extend((a.reason, a.note) for a in plan.actions if isinstance(a, TellJob))

    passed(make_snapshot(run), *seconds, notice=notice)
    return found


# ── How such runs end ────────────────────────────────────────────────────────────────────────────


def ended(run, code, *, policy=POLICY, log=None):
    """The run when its stop has done its work: the pod has ended, and Kubernetes has closed the Job."""
    seen = make_snapshot(run)
    for second in (100, 1000, 1001, 1002):
        seen = after(seen, hanging.stop_hanging(seen, now(second), policy), now(second))
    (run,) = seen.runs
    agent = next(c for c in run.pods[0].containers if c.name == "claude")
    killed = exited(code, finished_at=at(1010)) if agent.exit_code is None else agent
    job = replace(run.job, conditions=(make_condition("Failed", "DeadlineExceeded", seconds=1012),))
    pods = (replace(run.pods[0], phase="Failed", containers=(killed,)),)
    logs = (log or replace(run.logs[0], state=LogState.COMPLETE),)
    return replace(run, job=job, pods=pods, logs=logs, pods_read_at=1e9)


def outcome(run):
    """Phase, reason, error code and whether there is an error message."""
    (patch,) = (
        a for a in reconcile(make_snapshot(run), now(1020), POLICY).actions if isinstance(a, PatchJob)
    )
    result = json.loads(patch.annotations[KEYS.status(Status.RESULT)])
    standing = (
        f"{patch.annotations[KEYS.status(Status.PHASE)]}/{patch.annotations[KEYS.status(Status.REASON)]}"
    )
    return standing, result.get("errorCode"), bool(result.get("errorMessage"))


LIMITED = make_finished_seen(
    claim=make_claim(is_error=True, api_error_status=429, terminal_reason="api_error"), limited_until=at(9000)
)
LOST = make_log(state=LogState.MISSING, seen=make_seen(lines=0, claim=None))
SPOKE = make_log(seen=make_finished_seen(lines=14, turn_open=True))


@pytest.mark.parametrize(
    ("run", "found"),
    [
        pytest.param(
            ended(make_quiet(), 143), ("Succeeded/CompletedHung", None, False), id="it had succeeded"
        ),
        pytest.param(ended(make_quiet(), 137), ("Succeeded/CompletedHung", None, False), id="killed or not"),
        pytest.param(ended(make_quiet(), 0), ("Succeeded/CompletedHung", None, False), id="or exited then"),
        pytest.param(
            ended(make_quiet(), 143, log=LOST), ("Succeeded/CompletedHung", None, False), id="its log is lost"
        ),
        pytest.param(
            ended(make_quiet(), 143, log=SPOKE), ("Succeeded/CompletedHung", None, False), id="it spoke then"
        ),
        pytest.param(
            ended(make_quiet(FAILED), 143),
            ("Failed/MaxTurns", "max_turns_exhausted", True),
            id="it had failed",
        ),
        pytest.param(
            ended(make_quiet(LIMITED), 143), ("Failed/QuotaExceeded", "provider_quota", True), id="by its API"
        ),
        pytest.param(
            ended(make_outlived(), 0), ("Succeeded/Completed", None, False), id="a sidecar of a success"
        ),
        pytest.param(
            ended(make_outlived(1), 0),
            ("Failed/ContainerError", "adapter_failed", True),
            id="a sidecar of a failure",
        ),
        pytest.param(
            ended(make_outlived(1, FAILED), 0),
            ("Failed/MaxTurns", "max_turns_exhausted", True),
            id="a sidecar of an agent that said why",
        ),
        pytest.param(
            ended(make_quiet(make_seen()), 143, policy=STALLS),
            ("TimedOut/StalledTooLong", "timeout", True),
            id="it had stalled",
        ),
    ],
)
def test_how_a_run_ends_that_was_stopped(run, found):
    assert outcome(run) == found


def test_a_program_whose_sidecar_was_stopped_is_judged_by_its_own_exit():
    text = replace(RUNNING, wishes=Wishes(output="text"))
    assert outcome(ended(make_outlived(job=text), 0))[0] == "Succeeded/Completed"
    assert outcome(ended(make_outlived(3, job=text), 0))[0] == "Failed/ContainerError"


def test_an_agent_that_ended_by_itself_before_the_stop_is_judged_by_its_own_exit():
    run = ended(make_quiet(), 0)
    early = (replace(run.pods[0], containers=(exited(0, finished_at=at(998)),)),)
    assert outcome(replace(run, pods=early))[0] == "Succeeded/Completed"
    early = (replace(run.pods[0], containers=(exited(1, finished_at=at(998)),)),)
    assert outcome(replace(run, pods=early))[0] == "Failed/ContainerError"
