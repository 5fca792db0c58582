"""Why a pod's agent container has not started: pod and container states -> a reason and a sentence.

Knows Kubernetes' vocabulary of waiting and failing. It looks at one pod only, and decides nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from controller.core.contract import Reason, clip
from controller.core.model import Container, Pod, RunState


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What holds a start up. `failure`: what the run failed of if nothing changes."""

    reason: Reason
    failure: Reason
    message: str
    hopeless: bool = False
    """It cannot heal by waiting: the pod's own specification is at fault."""


_WAITING: Final[Mapping[str, tuple[Reason, Reason, bool]]] = {
    "ErrImagePull": (Reason.IMAGE_PULL_BACK_OFF, Reason.IMAGE_PULL_FAILED, False),
    "ImagePullBackOff": (Reason.IMAGE_PULL_BACK_OFF, Reason.IMAGE_PULL_FAILED, False),
    "ImageInspectError": (Reason.IMAGE_PULL_BACK_OFF, Reason.IMAGE_PULL_FAILED, False),
    "RegistryUnavailable": (Reason.IMAGE_PULL_BACK_OFF, Reason.IMAGE_PULL_FAILED, False),
    "SignatureValidationFailed": (Reason.IMAGE_PULL_BACK_OFF, Reason.IMAGE_PULL_FAILED, False),
    "ErrImageNeverPull": (Reason.IMAGE_PULL_BACK_OFF, Reason.IMAGE_PULL_FAILED, True),
    "InvalidImageName": (Reason.IMAGE_PULL_BACK_OFF, Reason.IMAGE_PULL_FAILED, True),
    "CreateContainerConfigError": (Reason.CONTAINER_CREATING, Reason.CONFIG_ERROR, False),
    "CreateContainerError": (Reason.CONTAINER_CREATING, Reason.CONFIG_ERROR, False),
    "RunContainerError": (Reason.CONTAINER_CREATING, Reason.CONFIG_ERROR, False),
    "ContainerCreating": (Reason.CONTAINER_CREATING, Reason.START_TIMEOUT, False),
    "PodInitializing": (Reason.INIT_RUNNING, Reason.START_TIMEOUT, False),
}
"""Waiting reason of a container -> reason while starting, reason if it fails, hopeless. Names: kubelet."""

START_ERRORS: Final = frozenset({"StartError", "ContainerCannotRun"})
"""Reasons of a terminated container whose process never ran (exit code 128)."""

STATUS_LOST: Final = "ContainerStatusUnknown"
"""The kubelet found no container when its pod was ended; it makes up exit code 137 and knows no times."""


def of_start(pod: Pod) -> Diagnosis:
    """Why the agent's container of this pod has not started yet."""
    if (unscheduled := _unscheduled(pod)) is not None:
        return unscheduled
    found = [_of_container(pod, container) for container in pod.containers]
    held_up = [diagnosis for diagnosis in found if diagnosis is not None]
    if not held_up:
        return Diagnosis(
            Reason.CONTAINER_CREATING, Reason.START_TIMEOUT, "The pod is scheduled; no container runs yet."
        )
    return max(held_up, key=_weight)


def _weight(diagnosis: Diagnosis) -> tuple[bool, bool, bool]:
    """Worst first: what cannot heal, what is a named failure, what is more than plain waiting."""
    named = diagnosis.failure is not Reason.START_TIMEOUT
    return diagnosis.hopeless, named, diagnosis.reason is Reason.INIT_RUNNING


def _unscheduled(pod: Pod) -> Diagnosis | None:
    if pod.node:
        return None
    waiting = next((c for c in pod.conditions if c.type == "PodScheduled" and c.status == "False"), None)
    said = f": {waiting.message}" if waiting and waiting.message else "."
    return Diagnosis(
        Reason.UNSCHEDULED, Reason.UNSCHEDULABLE, clip(f"No node has been found for the pod{said}", 512)
    )


def _of_container(pod: Pod, container: Container) -> Diagnosis | None:
    if container.init and container.state is RunState.RUNNING:
        return _of_running_init(pod, container)
    if container.init and container.state is RunState.TERMINATED and container.exit_code:
        said = f"Init container {container.name} exited with {container.exit_code}."
        return Diagnosis(Reason.INIT_RUNNING, Reason.INIT_FAILED, said)
    if container.state is not RunState.WAITING:
        return None
    if container.reason == "CrashLoopBackOff":
        said = f"Container {container.name} keeps failing."
        if container.init:
            return Diagnosis(Reason.INIT_RUNNING, Reason.INIT_FAILED, said)
        return Diagnosis(Reason.CONTAINER_CREATING, Reason.CONTAINER_ERROR, said)
    reason, failure, hopeless = _WAITING.get(
        container.reason, (Reason.CONTAINER_CREATING, Reason.START_TIMEOUT, False)
    )
    return Diagnosis(reason, failure, _said(container), hopeless)


def _of_running_init(pod: Pod, container: Container) -> Diagnosis | None:
    if any(spec.name == container.name and spec.sidecar for spec in pod.specs):
        return None
    return Diagnosis(
        Reason.INIT_RUNNING, Reason.START_TIMEOUT, f"Init container {container.name} is running."
    )


def _said(container: Container) -> str:
    said = f" ({container.message})" if container.message else ""
    return clip(f"Container {container.name} waits: {container.reason or 'no reason given'}{said}.", 512)
