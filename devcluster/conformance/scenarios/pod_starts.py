"""Pods that do not start: what holds them up, and in which words it is told."""

from devcluster.conformance import manifests
from devcluster.conformance.connection import JSON
from devcluster.conformance.manifests import NAME, container_status, ended, state, terminated
from devcluster.conformance.scenario import scenario
from devcluster.conformance.scenarios.jobs import events_about
from devcluster.conformance.scenarios.pods import conditions, looks
from devcluster.conformance.scene import Scene

UNREACHABLE = "127.0.0.1:1/none:1"


def waits_for(reason: str, name: str = "main") -> object:
    """A test of a pod: does the container wait for this reason?"""
    return lambda pod: state(pod, name)[:2] == ["waiting", reason]


def waiting(pod: JSON, name: str = "main") -> list[object]:
    """The reason and the words of a container that waits."""
    found = container_status(pod, name)["state"]["waiting"]
    return [found["reason"], found.get("message")]


def why(end: JSON) -> str:
    """What the runtime says at last; before that come its own layers, which differ with their versions."""
    head, word, tail = str(end["message"]).partition('exec: "')
    return (word + tail).removesuffix(": unknown") if word else head


@scenario(
    {
        "waiting": [
            "ErrImageNeverPull",
            'Container image "localhost/none:1" is not present with pull policy of Never',
        ],
        "phase": [
            "Pending",
            {
                "Initialized": "True",
                "Ready": "False ContainersNotReady containers with unready status: [main]",
                "ContainersReady": ("False ContainersNotReady containers with unready status: [main]"),
                "PodScheduled": "True",
            },
        ],
        "status": ["localhost/none:1", "", False, False, 0],
        "log": '400 BadRequest: container "main" in pod "it" is waiting to start: ErrImageNeverPull',
        "events": ["Scheduled", "ErrImageNeverPull", "Failed"],
        "message of the event": ["Error: ErrImageNeverPull"],
    }
)
async def image_that_is_never_pulled(s: Scene) -> None:
    """The node does not have it, and may not fetch it."""
    body = manifests.container("localhost/none:1", imagePullPolicy="Never")
    async with s.watch("pods") as pods:
        await s.create("pods", manifests.pod(s.image, containers=[body]))
        pod = await pods.until_object(lambda pod: state(pod)[:2] == ["waiting", "ErrImageNeverPull"])
    s.note("waiting", waiting(pod))
    s.note("phase", [pod["status"]["phase"], conditions(pod)])
    s.note(
        "status",
        [container_status(pod)[name] for name in ("image", "imageID", "ready", "started", "restartCount")],
    )
    s.refused("log", await s.log(NAME))
    s.note("events", await events_about(s, "Pod", last="Failed"))
    told = [e["message"] for e in (await s.get("events", fieldSelector="reason=Failed")).object["items"]]
    s.note("message of the event", sorted(set(told)))


@scenario(
    {
        "error": [
            "ErrImagePull",
            (
                'failed to pull and unpack image "127.0.0.1:1/none:1": failed to '
                'resolve reference "127.0.0.1:1/none:1": failed to do request: Head '
                '"http://127.0.0.1:1/v2/none/manifests/1": dial tcp 127.0.0.1:1: '
                "connect: connection refused"
            ),
        ],
        "back-off": [
            "ImagePullBackOff",
            (
                'Back-off pulling image "127.0.0.1:1/none:1": ErrImagePull: failed '
                'to pull and unpack image "127.0.0.1:1/none:1": failed to resolve '
                'reference "127.0.0.1:1/none:1": failed to do request: Head '
                '"http://127.0.0.1:1/v2/none/manifests/1": dial tcp 127.0.0.1:1: '
                "connect: connection refused"
            ),
        ],
        "phase": "Pending",
        "log": [400, "BadRequest", 'container "main" in pod "it" is waiting to start'],
        "events": ["Scheduled", "Pulling", "Failed", "BackOff"],
        "messages of the events": [
            "Error: ErrImagePull",
            "Error: ImagePullBackOff",
            (
                'Failed to pull image "127.0.0.1:1/none:1": failed to '
                'pull and unpack image "127.0.0.1:1/none:1": failed to '
                'resolve reference "127.0.0.1:1/none:1": failed to do '
                "request: Head "
                '"http://127.0.0.1:1/v2/none/manifests/1": dial tcp '
                "127.0.0.1:1: connect: connection refused"
            ),
        ],
    }
)
async def image_that_cannot_be_pulled(s: Scene) -> None:
    """The registry does not answer: an error, then a back-off."""
    async with s.watch("pods") as pods:
        await s.create("pods", manifests.pod(UNREACHABLE))
        first = await pods.until_object(lambda pod: state(pod)[:2] == ["waiting", "ErrImagePull"])
        then = await pods.until_object(lambda pod: state(pod)[:2] == ["waiting", "ImagePullBackOff"])
    s.note("error", waiting(first))
    s.note("back-off", waiting(then))
    s.note("phase", then["status"]["phase"])
    reply = await s.log(NAME)
    s.note("log", [reply.status, reply.object["reason"], reply.object["message"].partition(": ")[0]])
    s.note("events", await events_about(s, "Pod", last="BackOff"))
    told = [e["message"] for e in (await s.get("events", fieldSelector="reason=Failed")).object["items"]]
    s.note("messages of the events", sorted(set(told)))


@scenario(
    {
        "waiting": [
            "InvalidImageName",
            (
                'Failed to apply default image tag "NO//NAME": couldn\'t parse image '
                'name "NO//NAME": invalid reference format'
            ),
        ],
        "log": '400 BadRequest: container "main" in pod "it" is waiting to start: InvalidImageName',
    }
)
async def image_of_no_name(s: Scene) -> None:
    """A reference that nobody can read."""
    async with s.watch("pods") as pods:
        await s.create("pods", manifests.pod("NO//NAME"))
        pod = await pods.until_object(lambda pod: state(pod)[:2] == ["waiting", "InvalidImageName"])
    reason, message = waiting(pod)
    head, word, _ = str(message).partition("invalid reference format")
    s.note("waiting", [reason, head + word])
    s.refused("log", await s.log(NAME))


@scenario(
    {
        "end": [
            "Failed",
            "StartError",
            128,
            ["containerID", "exitCode", "finishedAt", "message", "reason", "startedAt"],
        ],
        "started at": True,
        "message": 'exec: "no-such-command": executable file not found in $PATH',
        "looks": {
            "phase": ["Pending", "Failed"],
            "main": [["none"], ["waiting", "ContainerCreating"], ["terminated", "StartError", 128]],
        },
        "events": ["Scheduled", "Pulled", "Created", "Failed"],
        "log": [200, ""],
    }
)
async def command_that_is_not_there(s: Scene) -> None:
    """The container ends without having run."""
    body = manifests.container(s.image, command=["no-such-command"])
    async with s.watch("pods") as pods:
        await s.create("pods", manifests.pod(s.image, containers=[body]))
        pod = await pods.until_object(ended)
    end = terminated(pod)
    s.note("end", [pod["status"]["phase"], end["reason"], end["exitCode"], manifests.fields(end)])
    s.note("started at", end["startedAt"] == "1970-01-01T00:00:00Z")
    s.note("message", why(end))
    s.note("looks", looks(pods.objects, "main"))
    s.note("events", await events_about(s, "Pod", last="Failed"))
    reply = await s.log(NAME)
    s.note("log", [reply.status, reply.body])


@scenario(
    {
        "absent": [
            "StartError",
            128,
            'exec: "/no/such/command": stat /no/such/command: no such file or directory',
        ],
        "folder": ["StartError", 128, 'exec: "/proc": permission denied'],
    }
)
async def command_that_is_no_program(s: Scene) -> None:
    """The same with a path, and with a file that cannot be run."""
    for name, command in (("absent", "/no/such/command"), ("folder", "/proc")):
        body = manifests.container(s.image, command=[command])
        async with s.watch("pods", fieldSelector=f"metadata.name={name}") as pods:
            pod = manifests.pod(s.image, containers=[body]) | {"metadata": {"name": name}}
            await s.create("pods", pod)
            end = terminated(await pods.until_object(ended))
            s.note(name, [end["reason"], end["exitCode"], why(end)])


@scenario(
    {
        "waiting": ["CreateContainerConfigError", 'secret "absent" not found'],
        "log": (
            '400 BadRequest: container "main" in pod "it" is waiting to start: CreateContainerConfigError'
        ),
        "without the key": ["CreateContainerConfigError", "couldn't find key a in Secret {namespace}/absent"],
        "then": ["Succeeded", 0],
    }
)
async def absent_configuration(s: Scene) -> None:
    """A Secret that is not there holds the container up until it is."""
    source = {"secretKeyRef": {"name": "absent", "key": "a"}}
    body = manifests.container(s.image, 'test "$A" = b', env=[{"name": "A", "valueFrom": source}])
    async with s.watch("pods") as pods:
        await s.create("pods", manifests.pod(s.image, containers=[body]))
        pod = await pods.until_object(lambda pod: state(pod)[:2] == ["waiting", "CreateContainerConfigError"])
        s.note("waiting", waiting(pod))
        s.refused("log", await s.log(NAME))
        await s.create("secrets", manifests.plain("Secret", "absent", stringData={"other": "b"}))
        pod = await pods.until_object(
            lambda pod: state(pod)[0] == "waiting" and "key" in str(waiting(pod)[1])
        )
        s.note("without the key", waiting(pod))
        await s.change("secrets", "absent", {"stringData": {"a": "b"}})
        pod = await pods.until_object(ended)
        s.note("then", [pod["status"]["phase"], container_status(pod)["restartCount"]])


@scenario(
    {
        "waiting": [
            "Pending",
            ["ContainerCreating", None],
            {
                "Initialized": "True",
                "Ready": "False ContainersNotReady containers with unready status: [main]",
                "ContainersReady": ("False ContainersNotReady containers with unready status: [main]"),
                "PodScheduled": "True",
            },
        ],
        "log": '400 BadRequest: container "main" in pod "it" is waiting to start: ContainerCreating',
        "then": "Succeeded",
    }
)
async def absent_volume(s: Scene) -> None:
    """A Secret that is mounted and not there: the container waits without a word of why."""
    volume = {"name": "v", "secret": {"secretName": "absent"}}
    body = manifests.container(s.image, volumeMounts=[{"name": "v", "mountPath": "/v"}])
    async with s.watch("pods") as pods:
        await s.create("pods", manifests.pod(s.image, containers=[body], volumes=[volume]))
        pod = await pods.until_object(lambda pod: state(pod)[0] == "waiting")
        s.note("waiting", [pod["status"]["phase"], waiting(pod), conditions(pod)])
        s.refused("log", await s.log(NAME))
        await s.create("secrets", manifests.plain("Secret", "absent", stringData={"a": "b"}))
        pod = await pods.until_object(ended)
        s.note("then", pod["status"]["phase"])


@scenario(
    {
        "condition": [
            "False",
            "Unschedulable",
            (
                "0/1 nodes are available: 1 node(s) didn't match Pod's node "
                "affinity/selector. no new claims to deallocate, preemption: 0/1 "
                "nodes are available: 1 Preemption is not helpful for scheduling."
            ),
        ],
        "status": [["conditions", "phase", "qosClass"], None],
        "log": "204 ''",
        "follow": [204, ""],
        "events": ["FailedScheduling"],
        "delete": [200, "Pod", 404],
    }
)
async def pod_that_fits_nowhere(s: Scene) -> None:
    """No node has the label that is asked for."""
    async with s.watch("pods") as pods:
        await s.create("pods", manifests.pod(s.image, nodeSelector={"no": "node"}))
        pod = await pods.until_object(lambda pod: pod["status"].get("conditions"))
    told = manifests.condition(pod, "PodScheduled")
    s.note("condition", [told["status"], told["reason"], told["message"]])
    s.note("status", [manifests.fields(pod["status"]), pod["spec"].get("nodeName")])
    s.refused("log", await s.log(NAME))
    follow = await s.log(NAME, follow="true")
    s.note("follow", [follow.status, follow.body])
    s.note("events", await events_about(s, "Pod", last="FailedScheduling"))
    reply = await s.delete("pods", NAME)
    s.note("delete", [reply.status, reply.object["kind"], (await s.get("pods", NAME)).status])


@scenario(
    {
        "condition": [
            "False",
            "Unschedulable",
            (
                "0/1 nodes are available: 1 Insufficient memory. no new claims to "
                "deallocate, preemption: 0/1 nodes are available: 1 Preemption is "
                "not helpful for scheduling."
            ),
        ],
    }
)
async def pod_that_asks_too_much(s: Scene) -> None:
    """No node has as much as is asked for."""
    body = manifests.container(s.image, resources={"requests": {"memory": "900Ti"}})
    async with s.watch("pods") as pods:
        await s.create("pods", manifests.pod(s.image, containers=[body]))
        pod = await pods.until_object(lambda pod: pod["status"].get("conditions"))
    told = manifests.condition(pod, "PodScheduled")
    s.note("condition", [told["status"], told["reason"], told["message"]])
