import json

import pytest

from controller.core.actions import PatchJob, TellJob
from controller.core.contract import ErrorCode, Phase, Reason, Status
from controller.core.model import Oddity, Wishes
from controller.core.rules import admitting
from controller.core.snapshot import Policy
from tests.core.builders import (
    KEYS,
    POLICY,
    make_ids,
    make_job,
    make_pod,
    make_run,
    make_snapshot,
    make_waiting,
    now,
    stamp,
    uid_of,
)
from tests.core.world import after


def plan_for(*runs, policy=POLICY, rule=admitting.admit_or_queue, **changes):
    return rule(make_snapshot(*runs, **changes), now(), policy)


def patch_of(plan):
    (patch,) = [action for action in plan.actions if isinstance(action, PatchJob)]
    return patch


def told(plan):
    return [action.reason for action in plan.actions if isinstance(action, TellJob)]


def status(patch, name):
    return patch.annotations.get(KEYS.status(name))


def test_admission_is_one_patch_with_the_first_phase():
    plan = plan_for(make_run(make_waiting()))
    patch = patch_of(plan)
    assert patch.spec == {"suspend": False}
    assert (patch.version, patch.why) == ("7", "admit")
    assert (status(patch, Status.PHASE), status(patch, Status.REASON)) == (Phase.STARTING, Reason.ADMITTED)
    assert (status(patch, Status.OBSERVED_AT), status(patch, Status.HEARTBEAT_SECONDS)) == (stamp(100), "60")
    assert len(status(patch, Status.TRACE_ID)) == 32
    assert told(plan) == ["Admitted"]


def test_admission_gives_the_template_the_labels_that_it_lacks():
    labels = ((KEYS.run_id, "r-run-1"), (KEYS.agent_id, "a-1"), (KEYS.session_id, "only here"))
    patch = patch_of(plan_for(make_run(make_waiting(template_labels=labels))))
    assert patch.template_labels == {KEYS.adapter_type: "claude_k8s", KEYS.task_id: "t-1"}


def test_no_pod_is_started_under_the_label_of_another_agent():
    own = make_ids(run="r-run-1")
    labels = tuple({**own.labels(KEYS), KEYS.agent_id: "another"}.items())
    patch = patch_of(plan_for(make_run(make_waiting(template_labels=labels))))
    assert patch.template_labels == {KEYS.agent_id: "a-1"}


def test_who_must_wait_is_told_once_and_without_a_heartbeat():
    busy = make_run(make_job("busy"))
    plan = plan_for(busy, make_run(make_waiting(created=2)))
    patch = patch_of(plan)
    assert (status(patch, Status.PHASE), status(patch, Status.REASON)) == (Phase.QUEUED, Reason.AGENT_BUSY)
    assert KEYS.status(Status.OBSERVED_AT) not in patch.annotations
    assert patch.spec == {}
    assert told(plan) == ["Queued"]
    again = make_run(make_waiting(phase="Queued", reason="AgentBusy"))
    assert plan_for(busy, again).actions == ()


def test_what_is_odd_about_a_job_is_told_with_its_first_phase_only():
    odd = (Oddity("x", "strange"),)
    assert told(plan_for(make_run(make_waiting(oddities=odd)))) == ["OddInput", "Admitted"]
    later = make_waiting(oddities=odd, phase="Queued", reason="AgentBusy")
    assert told(plan_for(make_run(later))) == ["Admitted"]


def test_what_is_no_run_is_rejected_and_closed():
    plan = plan_for(make_run(make_waiting(parallelism=2)), rule=admitting.reject_invalid)
    patch = patch_of(plan)
    assert patch.spec == {"parallelism": 0}
    assert (patch.version, status(patch, Status.PHASE)) == ("7", Phase.REJECTED)
    found = json.loads(status(patch, Status.RESULT))
    assert (found["reason"], found["errorCode"]) == (Reason.INVALID_RUN, ErrorCode.ADAPTER_FAILED)
    assert found["errorMessage"]
    assert told(plan) == ["Rejected"]


def test_a_job_without_its_agents_id_has_a_code_of_its_own():
    job = make_waiting(ids=make_ids(agent=""))
    patch = patch_of(plan_for(make_run(job), rule=admitting.reject_invalid))
    assert json.loads(status(patch, Status.RESULT))["errorCode"] == ErrorCode.AGENT_ID_INVALID


def test_a_result_that_is_written_is_not_written_again_by_a_rejection():
    job = make_waiting(parallelism=2, notes={Status.RESULT: "…"})
    patch = patch_of(plan_for(make_run(job), rule=admitting.reject_invalid))
    assert KEYS.status(Status.RESULT) not in patch.annotations


def test_a_live_job_that_is_no_run_is_not_rejected():
    seen = make_run(make_job(ids=make_ids(run="")))
    assert plan_for(seen, rule=admitting.reject_invalid).actions == ()


def test_a_wait_names_the_number_of_places():
    busy = [make_run(make_job(f"busy-{n}")) for n in range(2)]
    policy = Policy(agent_concurrency=2)
    patch = patch_of(plan_for(*busy, make_run(make_waiting()), policy=policy))
    assert "2 places" in status(patch, Status.MESSAGE)


# ── What a run is told that waits, or may not wait ───────────────────────────────────────────────

WAITS = make_ids(run="next", session="s-1")


@pytest.mark.parametrize(
    ("theirs", "reason", "code"),
    [
        pytest.param({"task": ""}, Reason.TASK_UNKNOWN, ErrorCode.ORPHAN_TASK_UNKNOWN, id="task unknown"),
        pytest.param({"task": "t-2"}, Reason.TASK_MISMATCH, ErrorCode.CONCURRENT_RUN_BLOCKED, id="task"),
        pytest.param(
            {"session": "s-2"}, Reason.SESSION_MISMATCH, ErrorCode.ORPHAN_SESSION_MISMATCH, id="session"
        ),
        pytest.param({}, Reason.AGENT_BUSY, ErrorCode.CONCURRENT_RUN_BLOCKED, id="the same"),
    ],
)
def test_who_must_wait_is_told_why_and_who_may_not_wait_is_rejected_for_that(theirs, reason, code):
    busy = make_run(make_job("busy", ids=make_ids(run="other", **theirs)))
    queued = patch_of(plan_for(busy, make_run(make_waiting(ids=WAITS, created=2))))
    assert (status(queued, Status.PHASE), status(queued, Status.REASON)) == (Phase.QUEUED, reason)
    assert "busy" in status(queued, Status.MESSAGE)
    assert json.loads(status(queued, Status.DECISION))["live"] == f"busy/{uid_of('busy')}"
    mine = make_run(make_waiting(ids=WAITS, created=2, wishes=Wishes(on_conflict="fail")))
    plan = plan_for(busy, mine)
    rejected = patch_of(plan)
    assert (status(rejected, Status.PHASE), status(rejected, Status.REASON)) == (Phase.REJECTED, reason)
    assert rejected.spec == {"parallelism": 0}
    found = json.loads(status(rejected, Status.RESULT))
    assert (found["errorCode"], found["runId"]) == (code, "next")
    assert found["errorMessage"] == status(rejected, Status.MESSAGE)
    assert told(plan) == ["Rejected"]


def test_the_setting_decides_for_those_that_do_not_say():
    busy = make_run(make_job("busy"))
    policy = Policy(on_conflict="fail")
    assert (
        status(patch_of(plan_for(busy, make_run(make_waiting()), policy=policy)), Status.PHASE) == "Rejected"
    )
    says = make_run(make_waiting(wishes=Wishes(on_conflict="queue")))
    assert status(patch_of(plan_for(busy, says, policy=policy)), Status.PHASE) == "Queued"


def test_a_slot_that_is_full_without_a_live_job_is_busy():
    patch = patch_of(plan_for(make_run(make_waiting()), strays=(make_pod(job="lost"),)))
    assert status(patch, Status.REASON) == Reason.AGENT_BUSY
    assert "live" not in json.loads(status(patch, Status.DECISION))


def test_who_may_not_wait_is_not_rejected_for_what_is_only_about_to_be_started():
    first = make_run(make_waiting("first"))
    second = make_run(make_waiting("second", created=1, wishes=Wishes(on_conflict="fail")))
    assert patch_of(plan_for(first, second)).name == "first"
    started = make_run(make_job("first", phase="Starting"))
    assert status(patch_of(plan_for(started, second)), Status.PHASE) == "Rejected"


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        pytest.param({"phase": "Queued", "reason": "AgentBusy", "parallelism": 2}, {}, id="it was changed"),
        pytest.param({}, {"refused": frozenset([uid_of("run-1")])}, id="its start was refused"),
    ],
)
def test_who_may_not_wait_is_not_rejected_for_what_is_no_conflict(changes, seen):
    job = make_waiting(wishes=Wishes(on_conflict="fail"), **changes)
    plan = plan_for(make_run(job), **seen)
    assert [status(p, Status.PHASE) for p in plan.actions if isinstance(p, PatchJob)] in ([], ["Queued"])


def test_those_that_are_started_together_are_in_each_others_way_at_once():
    first = make_run(make_waiting("first", ids=make_ids(run="first", task="t-1")))
    second = make_run(make_waiting("second", created=1, ids=make_ids(run="second", task="t-2")))
    plan = plan_for(first, second)
    (patch,) = [p for p in plan.actions if isinstance(p, PatchJob) and p.name == "second"]
    assert status(patch, Status.REASON) == Reason.TASK_MISMATCH


def test_another_reason_to_wait_is_told_when_it_has_lasted():
    busy = make_run(make_job("busy", ids=make_ids(run="other", task="t-2")))
    mine = make_run(make_waiting(created=2, phase="Queued", reason="AgentBusy"))
    first = plan_for(busy, mine)
    assert (first.actions, first.look_again) == ((), POLICY.settle_seconds)
    seen = after(make_snapshot(busy, mine), first, now())
    patch = patch_of(admitting.admit_or_queue(seen, now(105), POLICY))
    assert status(patch, Status.REASON) == Reason.TASK_MISMATCH


def test_an_admission_is_recorded_as_well():
    found = json.loads(status(patch_of(plan_for(make_run(make_waiting()))), Status.DECISION))
    assert (found["decision"], found["run"]["runId"]) == ("admit", "r-run-1")


def test_with_two_places_another_task_does_not_hold_back():
    busy = make_run(make_job("busy", ids=make_ids(run="other", task="t-2")))
    plan = plan_for(busy, make_run(make_waiting(created=2)), policy=Policy(agent_concurrency=2))
    assert patch_of(plan).why == "admit"
