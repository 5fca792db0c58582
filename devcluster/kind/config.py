"""What a cluster of kind is made of: one node, its image, and a kubelet set up for tests.

Owns: the cluster configuration that `kind create cluster` reads. Never: writes or runs anything.
"""

from typing import Any

import yaml

NODE_IMAGE = "kindest/node:v1.36.4@sha256:099e049362a1526b2db71494e1947aae99bd16290d7c895f2b7ea312e3cbfaed"
"""Built for kind v0.33.0; its digest is part of the name, for kind changes images under their tags."""
KUBELET = {
    "maxPods": 250,
    "kubeAPIQPS": 200,
    "kubeAPIBurst": 400,
    "serializeImagePulls": False,
    "containerLogMaxSize": "1Mi",
    "containerLogMaxFiles": 2,
    "containerLogMonitorInterval": "3s",
    "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
    "volumeStatsAggPeriod": "5s",
}
"""As `devcluster real` has it: logs that rotate within seconds, restarts that are not held back."""


def text(name: str) -> str:
    """The configuration of a cluster, in YAML."""
    patch: dict[str, Any] = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}
    return yaml.safe_dump(
        {
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "kind": "Cluster",
            "name": name,
            "nodes": [{"role": "control-plane", "image": NODE_IMAGE}],
            "kubeadmConfigPatches": [yaml.safe_dump(patch | KUBELET, sort_keys=False)],
        },
        sort_keys=False,
    )
