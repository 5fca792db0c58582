from dataclasses import replace

import pytest

from controller.core.actions import PatchPod, ReadPods
from controller.core.model import Ids
from controller.core.rules import labelling
from tests.core.builders import (
    KEYS,
    NAMESPACE,
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
from tests.core.world import after

OWN = make_ids(run="r-run-1")
JOB = make_job(phase="Running", active=1)


def labelled(*pods, job=JOB, **changes):
    return labelling.label_pods(make_snapshot(make_run(job, *pods), **changes), now(), POLICY)


# ── Labels ───────────────────────────────────────────────────────────────────────────────────────


def test_a_pod_is_given_the_labels_of_its_job_that_it_lacks():
    (patch,) = labelled(make_pod(labels=Ids(run="r-run-1"))).actions
    want = {KEYS.agent_id: "a-1", KEYS.adapter_type: "claude_k8s", KEYS.task_id: "t-1"}
    assert patch == PatchPod(NAMESPACE, "run-1-x", uid_of("run-1-x"), uid_of("run-1"), want, {}, "label")


@pytest.mark.parametrize(
    ("labels", "want"),
    [
        pytest.param(
            replace(OWN, agent="other"), {KEYS.agent_id: "a-1"}, id="another agent's place is freed"
        ),
        pytest.param(
            replace(OWN, adapter="x"), {KEYS.adapter_type: "claude_k8s"}, id="so is that of an adapter"
        ),
        pytest.param(
            replace(OWN, run="r-2", session="s", task="t-2"), {}, id="who relabels a pod is not fought"
        ),
        pytest.param(replace(OWN, company="c-1"), {}, id="more labels are nobody's business"),
        pytest.param(OWN, {}, id="nothing is asked of a pod that has them all"),
    ],
)
def test_a_label_that_differs_is_put_right_where_places_are_counted_by_it(labels, want):
    assert [action.labels for action in labelled(make_pod(labels=labels)).actions] == ([want] if want else [])


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(make_ended_pod(0, labels=Ids()), id="that has ended"),
        pytest.param(make_pod(labels=Ids(), deleted_at=1), id="that is going"),
        pytest.param(make_pod(), id="whose labels nobody has looked at"),
    ],
)
def test_nothing_is_asked_of_a_pod(pod):
    assert labelled(pod).actions == ()


def test_pods_of_a_job_that_is_no_run_are_left_alone():
    assert labelled(make_pod(labels=Ids()), job=make_job(ids=make_ids(run=""))).actions == ()


def test_a_pod_that_did_not_take_its_labels_is_left_alone_for_a_while():
    pod = make_pod(labels=Ids())
    plan = labelled(pod, refused=frozenset({pod.uid}))
    assert plan.actions == ()
    assert 55 < plan.look_again <= 60


def test_labels_are_given_once():
    seen = make_snapshot(make_run(JOB, make_pod(labels=Ids())))
    plan = labelling.label_pods(seen, now(), POLICY)
    assert labelling.label_pods(after(seen, plan, now()), now(), POLICY).actions == ()


# ── Pods that the watch does not select ──────────────────────────────────────────────────────────


def found(run, at, since=None, **changes):
    marks = {} if since is None else {f"unseen:{run.job.uid}": since}
    return labelling.find_pods(make_snapshot(run, since=marks, **changes), now(at), POLICY)


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param((), id="none is known"),
        pytest.param((make_ended_pod(1),), id="that of an earlier attempt is known"),
        pytest.param((make_pod(labels=Ids()),), id="one is known that the watch can't show"),
    ],
)
def test_pods_that_a_job_counts_and_the_watch_does_not_show_are_listed(pods):
    run = make_run(JOB, *pods)
    first = found(run, 100)
    assert (first.actions, first.look_again) == ((), 5), "the watch may just lag"
    assert found(run, 105, since=100).actions == (ReadPods(NAMESPACE, uid_of("run-1")),)


def test_they_are_listed_at_a_bounded_rate():
    run = replace(make_run(JOB), pods_read_at=105.0)
    plan = found(run, 106, since=100)
    assert (plan.actions, plan.look_again) == ((), 29)
    assert plan.marks
    assert len(found(run, 135, since=100).actions) == 1


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(make_run(JOB, make_pod(labels=OWN)), id="whose pod is shown"),
        pytest.param(make_run(make_job(active=0)), id="that counts no pod"),
        pytest.param(make_run(make_waiting(active=1)), id="that is suspended"),
        pytest.param(make_run(make_job(active=1, over="Complete")), id="that is over"),
    ],
)
def test_nothing_is_listed_for_a_job(run):
    plan = found(run, 1e6, since=0.0)
    assert (plan.actions, plan.marks) == ((), ())
