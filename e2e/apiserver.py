"""Calls to the API server of the cluster under test, as its admin.

Owns: paths, and what a status means.
Never: waits for a state of the cluster (`recording` does), or repeats a write.
"""

import json
import time
from contextlib import closing

import pykube
import requests

MERGE = "application/merge-patch+json"
SECONDS = 30.0
_AWAY_SECONDS = 20.0
_AGAIN_AFTER_SECONDS = 0.2

GROUPS = {
    "jobs": "batch/v1",
    "leases": "coordination.k8s.io/v1",
    "deployments": "apps/v1",
    "events": "events.k8s.io/v1",
}


class Refused(Exception):  # noqa: N818 — named by what happened
    """The API server said no. `code` is the HTTP status, `message` its reason."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def path(resource, namespace="", name="", subresource=""):
    """Of one object, or of all in a namespace, or of all in the cluster."""
    group = GROUPS.get(resource, "v1")
    parts = ["/apis" if "/" in group else "/api", group]
    parts += ["namespaces", namespace] if namespace else []
    return "/".join([*parts, resource, *filter(None, (name, subresource))])


class ApiServer:
    """One connection's worth of calls; each thread has its own."""

    def __init__(self, kubeconfig):
        self.kubeconfig = kubeconfig
        self._api = pykube.HTTPClient(pykube.KubeConfig.from_file(str(kubeconfig)))

    def close(self):
        self._api.session.close()

    def call(self, method, where, body=None, media="application/json", **params):
        """The answer as JSON. Reads are repeated while the server is away."""
        patience = time.monotonic() + (_AWAY_SECONDS if method == "GET" else 0)
        while True:
            try:
                return self._once(method, where, body, media, params)
            except (requests.ConnectionError, requests.Timeout, Unready):
                if time.monotonic() > patience:
                    raise
                time.sleep(_AGAIN_AFTER_SECONDS)

    def _once(self, method, where, body, media, params):
        with closing(self.raw(method, where, body, media, params)) as reply:
            if reply.status_code >= 500 and method == "GET":
                raise Unready(reply.text)
            if reply.status_code >= 300:
                raise Refused(reply.status_code, _message(reply))
            return reply.json() if "json" in reply.headers.get("Content-Type", "") else reply.content

    def raw(self, method, where, body=None, media="application/json", params=None, **more):
        """The HTTP response itself."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": media} if content is not None else {}
        more.setdefault("timeout", SECONDS)
        session = self._api.session
        return session.request(
            method, self._api.url + where, data=content, headers=headers, params=params, **more
        )

    def get(self, resource, namespace, name):
        """The object, None if there is none."""
        try:
            return self.call("GET", path(resource, namespace, name))
        except Refused as refused:
            if refused.code == 404:
                return None
            raise

    def list(self, resource, namespace="", **params):
        return self.call("GET", path(resource, namespace), **params)["items"]

    def create(self, resource, namespace, body, subresource=""):
        name = body["metadata"].get("name", "") if subresource else ""
        return self.call("POST", path(resource, namespace, name, subresource), body)

    def patch(self, resource, namespace, name, body, subresource=""):
        return self.call("PATCH", path(resource, namespace, name, subresource), body, MERGE)

    def delete(self, resource, namespace, name, **options):
        """Deletes it in the background; none there is fine."""
        body = {"propagationPolicy": "Background", **options}
        try:
            self.call("DELETE", path(resource, namespace, name), body)
        except Refused as refused:
            if refused.code != 404:
                raise

    def log(self, namespace, pod, container="claude", **params):
        """What a container has said, as bytes."""
        found = self.call("GET", path("pods", namespace, pod, "log"), container=container, **params)
        return found if isinstance(found, bytes) else json.dumps(found).encode()


class Unready(Exception):  # noqa: N818 — named by what is the matter
    """The API server answers, but not yet for good."""


def _message(reply):
    try:
        return reply.json().get("message", reply.text)
    except ValueError:
        return reply.text
