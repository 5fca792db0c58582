"""Job manifests, an HTTP client and waits for the tests of the fake cluster."""

import io
import json
from contextlib import asynccontextmanager

import aiohttp

from devcluster.fake import FakeCluster, Timing

JOBS = "/apis/batch/v1/namespaces/default/jobs"
PODS = "/api/v1/namespaces/default/pods"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
QUICK = Timing(pull_backoff=0.05, crash_backoff=0.05, config_retry=0.05)


def make_job(name="run", script="true", *, container=None, pod=None, **spec):
    body = {"name": "agent", "image": "busybox:1", "command": ["sh", "-c", script]} | (container or {})
    template = {"spec": {"restartPolicy": "Never", "containers": [body]} | (pod or {})}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"template": template, "backoffLimit": 0} | spec,
    }


def make_pod(name="pod", script="true", **spec):
    job = make_job(name, script)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": job["spec"]["template"]["spec"] | spec,
    }


def conditions(obj):
    return [c["type"] for c in (obj or {}).get("status", {}).get("conditions", []) if c["status"] == "True"]


class Client:
    """Plain HTTP against a cluster; answers are (status, decoded body)."""

    def __init__(self, cluster, session):
        self.cluster = cluster
        self.session = session

    async def call(self, method, path, body=None, **headers):
        content = {name.replace("_", "-"): value for name, value in headers.items()}
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        data = None if raw is None else io.BytesIO(raw)
        if data is not None:
            content.setdefault("Content-Type", "application/json")
        async with self.session.request(method, self.cluster.url + path, data=data, headers=content) as reply:
            raw = await reply.read()
            kind = reply.headers.get("Content-Type", "")
            return reply.status, json.loads(raw) if raw and "json" in kind else raw

    async def get(self, path, **headers):
        return await self.call("GET", path, **headers)

    async def post(self, path, body):
        return await self.call("POST", path, body)

    async def put(self, path, body):
        return await self.call("PUT", path, body)

    async def patch(self, path, body, kind=MERGE, **headers):
        return await self.call("PATCH", path, body, Content_Type=kind, **headers)

    async def delete(self, path, body=None):
        return await self.call("DELETE", path, body)

    @asynccontextmanager
    async def watch(self, path, **query):
        """Yields a coroutine function that returns the next event, or None at the end of the stream."""
        params = {"watch": "1"} | {name: str(value) for name, value in query.items()}
        async with self.session.get(self.cluster.url + path, params=params) as reply:
            assert reply.status == 200, await reply.text()

            async def event():
                line = await reply.content.readline()
                return json.loads(line) if line else None

            yield event


@asynccontextmanager
async def serving(**arguments):
    async with FakeCluster(**arguments) as cluster, aiohttp.ClientSession() as session:
        yield Client(cluster, session)


async def finished(cluster, name="run"):
    """The Job once it has ended."""

    def look():
        job = cluster.get("jobs", "default", name)
        return job if {"Complete", "Failed"} & set(conditions(job)) else None

    return await cluster.wait(look)


async def pod_when(cluster, predicate, namespace="default"):
    """The first pod that a predicate holds of."""

    def look():
        return next((pod for pod in cluster.list("pods", namespace) if predicate(pod)), None)

    return await cluster.wait(look)
