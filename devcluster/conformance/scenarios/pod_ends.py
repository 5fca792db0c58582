"""Pods that others end: grace periods, signals, the last states that a watcher sees."""

from devcluster.conformance import manifests
from devcluster.conformance.connection import JSON, Reply
from devcluster.conformance.manifests import NAME, ended, running, state, terminated, version
from devcluster.conformance.scenario import scenario
from devcluster.conformance.scenarios.job_ends import DEAF, GENTLE
from devcluster.conformance.scenarios.jobs import events_about
from devcluster.conformance.scene import Scene
from devcluster.conformance.watching import Watching

GONE = ("unable to retrieve container logs for containerd://", 'failed to try resolving symlinks in path "')


def shown(pods: Watching) -> list[list[object]]:
    """Event types with phase, state and whether it is being deleted, step by step, from the deletion on."""
    told = [
        [event["type"], pod["status"].get("phase"), state(pod)]
        for event in pods.seen
        if "deletionTimestamp" in (pod := event["object"])["metadata"]
    ]
    return manifests.steps(told)


def gone(reply: Reply) -> str:
    """Which of its words for a lost log the kubelet uses: that depends on what it had removed by then."""
    return "a known word" if reply.body.startswith(GONE) else str(reply.body)


async def deleted(s: Scene, pod: JSON, **options: object) -> Watching:
    """A pod that runs, is deleted, and goes."""
    async with s.watch("pods") as pods:
        await s.create("pods", pod)
        await pods.until_object(running)
        reply = await s.delete("pods", NAME, **options)
        meta = reply.object["metadata"]
        s.note(
            "answer",
            [
                reply.status,
                reply.object["kind"],
                meta.get("deletionGracePeriodSeconds"),
                "deletionTimestamp" in meta,
            ],
        )
        await pods.until_gone()
    return pods


@scenario(
    {
        "answer": [200, "Pod", 2, True],
        "events": [
            ["MODIFIED", "Running", ["running"]],
            ["MODIFIED", "Failed", ["terminated", "Error", 7]],
            ["DELETED", "Failed", ["terminated", "Error", 7]],
        ],
        "last state": ["Failed", 7, "Error", 0],
        "versions rise": True,
        "get": 404,
        "events about it": ["Scheduled", "Pulled", "Created", "Started", "Killing"],
    }
)
async def pod_is_deleted_gracefully(s: Scene) -> None:
    """It is asked to end, and does; its last state says how."""
    pods = await deleted(s, manifests.pod(s.image, GENTLE))
    s.note("events", shown(pods))
    last = pods.seen[-1]["object"]
    s.note(
        "last state",
        [
            last["status"]["phase"],
            terminated(last)["exitCode"],
            terminated(last)["reason"],
            last["metadata"]["deletionGracePeriodSeconds"],
        ],
    )
    s.note("versions rise", version(pods.objects[-1]) > version(pods.objects[-2]))
    s.note("get", (await s.get("pods", NAME)).status)
    s.note("events about it", await events_about(s, "Pod", last="Killing"))


@scenario(
    {
        "answer": [200, "Pod", 2, True],
        "last state": ["Succeeded", ["terminated", "Completed", 0]],
    }
)
async def pod_ends_well_when_asked(s: Scene) -> None:
    """Exit code 0 after the signal is a success."""
    pods = await deleted(s, manifests.pod(s.image, "trap 'exit 0' TERM; sleep 60 & wait"))
    last = pods.seen[-1]["object"]
    s.note("last state", [last["status"]["phase"], state(last)])


@scenario(
    {
        "answer": [200, "Pod", 1, True],
        "last state": ["Failed", ["terminated", "Error", 137]],
    }
)
async def pod_does_not_listen(s: Scene) -> None:
    """Who ignores the signal is killed when the grace period is over."""
    pods = await deleted(s, manifests.pod(s.image, DEAF, terminationGracePeriodSeconds=1))
    last = pods.seen[-1]["object"]
    s.note("last state", [last["status"]["phase"], state(last)])


@scenario(
    {
        "answer": [200, "Pod", 1, True],
        "last state": ["Failed", ["terminated", "Error", 137]],
    }
)
async def pod_without_a_handler(s: Scene) -> None:
    """The first process of a container does not die of a signal that it does not handle."""
    pods = await deleted(s, manifests.pod(s.image, "exec sleep 60", terminationGracePeriodSeconds=1))
    last = pods.seen[-1]["object"]
    s.note("last state", [last["status"]["phase"], state(last)])


@scenario(
    {
        "answer": [200, "Pod", 0, True],
        "events": [["MODIFIED", "Running", ["running"]], ["DELETED", "Running", ["running"]]],
    }
)
async def pod_is_deleted_at_once(s: Scene) -> None:
    """Without a grace period the object goes first."""
    pods = await deleted(s, manifests.pod(s.image, GENTLE), gracePeriodSeconds=0)
    s.note("events", shown(pods))


@scenario(
    {
        "answer": [200, "Pod", 0, True],
        "events": [
            ["MODIFIED", "Succeeded", ["terminated", "Completed", 0]],
            ["DELETED", "Succeeded", ["terminated", "Completed", 0]],
        ],
    }
)
async def ended_pod_is_deleted(s: Scene) -> None:
    """It goes without any grace."""
    async with s.watch("pods") as pods:
        await s.create("pods", manifests.pod(s.image))
        await pods.until_object(ended)
        reply = await s.delete("pods", NAME)
        s.note(
            "answer",
            [
                reply.status,
                reply.object["kind"],
                reply.object["metadata"].get("deletionGracePeriodSeconds"),
                "deletionTimestamp" in reply.object["metadata"],
            ],
        )
        await pods.until_gone()
    s.note("events", shown(pods))


@scenario(
    {
        "last state": [
            "Failed",
            ["terminated", "ContainerStatusUnknown", 137],
            {
                "exitCode": 137,
                "reason": "ContainerStatusUnknown",
                "message": ("The container could not be located when the pod was terminated"),
                "startedAt": None,
                "finishedAt": None,
            },
        ],
    }
)
async def pod_is_deleted_before_it_runs(s: Scene) -> None:
    """A pod whose image is not there is deleted."""
    body = manifests.container("localhost/none:1", imagePullPolicy="Never")
    async with s.watch("pods") as pods:
        await s.create("pods", manifests.pod(s.image, containers=[body]))
        await pods.until_object(lambda pod: state(pod)[:2] == ["waiting", "ErrImageNeverPull"])
        await s.delete("pods", NAME)
        last = await pods.until_gone()
    s.note("last state", [last["status"]["phase"], state(last), terminated(last)])


@scenario(
    {
        "ended": ["Failed", ["terminated", "Error", 7], 2],
        "log when the container is gone": [200, "text/plain", "a known word"],
        "follow when the container is gone": [200, "a known word"],
        "status when the container is gone": ["Failed", ["terminated", "Error", 7]],
        "log when the pod is gone": '404 NotFound: pods "it" not found',
    }
)
async def pod_is_held_by_a_finalizer(s: Scene) -> None:
    """It stays, ended, until that is gone; what its log says then is the kubelet's word."""
    body = manifests.pod(s.image, "echo words; " + GENTLE) | {
        "metadata": {"name": NAME, "finalizers": ["example.com/hold"]}
    }
    async with s.watch("pods") as pods:
        await s.create("pods", body)
        await pods.until_object(running)
        await s.answered(lambda: s.log(NAME), lambda reply: "words" in str(reply.body))
        await s.delete("pods", NAME)
        last = await pods.until_object(ended)
        s.note(
            "ended", [last["status"]["phase"], state(last), last["metadata"]["deletionGracePeriodSeconds"]]
        )
        reply = await s.answered(
            lambda: s.log(NAME, timestamps="true"), lambda reply: "words" not in str(reply.body)
        )
        s.note(
            "log when the container is gone", [reply.status, reply.headers.get("Content-Type"), gone(reply)]
        )
        follow = await s.log(NAME, follow="true")
        s.note("follow when the container is gone", [follow.status, gone(follow)])
        now = await s.read("pods", NAME)
        s.note("status when the container is gone", [now["status"]["phase"], state(now)])
        await s.change("pods", NAME, {"metadata": {"finalizers": None}})
        await pods.until_gone()
    s.refused("log when the pod is gone", await s.log(NAME))
