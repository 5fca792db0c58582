import json

import pytest
from aiohttp import web

from controller.core.actions import (
    ConfirmGone,
    PatchJob,
    PatchPod,
    Presence,
    ReadEvents,
    ReadResult,
    RefreshJob,
    TellJob,
)
from controller.core.contract import ANNOTATIONS_MAX, Keys
from controller.core.parse import Parser
from controller.kube import errors
from controller.kube.api import EVENTS
from controller.kube.writer import Writer
from tests.kube.doubles import status

NOW = 1_767_225_600_123_456_789
KEYS = Keys()


def job(name="run"):
    container = {"name": "claude", "image": "x"}
    template = {
        "metadata": {"labels": {KEYS.agent_id: "a"}},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    metadata = {"namespace": "default", "name": name, "annotations": {"foreign": "stays"}}
    return {"metadata": metadata, "spec": {"suspend": True, "template": template}}


def pod(name, job_uid, phase):
    labels = {"batch.kubernetes.io/controller-uid": job_uid}
    return {
        "metadata": {"namespace": "default", "name": name, "labels": labels},
        "spec": {"containers": [{"name": "claude", "image": "x"}]},
        "status": {"phase": phase},
    }


def a_pod(cluster, name, job_uid, phase):
    cluster.create("pods", pod(name, job_uid, phase))
    cluster.patch("pods", "default", name, {"status": {"phase": phase}}, subresource="status")


@pytest.fixture
def writer(kube):
    return Writer(kube, KEYS, clock_wall=lambda: NOW, instance="controller-0")


@pytest.fixture
def run(cluster):
    """A suspended Job, as (uid, version)."""
    made = cluster.create("jobs", job())["metadata"]
    return made["uid"], made["resourceVersion"]


def the_job(cluster):
    return cluster.get("jobs", "default", "run")


async def test_a_patch_changes_what_it_names_and_nothing_else(cluster, writer, run):
    uid, version = run
    action = PatchJob(
        "default",
        "run",
        uid,
        version,
        annotations={KEYS.status("phase"): "Starting", KEYS.status("gone"): None},
        spec={"suspend": False},
        template_labels={KEYS.run_id: "r"},
    )
    reply = json.loads(await writer.patch_job(action))
    there = the_job(cluster)
    assert reply["metadata"]["resourceVersion"] == there["metadata"]["resourceVersion"]
    assert there["metadata"]["annotations"] == {"foreign": "stays", KEYS.status("phase"): "Starting"}
    assert there["spec"]["suspend"] is False
    labels = there["spec"]["template"]["metadata"]["labels"]
    assert (labels[KEYS.agent_id], labels[KEYS.run_id]) == ("a", "r")


async def test_a_patch_can_change_labels(cluster, writer, run):
    action = PatchJob("default", "run", *run, labels={KEYS.run_id: "r-2"})
    await writer.patch_job(action)
    assert the_job(cluster)["metadata"]["labels"][KEYS.run_id] == "r-2"


async def test_an_empty_patch_is_not_sent(cluster, writer, run):
    assert await writer.patch_job(PatchJob("default", "run", run[0], run[1])) is None
    assert cluster.requests.total() == 0


async def test_a_patch_of_an_old_version_is_a_conflict_and_without_one_it_is_not(cluster, writer, run):
    uid, version = run
    cluster.patch("jobs", "default", "run", {"metadata": {"labels": {"x": "y"}}})
    with pytest.raises(errors.Conflict):
        await writer.patch_job(PatchJob("default", "run", uid, version, annotations={"a": "b"}))
    await writer.patch_job(PatchJob("default", "run", uid, annotations={"a": "b"}))
    assert the_job(cluster)["metadata"]["annotations"]["a"] == "b"


async def test_a_patch_for_a_job_whose_name_was_used_again_is_not_found(cluster, writer, run):
    cluster.delete("jobs", "default", "run")
    cluster.create("jobs", job())
    with pytest.raises(errors.NotFound):
        await writer.patch_job(PatchJob("default", "run", run[0], annotations={"a": "b"}))
    assert "a" not in the_job(cluster)["metadata"]["annotations"]


async def test_a_patch_for_a_job_that_is_gone_is_not_found(writer):
    with pytest.raises(errors.NotFound):
        await writer.patch_job(PatchJob("default", "run", "uid", annotations={"a": "b"}))


async def test_a_patch_that_breaks_a_rule_is_refused(writer, run):
    too_big = {KEYS.status("result"): "x" * 300_000}
    with pytest.raises(errors.TooLarge) as caught:
        await writer.patch_job(PatchJob("default", "run", run[0], annotations=too_big))
    assert caught.value.code == 422


async def test_annotations_are_counted_as_the_server_counts_them(cluster, writer, run):
    """To the byte: keys too, in UTF-8."""
    reply = await writer.patch_job(PatchJob("default", "run", run[0], annotations={"x/y": "☃🤖"}))
    taken = Parser(KEYS).job(reply).notes_bytes
    exact = {"x": "x" * (ANNOTATIONS_MAX - taken - 1)}
    full = await writer.patch_job(PatchJob("default", "run", run[0], annotations=exact))
    assert Parser(KEYS).job(full).notes_bytes == ANNOTATIONS_MAX
    with pytest.raises(errors.TooLarge):
        await writer.patch_job(PatchJob("default", "run", run[0], annotations={"foreign": "stays."}))


@pytest.mark.parametrize(
    ("code", "reason", "message", "want"),
    [
        (
            422,
            "Invalid",
            'Job "run" is invalid: metadata.uid: Invalid value: "x": field is immutable',
            errors.NotFound,
        ),
        (
            409,
            "Conflict",
            "Precondition failed: UID in precondition: x, UID in object meta: y",
            errors.NotFound,
        ),
        (422, "Invalid", 'Job "run" is invalid: spec.template: field is immutable', errors.Refused),
        (409, "Conflict", "the object has been modified", errors.Conflict),
    ],
)
async def test_the_words_for_another_uid_are_told_from_the_rest(script, code, reason, message, want):
    async def answer(_request):
        return web.json_response(status(code, reason, message), status=code)

    script.answer = answer
    async with script.kube() as kube:
        writer = Writer(kube, KEYS, clock_wall=lambda: NOW, instance="i")
        with pytest.raises(errors.KubeError) as caught:
            await writer.patch_job(PatchJob("ns", "run", "x", annotations={"a": "b"}))
    assert type(caught.value) is want


@pytest.fixture
def live_pod(cluster):
    """The uid of a pod."""
    a_pod(cluster, "pod", "uid-1", "Running")
    return cluster.get("pods", "default", "pod")["metadata"]["uid"]


async def test_a_pod_gets_labels_and_annotations_and_nothing_else(cluster, writer, live_pod):
    before = cluster.get("pods", "default", "pod")
    patch = PatchPod("default", "pod", live_pod, "uid-1", {KEYS.run_id: "r"}, {KEYS.run_id: "r/"}, "label")
    reply = json.loads(await writer.patch_pod(patch))
    after = cluster.get("pods", "default", "pod")
    assert reply == after
    assert after["metadata"]["labels"] == before["metadata"]["labels"] | {KEYS.run_id: "r"}
    assert after["metadata"]["annotations"] == {KEYS.run_id: "r/"}
    assert (after["spec"], after["status"]) == (before["spec"], before["status"])


async def test_nothing_is_sent_to_a_pod_if_nothing_is_asked_for(cluster, writer, live_pod):
    assert await writer.patch_pod(PatchPod("default", "pod", live_pod, "uid-1")) is None
    assert cluster.requests.total() == 0


@pytest.mark.parametrize("uid", ["another", ""], ids=["whose name was used again", "that is gone"])
async def test_there_are_no_labels_for_a_pod(cluster, writer, live_pod, uid):
    if not uid:
        cluster.delete("pods", "default", "pod", gracePeriodSeconds=0)
    with pytest.raises(errors.NotFound):
        await writer.patch_pod(PatchPod("default", "pod", uid or live_pod, "uid-1", {KEYS.run_id: "r"}))


async def test_a_label_that_breaks_a_rule_is_refused(writer, live_pod):
    with pytest.raises(errors.Refused):
        await writer.patch_pod(PatchPod("default", "pod", live_pod, "uid-1", {KEYS.run_id: "?"}))


async def events(kube):
    page = await kube.page(EVENTS, namespace="default")
    return sorted((json.loads(bytes(item)) for item in page.items), key=lambda event: event["reason"])


async def test_an_event_is_told_once_however_often_it_is_asked_for(kube, writer, run):
    tell = TellJob("default", "run", run[0], "Admitted", "Its place is free.\nIt starts.")
    for _ in range(3):
        await writer.tell(tell)
    await writer.tell(TellJob("default", "run", run[0], "Silent", "No output for an hour.", warning=True))
    first, second = await events(kube)
    assert first["note"] == "Its place is free. It starts."
    assert first["regarding"] == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "namespace": "default",
        "name": "run",
        "uid": run[0],
    }
    assert (first["type"], first["action"], first["reportingInstance"]) == (
        "Normal",
        "Admitted",
        "controller-0",
    )
    assert first["eventTime"] == "2026-01-01T00:00:00.123456Z"
    assert "/" in first["reportingController"]
    assert (second["type"], second["reason"]) == ("Warning", "Silent")


async def test_an_event_that_is_told_again_is_a_series_of_one_event(kube, writer, run):
    tell = TellJob("default", "run", run[0], "Queued", "Waits.")
    assert await writer.tell(tell) is False
    assert await writer.told_before(tell) == 1
    assert await writer.tell(tell) is True
    await writer.tell_again(tell, 2)
    await writer.tell_again(tell, 5)
    (event,) = await events(kube)
    assert event["series"] == {"count": 5, "lastObservedTime": "2026-01-01T00:00:00.123456Z"}
    assert await writer.told_before(tell) == 5


async def test_an_event_that_the_server_has_forgotten_has_no_series(writer, run):
    tell = TellJob("default", "run", run[0], "Queued", "Waits.")
    with pytest.raises(errors.NotFound):
        await writer.told_before(tell)
    with pytest.raises(errors.NotFound):
        await writer.tell_again(tell, 2)


async def test_events_are_listed_in_the_order_of_the_story(kube, writer, run):
    """`kubectl describe` does not sort them by time: it shows them as they are listed, by name."""
    story = [
        "Queued",
        "Admitted",
        "OwnedRefused",
        "Silent",
        "Stopping",
        "Cancelled",
        "ResultRecorded",
        "TraceExported",
    ]
    for reason in reversed(story):
        await writer.tell(TellJob("default", "run", run[0], reason, f"{reason} it is."))
    page = await kube.page(EVENTS, namespace="default")
    assert [json.loads(bytes(item))["reason"] for item in page.items] == story


async def test_an_event_of_a_job_with_a_long_name_and_much_to_say_still_fits(kube, writer):
    await writer.tell(TellJob("default", "n" * 253, "uid", "Queued", "ä" * 5000))
    (event,) = await events(kube)
    assert len(event["metadata"]["name"]) <= 253
    assert len(event["note"].encode()) <= 1024


async def test_refresh_reads_the_job_of_that_uid_only(cluster, writer, run):
    fresh = await writer.refresh(RefreshJob("default", "run", run[0]))
    assert json.loads(fresh)["metadata"]["resourceVersion"] == run[1]
    assert await writer.refresh(RefreshJob("default", "run", "another")) is None
    assert await writer.refresh(ReadResult("default", "run", run[0])) == fresh
    assert await writer.refresh(RefreshJob("default", "nothing", run[0])) is None


@pytest.mark.parametrize(
    ("pods", "there"),
    [
        pytest.param([], Presence.ABSENT, id="no pods"),
        pytest.param(["Succeeded", "Failed"], Presence.ABSENT, id="pods that have ended"),
        pytest.param(["Succeeded", "Running"], Presence.RUNS, id="a pod that runs"),
        pytest.param(["Pending"], Presence.RUNS, id="a pod that will run"),
        pytest.param(["Unknown"], Presence.RUNS, id="a pod on a lost node"),
    ],
)
async def test_a_job_is_gone_when_none_of_its_pods_could_run(cluster, writer, pods, there):
    for number, phase in enumerate(pods):
        a_pod(cluster, f"pod-{number}", "uid-1", phase)
    a_pod(cluster, "of-another", "uid-2", "Running")
    assert await writer.confirm_gone(ConfirmGone("default", "run", "uid-1")) is there


async def test_a_job_that_may_make_pods_is_not_gone(cluster, writer, run):
    cluster.patch("jobs", "default", "run", {"spec": {"suspend": False}})
    assert await writer.confirm_gone(ConfirmGone("default", "run", run[0])) is Presence.RUNS


@pytest.mark.parametrize(("phase", "there"), [("Running", Presence.RUNS), ("Failed", Presence.OVER)])
async def test_a_suspended_job_is_as_good_as_gone_when_none_of_its_pods_could_run(
    cluster, writer, run, phase, there
):
    a_pod(cluster, "pod", run[0], phase)
    assert await writer.confirm_gone(ConfirmGone("default", "run", run[0])) is there


async def test_a_job_that_is_over_is_as_good_as_gone(cluster, writer, run):
    started = "2026-01-01T00:00:00Z"
    ended = {"type": "Failed", "status": "True", "reason": "x", "lastTransitionTime": started}
    target = ended | {"type": "FailureTarget"}
    over = {"status": {"startTime": started, "conditions": [target, ended]}}
    cluster.patch("jobs", "default", "run", {"spec": {"suspend": False}})
    cluster.patch("jobs", "default", "run", over, subresource="status")
    assert await writer.confirm_gone(ConfirmGone("default", "run", run[0])) is Presence.OVER


async def test_a_job_whose_name_was_used_again_is_gone(writer, run):
    assert await writer.confirm_gone(ConfirmGone("default", "run", "older")) is Presence.ABSENT


async def test_an_answer_that_is_lost_is_unavailable_and_the_patch_is_there(cluster, writer, run):
    cluster.faults.lost_answers = 1
    with pytest.raises(errors.Unavailable):
        await writer.patch_job(PatchJob("default", "run", run[0], annotations={"a": "b"}))
    assert the_job(cluster)["metadata"]["annotations"]["a"] == "b"
    assert cluster.requests.total() <= 1


async def test_events_about_an_object_are_those_of_its_uid_in_both_versions(cluster, writer, run):
    uid, _ = run
    about = {"kind": "Pod", "namespace": "default", "name": "run-x", "uid": "u-1"}
    for name, other in (("one", {}), ("another", {"uid": "u-2"})):
        said = {"involvedObject": about | other, "reason": "FailedMount", "message": name, "type": "Warning"}
        cluster.create("events", {"metadata": {"namespace": "default", "name": name}} | said)
    await writer.tell(TellJob("default", "run", uid, "Queued", "ours, and about the Job"))

    (of_pod,) = await writer.events_of(ReadEvents("default", "u-1", uid))
    (of_job,) = await writer.events_of(ReadEvents("default", uid, uid))
    assert json.loads(of_pod)["message"] == "one"
    assert json.loads(of_job)["reason"] == "Queued"
