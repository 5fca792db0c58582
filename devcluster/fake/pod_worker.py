"""The life of one pod on the node: images, init containers, containers, restarts, and its end.

Owns: the order of these steps and the pod's status. Never: schedules, or decides about Jobs.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from devcluster.fake import clock, environment, images, patches, pod_status
from devcluster.fake.container import Container, Host
from devcluster.fake.environment import ConfigError, Source
from devcluster.fake.errors import ApiError
from devcluster.fake.event_recorder import NORMAL, WARNING, EventRecorder
from devcluster.fake.images import Images
from devcluster.fake.registry import Call, Registry
from devcluster.fake.resources import JSON, POD

ACTOR = "kubelet"


@dataclass
class Timing:
    """The kubelet's delays, in seconds."""

    pull_backoff: float = 10.0
    crash_backoff: float = 10.0
    backoff_limit: float = 300.0
    config_retry: float = 5.0
    pull_time: float = 0.0
    removal: float = 0.02  # from a deleted pod's last status to its removal


@dataclass(frozen=True, slots=True)
class Node:
    """What all pods of the node share."""

    registry: Registry
    recorder: EventRecorder
    images: Images
    timing: Timing
    address: str
    unpaused: Callable[[], Awaitable[None]]
    config_changed: Callable[[float], Awaitable[None]]
    remove_containers: Callable[[str], None]


class PodWorker:
    """Runs one pod until it has ended or is deleted."""

    def __init__(self, node: Node, host: Host, pod: JSON, address: str) -> None:
        self._node = node
        self._pod = pod
        self._spec: JSON = pod["spec"]
        self._address = address
        self._deleted = asyncio.Event()
        self._grace = float(self._spec.get("terminationGracePeriodSeconds", 30))
        self._over = False
        self._sandbox = False
        self._volumes = host.scratch / "volumes"
        uid, first = (
            pod["metadata"]["uid"],
            "PodInitializing" if self._spec.get("initContainers") else "ContainerCreating",
        )
        self._init = [Container(spec, uid, host, first) for spec in self._spec.get("initContainers") or []]
        for container in self._init:
            container.ready_when_done = not pod_status.is_sidecar(container.spec)
        self._main = [Container(spec, uid, host, first) for spec in self._spec["containers"]]
        self._sidecars: list[asyncio.Task[None]] = []
        self._start_time = clock.seconds(node.registry.now())

    def see(self, pod: JSON) -> None:
        """The pod has changed in the cluster."""
        self._pod = pod
        if pod["metadata"].get("deletionTimestamp"):
            self._grace = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
            self._deleted.set()

    async def run(self) -> None:
        """From binding to the last status; then, if it was deleted, its removal."""
        life = asyncio.create_task(self._live())
        deletion = asyncio.create_task(self._deleted.wait())
        try:
            await asyncio.wait({life, deletion}, return_when=asyncio.FIRST_COMPLETED)
            if not life.done():
                await _cancel(life)
                await self._terminate([*self._main, *reversed(self._init)])
                self._give_up_waiting()
            else:
                life.result()
            await self._finish()
            await self._deleted.wait()
            await self._node.unpaused()
            self._node.remove_containers(self._pod["metadata"]["uid"])
            await asyncio.sleep(self._node.timing.removal)  # a simulated duration
            await self._node.unpaused()
            self._remove()
        finally:
            deletion.cancel()
            await _cancel(life)
            for sidecar in self._sidecars:
                await _cancel(sidecar)

    async def _live(self) -> None:
        await self._node.unpaused()
        self.post()
        await self._mount()
        self._sandbox = True
        for container in self._init:
            if not await self._initialise(container):
                return
        async with asyncio.TaskGroup() as group:
            for container in self._main:
                group.create_task(self._supervise(container, self._spec.get("restartPolicy", "Always")))

    async def _mount(self) -> None:
        """Until all volumes are there; no container starts before, and none says why."""
        while True:
            await self._node.unpaused()
            try:
                environment.fill_volumes(Source(self._node.registry.storage, self._pod), self._volumes)
            except ConfigError as error:
                self._node.recorder.record(POD, self._pod, WARNING, "FailedMount", str(error))
                await self._node.config_changed(self._node.timing.config_retry)
                continue
            return

    async def _initialise(self, container: Container) -> bool:
        """Run an init container to its end, or a sidecar to its start; says whether the pod may go on."""
        container.wait_for("PodInitializing")
        if pod_status.is_sidecar(container.spec):
            started = asyncio.Event()
            self._sidecars.append(asyncio.create_task(self._supervise(container, "Always", started)))
            await started.wait()
            return True
        policy = "Never" if self._spec.get("restartPolicy") == "Never" else "OnFailure"
        await self._supervise(container, policy)
        return bool(container.state["terminated"]["exitCode"] == 0)

    async def _supervise(
        self, container: Container, policy: str, started: asyncio.Event | None = None
    ) -> None:
        """Run a container, and again, for as long as its policy wants."""
        crashes = 0
        while True:
            await self._pull(container)
            await self._start(container)
            if started is not None:
                started.set()
            await self._until_ended(container)
            end = container.state["terminated"]
            if policy == "Never" or (policy == "OnFailure" and end["exitCode"] == 0):
                return
            crashes += 1
            if crashes > 1:
                await self._back_off(container, crashes - 1)

    async def _until_ended(self, container: Container) -> None:
        if container.process is not None:
            code = await asyncio.shield(container.process.ended)
            at = self._node.registry.now()
            await self._node.unpaused()
            container.ended(code, at)
        self.post()

    async def _back_off(self, container: Container, crashes: int) -> None:
        timing = self._node.timing
        delay = min(timing.crash_backoff * 2 ** (crashes - 1), timing.backoff_limit)
        meta = self._pod["metadata"]
        name = f"{meta['name']}_{meta['namespace']}({meta['uid']})"
        message = f"back-off {delay:g}s restarting failed container={container.name} pod={name}"
        container.wait_for("CrashLoopBackOff", message)
        self.post()
        self._say(
            container,
            WARNING,
            "BackOff",
            f"Back-off restarting failed container {container.name} in pod {name}",
        )
        await asyncio.sleep(delay)  # the backoff itself: nothing else could end it sooner

    async def _pull(self, container: Container) -> None:
        """Until the image is there."""
        image, policy = container.spec["image"], container.spec.get("imagePullPolicy", "IfNotPresent")
        delay = self._node.timing.pull_backoff
        while True:
            await self._node.unpaused()
            refusal = self._pull_once(container, image, policy)
            if refusal is None:
                if policy != "Never" and self._node.timing.pull_time:
                    await asyncio.sleep(self._node.timing.pull_time)  # a simulated duration
                return
            await self._show_pull_failure(container, refusal, delay)
            delay = min(delay * 2, self._node.timing.backoff_limit)

    def _pull_once(self, container: Container, image: str, policy: str) -> tuple[str, str] | None:
        """Try once; the reason and message of a failure."""
        known = self._node.images
        if not images.well_formed(image):
            text = f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}"'
            return ("InvalidImageName", f"{text}: invalid reference format")
        if policy == "Never" and image not in known.present:
            return (
                "ErrImageNeverPull",
                f'Container image "{image}" is not present with pull policy of Never',
            )
        if not known.must_pull(image, policy):
            self._say(container, NORMAL, "Pulled", f'Container image "{image}" already present on machine')
            return None
        self._say(container, NORMAL, "Pulling", f'Pulling image "{image}"')
        error = images.pull_error(image)
        if error:
            return ("ErrImagePull", error)
        known.present.add(image)
        took = f"{self._node.timing.pull_time * 1000:.0f}ms"
        text = (
            f'Successfully pulled image "{image}" in {took} ({took} including waiting). Image size: 1 bytes.'
        )
        self._say(container, NORMAL, "Pulled", text)
        return None

    async def _show_pull_failure(self, container: Container, refusal: tuple[str, str], delay: float) -> None:
        reason, message = refusal
        image = container.spec["image"]
        container.wait_for(reason, message)
        self.post()
        shown = {"ErrImagePull": f'Failed to pull image "{image}": {message}', "InvalidImageName": message}
        self._say(
            container,
            WARNING,
            reason if reason == "ErrImageNeverPull" else "Failed",
            shown.get(reason, message),
        )
        self._say(container, WARNING, "Failed", f"Error: {reason}")
        if reason == "ErrImagePull":
            await asyncio.sleep(0)
            container.wait_for(
                "ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: {message}'
            )
            self.post()
            self._say(container, NORMAL, "BackOff", f'Back-off pulling image "{image}"')
            self._say(container, WARNING, "Failed", "Error: ImagePullBackOff")
        await asyncio.sleep(delay)  # the backoff itself: a pull is tried again only by time

    async def _start(self, container: Container) -> None:
        """Until its configuration is there, then run it."""
        while True:
            await self._node.unpaused()
            shown = self._pod | {
                "status": self._pod.get("status", {}) | {"podIP": self._address, "hostIP": self._node.address}
            }
            try:
                container.start(Source(self._node.registry.storage, shown))
            except ConfigError as error:
                container.wait_for("CreateContainerConfigError", str(error))
                self.post()
                self._say(container, WARNING, "Failed", f"Error: {error}")
                await self._node.config_changed(self._node.timing.config_retry)
                continue
            break
        self._say(container, NORMAL, "Created", "Container created")
        if container.process is None:
            self._say(container, WARNING, "Failed", f"Error: {container.state['terminated']['message']}")
        else:
            self._say(container, NORMAL, "Started", "Container started")
            self.post()

    async def _terminate(self, containers: list[Container]) -> None:
        """SIGTERM, and SIGKILL to what is left when the grace period is over."""
        running = [container for container in containers if container.running]
        for container in running:
            self._say(container, NORMAL, "Killing", f"Stopping container {container.name}")
            container.stop()
        waits = [container.process.ended for container in running if container.process is not None]
        if waits:
            await asyncio.wait(waits, timeout=max(self._grace, 0))
        for container in running:
            container.kill()
        for container in running:
            if container.process is not None:
                code = await asyncio.shield(container.process.ended)
                container.ended(code, self._node.registry.now())

    def _give_up_waiting(self) -> None:
        """Containers that could have run by now, and did not, are told as lost."""
        statuses = [container.status() for container in self._init]
        held_up = self._main if pod_status.initialised(self._spec, statuses) else self._init[:1]
        for container in held_up:
            if "waiting" in container.state:
                container.lost()

    async def _finish(self) -> None:
        """The containers have ended, or will not start: end the sidecars, write the last status."""
        if any(container.running for container in self._init):
            self.post()
            for sidecar in self._sidecars:
                await _cancel(sidecar)
            await self._terminate([c for c in reversed(self._init) if c.running])
        await self._node.unpaused()
        self._over = True
        self.post()

    def _remove(self) -> None:
        meta = self._pod["metadata"]
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}}
        self._try(lambda call: self._node.registry.delete(call, options), "", "delete")

    def post(self) -> None:
        """Write the pod's status."""
        init, main = [c.status() for c in self._init], [c.status() for c in self._main]
        phase = pod_status.phase(self._spec, init, main)
        if self._over and phase not in ("Succeeded", "Failed"):
            phase = self._final_phase(main)
        status = self._status(phase, init, main)
        self._try(
            lambda call: self._node.registry.patch(call, patches.MERGE, {"status": status}), "status", "patch"
        )

    def _status(self, phase: str, init: list[JSON], main: list[JSON]) -> JSON:
        old = self._pod.get("status", {}).get("conditions") or []
        ready = {
            "type": "PodReadyToStartContainers",
            "status": "True" if self._sandbox and not self._over else "False",
        }
        scheduled = [item for item in old if item["type"] == "PodScheduled"]
        new = [ready, *pod_status.conditions(self._spec, init, main, phase)]
        generation = self._pod["metadata"].get("generation", 1)
        timed = pod_status.with_times(new, old, clock.seconds(self._node.registry.now()), generation)
        status: JSON = {
            "phase": phase, "conditions": [*timed, *scheduled], "hostIP": self._node.address,
            "hostIPs": [{"ip": self._node.address}], "startTime": self._start_time,
            "observedGeneration": generation, "containerStatuses": main, "resources": {},
        }  # fmt: skip
        if init:
            status["initContainerStatuses"] = init
        if self._sandbox:
            status |= {"podIP": self._address, "podIPs": [{"ip": self._address}]}
        return status

    def _final_phase(self, main: list[JSON]) -> str:
        """The phase of a pod that was ended from outside."""
        ends = [status["state"].get("terminated") for status in main]
        return "Succeeded" if all(end and end["exitCode"] == 0 for end in ends) else "Failed"

    def _try(self, write: Callable[[Call], Any], subresource: str, verb: str) -> None:
        meta = self._pod["metadata"]
        call = Call(POD, meta["namespace"], meta["name"], subresource, ACTOR, verb)
        stored = self._node.registry.storage.get(POD, call.key)
        if stored is None or stored.object["metadata"]["uid"] != meta["uid"]:
            return
        try:
            write(call)
        except ApiError:
            return  # it has gone between look and write

    def _say(self, container: Container, kind: str, reason: str, message: str) -> None:
        part = "initContainers" if container in self._init else "containers"
        path = f"spec.{part}{{{container.name}}}"
        self._node.recorder.record_container(self._pod, path, kind, reason, message)


async def _cancel(task: "asyncio.Task[Any]") -> None:
    """Cancel, and wait until it is so."""
    task.cancel()
    await asyncio.wait({task})
