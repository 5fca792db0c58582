"""Runs that continue on another Job: how they are attached, what they show, how they end."""

import json
from dataclasses import replace

import pytest

from controller.core import admission, attachments, room
from controller.core.actions import PatchJob, ReadResult, TellJob, answer_mark
from controller.core.contract import ANNOTATIONS_MAX, ErrorCode, Phase, Reason, Status
from controller.core.model import Wishes
from controller.core.reconcile import reconcile
from controller.core.rules import admitting, attaching
from controller.core.snapshot import Answer, Ghost, Policy
from tests.core.builders import (
    KEYS,
    NAMESPACE,
    POLICY,
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

CONTINUES = Wishes(reattach=True)
ENDED = {"phase": "Succeeded", "reason": "Completed", "over": "Complete", "result": True}
RESULT = json.dumps(
    {
        "runId": "r-live",
        "jobUid": uid_of("live"),
        "phase": "Succeeded",
        "reason": "Completed",
        "exitCode": 0,
        "timedOut": False,
        "summary": "Done.",
        "usage": {"inputTokens": 5},
        "usageBasis": "per_run",
        "modelUsage": {"claude": {"inputTokens": 5, "costUsd": 0.25}},
        "resultJson": {"type": "result"},
    }
)


def live(name="live", **changes):
    return make_run(make_job(name, **{"phase": "Running", "reason": "AgentWorking", **changes}))


def waits(name="next", **changes):
    return make_run(make_waiting(name, **{"created": 60, "wishes": CONTINUES, **changes}))


def attached(name="next", to="live", decision="reattach", **changes):
    notes = {
        Status.ATTACHED_TO: f"{to}/{uid_of(to)}",
        Status.ATTACHED_PHASE: "Running",
        Status.MESSAGE: "Continues.",
        Status.DECISION: json.dumps({"decision": decision, "run": {"runId": f"r-{name}"}, "at": stamp(61)}),
        **changes.pop("notes", {}),
    }
    told = {"created": 60, "parallelism": 0, "phase": "Attached", "reason": "Reattached", **changes}
    return make_run(make_waiting(name, notes=notes, **told))


def served(*runs, **changes):
    """The Job that does the work, which tells of these runs already."""
    entries = json.dumps([{"runId": run} for run in ("r-live", *runs)])
    notes = {Status.RUN_HISTORY: entries, **changes.pop("notes", {})}
    return live(**{"run": runs[-1], "notes": notes, **changes})


def plan(rule, *runs, clock=None, policy=POLICY, **changes):
    return rule(make_snapshot(*runs, **changes), clock or now(), policy)


def patch_of(plan, name="next"):
    (patch,) = [a for a in plan.actions if isinstance(a, PatchJob) and a.name == name]
    return patch


def status(patch, name):
    return patch.annotations.get(KEYS.status(name))


def standing(patch):
    return status(patch, Status.PHASE), status(patch, Status.REASON)


# ── Attaching ────────────────────────────────────────────────────────────────────────────────────


def test_attaching_is_one_patch_that_makes_sure_that_nobody_can_run_it():
    found = plan(admitting.admit_or_queue, live(), waits())
    patch = patch_of(found)
    assert standing(patch) == (Phase.ATTACHED, Reason.REATTACHED)
    assert (patch.spec, patch.version) == ({"parallelism": 0}, "7")
    assert status(patch, Status.ATTACHED_TO) == f"live/{uid_of('live')}"
    assert status(patch, Status.ATTACHED_PHASE) == "Running"
    assert json.loads(status(patch, Status.DECISION))["decision"] == "reattach"
    assert KEYS.status(Status.OBSERVED_AT) not in patch.annotations
    assert [a.reason for a in found.actions if isinstance(a, TellJob)] == ["Attached"]


def test_the_same_run_is_attached_though_it_did_not_ask_for_it():
    patch = patch_of(plan(admitting.admit_or_queue, live(run="same"), waits(run="same", wishes=Wishes())))
    assert standing(patch) == (Phase.ATTACHED, Reason.DUPLICATE_RUN)


def test_who_is_attached_is_not_admitted_though_a_place_is_free():
    two = Policy(agent_concurrency=2)
    seen = make_snapshot(live(), waits())
    assert patch_of(admitting.admit_or_queue(seen, now(), two)).why == "attach"


def test_several_runs_may_be_attached_to_one_job():
    found = plan(admitting.admit_or_queue, live(), waits("one"), waits("two"))
    assert {patch.name for patch in found.actions if isinstance(patch, PatchJob)} == {"one", "two"}


def test_runs_that_wait_together_are_not_attached_to_each_other():
    same = [waits("one", run="same"), waits("two", run="same", created=61)]
    found = plan(admitting.admit_or_queue, *same)
    assert [standing(patch_of(found, name))[0] for name in ("one", "two")] == ["Starting", "Queued"]


@pytest.mark.parametrize("over", ["runs", "settled"])
def test_a_run_that_has_ended_already_is_attached_to_what_is_left_of_it(over):
    ended = live(**ENDED, run="same")
    mine = waits(run="same")
    seen = make_snapshot(mine, ended) if over == "runs" else make_snapshot(mine, settled=(ended.job,))
    patch = patch_of(admitting.admit_or_queue(seen, now(), POLICY))
    assert standing(patch) == (Phase.ATTACHED, Reason.DUPLICATE_RUN)
    assert status(patch, Status.ATTACHED_PHASE) == "Succeeded"


def test_who_is_the_same_as_an_attached_run_joins_the_job_that_does_the_work():
    mine = waits("third", run="r-next")
    patch = patch_of(plan(admitting.admit_or_queue, live(), attached(), mine), "third")
    assert status(patch, Status.ATTACHED_TO) == f"live/{uid_of('live')}"
    assert status(patch, Status.REASON) == Reason.DUPLICATE_RUN


def test_a_run_of_the_jobs_history_is_the_same_run():
    patch = patch_of(plan(admitting.admit_or_queue, served("r-old", "r-new"), waits(run="r-old")))
    assert status(patch, Status.REASON) == Reason.DUPLICATE_RUN


def test_an_attached_run_that_has_ended_and_outlived_its_job_gives_its_own_result():
    ended = attached(phase="Succeeded", reason="Completed", result=True)
    patch = patch_of(plan(admitting.admit_or_queue, ended, waits("third", run="r-next")), "third")
    assert status(patch, Status.ATTACHED_TO) == f"next/{uid_of('next')}"


@pytest.mark.parametrize(
    "twin",
    [
        pytest.param(live(run="same", deleted_at=1), id="one that is being deleted"),
        pytest.param(
            make_run(make_waiting("x", run="same", external_queue="gpus")), id="one in another queue"
        ),
        pytest.param(
            attached(run="same", to="gone", notes={Status.DECISION: ""}),
            id="one attached to nobody knows what",
        ),
    ],
)
def test_the_same_run_waits_for_what_it_can_neither_join_nor_pass(twin):
    seen = make_snapshot(twin, waits("third", run="same"))
    patch = patch_of(admitting.admit_or_queue(seen, now(), Policy(agent_concurrency=9)), "third")
    assert standing(patch) == (Phase.QUEUED, Reason.AGENT_BUSY)


def test_the_same_run_waits_while_its_vanished_job_may_still_run():
    ghost = Ghost(NAMESPACE, "lost", uid_of("lost"), (make_job(run="same").ids,))
    seen = make_snapshot(waits(run="same"), ghosts=(ghost,))
    patch = patch_of(admitting.admit_or_queue(seen, now(), Policy(agent_concurrency=9)))
    assert standing(patch) == (Phase.QUEUED, Reason.AGENT_BUSY)


def test_a_job_of_another_queue_is_never_attached():
    assert (
        plan(admitting.admit_or_queue, live(run="same"), waits(run="same", external_queue="gpus")).actions
        == ()
    )


def test_a_live_job_of_another_queue_can_be_continued():
    found = plan(admitting.admit_or_queue, live(external_queue="gpus"), waits())
    assert status(patch_of(found), Status.REASON) == Reason.REATTACHED


# ── Meanwhile ────────────────────────────────────────────────────────────────────────────────────


def test_the_phase_of_its_job_is_shown_and_nothing_else_changes():
    patch = patch_of(plan(attaching.accompany, served("r-next", phase="Finishing"), attached()))
    assert patch.annotations[KEYS.status(Status.ATTACHED_PHASE)] == "Finishing"
    assert status(patch, Status.PHASE) is None
    assert patch.spec == {}


def test_nothing_is_written_while_nothing_changes():
    assert plan(attaching.accompany, served("r-next"), attached()).actions == ()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"suspended": False}, id="unsuspended by somebody"),
        pytest.param({"suspended": False, "over": "DeadlineExceeded"}, id="and closed"),
        pytest.param({"suspended": False, "started_at": 5}, id="and started without a pod"),
        pytest.param({"started_at": 5}, id="and suspended again"),
    ],
)
def test_an_attached_job_that_somebody_unsuspends_holds_no_place_and_stays_what_it_is(changes):
    mine = attached(**changes)
    seen = make_snapshot(served("r-next"), mine)
    assert [a for a in reconcile(seen, now(), POLICY).actions if a.job_uid == mine.job.uid] == []
    assert admission.holders(make_snapshot(mine)) == frozenset()


def test_who_is_attached_to_a_job_oldest_first():
    runs = [attached("b"), attached("c", created=59), attached("a"), attached("x", to="another")]
    seen = make_snapshot(live(), *runs, attached("d", phase="Cancelled", result=True))
    assert [run.job.name for run in attachments.attached_to(seen, uid_of("live"))] == ["c", "a", "b"]


# ── The end ──────────────────────────────────────────────────────────────────────────────────────


def answered(*runs, text=RESULT, job=None, at=100.0, **changes):
    job = runs[0].job if job is None else job
    answers = {uid_of("live"): Answer(at, job or None, text)}
    return make_snapshot(*runs, answers=answers, **changes)


def test_when_its_job_has_ended_the_result_is_read():
    found = plan(attaching.accompany, served("r-next", **ENDED), attached())
    assert found.actions == (ReadResult(NAMESPACE, "live", uid_of("live")),)
    assert found.marks == (answer_mark(uid_of("live")),)


def test_where_the_whole_of_its_result_is_is_told_too():
    told = {Status.RESULT_REF: f"configmap/run-{uid_of('live')}"}
    found = attaching.accompany(answered(served("r-next", **ENDED, notes=told), attached()), now(), POLICY)
    assert status(patch_of(found), Status.RESULT_REF) == told[Status.RESULT_REF]


def test_one_read_is_enough_for_all_that_are_attached():
    seen = make_snapshot(served("r-next", **ENDED), attached(), attached("twin", decision="duplicate"))
    reads = [a for a in reconcile(seen, now(), POLICY).actions if isinstance(a, ReadResult)]
    assert len(reads) == 1


def test_it_ends_as_its_job_did_with_a_result_of_its_own():
    told = {Status.SESSION_ID: "5e55", Status.MODEL: "claude-opus-5-5", Status.MESSAGE: "Well done."}
    seen = answered(served("r-next", **ENDED, notes=told), attached())
    found = attaching.accompany(seen, now(), POLICY)
    patch = patch_of(found)
    assert standing(patch) == (Phase.SUCCEEDED, Reason.COMPLETED)
    assert (status(patch, Status.SESSION_ID), status(patch, Status.MODEL)) == ("5e55", "claude-opus-5-5")
    assert status(patch, Status.MESSAGE) == "Well done."
    assert status(patch, Status.ATTACHED_PHASE) == "Succeeded"
    assert json.loads(status(patch, Status.RESULT)) == json.loads(RESULT) | {
        "runId": "r-next",
        "jobUid": uid_of("next"),
        "usageBasis": "attached",
    }
    assert (patch.version, patch.spec) == ("7", {})


def test_a_result_that_was_cut_stays_named_as_cut():
    cut = json.dumps(json.loads(RESULT) | {"sha256": "5" * 64, "truncated": ["resultJson"]})
    patch = patch_of(
        attaching.accompany(answered(served("r-next", **ENDED), attached(), text=cut), now(), POLICY)
    )
    found = json.loads(status(patch, Status.RESULT))
    assert (found["sha256"], found["truncated"]) == ("5" * 64, ["resultJson"])


def test_a_result_that_does_not_fit_with_the_longer_run_id_is_cut():
    text = json.dumps(json.loads(RESULT) | {"resultJson": {"x": "y" * 15_900}}, separators=(",", ":"))
    long = attached(
        ids=make_job(run="r" * 60).ids.__class__(
            "a-1", "r" * 63, "claude_k8s", raw=(("run", "r" * 63 + "☃" * 190),)
        )
    )
    long = replace(
        long, job=replace(long.job, status={**long.job.status, Status.DECISION: '{"decision":"duplicate"}'})
    )
    patch = patch_of(attaching.accompany(answered(served("r-next", **ENDED), long, text=text), now(), POLICY))
    found = json.loads(status(patch, Status.RESULT))
    assert len(status(patch, Status.RESULT).encode()) <= 16 * 1024
    assert found["truncated"] == ["resultJson"]
    assert len(found["sha256"]) == 64


@pytest.mark.parametrize("text", ["[]", '{"runId":1}', "[" * 5000])
def test_a_result_that_cannot_be_read_is_said_to_be_unreadable(text):
    patch = patch_of(
        attaching.accompany(answered(served("r-next", **ENDED), attached(), text=text), now(), POLICY)
    )
    found = json.loads(status(patch, Status.RESULT))
    assert standing(patch) == (Phase.SUCCEEDED, Reason.COMPLETED)
    assert (found["phase"], found["usageBasis"]) == ("Succeeded", "attached")
    assert found["errorMessage"]


def test_an_answer_older_than_the_end_is_asked_for_again_though_not_at_once():
    early = replace(live(), job=live().job).job
    seen = answered(served("r-next", **ENDED), attached(), job=early, text="")
    assert attaching.accompany(seen, now(101), POLICY).look_again == 1
    assert (
        ReadResult(NAMESPACE, "live", uid_of("live")) in attaching.accompany(seen, now(102), POLICY).actions
    )


def test_its_end_waits_until_its_job_says_that_it_has_served_it():
    seen = answered(live(**ENDED), attached())
    assert attaching.accompany(seen, now(), POLICY).actions == ()
    refused = replace(seen, labels_refused=frozenset([uid_of("live")]))
    assert patch_of(attaching.accompany(refused, now(), POLICY)).why == "copy", "a refusal changes no verdict"
    full = replace(seen, since={**seen.since, room.full(uid_of("live")): 50.0})
    assert patch_of(attaching.accompany(full, now(), POLICY)).why == "copy", "nor does a Job that is full"


def test_it_ends_though_its_job_is_too_full_to_say_that_it_has_served_it():
    done = live(**ENDED)
    done = replace(done, job=replace(done.job, notes_bytes=ANNOTATIONS_MAX))
    seen = replace(answered(done, attached()), fresh=True)
    for _ in range(3):
        seen = after(seen, reconcile(seen, now(), POLICY), now())
    (ended,) = [run.job for run in seen.runs if run.job.name == "next"]
    assert (ended.phase, Status.RESULT in ended.status) == (Phase.SUCCEEDED, True)


def test_all_of_it_happens_step_by_step_and_then_nothing():
    seen = answered(live(**ENDED), attached(), attached("twin", decision="duplicate"), at=0.0)
    for _ in range(4):
        seen = after(seen, reconcile(seen, now(), POLICY), now())
    assert {run.job.name: run.job.phase for run in seen.runs} == dict.fromkeys(
        ["live", "next", "twin"], Phase.SUCCEEDED
    )
    assert reconcile(seen, now(), POLICY).actions == ()
    assert seen.answers == {}, "the text of the result is kept no longer than it is needed"


# ── Its Job is gone ──────────────────────────────────────────────────────────────────────────────


def test_a_job_that_is_not_known_is_asked_for():
    found = plan(attaching.accompany, attached())
    assert found.actions == (ReadResult(NAMESPACE, "live", uid_of("live")),)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"ghosts": (Ghost(NAMESPACE, "live", uid_of("live")),)}, id="it vanished a moment ago"),
        pytest.param({"strays": (make_pod(job="live"),)}, id="a pod of it still runs"),
    ],
)
def test_while_something_of_it_may_run_nothing_is_concluded(changes):
    gone = {uid_of("live"): Answer(100.0)}
    assert plan(attaching.accompany, attached(), answers=gone, **changes).actions == ()


def test_a_job_that_is_gone_for_certain_ends_the_run():
    gone = {uid_of("live"): Answer(100.0)}
    patch = patch_of(plan(attaching.accompany, attached(), answers=gone))
    assert standing(patch) == (Phase.CANCELLED, Reason.JOB_DELETED)
    found = json.loads(status(patch, Status.RESULT))
    assert (found["runId"], found["jobUid"]) == ("r-next", uid_of("next"))
    assert (found["errorCode"], found["usageBasis"]) == (ErrorCode.JOB_DELETED_EXTERNALLY, "attached")
    assert found["errorMessage"]


def test_a_job_that_has_only_lost_its_labels_is_looked_at_now_and_then():
    there = {uid_of("live"): Answer(100.0, live(phase="Finishing").job)}
    found = plan(attaching.accompany, attached(), answers=there)
    assert status(patch_of(found), Status.ATTACHED_PHASE) == "Finishing"
    assert found.look_again == 60
    later = plan(attaching.accompany, attached(), answers=there, clock=now(160))
    assert ReadResult(NAMESPACE, "live", uid_of("live")) in later.actions


def test_the_result_of_a_job_that_is_not_in_the_caches_is_taken_as_well():
    there = {uid_of("live"): Answer(100.0, live(**ENDED).job, RESULT)}
    patch = patch_of(plan(attaching.accompany, attached(), answers=there))
    assert standing(patch) == (Phase.SUCCEEDED, Reason.COMPLETED)


@pytest.mark.parametrize("to", ["", "live", "/", "live/"])
def test_a_run_that_does_not_say_where_it_is_attached_is_left_alone(to):
    run = attached(notes={Status.ATTACHED_TO: to})
    assert plan(attaching.accompany, run).actions == ()


def test_a_job_that_finished_where_nobody_watches_it_is_not_waited_for_for_ever():
    there = {uid_of("live"): Answer(100.0, live(phase="Running", over="Complete").job)}
    found = plan(attaching.accompany, attached(), answers=there)
    assert found.actions == ()
    since = dict.fromkeys(found.marks, 100.0)
    late = {uid_of("live"): Answer(700.0, live(phase="Running", over="Complete").job)}
    patch = patch_of(plan(attaching.accompany, attached(), answers=late, since=since, clock=now(701)))
    assert standing(patch) == (Phase.FAILED, Reason.UNKNOWN), "unknown is never success"
    assert json.loads(status(patch, Status.RESULT))["errorMessage"]


def test_nobody_is_attached_to_a_job_that_its_newest_run_wants_to_end():
    unwanted = attached("first", wishes=Wishes(cancel_requested="enough"))
    found = reconcile(make_snapshot(served("r-first"), unwanted, waits(created=120)), now(130), POLICY)
    stops = [action for action in found.actions if isinstance(action, PatchJob) and action.name == "live"]
    assert Status.STOP in str(stops[0].annotations)
    assert status(patch_of(found), Status.PHASE) == Phase.QUEUED


def test_the_result_is_read_also_while_its_job_has_yet_to_be_told():
    untold = make_run(make_job("live", **ENDED))
    found = plan(attaching.accompany, untold, attached())
    assert found.actions == (ReadResult(NAMESPACE, "live", uid_of("live")),)
    read = {uid_of("live"): Answer(100.0, untold.job, RESULT)}
    assert plan(attaching.accompany, untold, attached(), answers=read).marks == (answer_mark(uid_of("live")),)
    deleted = patch_of(plan(attaching.accompany, attached(), answers=read))
    assert standing(deleted) == (Phase.SUCCEEDED, Reason.COMPLETED), "what was read is not lost with the Job"


def test_a_copied_manifest_hinders_no_verdict():
    copied = waits(ttl_seconds=300, leftovers=("phase", "reason", "decision", "attached-to"))
    patch = patch_of(reconcile(make_snapshot(live(), copied), now(70), POLICY))
    assert status(patch, Status.PHASE) == Phase.ATTACHED
    assert status(patch, Status.ATTACHED_TO) == f"live/{uid_of('live')}"
