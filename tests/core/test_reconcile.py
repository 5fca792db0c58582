from dataclasses import replace

from controller.core.actions import ConfirmGone, ExportTrace, FollowLog, PatchJob, ReadPods, RefreshJob
from controller.core.contract import Reason, Status
from controller.core.reconcile import reconcile
from controller.core.snapshot import Export, Ghost
from tests.core.builders import (
    KEYS,
    NAMESPACE,
    POLICY,
    TRACED,
    make_condition,
    make_ended_pod,
    make_job,
    make_log,
    make_open_log,
    make_over,
    make_pod,
    make_run,
    make_snapshot,
    make_unscheduled_pod,
    make_waiting,
    now,
    uid_of,
    waiting,
)
from tests.core.world import after

GHOST = Ghost(NAMESPACE, "lost", uid_of("lost"))


def kinds(plan):
    return [type(action) for action in plan.actions]


def patches(plan):
    return [action for action in plan.actions if isinstance(action, PatchJob)]


def test_while_a_job_is_in_doubt_it_is_only_read():
    seen = make_snapshot(make_run(make_waiting()), doubts=(uid_of("run-1"),))
    assert reconcile(seen, now(), POLICY).actions == (RefreshJob(NAMESPACE, "run-1", uid_of("run-1")),)


def test_while_caches_are_stale_only_logs_are_read():
    seen = make_snapshot(
        make_run(make_waiting("waits")), make_run(make_job(), make_pod()), ghosts=(GHOST,), fresh=False
    )
    plan = reconcile(seen, now(), POLICY)
    assert kinds(plan) == [FollowLog]
    assert plan.look_again is not None


def test_a_vanished_job_holds_its_place_until_it_is_confirmed_gone():
    seen = make_snapshot(make_run(make_waiting()), ghosts=(GHOST,))
    plan = reconcile(seen, now(), POLICY)
    assert ConfirmGone(GHOST.namespace, GHOST.name, GHOST.uid) in plan.actions
    assert [patch.why for patch in patches(plan)] == ["queue"]
    freed = after(seen, plan, now())
    assert [patch.why for patch in patches(reconcile(freed, now(), POLICY))] == ["admit"]


def test_a_start_that_is_hopeless_at_first_sight_is_one_patch():
    seen = make_snapshot(make_run(make_job(), make_pod(waiting("InvalidImageName"))))
    first = reconcile(seen, now(), POLICY)
    assert ReadPods in kinds(first)
    seen = after(seen, first, now())
    (patch,) = patches(reconcile(seen, now(), POLICY))
    assert patch.why == "stop"
    assert patch.spec == {"activeDeadlineSeconds": 1}
    assert patch.annotations[KEYS.status(Status.REASON)] == Reason.STOPPING


def test_a_run_that_was_over_at_first_sight_is_one_patch_without_a_heartbeat():
    (patch,) = patches(reconcile(make_snapshot(make_over(job=make_job())), now(), POLICY))
    assert patch.why == "result"
    assert KEYS.status(Status.OBSERVED_AT) not in patch.annotations


def test_a_normal_run_costs_five_patches():
    world = [
        lambda job: make_run(job, make_unscheduled_pod()),
        lambda job: make_run(job, make_pod(waiting())),
        lambda job: make_run(job, make_pod()),
        lambda job: make_run(job, make_pod(), logs=[make_open_log()]),
        lambda job: make_run(job, make_ended_pod(0), logs=[make_log()]),
        lambda job: make_run(
            replace(job, conditions=(make_condition("Complete"),)), make_ended_pod(0), logs=[make_log()]
        ),
    ]
    seen, whys = make_snapshot(make_run(make_waiting())), []
    for second, view in enumerate([*world, world[-1], world[-1], world[-1]]):
        plan = reconcile(seen, now(100 + second), TRACED)
        whys += [patch.why for patch in patches(plan)]
        (run,) = after(seen, plan, now(100 + second)).runs
        export = Export.ACCEPTED if ExportTrace in kinds(plan) else run.export
        seen = replace(seen, runs=(replace(view(run.job), export=export),), since={})
    assert whys == ["admit", "report", "report", "result", "trace+release"]
