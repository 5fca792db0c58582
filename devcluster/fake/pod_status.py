"""From the states of containers to a pod's phase and conditions, by the kubelet's rules.

Owns: this derivation, pure. Never: changes or writes anything.
"""

from collections.abc import Sequence

from devcluster.fake.resources import JSON

NOT_READY = "ContainersNotReady"


def is_sidecar(container: JSON) -> bool:
    """An init container that goes on beside the others."""
    return container.get("restartPolicy") == "Always"


def phase(spec: JSON, init: Sequence[JSON], main: Sequence[JSON]) -> str:
    """The phase of a pod whose containers have these statuses."""
    restarts = spec.get("restartPolicy", "Always")
    initial = _init_phase(spec, init, restarts)
    if initial:
        return initial
    ends = [_last_end(status) for status in main]
    if any(end is None and "waiting" in status["state"] for end, status in zip(ends, main, strict=True)):
        return "Pending"  # one that has never run, whatever the others do
    if restarts == "Always" or any("running" in status["state"] for status in [*main, *init]):
        return "Running"
    if all(end is not None and end.get("exitCode") == 0 for end in ends):
        return "Succeeded"
    return "Failed" if restarts == "Never" else "Running"


def _init_phase(spec: JSON, init: Sequence[JSON], restarts: str) -> str:
    """Pending or Failed while the init containers decide, else empty."""
    for container, status in zip(spec.get("initContainers") or [], init, strict=True):
        if is_sidecar(container):
            if not status.get("started") and "terminated" not in status["state"]:
                return "Pending"
            continue
        ended = status["state"].get("terminated")
        if ended is None:
            return "Pending"
        if ended.get("exitCode") != 0:
            return "Failed" if restarts == "Never" else "Pending"
    return ""


def _last_end(status: JSON) -> JSON | None:
    end: JSON | None = status["state"].get("terminated") or status.get("lastState", {}).get("terminated")
    return end


def conditions(spec: JSON, init: Sequence[JSON], main: Sequence[JSON], now_phase: str) -> list[JSON]:
    """Initialized, Ready and ContainersReady, without times."""
    return [
        _initialized(spec, init, now_phase),
        _ready("Ready", main, now_phase),
        _ready("ContainersReady", main, now_phase),
    ]


def _initialized(spec: JSON, init: Sequence[JSON], now_phase: str) -> JSON:
    if now_phase == "Succeeded":
        return {"type": "Initialized", "status": "True", "reason": "PodCompleted"}
    unfinished = [
        container["name"]
        for container, status in zip(spec.get("initContainers") or [], init, strict=True)
        if not _initialised(container, status)
    ]
    if not unfinished:
        return {"type": "Initialized", "status": "True"}
    message = f"containers with incomplete status: [{' '.join(unfinished)}]"
    return {
        "type": "Initialized",
        "status": "False",
        "reason": "ContainersNotInitialized",
        "message": message,
    }


def initialised(spec: JSON, init: Sequence[JSON]) -> bool:
    """Whether the containers may start."""
    declared = spec.get("initContainers") or []
    return all(_initialised(container, status) for container, status in zip(declared, init, strict=True))


def _initialised(container: JSON, status: JSON) -> bool:
    if is_sidecar(container):
        return bool(status.get("started")) or "terminated" in status["state"]
    return bool(status["state"].get("terminated", {}).get("exitCode") == 0)


def _ready(kind: str, main: Sequence[JSON], now_phase: str) -> JSON:
    if now_phase in ("Succeeded", "Failed"):
        reason = "PodCompleted" if now_phase == "Succeeded" else "PodFailed"
        return {"type": kind, "status": "False", "reason": reason}
    unready = [status["name"] for status in main if not status.get("ready")]
    if not unready:
        return {"type": kind, "status": "True"}
    message = f"containers with unready status: [{' '.join(unready)}]"
    return {"type": kind, "status": "False", "reason": NOT_READY, "message": message}


def with_times(new: Sequence[JSON], old: Sequence[JSON], now: str, generation: int) -> list[JSON]:
    """Conditions keep the time of their last change."""
    before = {item["type"]: item for item in old}
    result = []
    for item in new:
        known = before.get(item["type"], {})
        since = known.get("lastTransitionTime", now) if known.get("status") == item["status"] else now
        times = {"lastProbeTime": None, "lastTransitionTime": since, "observedGeneration": generation}
        result.append(item | times)
    return result
