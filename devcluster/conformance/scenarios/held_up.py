"""Events about pods, as they can be asked for: what only they tell of a start, and by whom they are found."""

from devcluster.conformance import manifests
from devcluster.conformance.connection import JSON
from devcluster.conformance.manifests import NAME, state
from devcluster.conformance.scenario import scenario
from devcluster.conformance.scenarios.jobs import events_about
from devcluster.conformance.scene import Scene

ABSENT = "no-such-object"


def unmountable(s: Scene, source: JSON) -> JSON:
    """A pod with a volume of something that is not there."""
    mounts = [{"name": "wanted", "mountPath": "/wanted"}]
    body = manifests.container(s.image, volumeMounts=mounts)
    return manifests.pod(s.image, containers=[body], volumes=[{"name": "wanted"} | source])


async def told_of(s: Scene, uid: str, reason: str) -> list[JSON]:
    """Events of that reason about the object of that uid, in the core group."""
    query = f"involvedObject.uid={uid},reason={reason}"
    found: list[JSON] = (await s.get("events", fieldSelector=query)).object["items"]
    return found


def in_words(events: list[JSON]) -> list[str]:
    """What they say of the volume that is wanted: other volumes of a pod have troubles of their own.

    A busy kubelet first says that its cache has no news of the object yet, whether it is there or not.
    """
    said = {event["message"] for event in events if '"wanted"' in event["message"]}
    return sorted(message for message in said if "failed to sync" not in message)


async def reported(s: Scene) -> list[str]:
    """The container's state. A kubelet may tell an Event before it has written its first status."""
    pod: JSON = await s.answered(lambda: s.read("pods", NAME), lambda pod: state(pod)[0] != "none")
    return state(pod)


@scenario(
    {
        "state": ["waiting", "ContainerCreating"],
        "told": ['MountVolume.SetUp failed for volume "wanted" : secret "no-such-object" not found'],
        "type": ["Warning"],
        "times": [[True, True, True, None]],
        "about another": [],
    }
)
async def volume_of_a_secret_that_is_not_there(s: Scene) -> None:
    """The pod's states say nothing of it: only Events do, and they are found by the pod's uid."""
    pod = await s.create("pods", unmountable(s, {"secret": {"secretName": ABSENT}}))
    await events_about(s, "Pod", last="FailedMount")
    found = await s.answered(lambda: told_of(s, pod["metadata"]["uid"], "FailedMount"), in_words)
    s.note("state", await reported(s))
    s.note("told", in_words(found))
    s.note("type", sorted({event["type"] for event in found}))
    times = [
        [bool(event["firstTimestamp"]), bool(event["lastTimestamp"]), event["count"] > 0, event["eventTime"]]
        for event in found[:1]
    ]
    s.note("times", times)
    s.note("about another", await told_of(s, ABSENT, "FailedMount"))


@scenario(
    {
        "state": ["waiting", "ContainerCreating"],
        "told": ['MountVolume.SetUp failed for volume "wanted" : configmap "no-such-object" not found'],
    }
)
async def volume_of_a_configmap_that_is_not_there(s: Scene) -> None:
    """As with a Secret."""
    pod = await s.create("pods", unmountable(s, {"configMap": {"name": ABSENT}}))
    await events_about(s, "Pod", last="FailedMount")
    found = await s.answered(lambda: told_of(s, pod["metadata"]["uid"], "FailedMount"), in_words)
    s.note("state", await reported(s))
    s.note("told", in_words(found))


@scenario({"about": [["Pod", "it", "spec.containers{main}"]]})
async def events_about_a_container(s: Scene) -> None:
    """An Event of a container says by its field which one it is about."""
    async with s.watch("pods") as pods:
        pod = await s.create("pods", manifests.pod(s.image))
        await pods.until_object(lambda pod: state(pod)[0] == "terminated")
    found = await s.answered(lambda: told_of(s, pod["metadata"]["uid"], "Started"), bool)
    about = [event["involvedObject"] for event in found]
    s.note("about", [[a["kind"], a["name"], a["fieldPath"]] for a in about])
