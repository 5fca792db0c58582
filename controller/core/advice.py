"""What to do about a start that is held up: what Kubernetes said -> one sentence of advice.

Tables only, the first row that fits wins. They know the words of scheduler, kubelet, container runtime and
API server; what they don't know they answer with the table's last row.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

Rows = tuple[tuple[tuple[str, ...], str], ...]


class Trouble(StrEnum):
    """What part of a start is in trouble."""

    POD = "pod"
    """No pod can be made."""
    NODE = "node"
    """No node is found."""
    VOLUME = "volume"
    NETWORK = "network"
    """The pod's sandbox with its network can't be made."""
    IMAGE = "image"
    CONTAINER = "container"
    """It can't be made or run as it is asked for."""
    MACHINE = "machine"
    """The node does not answer, or gave up."""


_OBJECT: Final = "Create it in the run's namespace, or correct its name in the pod template."

_ADVICE: Final[Mapping[Trouble, Rows]] = {
    Trouble.POD: (
        (("exceeded quota",), "Raise the namespace's ResourceQuota, or wait for other pods to end."),
        (("must specify",), "Its ResourceQuota wants requests and limits on every container: set them."),
        (("podsecurity", "pod security"), "Change the pod template, or the namespace's Pod Security level."),
        (("limitrange", "usage per"), "Keep to the namespace's LimitRange."),
        (("service account", "serviceaccount"), "Create the service account, or correct its name."),
        (("priorityclass", "priority class"), "Create the PriorityClass, or correct its name."),
        (("runtimeclass",), "Create the RuntimeClass, or correct its name."),
        (("webhook",), "Ask whoever runs that admission webhook, or see that it works."),
        (("admission", "policy"), "Change the pod template, or the admission policy."),
        ((), "Correct the pod template."),
    ),
    Trouble.NODE: (
        (("persistentvolumeclaim",), "See that the claim exists and is bound."),
        (("volume", "storage class"), "See that its volumes are bound, and reachable from a node with room."),
        (("insufficient ", "too many pods"), "Lower the requests, add nodes, or wait for other pods to end."),
        (("taint",), "Tolerate the taint in the pod template, or add nodes without it."),
        (("affinity", "selector", "topology spread"), "Correct node selector and affinity, or label a node."),
        (("unschedulable",), "Uncordon a node, or add one."),
        (("free ports",), "Take hostPort out of the pod template, or add nodes."),
        (("no nodes available",), "The cluster has no node: add one."),
        (("scheduling gate",), "Whoever put the scheduling gate on the pod has to take it off."),
        ((), "Compare what the pod asks for with the nodes."),
    ),
    Trouble.VOLUME: (
        (("secret", "configmap", "references non-existent"), _OBJECT),
        (("persistentvolumeclaim",), "See that the claim exists and is bound."),
        (("multi-attach",), "It is attached to another node: wait until it is released there."),
        (("csi",), "See that the volume's CSI driver runs on that node."),
        (("permission denied", "access denied"), "Let the node have access to the volume."),
        ((), "See that the volume exists and can be reached from that node."),
    ),
    Trouble.NETWORK: (
        (("runtimehandler", "runtime handler", "no runtime for"), "Install that runtime class on the node."),
        (("cni", "network"), "See that the network plugin (CNI) works on that node."),
        (("cgroup", "no space left", "cannot allocate memory", "too many"), "The node has run out of room."),
        ((), "See the kubelet and the container runtime on that node."),
    ),
    Trouble.IMAGE: (
        (("no space left",), "The node's disk is full: clear it, or use another node."),
        (("no match for platform", "exec format"), "Build the image for the node's architecture."),
        (("toomanyrequests", "too many requests", "429"), "Wait, or pull with credentials or from a mirror."),
        (
            ("unauthorized", "authorization", "forbidden", "denied", "401", "403", "insufficient_scope"),
            "Check its name, and imagePullSecrets of the pod or its service account.",
        ),
        (("no such host",), "Check the name of its registry, and the node's DNS."),
        (
            ("dial tcp", "timeout", "connection refused", "deadline exceeded", "x509", "tls"),
            "See that the node can reach the registry.",
        ),
        (("not found", "manifest unknown", "does not exist"), "Check its name and tag."),
        ((), "Check its name and imagePullSecrets."),
    ),
    Trouble.CONTAINER: (
        (("couldn't find key",), "Add the key to it, or correct the pod template."),
        (("secret", "configmap"), _OBJECT),
        (("runasnonroot", "run as root", "non-numeric user"), "Set runAsUser to a number that is not 0."),
        (("executable file not found", "no such file"), "Correct the command, or use another image."),
        (("permission denied",), "See that the command is executable for the container's user."),
        (("exec format",), "Build the image for the node's architecture."),
        (("oom", "memory"), "Raise its memory limit."),
        ((), "Check its command, mounts and securityContext."),
    ),
    Trouble.MACHINE: (
        (("context canceled", "context deadline"), "Submit it again; then see the kubelet on its node."),
        ((), "See whether the node is up; if it is gone, delete it from the cluster."),
    ),
}


def of(trouble: Trouble, said: str) -> str:
    """What to do about this part of the start, of which Kubernetes said this."""
    lower = said.lower()
    return next(text for words, text in _ADVICE[trouble] if not words or any(w in lower for w in words))
