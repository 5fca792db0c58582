"""Pods of several containers: side by side, before each other, beside each other, again and again."""

from devcluster.conformance import manifests
from devcluster.conformance.manifests import NAME, container_status, ended, state, terminated
from devcluster.conformance.scenario import scenario
from devcluster.conformance.scenarios.pods import conditions, looks, to_its_end
from devcluster.conformance.scene import Scene


@scenario(
    {
        "half": [
            "Running",
            {
                "Initialized": "True",
                "Ready": "False ContainersNotReady containers with unready status: [main]",
                "ContainersReady": ("False ContainersNotReady containers with unready status: [main]"),
                "PodScheduled": "True",
            },
        ],
        "end": ["Failed", ["terminated", "Error", 3], ["terminated", "Completed", 0]],
        "order of the statuses": ["main", "other"],
    }
)
async def two_containers(s: Scene) -> None:
    """A pod runs as long as one of its containers does; one failure makes it failed."""
    both = [
        manifests.container(s.image, "exit 3"),
        manifests.container(s.image, f"sleep {s.long}", name="other"),
    ]
    async with s.watch("pods") as pods:
        await s.create("pods", manifests.pod(s.image, containers=both))
        half = await pods.until_object(
            lambda pod: terminated(pod) and "running" in container_status(pod, "other")["state"]
        )
        last = await pods.until_object(ended)
    s.note("half", [half["status"]["phase"], conditions(half)])
    s.note("end", [last["status"]["phase"], state(last), state(last, "other")])
    s.note("order of the statuses", [status["name"] for status in last["status"]["containerStatuses"]])


@scenario(
    {
        "looks": {
            "phase": ["Pending", "Running", "Succeeded"],
            "first": [["none"], ["waiting", "PodInitializing"], ["running"], ["terminated", "Completed", 0]],
            "second": [["none"], ["waiting", "PodInitializing"], ["running"], ["terminated", "Completed", 0]],
            "main": [["none"], ["waiting", "PodInitializing"], ["running"], ["terminated", "Completed", 0]],
        },
        "while the first runs": {
            "Initialized": (
                "False ContainersNotInitialized containers with incomplete status: [first second]"
            ),
            "Ready": ("False ContainersNotReady containers with unready status: [main]"),
            "ContainersReady": ("False ContainersNotReady containers with unready status: [main]"),
            "PodScheduled": "True",
        },
        "when the second runs": [["terminated", "Completed", 0], [True, False, False], [False, True, False]],
    }
)
async def init_containers(s: Scene) -> None:
    """One after the other, then the container."""
    init = [manifests.container(s.image, f"sleep {s.long}", name=name) for name in ("first", "second")]
    seen = await to_its_end(s, manifests.pod(s.image, f"sleep {s.long}", initContainers=init))
    s.note("looks", looks(seen, "first", "second", "main"))
    waits = manifests.first(seen, lambda pod: state(pod, "first")[0] == "running")
    s.note("while the first runs", conditions(waits))
    second = manifests.first(seen, lambda pod: state(pod, "second")[0] == "running")
    s.note(
        "when the second runs",
        [
            state(second, "first"),
            [container_status(second, name).get("ready") for name in ("first", "second", "main")],
            [container_status(second, name).get("started") for name in ("first", "second", "main")],
        ],
    )


@scenario(
    {
        "looks": {
            "phase": ["Pending", "Failed"],
            "first": [["none"], ["waiting", "PodInitializing"], ["running"], ["terminated", "Error", 3]],
            "main": [["none"], ["waiting", "PodInitializing"]],
        },
        "conditions": {
            "Initialized": ("False ContainersNotInitialized containers with incomplete status: [first]"),
            "Ready": "False PodFailed",
            "ContainersReady": "False PodFailed",
            "PodScheduled": "True",
        },
    }
)
async def init_container_fails(s: Scene) -> None:
    """The pod has failed, and its container waits for ever."""
    init = [manifests.container(s.image, f"sleep {s.long}; exit 3", name="first")]
    seen = await to_its_end(s, manifests.pod(s.image, initContainers=init))
    s.note("looks", looks(seen, "first", "main"))
    s.note("conditions", conditions(seen[-1]))


@scenario(
    {
        "looks": {
            "phase": ["Pending", "Running", "Succeeded"],
            "side": [["none"], ["waiting", "PodInitializing"], ["running"], ["terminated", "Error", 7]],
            "main": [["none"], ["waiting", "PodInitializing"], ["running"], ["terminated", "Completed", 0]],
        },
        "end": ["Succeeded", ["terminated", "Error", 7], ["terminated", "Completed", 0]],
        "conditions": {
            "Initialized": "True PodCompleted",
            "Ready": "False PodCompleted",
            "ContainersReady": "False PodCompleted",
            "PodScheduled": "True",
        },
        "while it runs": [
            True,
            True,
            {"Initialized": "True", "Ready": "True", "ContainersReady": "True", "PodScheduled": "True"},
        ],
    }
)
async def sidecars(s: Scene) -> None:
    """A sidecar starts before the container and is ended after it; its end does not count."""
    side = manifests.container(
        s.image, "trap 'exit 7' TERM; sleep 60 & wait", name="side", restartPolicy="Always"
    )
    seen = await to_its_end(s, manifests.pod(s.image, f"sleep {s.long}", initContainers=[side]))
    s.note("looks", looks(seen, "side", "main"))
    s.note("end", [seen[-1]["status"]["phase"], state(seen[-1], "side"), state(seen[-1])])
    s.note("conditions", conditions(seen[-1]))
    runs = manifests.first(seen, manifests.running)
    s.note(
        "while it runs",
        [
            container_status(runs, "side").get("started"),
            container_status(runs, "side").get("ready"),
            conditions(runs),
        ],
    )


@scenario(
    {
        "message": "back-off {time} restarting failed container=main pod=it_{namespace}({uid})",
        "phase": "Running",
        "status": [True, False, False, 3],
        "states": [
            "('none',)",
            "('running',)",
            "('terminated', 'Error', 3)",
            "('waiting', 'ContainerCreating')",
            "('waiting', 'CrashLoopBackOff')",
        ],
        "previous log": [200, "once\n"],
        "log": "once\n",
    }
)
async def restarts(s: Scene) -> None:
    """A container that fails is started again at once, then after a while."""
    async with s.watch("pods") as pods:
        await s.create(
            "pods", manifests.pod(s.image, f"echo once; sleep {s.long}; exit 3", restartPolicy="OnFailure")
        )
        waits = await pods.until_object(lambda pod: state(pod)[:2] == ["waiting", "CrashLoopBackOff"])
    status = container_status(waits)
    message = status["state"]["waiting"]["message"]
    s.note("message", message.replace(message.split()[1], "{time}", 1))
    s.note("phase", waits["status"]["phase"])
    ended_before = status["lastState"]["terminated"]
    s.note(
        "status", [status["restartCount"] > 0, status["ready"], status["started"], ended_before["exitCode"]]
    )
    s.note("states", sorted(map(str, {tuple(state(pod)) for pod in pods.objects})))
    previous = await s.answered(lambda: s.log(NAME, previous="true"), lambda reply: reply.body == "once\n")
    s.note("previous log", [previous.status, previous.body])
    # On a busy machine the next start may have begun by now, and not have said anything yet.
    newest = await s.answered(lambda: s.log(NAME), lambda reply: reply.body == "once\n")
    s.note("log", newest.body)
