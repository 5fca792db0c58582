"""One container of a pod: its state, and the process behind it.

Owns: the container's status and its steps from waiting to terminated. Never: decides when to (re)start.
"""

import errno
import hashlib
import os
import signal
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from devcluster.fake import clock, environment
from devcluster.fake.environment import Source
from devcluster.fake.log_storage import ContainerLog, LogStorage
from devcluster.fake.processes import Command, Process, Processes
from devcluster.fake.resources import JSON
from devcluster.fake.scheduler import quantity

MESSAGE_LIMIT = 4096
LOG_MESSAGE_LIMIT = 2048
EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Host:
    """What a container needs of its node."""

    processes: Processes
    logs: LogStorage
    scratch: Path  # of the pod
    now: Callable[[], datetime]


@dataclass
class Container:
    """A container of a pod, as its status says, and as a process if it runs."""

    spec: JSON
    uid: str  # of the pod
    host: Host
    waiting: str = "ContainerCreating"
    state: JSON = field(default_factory=dict)
    last_state: JSON = field(default_factory=dict)
    restarts: int = 0
    attempts: int = 0
    started: bool = False
    container_id: str = ""
    image_id: str = ""
    process: Process | None = None
    ready_when_done: bool = False  # an init container that is no sidecar

    def __post_init__(self) -> None:
        self.state = {"waiting": {"reason": self.waiting}}

    @property
    def name(self) -> str:
        """The container's name."""
        return str(self.spec["name"])

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return "running" in self.state

    @property
    def scratch(self) -> Path:
        """Its own folder."""
        return self.host.scratch / "containers" / self.name

    @property
    def _ready(self) -> bool:
        if self.ready_when_done:
            return bool(self.state.get("terminated", {}).get("exitCode") == 0)
        return self.running

    def status(self) -> JSON:
        """The status as the API shows it."""
        body: JSON = {
            "name": self.name, "state": self.state, "lastState": self.last_state, "ready": self._ready,
            "restartCount": self.restarts, "image": self.spec["image"], "imageID": self.image_id,
            "started": self.started,
        }  # fmt: skip
        if self.container_id:
            body |= {"containerID": self.container_id, "resources": self.spec.get("resources") or {}}
        return body

    def wait_for(self, reason: str, message: str = "") -> None:
        """It does not run, and why."""
        if "terminated" in self.state:
            self.last_state = self.state
        self.state = {"waiting": {"reason": reason} | ({"message": message} if message else {})}
        self.started = False

    def lost(self) -> None:
        """Its pod was ended before it ran: the kubelet has nothing to say of it, and says that."""
        message = "The container could not be located when the pod was terminated"
        end = {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": message}
        self.state = {"terminated": end | {"startedAt": None, "finishedAt": None}}
        self.started = False

    def start(self, source: Source) -> None:
        """Run it; a command that cannot be run ends at once as StartError. Raises ConfigError."""
        command = self._command(source)
        if self.attempts:
            self.restarts += 1
        self.attempts += 1
        if "terminated" in self.state:
            self.last_state = self.state
        self.container_id = f"containerd://{uuid.uuid4().hex}{uuid.uuid4().hex}"
        self.image_id = f"{self.spec['image'].partition('@')[0]}@sha256:{_digest(self.spec['image'])}"
        log = self.host.logs.log((self.uid, self.name, self.restarts))
        try:
            self.process = self.host.processes.start(command, log.write)
        except OSError as error:
            log.close()
            self._failed_to_start(_why(error, command.argv))
            return
        self.state = {"running": {"startedAt": clock.seconds(self.host.now())}}
        self.started = True

    def _command(self, source: Source) -> Command:
        self.scratch.mkdir(parents=True, exist_ok=True)
        mounted = environment.mounts(source, self.spec, self.scratch, self.host.scratch / "volumes")
        local = environment.localise(mounted)
        declared = environment.variables(source, self.spec)
        command = self.spec.get("command") or []
        argv = (
            [*command, *(self.spec.get("args") or [])] if command else []
        )  # the image's own is not known here
        base = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.scratch),
            "HOSTNAME": source.pod["metadata"]["name"],
        }
        values = {name: local(value) for name, value in declared.items()}
        limit = ((self.spec.get("resources") or {}).get("limits") or {}).get("memory")
        expanded = [local(environment.expand(part, declared)) for part in argv]
        bytes_allowed = int(quantity(limit)) if limit is not None else None
        return Command(expanded, base | values, self._folder(mounted), bytes_allowed)

    def _folder(self, mounted: dict[str, Path]) -> Path:
        asked = self.spec.get("workingDir") or ""
        folder = mounted.get(asked.rstrip("/")) or self.scratch / asked.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _failed_to_start(self, why: str) -> None:
        command = (self.spec.get("command") or [""])[0]
        message = (
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc "
            f'create failed: unable to start container process: exec: "{command}": {why}: unknown'
        )
        self.process = None
        self.state = {"terminated": self._end("StartError", 128, EPOCH, message)}
        self.started = False

    def ended(self, code: int, at: datetime) -> None:
        """Its process has ended, at a time that may have passed before it is told."""
        since = self.state["running"]["startedAt"]
        out_of_memory = self.process is not None and self.process.out_of_memory
        reason = "OOMKilled" if out_of_memory else "Completed" if code == 0 else "Error"
        log = self.host.logs.log((self.uid, self.name, self.restarts))
        log.close()
        end = self._end(reason, code, since, self._message(code, log))
        self.state = {"terminated": end | {"finishedAt": clock.seconds(at)}}
        self.started = False
        self.process = None

    def _end(self, reason: str, code: int, since: str, message: str) -> JSON:
        end: JSON = {
            "exitCode": code,
            "reason": reason,
            "startedAt": since,
            "finishedAt": clock.seconds(self.host.now()),
            "containerID": self.container_id,
        }
        return end | ({"message": message} if message else {})

    def _message(self, code: int, log: ContainerLog) -> str:
        written = self.scratch / "termination-log"
        if written.is_file() and written.stat().st_size:
            return written.read_bytes()[:MESSAGE_LIMIT].decode(errors="replace")
        if code != 0 and self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            return log.tail(LOG_MESSAGE_LIMIT).decode(errors="replace")
        return ""

    def stop(self) -> None:
        """Ask its process to end."""
        if self.process is not None:
            self.process.signal(signal.SIGTERM)

    def kill(self) -> None:
        """End its process."""
        if self.process is not None:
            self.process.signal(signal.SIGKILL)


def _why(error: OSError, argv: Sequence[str]) -> str:
    """The runtime's words for a program that cannot be run."""
    if error.errno == errno.ENOENT and "/" in argv[0]:
        return f"stat {argv[0]}: no such file or directory"
    if error.errno == errno.ENOENT:
        return "executable file not found in $PATH"
    return error.strerror.lower() if error.strerror else str(error)


def _digest(image: str) -> str:
    return hashlib.sha256(image.encode()).hexdigest()
