from dataclasses import replace

import pytest

from controller.core import facts, verdict
from controller.core.contract import ErrorCode, ErrorFamily, Phase, Reason, Status
from controller.core.model import Container, RunState, Wishes
from controller.core.snapshot import Facts
from controller.core.transcript import AgentLog, LogState
from tests.core.builders import (
    at,
    exited,
    make_attempt,
    make_claim,
    make_condition,
    make_ended_pod,
    make_event,
    make_finished_seen,
    make_heard,
    make_job,
    make_log,
    make_over,
    make_pod,
    make_run,
    make_seen,
    make_unscheduled_pod,
    running,
    stamp,
    uid_of,
    waiting,
)

TEXT = Wishes(output="text")
NOTHING_SAID = make_log(state=LogState.MISSING, seen=AgentLog())
CUT_SHORT = make_log(seen=make_seen())
NO_SESSION = AgentLog(lines=1, odd_lines=1, tail="No conversation found with session ID: 1")
ONLY_STDERR = make_log(seen=AgentLog(lines=3, odd_lines=3))


def stopped(reason, seconds, ended="", **changes):
    """A job that was stopped by us that many seconds after noon; `ended`: the pod that had ended by then."""
    record = f'{{"reason":"{reason}","at":"{stamp(seconds)}","ended":"{ended and uid_of(ended)}"}}'
    notes = {Status.STOP: record, **changes.pop("notes", {})}
    return make_job(phase="Running", notes=notes, deadline_seconds=1, **changes)


def text(seen=None):
    return make_log(seen=seen or AgentLog(lines=1, tail="bye"))


def judge(run):
    log = next(iter(run.logs), None)
    return verdict.conclude(run, log)


def failed(pod, reason="BackoffLimitExceeded", log=None, job=None):
    job = replace(job or make_job(), conditions=(make_condition("Failed", reason),))
    return make_run(job, *([pod] if pod else []), logs=[log] if log else [])


def claimed(subtype, **changes):
    return make_log(seen=make_finished_seen(claim=make_claim(subtype, **changes)))


@pytest.mark.parametrize(
    ("run", "phase", "reason", "code"),
    [
        pytest.param(make_over(), Phase.SUCCEEDED, Reason.COMPLETED, None, id="success and exit 0"),
        pytest.param(
            make_over(1),
            Phase.FAILED,
            Reason.CONTAINER_ERROR,
            ErrorCode.ADAPTER_FAILED,
            id="success and exit 1 is no success",
        ),
        pytest.param(
            make_over(log=claimed("error_max_turns")),
            Phase.FAILED,
            Reason.MAX_TURNS,
            ErrorCode.MAX_TURNS_EXHAUSTED,
            id="an error and exit 0 is the agent's error",
        ),
        pytest.param(
            make_over(log=CUT_SHORT),
            Phase.FAILED,
            Reason.TRUNCATED_OUTPUT,
            ErrorCode.CLAUDE_TRUNCATED,
            id="exit 0 in the middle of its work",
        ),
        pytest.param(
            make_over(log=make_log(seen=make_seen(assistant_lines=0))),
            Phase.FAILED,
            Reason.NO_RESULT,
            ErrorCode.ADAPTER_FAILED,
            id="exit 0 without a result",
        ),
        pytest.param(
            make_over(143, log=make_log(seen=make_seen(assistant_lines=0))),
            Phase.FAILED,
            Reason.NO_RESULT,
            ErrorCode.ADAPTER_FAILED,
            id="exit 143 without a result",
        ),
        pytest.param(
            make_over(143, log=CUT_SHORT),
            Phase.FAILED,
            Reason.TRUNCATED_OUTPUT,
            ErrorCode.CLAUDE_TRUNCATED,
            id="exit 143 in the middle of its work",
        ),
        pytest.param(
            make_over(log=NOTHING_SAID),
            Phase.FAILED,
            Reason.NO_RESULT,
            ErrorCode.ADAPTER_FAILED,
            id="exit 0 and the log is missing",
        ),
        pytest.param(
            make_over(127, log=ONLY_STDERR),
            Phase.FAILED,
            Reason.CONTAINER_ERROR,
            ErrorCode.ADAPTER_FAILED,
            id="nothing but complaints and an exit code",
        ),
        pytest.param(
            make_over(log=text(), job=make_job(wishes=TEXT)),
            Phase.SUCCEEDED,
            Reason.COMPLETED,
            None,
            id="text succeeds by exit 0",
        ),
        pytest.param(
            make_over(3, log=text(), job=make_job(wishes=TEXT)),
            Phase.FAILED,
            Reason.CONTAINER_ERROR,
            ErrorCode.ADAPTER_FAILED,
            id="text fails by exit 3",
        ),
        pytest.param(
            make_over(log=NOTHING_SAID, job=make_job(wishes=TEXT)),
            Phase.SUCCEEDED,
            Reason.COMPLETED,
            None,
            id="text needs no log",
        ),
        pytest.param(
            failed(make_ended_pod(137, containers=(exited(137, reason="OOMKilled"),)), log=make_log()),
            Phase.FAILED,
            Reason.OOM_KILLED,
            ErrorCode.ADAPTER_FAILED,
            id="the kernel killed it, whatever it said",
        ),
        pytest.param(
            make_over(1, reason="Evicted", log=CUT_SHORT),
            Phase.FAILED,
            Reason.EVICTED,
            ErrorCode.ADAPTER_FAILED,
            id="evicted",
        ),
        pytest.param(
            make_over(0, reason="Evicted"),
            Phase.SUCCEEDED,
            Reason.COMPLETED,
            None,
            id="evicted after its end",
        ),
        pytest.param(
            make_over(1, conditions=(make_condition("DisruptionTarget", "PreemptionByScheduler"),)),
            Phase.FAILED,
            Reason.PREEMPTED,
            ErrorCode.ADAPTER_FAILED,
            id="preempted",
        ),
        pytest.param(
            make_over(1, conditions=(make_condition("DisruptionTarget", "DeletionByTaintManager"),)),
            Phase.FAILED,
            Reason.NODE_LOST,
            ErrorCode.ADAPTER_FAILED,
            id="its node was lost",
        ),
        pytest.param(
            make_over(143, over="DeadlineExceeded", log=CUT_SHORT),
            Phase.TIMED_OUT,
            Reason.DEADLINE_EXCEEDED,
            ErrorCode.TIMEOUT,
            id="the host's own deadline",
        ),
        pytest.param(
            failed(None),
            Phase.FAILED,
            Reason.POD_MISSING,
            ErrorCode.POD_SCHEDULE_FAILED,
            id="no pod was ever made",
        ),
        pytest.param(
            make_run(make_job(over="Complete")),
            Phase.FAILED,
            Reason.UNKNOWN,
            ErrorCode.ADAPTER_FAILED,
            id="complete, but nobody saw its pod",
        ),
        pytest.param(
            failed(None, job=make_job(failed=1)),
            Phase.FAILED,
            Reason.UNKNOWN,
            ErrorCode.ADAPTER_FAILED,
            id="a pod failed that nobody saw",
        ),
        pytest.param(
            failed(make_unscheduled_pod()),
            Phase.FAILED,
            Reason.UNSCHEDULABLE,
            ErrorCode.POD_SCHEDULE_FAILED,
            id="never scheduled",
        ),
        pytest.param(
            failed(make_pod(exited(2, "setup", init=True), waiting("PodInitializing"), phase="Failed")),
            Phase.FAILED,
            Reason.INIT_FAILED,
            ErrorCode.POD_SCHEDULE_FAILED,
            id="an init container failed",
        ),
        pytest.param(
            failed(make_pod(exited(128, reason="StartError"), phase="Failed")),
            Phase.FAILED,
            Reason.CONFIG_ERROR,
            ErrorCode.POD_SCHEDULE_FAILED,
            id="its process never ran",
        ),
        pytest.param(
            failed(make_pod(waiting("CreateContainerConfigError"))),
            Phase.FAILED,
            Reason.CONFIG_ERROR,
            ErrorCode.POD_SCHEDULE_FAILED,
            id="its Secret never came",
        ),
        pytest.param(
            failed(make_pod(waiting("ImagePullBackOff"))),
            Phase.FAILED,
            Reason.IMAGE_PULL_FAILED,
            ErrorCode.POD_SCHEDULE_FAILED,
            id="its image never came",
        ),
        pytest.param(
            failed(make_pod(running()), log=make_log()),
            Phase.FAILED,
            Reason.UNKNOWN,
            ErrorCode.ADAPTER_FAILED,
            id="last seen running",
        ),
        pytest.param(
            failed(make_pod(running()), log=CUT_SHORT),
            Phase.FAILED,
            Reason.TRUNCATED_OUTPUT,
            ErrorCode.CLAUDE_TRUNCATED,
            id="last seen running, in the middle of its work",
        ),
        pytest.param(
            failed(make_pod(running()), log=replace(CUT_SHORT, state=LogState.MISSING)),
            Phase.FAILED,
            Reason.UNKNOWN,
            ErrorCode.ADAPTER_FAILED,
            id="last seen running, and its log can't be had",
        ),
        pytest.param(
            make_over(1, log=make_log(seen=NO_SESSION)),
            Phase.FAILED,
            Reason.SESSION_UNAVAILABLE,
            ErrorCode.SESSION_UNAVAILABLE,
            id="it gave up before its first word",
        ),
        pytest.param(
            make_over(0, log=make_log(seen=NO_SESSION)),
            Phase.FAILED,
            Reason.NO_RESULT,
            ErrorCode.ADAPTER_FAILED,
            id="the same words and exit 0",
        ),
        pytest.param(
            make_over(1, log=make_log(seen=NO_SESSION), job=make_job(wishes=TEXT)),
            Phase.FAILED,
            Reason.CONTAINER_ERROR,
            ErrorCode.ADAPTER_FAILED,
            id="the same words of any program",
        ),
        pytest.param(
            failed(
                make_pod(
                    Container(
                        "claude", state=RunState.TERMINATED, reason="ContainerStatusUnknown", exit_code=137
                    ),
                    phase="Failed",
                ),
                log=NOTHING_SAID,
            ),
            Phase.FAILED,
            Reason.UNKNOWN,
            ErrorCode.ADAPTER_FAILED,
            id="the kubelet does not know whether it ran",
        ),
        pytest.param(
            failed(
                make_pod(waiting("ErrImageNeverPull")), "DeadlineExceeded", job=stopped("ImagePullFailed", 60)
            ),
            Phase.FAILED,
            Reason.IMAGE_PULL_FAILED,
            ErrorCode.POD_SCHEDULE_FAILED,
            id="our stop is the reason, not the deadline that we set",
        ),
        pytest.param(
            make_over(143, over="DeadlineExceeded", log=CUT_SHORT, job=stopped("StartTimeout", 90)),
            Phase.FAILED,
            Reason.START_TIMEOUT,
            ErrorCode.POD_SCHEDULE_FAILED,
            id="our stop in the second of the end",
        ),
        pytest.param(
            make_over(0, over="DeadlineExceeded", job=stopped("StartTimeout", 91)),
            Phase.SUCCEEDED,
            Reason.COMPLETED,
            None,
            id="our stop came after its success",
        ),
        pytest.param(
            make_over(
                1, over="DeadlineExceeded", log=claimed("error_max_turns"), job=stopped("StartTimeout", 91)
            ),
            Phase.FAILED,
            Reason.MAX_TURNS,
            ErrorCode.MAX_TURNS_EXHAUSTED,
            id="our stop came after its failure",
        ),
        pytest.param(
            make_over(143, over="DeadlineExceeded", log=CUT_SHORT, job=stopped("CancelledByHost", 90)),
            Phase.CANCELLED,
            Reason.CANCELLED_BY_HOST,
            ErrorCode.CANCELLED,
            id="its host cancelled it",
        ),
        pytest.param(
            make_over(0, over="DeadlineExceeded", job=stopped("CancelledByHost", 30, ended="run-1-x")),
            Phase.SUCCEEDED,
            Reason.COMPLETED,
            None,
            id="the agent had ended before the stop, whatever its node's clock says",
        ),
        pytest.param(
            make_over(143, over="DeadlineExceeded", job=stopped("CancelledByHost", 30, ended="run-1-w")),
            Phase.CANCELLED,
            Reason.CANCELLED_BY_HOST,
            ErrorCode.CANCELLED,
            id="an earlier attempt had ended: this one was stopped",
        ),
        pytest.param(
            failed(None, "DeadlineExceeded", job=stopped("ExternallySuspended", 80)),
            Phase.CANCELLED,
            Reason.EXTERNALLY_SUSPENDED,
            ErrorCode.CANCELLED,
            id="somebody suspended it",
        ),
        pytest.param(
            failed(None, "DeadlineExceeded", job=stopped("PodMissing", 80)),
            Phase.FAILED,
            Reason.POD_MISSING,
            ErrorCode.POD_SCHEDULE_FAILED,
            id="it was given no pod",
        ),
        pytest.param(
            failed(make_unscheduled_pod(), "DeadlineExceeded", job=stopped("Unschedulable", 80)),
            Phase.FAILED,
            Reason.UNSCHEDULABLE,
            ErrorCode.POD_SCHEDULE_FAILED,
            id="it found no node",
        ),
        pytest.param(
            make_over(143, over="DeadlineExceeded", job=make_job(deadline_seconds=60)),
            Phase.TIMED_OUT,
            Reason.DEADLINE_EXCEEDED,
            ErrorCode.TIMEOUT,
            id="its host's own deadline",
        ),
        pytest.param(
            make_over(0, job=make_job(notes={Status.STOP: '{"x":' + "[" * 50_000})),
            Phase.SUCCEEDED,
            Reason.COMPLETED,
            None,
            id="a stop that cannot be read is none",
        ),
    ],
)
def test_how_a_run_has_ended(run, phase, reason, code):
    finding = judge(run)
    assert (finding.phase, finding.reason, finding.error_code) == (phase, reason, code)
    assert finding.message


@pytest.mark.parametrize(
    ("reason", "message", "said"),
    [
        pytest.param("Stopping", "The host asked.", "The host asked.", id="as it was said with the stop"),
        pytest.param(
            "DrainingLog", "Its log is read.", "The host asked to cancel the run: enough", id="or again"
        ),
    ],
)
def test_what_is_said_of_a_stop(reason, message, said):
    notes = {Status.REASON: reason, Status.MESSAGE: message}
    job = stopped("CancelledByHost", 90, notes=notes, wishes=Wishes(cancel_requested="enough"))
    assert judge(make_over(143, over="DeadlineExceeded", job=job)).message == said


SIGKILL = exited(137, reason="Error")
LOST = exited(137, reason="ContainerStatusUnknown")


@pytest.mark.parametrize(
    ("run", "words"),
    [
        pytest.param(
            make_over(143, log=CUT_SHORT), "exited with 143 (SIGTERM) in the middle", id="by an exit code"
        ),
        pytest.param(
            failed(make_ended_pod(137, containers=(SIGKILL,)), log=CUT_SHORT), "(SIGKILL)", id="plain"
        ),
        pytest.param(
            failed(make_ended_pod(5, containers=(exited(5, reason="DeadlineExceeded"),)), log=CUT_SHORT),
            "exited with 5 (DeadlineExceeded)",
            id="by the kubelet's word",
        ),
        pytest.param(
            failed(make_ended_pod(1, containers=(exited(1, signal=11),)), log=CUT_SHORT),
            "(SIGSEGV)",
            id="by a signal",
        ),
        pytest.param(
            failed(make_pod(running()), log=CUT_SHORT), "is there, but how", id="a pod without an end"
        ),
        pytest.param(
            failed(make_ended_pod(137, containers=(LOST,)), log=CUT_SHORT),
            "is there, but how",
            id="an end made up",
        ),
        pytest.param(make_over(1), "though the agent had reported success", id="a success that is none"),
    ],
)
def test_a_failure_says_how_its_container_ended(run, words):
    assert words in judge(run).message


def test_a_pod_that_is_gone_is_not_told_as_one_that_cannot_be_observed():
    recorded = facts.encode(Facts((make_attempt(running()),)))
    run = make_run(make_job(over="Failed", notes={Status.FACTS: recorded}))
    finding = verdict.conclude(run, CUT_SHORT)
    assert finding.reason is Reason.TRUNCATED_OUTPUT
    assert "is gone" in finding.message


def test_what_a_model_said_is_not_quoted():
    refused = claimed("success", stop_reason="refusal", text="I won't write that virus")
    assert judge(make_over(log=refused)).message == "The agent reported Refused."


def test_facts_decide_when_the_pods_have_gone():
    recorded = facts.encode(Facts((make_attempt(exited(0)),)))
    run = make_run(make_job(over="Complete", notes={Status.FACTS: recorded}))
    assert verdict.conclude(run, make_log()).reason is Reason.COMPLETED
    assert verdict.conclude(run, None).reason is Reason.NO_RESULT


def test_the_last_attempt_that_started_decides():
    pods = (make_ended_pod(1), make_ended_pod(0, name="run-1-y", created=50))
    run = make_run(make_job(over="Complete", backoff_limit=2), *pods, logs=[make_log("run-1-y")])
    assert verdict.conclude(run, run.logs[0]).reason is Reason.COMPLETED


def test_an_outcome_of_the_agent_carries_its_family():
    log = make_log(seen=make_finished_seen(claim=make_claim("error_during_execution", api_error_status=529)))
    finding = judge(make_over(1, log=log))
    assert (finding.reason, finding.family) == (Reason.UPSTREAM_TRANSIENT, ErrorFamily.TRANSIENT_UPSTREAM)


# ── What is said of pods that never started, or were taken away ──────────────────────────────────


def said_of(run):
    finding = judge(run)
    return finding.reason, finding.message


def taken(reason, message, **changes):
    """A run whose pod was taken away, in the words of Kubernetes 1.36.3."""
    condition = make_condition("DisruptionTarget", reason, message=message)
    return make_over(137, conditions=(condition,), log=CUT_SHORT, **changes)


def test_an_eviction_is_told_in_the_kubelet_s_words():
    run = make_over(
        137,
        reason="Evicted",
        message='Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". ',
        log=CUT_SHORT,
    )
    reason, said = said_of(run)
    assert reason is Reason.EVICTED
    assert said.startswith("Pod run-1-x on node node-1 was evicted: Usage of EmptyDir volume")
    assert "requests, limits" in said


@pytest.mark.parametrize(
    ("run", "reason", "said", "todo"),
    [
        (
            taken(
                "PreemptionByScheduler", "default-scheduler: preempting to accommodate a higher priority pod"
            ),
            Reason.PREEMPTED,
            "preempting to accommodate a higher priority pod",
            "priority class",
        ),
        (
            taken("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"),
            Reason.NODE_LOST,
            "on node node-1 was lost with its node: Taint manager",
            "whether the node is up",
        ),
        (
            taken("DeletionByPodGC", "PodGC: node no longer exists"),
            Reason.NODE_LOST,
            "node no longer exists",
            "run it again",
        ),
    ],
)
def test_who_took_a_pod_away_is_told_with_what_to_do(run, reason, said, todo):
    found, message = said_of(run)
    assert found is reason
    assert said in message
    assert todo in message


def test_a_program_that_is_not_there_is_told_in_the_runtime_s_words():
    said = (
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc "
        'create failed: unable to start container process: exec: "/nowhere/agent": stat /nowhere/agent: '
        "no such file or directory: unknown"
    )
    reason, message = said_of(
        failed(make_ended_pod(128, containers=(exited(128, reason="StartError", message=said),)))
    )
    assert reason is Reason.CONFIG_ERROR
    assert 'exec: "/nowhere/agent"' in message
    assert message.endswith("Correct the command, or use another image.")


@pytest.mark.parametrize("said", ["context canceled: unknown", "context deadline exceeded: unknown"])
def test_a_start_that_the_kubelet_gave_up_is_the_node_s_fault_and_not_the_job_s(said):
    told = f"failed to create containerd task: failed to create shim task: {said}"
    reason, message = said_of(
        failed(make_ended_pod(128, containers=(exited(128, reason="StartError", message=told),)))
    )
    assert reason is Reason.NODE_LOST
    assert said in message
    assert message.endswith("Submit it again; then see the kubelet on its node.")


def test_a_pod_that_is_gone_is_told_of_as_it_was_last_seen():
    seen = taken("DeletionByPodGC", "PodGC: node no longer exists")
    gone = replace(seen, pods=(), gone=seen.pods)
    assert said_of(gone) == said_of(seen)
    (noted,) = facts.gather(seen).attempts
    job = replace(seen.job, status={**seen.job.status, Status.FACTS: facts.encode(Facts((noted,)))})
    reason, said = said_of(make_run(job))
    assert (reason, "DeletionByPodGC" in said) == (Reason.NODE_LOST, True)


def test_a_pod_that_never_started_is_told_of_by_its_events():
    mount = make_event("FailedMount", 'MountVolume.SetUp failed for volume "v" : secret "s" not found')
    run = replace(failed(make_pod(waiting(), phase="Pending")), heard=make_heard(mount))
    reason, said = said_of(run)
    assert (reason, 'secret "s" not found' in said) == (Reason.CONFIG_ERROR, True)


def test_a_job_that_never_got_a_pod_is_told_of_by_its_own_events():
    refused = make_event("FailedCreate", 'Error creating: pods "run-1-" is forbidden: exceeded quota: q')
    job = make_job(phase="Starting", over="DeadlineExceeded", notes={Status.STOP: "[]"})
    run = make_run(
        replace(job, conditions=(make_condition("Failed", "Odd"),)), heard=make_heard(refused, about="run-1")
    )
    reason, said = said_of(run)
    assert (reason, "exceeded quota" in said) == (Reason.POD_MISSING, True)


def test_a_result_from_before_the_container_was_started_again_is_not_that_of_its_last_process():
    ended = replace(exited(0), restarts=1, started_at=at(89))
    run = make_over(containers=(ended,))
    assert verdict.conclude(run, make_log(restarts=1)).reason is Reason.TRUNCATED_OUTPUT
