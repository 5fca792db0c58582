"""What a Job says of the runs that it serves, and what its pods do."""

import json

import pytest

from controller.core.actions import PatchJob, PatchPod
from controller.core.contract import Status
from controller.core.model import Ids
from controller.core.rules import relabelling
from tests.core.builders import (
    KEYS,
    POLICY,
    make_ended_pod,
    make_ids,
    make_job,
    make_pod,
    make_run,
    make_snapshot,
    make_waiting,
    now,
    uid_of,
)
from tests.core.rules.test_attaching import ENDED, attached, live, served, waits
from tests.core.world import after

HISTORY = KEYS.status(Status.RUN_HISTORY)
RAW = make_ids(run="rnext", session="s5", raw=(("run", "r/next"), ("session", "s/5")))


def relabel(*runs, clock=None, **changes):
    return relabelling.relabel(make_snapshot(*runs, **changes), clock or now(), POLICY)


def patch_of(plan):
    (patch,) = plan.actions
    return patch


def history(patch):
    return [entry["runId"] for entry in json.loads(patch.annotations[HISTORY])]


def test_the_job_gets_the_ids_of_the_run_that_continues_on_it_in_one_patch_with_the_history():
    patch = patch_of(relabel(live(), attached(ids=RAW)))
    assert isinstance(patch, PatchJob)
    assert (patch.name, patch.version, patch.why) == ("live", "7", "relabel")
    assert patch.labels == {KEYS.run_id: "rnext", KEYS.session_id: "s5"}
    assert (patch.annotations[KEYS.run_id], patch.annotations[KEYS.session_id]) == ("r/next", "s/5")
    assert history(patch) == ["r-live", "r/next"]
    assert patch.spec == {}


def test_an_id_that_the_new_run_does_not_have_raw_takes_the_old_one_away():
    old = make_ids(run="rlive", raw=(("run", "r/live"),))
    patch = patch_of(relabel(live(ids=old), attached()))
    assert patch.annotations[KEYS.run_id] is None
    assert history(patch) == ["r/live", "r-next"]


def test_a_session_that_the_new_run_does_not_ask_for_stays():
    patch = patch_of(relabel(live(ids=make_ids(session="s-1")), attached()))
    assert KEYS.session_id not in patch.labels
    assert KEYS.session_id not in patch.annotations


def test_several_runs_are_applied_oldest_first():
    patch = patch_of(relabel(live(), attached("newer", created=61), attached("older")))
    assert history(patch) == ["r-live", "r-older", "r-newer"]
    assert patch.labels[KEYS.run_id] == "r-newer"


def test_each_is_applied_once():
    seen = make_snapshot(live(), attached())
    seen = after(seen, relabelling.relabel(seen, now(), POLICY), now())
    assert relabelling.relabel(seen, now(200), POLICY).actions == ()


def test_what_has_been_applied_is_not_fought_for():
    changed = served("r-next", "r-theirs")
    assert relabel(changed, attached()).actions == ()


def test_a_run_id_that_others_have_changed_is_recorded_and_left():
    job = live(run="r-theirs", template_labels=((KEYS.run_id, "r-live"),))
    patch = patch_of(relabel(job))
    assert (history(patch), patch.labels) == (["r-live", "r-theirs"], {})
    assert set(patch.annotations) == {HISTORY}


@pytest.mark.parametrize(
    "runs",
    [
        pytest.param([live(), attached(decision="duplicate")], id="the same run once more"),
        pytest.param([live(), waits()], id="one that waits"),
        pytest.param([live(), attached(to="another")], id="one attached to another Job"),
        pytest.param([make_run(make_waiting("live", run="x")), attached()], id="a Job that waits itself"),
        pytest.param([live(ids=make_ids(run="")), attached()], id="a Job without a run id"),
    ],
)
def test_who_relabels_nothing(runs):
    assert relabel(*runs).actions == ()


def test_a_job_that_has_ended_is_told_all_the_same():
    assert history(patch_of(relabel(live(**ENDED), attached()))) == ["r-live", "r-next"]


def test_so_it_is_by_a_run_that_has_ended_meanwhile():
    ended = attached(phase="Succeeded", reason="Completed", result=True)
    assert history(patch_of(relabel(live(**ENDED), settled=(ended.job,)))) == ["r-live", "r-next"]


def test_what_was_refused_is_left_alone_for_a_while():
    found = relabel(live(), attached(), labels_refused=frozenset([uid_of("live")]))
    assert (found.actions, found.look_again) == ((), 60)


# ── Pods ─────────────────────────────────────────────────────────────────────────────────────────


def with_pods(*pods, **changes):
    ids = changes.pop("ids", make_ids(run="r-next"))
    return make_run(make_job("live", ids=ids, notes=served("r-next").job.status), *pods)


def test_its_pods_get_the_same_labels_after_it():
    pod, old = make_pod(job="live"), make_ended_pod(1, job="live", name="old")
    found = relabel(with_pods(pod, old, ids=make_ids(run="r-next", session="s-1")), attached())
    assert {action.name for action in found.actions} == {"live-x", "old"}
    action = found.actions[0]
    assert isinstance(action, PatchPod)
    assert (action.pod_uid, action.job_uid) == (pod.uid, uid_of("live"))
    assert action.labels == {KEYS.run_id: "r-next", KEYS.session_id: "s-1"}
    assert action.annotations == {KEYS.run_id: None, KEYS.session_id: None}


def test_pods_that_carry_them_are_left_alone():
    assert relabel(with_pods(make_pod(job="live", run_id="r-next")), attached()).actions == ()


def test_pods_are_not_changed_before_their_job():
    found = relabel(make_run(live().job, make_pod(job="live")), attached())
    assert isinstance(patch_of(found), PatchJob)


def test_pods_do_not_follow_what_others_have_changed():
    job = make_job("live", phase="Running", run="r-theirs")
    assert relabel(make_run(job, make_pod(job="live"))).actions == ()


def test_a_pod_that_may_not_be_changed_holds_up_nothing():
    pods = [make_pod(job="live"), make_pod(job="live", name="second")]
    found = relabel(with_pods(*pods), attached(), refused=frozenset([pods[0].uid]))
    assert ([action.name for action in found.actions], found.look_again) == (["second"], 60)


def test_raw_ids_go_to_the_pods_as_well():
    ids = Ids("a-1", "rnext", "claude_k8s", "t-1", raw=(("run", "r/next"),))
    entries = '[{"runId":"r-live"},{"runId":"r/next","raw":true}]'
    job = live(ids=ids, notes={Status.RUN_HISTORY: entries}).job
    (action,) = relabel(make_run(job, make_pod(job="live")), attached(ids=ids)).actions
    assert action.annotations == {KEYS.run_id: "r/next"}
