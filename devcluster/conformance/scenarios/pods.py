"""Pods that run: phases, container states and conditions from start to end."""

from devcluster.conformance import manifests
from devcluster.conformance.connection import JSON
from devcluster.conformance.manifests import container_status, ended, state, terminated
from devcluster.conformance.scenario import scenario
from devcluster.conformance.scenarios.jobs import events_about
from devcluster.conformance.scene import Scene


def conditions(pod: JSON) -> JSON:
    """What each condition of a pod says, and why; but the sandbox's, which comes and goes at any moment."""
    listed = pod["status"].get("conditions") or []
    return {
        c["type"]: " ".join(filter(None, (c["status"], c.get("reason"), c.get("message"))))
        for c in listed
        if c["type"] != "PodReadyToStartContainers"
    }


def looks(objects: list[JSON], *names: str) -> JSON:
    """The pod's phases and each container's states, step by step.

    Side by side they would not be the same in each play: a kubelet tells of both when it comes to it.
    """
    told: JSON = {"phase": manifests.steps([pod["status"].get("phase") for pod in objects])}
    return told | {name: manifests.steps([state(pod, name) for pod in objects]) for name in names}


def fields_of(status: JSON) -> list[str]:
    """The fields of a container's status; but its mounts, among which is the token of the pod's account."""
    return [name for name in manifests.fields(status) if name != "volumeMounts"]


async def to_its_end(s: Scene, pod: JSON) -> list[JSON]:
    """All states of a pod up to its end."""
    async with s.watch("pods") as pods:
        await s.create("pods", pod)
        await pods.until_object(ended)
    return pods.objects


@scenario(
    {
        "looks": {
            "phase": ["Pending", "Running", "Succeeded"],
            "main": [["none"], ["waiting", "ContainerCreating"], ["running"], ["terminated", "Completed", 0]],
        },
        "state when it waits": {"waiting": ["reason"]},
        "flags when it waits": {"ready": False, "started": False, "restartCount": 0},
        "fields of the container when it waits": [
            "image",
            "imageID",
            "lastState",
            "name",
            "ready",
            "restartCount",
            "started",
            "state",
        ],
        "conditions when it waits": {
            "Initialized": "True",
            "Ready": ("False ContainersNotReady containers with unready status: [main]"),
            "ContainersReady": ("False ContainersNotReady containers with unready status: [main]"),
            "PodScheduled": "True",
        },
        "fields when it waits": [
            "conditions",
            "containerStatuses",
            "hostIP",
            "hostIPs",
            "observedGeneration",
            "phase",
            "qosClass",
            "resources",
            "startTime",
        ],
        "state when it runs": {"running": ["startedAt"]},
        "flags when it runs": {"ready": True, "started": True, "restartCount": 0},
        "fields of the container when it runs": [
            "containerID",
            "image",
            "imageID",
            "lastState",
            "name",
            "ready",
            "resources",
            "restartCount",
            "started",
            "state",
        ],
        "conditions when it runs": {
            "Initialized": "True",
            "Ready": "True",
            "ContainersReady": "True",
            "PodScheduled": "True",
        },
        "fields when it runs": [
            "conditions",
            "containerStatuses",
            "hostIP",
            "hostIPs",
            "observedGeneration",
            "phase",
            "podIP",
            "podIPs",
            "qosClass",
            "resources",
            "startTime",
        ],
        "state when it has ended": {
            "terminated": ["containerID", "exitCode", "finishedAt", "reason", "startedAt"]
        },
        "flags when it has ended": {"ready": False, "started": False, "restartCount": 0},
        "fields of the container when it has ended": [
            "containerID",
            "image",
            "imageID",
            "lastState",
            "name",
            "ready",
            "resources",
            "restartCount",
            "started",
            "state",
        ],
        "conditions when it has ended": {
            "Initialized": "True PodCompleted",
            "Ready": "False PodCompleted",
            "ContainersReady": "False PodCompleted",
            "PodScheduled": "True",
        },
        "fields when it has ended": [
            "conditions",
            "containerStatuses",
            "hostIP",
            "hostIPs",
            "observedGeneration",
            "phase",
            "podIP",
            "podIPs",
            "qosClass",
            "resources",
            "startTime",
        ],
        "order of conditions": [
            "PodReadyToStartContainers",
            "Initialized",
            "Ready",
            "ContainersReady",
            "PodScheduled",
        ],
        "times rise": True,
        "the same container": True,
        "events": ["Scheduled", "Pulled", "Created", "Started"],
    }
)
async def pod_succeeds(s: Scene) -> None:
    """Pending, running, succeeded."""
    seen = await to_its_end(s, manifests.pod(s.image, f"sleep {s.long}"))
    s.note("looks", looks(seen, "main"))
    moments = {
        "waits": manifests.first(seen, lambda pod: state(pod)[0] == "waiting"),
        "runs": manifests.first(seen, manifests.running),
        "has ended": seen[-1],
    }
    for name, pod in moments.items():
        status = container_status(pod)
        ((kind, body),) = status["state"].items()
        s.note(f"state when it {name}", {kind: manifests.fields(body)})
        s.note(f"flags when it {name}", {flag: status[flag] for flag in ("ready", "started", "restartCount")})
        s.note(f"fields of the container when it {name}", fields_of(status))
        s.note(f"conditions when it {name}", conditions(pod))
        s.note(f"fields when it {name}", manifests.fields(pod["status"]))
    last, end = seen[-1]["status"], terminated(seen[-1])
    s.note("order of conditions", [c["type"] for c in last["conditions"]])
    s.note("times rise", last["startTime"] <= end["startedAt"] <= end["finishedAt"])
    s.note("the same container", end["containerID"] == container_status(seen[-1])["containerID"])
    s.note("events", await events_about(s, "Pod", last="Started"))


@scenario(
    {
        "end": ["Failed", 3, "Error", None, None],
        "conditions": {
            "Initialized": "True",
            "Ready": "False PodFailed",
            "ContainersReady": "False PodFailed",
            "PodScheduled": "True",
        },
        "status": [None, None],
    }
)
async def pod_fails(s: Scene) -> None:
    """A container that exits with a code."""
    seen = await to_its_end(s, manifests.pod(s.image, "exit 3"))
    end = terminated(seen[-1])
    s.note(
        "end",
        [seen[-1]["status"]["phase"], end["exitCode"], end["reason"], end.get("message"), end.get("signal")],
    )
    s.note("conditions", conditions(seen[-1]))
    s.note("status", [seen[-1]["status"].get("reason"), seen[-1]["status"].get("message")])


@scenario(
    {
        "signal 9": [137, "Error", None],
        "signal 15": [143, "Error", None],
    }
)
async def exit_codes_of_signals(s: Scene) -> None:
    """A shell tells the signal that ended its child as 128 and the signal."""
    for number in (9, 15):
        async with s.watch("pods", fieldSelector=f"metadata.name=signal-{number}") as pods:
            script = f"sh -c 'kill -{number} $$$$' & wait $!"
            pod = manifests.pod(s.image, script) | {"metadata": {"name": f"signal-{number}"}}
            await s.create("pods", pod)
            end = terminated(await pods.until_object(ended))
            s.note(f"signal {number}", [end["exitCode"], end["reason"], end.get("signal")])


@scenario(
    {
        "end": ["Failed", 137, "OOMKilled"],
    }
)
async def out_of_memory(s: Scene) -> None:
    """Who needs more memory than it may is killed."""
    limited = manifests.container(s.image, "exec tail /dev/zero", resources={"limits": {"memory": "24Mi"}})
    seen = await to_its_end(s, manifests.pod(s.image, containers=[limited]))
    end = terminated(seen[-1])
    s.note("end", [seen[-1]["status"]["phase"], end["exitCode"], end["reason"]])


@scenario(
    {
        "end": ["Succeeded", 0, "OOMKilled"],
    }
)
async def child_out_of_memory(s: Scene) -> None:
    """A child that is killed for its memory is told as the container's, whatever its exit code."""
    limited = manifests.container(s.image, "tail /dev/zero; exit 0", resources={"limits": {"memory": "24Mi"}})
    seen = await to_its_end(s, manifests.pod(s.image, containers=[limited]))
    end = terminated(seen[-1])
    s.note("end", [seen[-1]["status"]["phase"], end["exitCode"], end["reason"]])


@scenario(
    {
        "file": "words\n",
        "log": "one\ntwo\n",
        "success": None,
        "none": None,
    }
)
async def termination_messages(s: Scene) -> None:
    """A container's last words: from its file, else from its log if that was asked for."""
    policy = "FallbackToLogsOnError"
    scripts = {
        "file": manifests.container(s.image, "echo words > /dev/termination-log; exit 3", name="file"),
        "log": manifests.container(
            s.image, "echo one; echo two; exit 3", name="log", terminationMessagePolicy=policy
        ),
        "success": manifests.container(s.image, "echo one", name="success", terminationMessagePolicy=policy),
        "none": manifests.container(s.image, "echo one; exit 3", name="none"),
    }
    seen = await to_its_end(s, manifests.pod(s.image, containers=list(scripts.values())))
    for name in scripts:
        s.note(name, terminated(seen[-1], name).get("message"))
