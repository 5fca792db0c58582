"""The programs that make up a cluster, and how each is started. Pure.

Owns: their names, order and command lines. Never: starts one.
"""

from collections.abc import Mapping
from pathlib import Path

from devcluster.real.addresses import SERVICES, Addresses
from devcluster.real.layout import Layout

CONTAINERD = "containerd"
ETCD = "etcd"
API_SERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
KUBELET = "kubelet"
STORAGE = (CONTAINERD, ETCD, API_SERVER)  # these need nobody, or wait for each other
CLIENTS = (CONTROLLER_MANAGER, SCHEDULER, KUBELET)  # these end when no API server answers
NAMES = (*STORAGE, *CLIENTS)
ISSUER = "https://kubernetes.default.svc.cluster.local"


def kubeconfig(layout: Layout, component: str) -> Path:
    """The kubeconfig of one of CLIENTS."""
    return layout.config / f"{component}.kubeconfig"


def command_lines(layout: Layout, addresses: Addresses) -> Mapping[str, tuple[str, ...]]:
    """The arguments of each component, without the program itself."""
    return {
        CONTAINERD: (f"--config={layout.config / 'containerd.toml'}",),
        ETCD: _etcd(layout),
        API_SERVER: _api_server(layout, addresses),
        CONTROLLER_MANAGER: _controller_manager(layout, addresses),
        SCHEDULER: _scheduler(layout),
        KUBELET: _kubelet(layout, addresses),
    }


def _etcd(layout: Layout) -> tuple[str, ...]:
    return (
        f"--data-dir={layout.state / 'etcd'}",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=default=http://127.0.0.1:2380",
        "--unsafe-no-fsync",
        "--log-level=warn",
    )


def _api_server(layout: Layout, addresses: Addresses) -> tuple[str, ...]:
    pki = layout.pki
    return (
        "--etcd-servers=http://127.0.0.1:2379",
        "--secure-port=443",
        "--bind-address=0.0.0.0",
        f"--advertise-address={addresses.node}",
        f"--service-cluster-ip-range={SERVICES}",
        *_serving(layout),
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--token-auth-file={pki / 'tokens.csv'}",
        "--anonymous-auth=false",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'kubelet-client.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={pki / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
    )


def _controller_manager(layout: Layout, addresses: Addresses) -> tuple[str, ...]:
    own = kubeconfig(layout, CONTROLLER_MANAGER)
    return (
        f"--kubeconfig={own}",
        f"--authentication-kubeconfig={own}",
        f"--authorization-kubeconfig={own}",
        f"--root-ca-file={layout.pki / 'ca.crt'}",
        f"--service-account-private-key-file={layout.pki / 'service-accounts.key'}",
        "--use-service-account-credentials=true",
        f"--service-cluster-ip-range={SERVICES}",
        f"--cluster-cidr={addresses.pods}",
        "--leader-elect=false",
        f"--flex-volume-plugin-dir={layout.volume_plugins}",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        *_serving(layout),
    )


def _scheduler(layout: Layout) -> tuple[str, ...]:
    own = kubeconfig(layout, SCHEDULER)
    return (
        f"--config={layout.config / 'scheduler.yaml'}",
        f"--authentication-kubeconfig={own}",
        f"--authorization-kubeconfig={own}",
        *_serving(layout),
    )


def _serving(layout: Layout) -> tuple[str, ...]:
    """The API server's certificate: it holds for the node's address, where these serve their health."""
    return (
        f"--tls-cert-file={layout.pki / 'kube-apiserver.crt'}",
        f"--tls-private-key-file={layout.pki / 'kube-apiserver.key'}",
    )


def _kubelet(layout: Layout, addresses: Addresses) -> tuple[str, ...]:
    return (
        f"--config={layout.config / 'kubelet.yaml'}",
        f"--kubeconfig={kubeconfig(layout, KUBELET)}",
        f"--root-dir={layout.state / 'kubelet'}",
        f"--hostname-override={layout.node}",
        f"--node-ip={addresses.node}",
    )
