"""What is said of a pod that the cluster itself took away: why, from where, and what to do about it."""

from collections.abc import Mapping
from typing import Final

from controller.core.agents import words
from controller.core.contract import Reason, clip
from controller.core.model import Condition, Pod
from controller.core.snapshot import Attempt

_SAID_MAX: Final = 300

_HEADS: Final[Mapping[Reason, tuple[str, str]]] = {
    Reason.EVICTED: (
        "was evicted",
        "Give it requests, limits and room for what it really uses, or a node with more.",
    ),
    Reason.PREEMPTED: (
        "had to make room for a pod of higher priority",
        "Run it again, or give agents a higher priority class.",
    ),
    Reason.NODE_LOST: (
        "was lost with its node",
        "See whether the node is up; run it again elsewhere.",
    ),
}


def said(reason: Reason, attempt: Attempt, pod: Pod | None) -> str:
    """One sentence on the end of this attempt. `pod`: as it was last seen, None if it is not known."""
    head, todo = _HEADS[reason]
    where = f" on node {attempt.node}" if attempt.node else ""
    told = _told(pod) or attempt.reason
    return f"Pod {attempt.pod}{where} {head}: {told}. {todo}"


def under_way(pod: Pod) -> str:
    """That this pod is being taken away, and by whom; empty if it is not."""
    met = _condition(pod)
    if met is None:
        return ""
    where = f" from node {pod.node}" if pod.node else ""
    return f"The cluster takes the pod away{where}: {_told(pod) or met.reason}."


def _condition(pod: Pod) -> Condition | None:
    return next((c for c in pod.conditions if c.type == "DisruptionTarget" and c.status == "True"), None)


def _told(pod: Pod | None) -> str:
    """The kubelet's own words, or those of who took it away."""
    if pod is None:
        return ""
    met = _condition(pod)
    return clip(words.shown(pod.message or (met.message if met else "")), _SAID_MAX).rstrip(".")
