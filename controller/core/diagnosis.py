"""Why a pod's agent container has not started: pod, container states and Events -> a reason and a sentence.

Knows Kubernetes' vocabulary of waiting and failing. It looks at one pod only, and decides nothing. States are
as they are now; Events were listed once or twice, so they count only where the states say no more than that
something is being made, and only until later Events say that the start went on.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from controller.core import advice, pulls
from controller.core.advice import Trouble
from controller.core.agents import words
from controller.core.contract import Reason, clip, rfc3339
from controller.core.model import Container, Pod, PodEvent, RunState


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What holds a start up. `failure`: what the run failed of if nothing changes."""

    reason: Reason
    failure: Reason
    message: str
    hopeless: bool = False
    """It cannot heal by waiting: the pod's own specification is at fault."""


class _Cause(NamedTuple):
    reason: Reason
    failure: Reason
    trouble: Trouble | None = None
    hopeless: bool = False


_IMAGE: Final = _Cause(Reason.IMAGE_PULL_BACK_OFF, Reason.IMAGE_PULL_FAILED, Trouble.IMAGE)
_CONFIG: Final = _Cause(Reason.CONTAINER_CREATING, Reason.CONFIG_ERROR, Trouble.CONTAINER)
_GAVE_UP: Final = _Cause(Reason.CONTAINER_CREATING, Reason.NODE_LOST, Trouble.MACHINE)
_CREATING: Final = _Cause(Reason.CONTAINER_CREATING, Reason.START_TIMEOUT)

_WAITING: Final[Mapping[str, _Cause]] = {
    "ErrImagePull": _IMAGE,
    "ImagePullBackOff": _IMAGE,
    "ImageInspectError": _IMAGE,
    "RegistryUnavailable": _IMAGE,
    "SignatureValidationFailed": _IMAGE,
    "ErrImageNeverPull": _IMAGE._replace(hopeless=True),
    "InvalidImageName": _IMAGE._replace(hopeless=True),
    "CreateContainerConfigError": _CONFIG,
    "CreateContainerError": _CONFIG,
    "RunContainerError": _CONFIG,
    "PreCreateHookError": _CONFIG,
    "PreStartHookError": _CONFIG,
    "PostStartHookError": _CONFIG,
    "ContainerCreating": _CREATING,
    "PodInitializing": _Cause(Reason.INIT_RUNNING, Reason.START_TIMEOUT),
}
"""Waiting reason of a container -> what it means. The words are the kubelet's."""

_TOLD: Final[Mapping[str, _Cause]] = {
    "FailedMount": _Cause(Reason.CONTAINER_CREATING, Reason.CONFIG_ERROR, Trouble.VOLUME),
    "FailedMapVolume": _Cause(Reason.CONTAINER_CREATING, Reason.CONFIG_ERROR, Trouble.VOLUME),
    "FailedAttachVolume": _Cause(Reason.CONTAINER_CREATING, Reason.START_TIMEOUT, Trouble.VOLUME),
    "FailedCreatePodSandBox": _Cause(Reason.CONTAINER_CREATING, Reason.START_TIMEOUT, Trouble.NETWORK),
    "NetworkNotReady": _Cause(Reason.CONTAINER_CREATING, Reason.START_TIMEOUT, Trouble.NETWORK),
    "NodeNotReady": _Cause(Reason.CONTAINER_CREATING, Reason.NODE_LOST, Trouble.MACHINE),
    "Unhealthy": _Cause(Reason.INIT_RUNNING, Reason.START_TIMEOUT, Trouble.CONTAINER),
}
"""Reason of an Event that holds up a pod on a node -> what it means. Who failed to find a node for it, or to
make it at all, says so in a condition, or to the Job."""

_WENT_ON: Final = frozenset({pulls.PULLING, "Pulled", "Created", "Started"})
"""Reasons of Events after which what was told before does not hold the start up any more."""
_VAGUE: Final = ("timed out waiting", "context deadline exceeded")
"""How the kubelet sums up, every two minutes, what it has told exactly before."""

_REFUSALS: Final = frozenset(
    {"OutOfcpu", "OutOfmemory", "OutOfpods", "OutOfephemeral-storage"}
    | {"NodeAffinity", "NodePorts", "UnexpectedAdmissionError", "AppArmor", "SysctlForbidden"}
)
"""Reasons of a pod that its node did not take: nothing of it ever ran."""

START_ERRORS: Final = frozenset({"StartError", "ContainerCannotRun"})
"""Reasons of a terminated container whose process never ran (exit code 128)."""
_BROKEN_OFF: Final = ("context canceled", "context deadline exceeded")
"""How the container runtime ends its message if the kubelet gave the start up: it was ended itself, or had no
more time. What was to be run is not to blame."""

STATUS_LOST: Final = "ContainerStatusUnknown"
"""The kubelet found no container when its pod was ended; it makes up exit code 137 and knows no times."""

_SAID_MAX: Final = 300
"""Bytes of Kubernetes' own words that a message quotes: what to do about it must still fit."""
_MESSAGE_MAX: Final = 512


def of_start(pod: Pod, events: Sequence[PodEvent] = ()) -> Diagnosis:
    """Why the agent's container of this pod has not started yet; `events`: what was said about the pod."""
    if pod.ended and pod.reason in _REFUSALS:
        said = _sentence(f"Node {pod.node} did not take the pod", pod.message or pod.reason, Trouble.NODE)
        return Diagnosis(Reason.UNSCHEDULED, Reason.UNSCHEDULABLE, said)
    if not pod.node:
        return _unscheduled(pod, events)
    found = [_of_container(pod, container) for container in pod.containers]
    held_up = [diagnosis for diagnosis in found if diagnosis is not None]
    worst = max(held_up, key=_weight, default=None)
    if worst is not None and worst.failure is not Reason.START_TIMEOUT:
        return worst
    told = _of_events(pod, events)
    return (
        told
        or worst
        or Diagnosis(
            Reason.CONTAINER_CREATING, Reason.START_TIMEOUT, "The pod is scheduled; no container runs yet."
        )
    )


def of_no_pod(events: Sequence[PodEvent]) -> str:
    """Why Kubernetes makes no pod for a Job, by the Events about the Job; empty if they don't say."""
    tries = [event for event in events if event.reason in ("FailedCreate", "SuccessfulCreate")]
    if not tries or tries[-1].reason != "FailedCreate":
        return ""
    said = re.sub(r'^(?:Error creating: )?(?:pods "[^"]*" is )?', "", tries[-1].message)
    return _sentence("Kubernetes can't make the pod", said, Trouble.POD)


def alike(one: str, other: str) -> bool:
    """Whether two messages differ in nothing but counts, times and generated ids."""
    return one == other or _CHANGING.sub("#", one) == _CHANGING.sub("#", other)


_CHANGING: Final = re.compile(r"\b[0-9a-f]{8}[0-9a-f-]*\b|\d+(?:\.\d+)?")


def _weight(diagnosis: Diagnosis) -> tuple[bool, bool, bool]:
    """Worst first: what cannot heal, what is a named failure, what is more than plain waiting."""
    named = diagnosis.failure is not Reason.START_TIMEOUT
    return diagnosis.hopeless, named, diagnosis.reason is Reason.INIT_RUNNING


# ── Without a node ───────────────────────────────────────────────────────────────────────────────


def _unscheduled(pod: Pod, events: Sequence[PodEvent]) -> Diagnosis:
    waiting = next((c for c in pod.conditions if c.type == "PodScheduled" and c.status == "False"), None)
    message = "No node has been found for the pod."
    if waiting and waiting.message:
        said = re.split(r"[.,] (?:no new claims|preemption:)", waiting.message)[0]
        message = _sentence("No node has been found for the pod", said, Trouble.NODE)
    scaling = next(
        (e for e in reversed(events) if e.reason in ("NotTriggerScaleUp", "TriggeredScaleUp")), None
    )
    if scaling is not None:
        message = clip(f"{message} The autoscaler: {_quoted(scaling.message, 120)}.", _MESSAGE_MAX)
    return Diagnosis(Reason.UNSCHEDULED, Reason.UNSCHEDULABLE, message)


# ── What the states of containers say ────────────────────────────────────────────────────────────


def _of_container(pod: Pod, container: Container) -> Diagnosis | None:
    if container.init and container.state is RunState.RUNNING:
        return _of_running_init(pod, container)
    if container.init and container.state is RunState.TERMINATED and container.exit_code:
        return Diagnosis(Reason.INIT_RUNNING, Reason.INIT_FAILED, init_failed(container))
    if container.state is not RunState.WAITING:
        return None
    if container.reason == "CrashLoopBackOff":
        said = f"Container {container.name} keeps failing. Its log says why."
        if container.init:
            return Diagnosis(Reason.INIT_RUNNING, Reason.INIT_FAILED, said)
        return Diagnosis(Reason.CONTAINER_CREATING, Reason.CONTAINER_ERROR, said)
    cause = _WAITING.get(container.reason, _CREATING)
    return Diagnosis(cause.reason, cause.failure, _waits(pod, container, cause), cause.hopeless)


def of_not_run(container: Container, pod: Pod | None) -> Diagnosis:
    """Why a container's process could not be made. `pod`: as it was last seen, or None."""
    of_pod = pod.containers if pod else ()
    told = next((c.message for c in of_pod if (c.init, c.name) == (container.init, container.name)), "")
    cause = _GAVE_UP if any(text in told for text in _BROKEN_OFF) else _CONFIG
    head = f"Container {container.name} could not be run"
    said = _sentence(head, told or container.reason, cause.trouble or Trouble.CONTAINER)
    return Diagnosis(cause.reason, cause.failure, said)


def init_failed(container: Container) -> str:
    """An init container that ended badly, as a sentence."""
    if container.reason == "OOMKilled":
        said = f"Init container {container.name} was killed for using too much memory"
        return f"{said}. {advice.of(Trouble.CONTAINER, 'oom')}"
    return f"Init container {container.name} exited with {container.exit_code}. Its log says why."


def _of_running_init(pod: Pod, container: Container) -> Diagnosis | None:
    if any(spec.name == container.name and spec.sidecar for spec in pod.specs):
        return None
    return Diagnosis(
        Reason.INIT_RUNNING, Reason.START_TIMEOUT, f"Init container {container.name} is running."
    )


def _waits(pod: Pod, container: Container, cause: _Cause) -> str:
    image = _image(pod, container.name)
    if container.reason == "ErrImageNeverPull":
        return f"Image {image} is not on node {pod.node}, and may not be pulled: see its imagePullPolicy."
    if container.reason == "InvalidImageName":
        return f"“{image}” is no name of an image: correct it in the pod template."
    if cause.trouble is Trouble.IMAGE:
        return _not_pulled(image, container)
    if cause.trouble is not None:
        said = container.message or container.reason
        return _sentence(f"Container {container.name} can't be made to run", said, cause.trouble)
    said = f" ({_quoted(container.message)})" if container.message else ""
    return clip(
        f"Container {container.name} waits: {container.reason or 'no reason given'}{said}.", _MESSAGE_MAX
    )


def _not_pulled(image: str, container: Container) -> str:
    """The same words while it is tried and while it is waited for."""
    said = re.sub(r'^Back-off pulling image "[^"]*"(?:: ErrImagePull)?(?:: )?', "", container.message)
    head = f"Image {image} can't be pulled"
    if not said:
        return f"{head}. {advice.of(Trouble.IMAGE, '')}"
    return _sentence(head, said, Trouble.IMAGE, beside=image)


# ── What Events say ──────────────────────────────────────────────────────────────────────────────


def _of_events(pod: Pod, events: Sequence[PodEvent]) -> Diagnosis | None:
    if (event := _obstacle(events)) is not None:
        cause = _TOLD[event.reason]
        return Diagnosis(cause.reason, cause.failure, _told(pod, event, cause))
    pull = pulls.under_way(events)
    begun = {c.name for c in pod.containers if c.state in (RunState.RUNNING, RunState.TERMINATED)}
    if pull is None or pull.container in begun:
        return None
    image, since = _image(pod, pull.container), rfc3339(pull.last_at or 0)
    return Diagnosis(
        Reason.PULLING_IMAGE, Reason.START_TIMEOUT, f"Image {image} is being pulled, since {since}."
    )


def _obstacle(events: Sequence[PodEvent]) -> PodEvent | None:
    """The newest that has not been left behind; what is exact before what only sums up."""
    went_on = max((e.last_at or 0 for e in events if e.reason in _WENT_ON), default=-1)
    left = [event for event in events if _holds_up(event) and (event.last_at or 0) > went_on]
    return max(left, key=lambda e: (not _is_vague(e), e.last_at or 0), default=None)


def _holds_up(event: PodEvent) -> bool:
    """Of probes only those of a start do: a sidecar's others may fail beside it."""
    started_badly = event.reason != "Unhealthy" or event.message.startswith("Startup probe")
    return event.reason in _TOLD and started_badly


def _is_vague(event: PodEvent) -> bool:
    return any(text in event.message for text in _VAGUE)


def _told(pod: Pod, event: PodEvent, cause: _Cause) -> str:
    trouble = cause.trouble or Trouble.CONTAINER
    said = event.message
    if trouble is Trouble.VOLUME:
        of = re.match(r'\w+\.\w+ failed for volume "([^"]{1,253})" ?: ?(.*)', said)
        head, said = (
            (f"Volume {of[1]} can't be mounted", of[2]) if of else ("A volume can't be mounted", said)
        )
        return _sentence(head, said, trouble)
    if trouble is Trouble.MACHINE:
        return _sentence(f"Node {pod.node} does not answer", said, trouble)
    if event.reason == "Unhealthy":
        return _sentence(f"Container {event.container} is not well", said, trouble)
    said = re.sub(r"^Failed to create pod sandbox: ", "", said)
    return _sentence(f"The pod's sandbox can't be made on node {pod.node}", said, trouble)


# ── Sentences ────────────────────────────────────────────────────────────────────────────────────


def _sentence(head: str, said: str, trouble: Trouble, beside: str = "") -> str:
    """What is wrong, in Kubernetes' own words, and what to do; `beside`: a name in them without meaning."""
    todo = advice.of(trouble, said.replace(beside, "") if beside else said)
    return clip(f"{clip(head, 160)}: {_quoted(said)}. {todo}", _MESSAGE_MAX)


def _quoted(said: str, limit: int = _SAID_MAX) -> str:
    plain = re.sub(r"rpc error: code = \w+ desc = ", "", said)
    return clip(words.shown(plain), limit).rstrip(".")


def _image(pod: Pod, container: str) -> str:
    found = next((spec.image for spec in pod.specs if spec.name == container), "")
    return clip(found, 128) or f"of container {container}"
