import json

from controller.core.actions import PatchJob, TellJob
from controller.core.contract import ErrorCode, Phase, Reason, Status
from controller.core.model import Oddity
from controller.core.rules import admitting
from controller.core.snapshot import Policy
from tests.core.builders import (
    KEYS,
    POLICY,
    make_ids,
    make_job,
    make_run,
    make_snapshot,
    make_waiting,
    now,
    stamp,
)


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
