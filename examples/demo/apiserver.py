"""Calls to the API server, as any host may make them: create, read, watch, delete.

Owns: the use of kr8s, and what a status means. Calls go through kr8s' `call_api`, without `raise_for_status`:
its objects have no gap-free watch, and its way with 401 and 403 closes streams that are open.
Never: repeats a write, or knows what the objects are for.
"""

import asyncio
import json
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
import kr8s
import kr8s.asyncio

from examples.demo.trouble import Trouble

JSON = dict[str, Any]
MERGE: Final = "application/merge-patch+json"
WATCH_SECONDS: Final = 60
_RECONNECT_SECONDS: Final = 0.5
_ATTEMPTS: Final = 40
"""Failures in a row after which a watch is given up: a server that restarts is back by then."""
BROKEN: Final = (httpx.HTTPError, kr8s.APITimeoutError)
"""No answer, or none that was complete."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object, as its path names it."""

    group_version: str
    plural: str


JOBS: Final = Resource("batch/v1", "jobs")
CONFIGMAPS: Final = Resource("v1", "configmaps")
NAMESPACES: Final = Resource("v1", "namespaces")
LEASES: Final = Resource("coordination.k8s.io/v1", "leases")


class Deleted(Trouble):
    """An object that is being followed was deleted."""


class ApiServer:
    """One cluster, and one namespace of it."""

    def __init__(self, api: Any, namespace: str) -> None:
        self._api = api  # a strong reference: kr8s itself keeps only weak ones
        self.namespace = namespace

    async def create(self, resource: Resource, body: JSON) -> JSON | None:
        """The object as it was stored; None if there is one of that name already."""
        status, found = await self._call("POST", resource, body=body)
        if status == 409 and found.get("reason") == "AlreadyExists":
            return None
        return _accepted(status, found, f"create the {body['kind']} {body['metadata']['name']}")

    async def get(self, resource: Resource, name: str) -> JSON | None:
        """The object, None if there is none."""
        status, found = await self._call("GET", resource, name)
        return None if status == 404 else _accepted(status, found, f"read {resource.plural} {name}")

    async def patch(self, resource: Resource, name: str, change: JSON) -> JSON:
        """The object with this merge patch applied."""
        status, found = await self._call("PATCH", resource, name, body=change)
        return _accepted(status, found, f"change {resource.plural} {name}")

    async def delete(self, resource: Resource, name: str, uid: str = "") -> None:
        """Deletes it and what it owns; one of another uid is left alone, and none is as well."""
        body: JSON = {"propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        status, found = await self._call("DELETE", resource, name, body=body)
        if status not in (404, 409):
            _accepted(status, found, f"delete {resource.plural} {name}")

    async def follow(self, resource: Resource, selector: str) -> AsyncGenerator[JSON, None]:
        """All objects, then each change, for ever: list, watch from there, and again when the watch ends."""
        failures = 0
        while True:
            try:
                async for found in self._once(resource, selector):
                    failures = 0
                    yield found
            except Deleted:
                raise
            except (*BROKEN, Trouble) as error:
                failures += 1
                if failures == _ATTEMPTS:
                    raise _lost(error) from error
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _once(self, resource: Resource, selector: str) -> AsyncIterator[JSON]:
        status, page = await self._call("GET", resource, params={"labelSelector": selector})
        for found in _accepted(status, page, f"list {resource.plural}")["items"]:
            yield found
        params = {
            "watch": "1",
            "labelSelector": selector,
            "resourceVersion": page["metadata"]["resourceVersion"],
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        async for event in self._events(resource, params):
            if event["type"] == "ERROR":  # e.g. the version is too old by now: list again
                return
            if event["type"] == "DELETED":
                name = event["object"]["metadata"]["name"]
                raise Deleted(f"Somebody deleted {name} in namespace {self.namespace}: start the demo again.")
            yield event["object"]

    async def _events(self, resource: Resource, params: Mapping[str, str]) -> AsyncIterator[JSON]:
        rest = b""
        async with self._open(resource, params) as response:
            if response.status_code != 200:
                return
            async for chunk in response.aiter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")  # bytes: text has more line ends than JSON knows
                for line in lines:
                    yield json.loads(line)

    @asynccontextmanager
    async def _open(self, resource: Resource, params: Mapping[str, str]) -> AsyncIterator[httpx.Response]:
        async with self._api.call_api(
            "GET",
            version=resource.group_version,
            namespace=self.namespace,
            url=resource.plural,
            raise_for_status=False,
            stream=True,
            params=dict(params),
            timeout=httpx.Timeout(WATCH_SECONDS + 15),
        ) as response:
            yield response

    async def _call(
        self,
        method: str,
        resource: Resource,
        name: str = "",
        body: JSON | None = None,
        params: Mapping[str, str] | None = None,
    ) -> tuple[int, JSON]:
        call = self._api.call_api(
            method,
            version=resource.group_version,
            namespace=None if resource is NAMESPACES else self.namespace,
            url=f"{resource.plural}/{name}".rstrip("/"),
            raise_for_status=False,
            params=dict(params or {}),
            json=body,
            headers={"Content-Type": MERGE} if method == "PATCH" else {},
            timeout=httpx.Timeout(30),
        )
        try:
            async with call as response:
                return response.status_code, _content(response)
        except BROKEN as error:
            raise _lost(error) from error


async def connect(kubeconfig: str, namespace: str) -> ApiServer:
    """The cluster of a kubeconfig. Raises Trouble if it can't be reached."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # kr8s warns of Kubernetes versions newer than itself
            api = await kr8s.asyncio.api(kubeconfig=kubeconfig)
    except Exception as error:
        raise Trouble(
            f"The cluster of {kubeconfig} can't be reached: {type(error).__name__}: {error}\n"
            f"KUBECONFIG must name one with which `kubectl get nodes` works."
        ) from error
    return ApiServer(api, namespace)


def _lost(error: Exception) -> Trouble:
    return Trouble(f"The API server does not answer any more: {type(error).__name__}: {error}")


def _content(response: httpx.Response) -> JSON:
    try:
        found = response.json()
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"message": response.text[:200]}


def _accepted(status: int, found: JSON, what: str) -> JSON:
    if status < 300:
        return found
    raise Trouble(f"The API server does not let the demo {what}: {status} {found.get('message', '')}")
