"""What the components read from files: containerd, the CNI plugin, kubelet, scheduler, clients. Pure.

Owns: the content. Never: writes a file.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devcluster.real.addresses import Addresses
from devcluster.real.layout import Layout

JSON = dict[str, Any]
MAX_PODS = 250
PAUSE = "localhost/pause:1"
UNUSED_PLUGINS = (
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.internal.v1.tracing",
    "io.containerd.internal.v1.opt",
)


def containerd(layout: Layout, plugins: Path) -> str:
    """The configuration file of containerd; `plugins` is the folder of the CNI plugins."""
    runc = {
        "runtime_type": "io.containerd.runc.v2",
        "options": {"SystemdCgroup": False, "Root": str(layout.run / "runc")},
    }
    cri = {
        "sandbox_image": PAUSE,
        "disable_apparmor": True,
        "restrict_oom_score_adj": True,  # a negative score needs CAP_SYS_RESOURCE, which a container lacks
        "netns_mounts_under_state_dir": True,
        "cni": {"bin_dir": str(plugins), "conf_dir": str(layout.cni)},
        "containerd": {
            "snapshotter": "overlayfs",
            "default_runtime_name": "runc",
            "runtimes": {"runc": runc},
        },
    }
    return toml(
        {
            "version": 2,
            "root": str(layout.state / "containerd"),
            "state": str(layout.run / "containerd"),
            "oom_score": 0,
            "disabled_plugins": list(UNUSED_PLUGINS),
            "grpc": {"address": str(layout.socket)},
            "plugins": {"io.containerd.grpc.v1.cri": cri},
        }
    )


def cni(layout: Layout, addresses: Addresses) -> JSON:
    """The network of the pods: one bridge, no masquerading, everything routed."""
    bridge = {
        "type": "bridge",
        "bridge": "pods",
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(layout.addresses),
            "ranges": [[{"subnet": str(addresses.pods)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return {"cniVersion": "0.4.0", "name": layout.network, "plugins": [bridge]}


def _folders(layout: Layout) -> JSON:
    """By default they would be shared with everybody on this machine."""
    return {"podLogsDir": str(layout.pod_logs), "volumePluginDir": str(layout.volume_plugins)}


def kubelet(layout: Layout, addresses: Addresses) -> JSON:
    """The kubelet's configuration: patient with this machine, quick for tests."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{layout.socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "makeIPTablesUtilChains": False,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(layout.pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(layout.pki / "kubelet.key"),
        "clusterDomain": "cluster.local",
        "clusterDNS": [str(addresses.dns)],  # without one every pod gets a warning
        **_folders(layout),
        "maxPods": MAX_PODS,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "serializeImagePulls": False,
        "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
        "containerLogMaxSize": "1Mi",
        "containerLogMaxFiles": 2,
        "containerLogMonitorInterval": "3s",
        "volumeStatsAggPeriod": "5s",
        "imageGCHighThresholdPercent": 100,  # images were imported: nobody could pull them again
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
    }


def scheduler(kubeconfig_path: Path) -> JSON:
    """The scheduler's configuration."""
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {"kubeconfig": str(kubeconfig_path), "qps": 200, "burst": 400},
    }


def kubeconfig(name: str, server: str, authority: str, token: str) -> JSON:
    """A kubeconfig that needs no other file; `authority` is the CA's certificate in base64."""
    cluster = {"server": server, "certificate-authority-data": authority}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
    }


def toml(table: Mapping[str, Any]) -> str:
    """A table as TOML: strings, numbers, truth values and lists of strings, in tables."""
    return "\n".join(_lines(table, ())) + "\n"


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    lines = [f"[{'.'.join(map(json.dumps, path))}]"] if path else []
    lines += [
        f"{key} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, Mapping)
    ]
    for key, value in table.items():
        if isinstance(value, Mapping):
            lines += _lines(value, (*path, key))
    return lines
