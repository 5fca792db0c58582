"""The few questions that `up` and `status` ask a cluster.

Owns: HTTPS to its components with the administrator's token. Never: writes to the cluster.
"""

import ssl
from typing import Any, Self

import httpx

from devcluster.real import components, pki
from devcluster.real.addresses import Addresses
from devcluster.real.layout import Layout

TIMEOUT = 2.0
HEALTH = {
    components.ETCD: ":443/readyz/etcd",
    components.API_SERVER: ":443/readyz",
    components.CONTROLLER_MANAGER: ":10257/healthz",
    components.SCHEDULER: ":10259/healthz",
    components.KUBELET: ":10250/healthz",
}


class Client:
    """A client of one cluster, for use in a `with` block."""

    def __init__(self, layout: Layout, addresses: Addresses) -> None:
        self._node = f"https://{addresses.node}"
        self._name = layout.node
        self._http = httpx.Client(
            verify=ssl.create_default_context(cafile=layout.pki / "ca.crt"),
            headers={"Authorization": f"Bearer {pki.token(layout, pki.ADMIN)}"},
            timeout=TIMEOUT,
            trust_env=False,  # a proxy does not know these addresses
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def healthy(self, component: str) -> bool:
        """The component says so itself."""
        return self._get(HEALTH[component]) is not None

    def node_ready(self) -> bool | None:
        """The node's condition Ready; None while that is not known."""
        answer = self._get(f":443/api/v1/nodes/{self._name}")
        if answer is None:
            return None
        conditions = answer.json().get("status", {}).get("conditions", [])
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    def pods_can_start(self) -> bool:
        """The namespace `default` has what each pod there needs: an account and the CA's certificate."""
        namespace = ":443/api/v1/namespaces/default"
        wanted = ("serviceaccounts/default", "configmaps/kube-root-ca.crt")
        return all(self._get(f"{namespace}/{each}") is not None for each in wanted)

    def _get(self, where: str) -> Any:
        """The answer, or None when there was no good one."""
        try:
            answer = self._http.get(self._node + where)
        except httpx.HTTPError:
            return None
        return answer if answer.is_success else None
