"""Runs on the stand-in node: the manifest of a Job, and the pace in which Jobs are created.

Labels are of a domain that is the bench's own: a controller that is installed on the cluster sees none of it.
"""

import asyncio
from typing import Any, Final

from bench.cluster.client import Cluster
from bench.cluster.node import TAINT
from bench.cluster.node_pods import WORK_SECONDS
from controller.core.contract import Keys

JSON = dict[str, Any]
DOMAIN: Final = "bench.runherd"
FOREIGN: Final = "foreign.runherd"
"""Domain of the labels of runs that no controller looks after."""
AT_ONCE: Final = 16
"""Creates that are on their way at the same time."""


def manifest(name: str, *, domain: str = DOMAIN, agent: str = "", seconds: float = 1.0) -> JSON:
    """A Job whose agent works that long: suspended, unless nobody is there to admit it."""
    keys = Keys(domain)
    labels = {
        keys.agent_id: agent or f"agent-{name}",
        keys.run_id: f"run-{name}",
        keys.adapter_type: "claude_k8s",
        keys.task_id: f"task-{name}",
        keys.company_id: "company-17",
        "app.kubernetes.io/managed-by": "bench",
    }
    annotations = {WORK_SECONDS: str(seconds)}
    template = {"metadata": {"labels": labels, "annotations": annotations}, "spec": _pod_spec(name)}
    spec = {"suspend": domain == DOMAIN, "backoffLimit": 0, "template": template}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    }


def _pod_spec(name: str) -> JSON:
    variables = {"RUN_ID": f"run-{name}", "HOME": "/workspace", "CLAUDE_CONFIG_DIR": "/workspace/.claude"}
    container = {
        "name": "claude",
        "image": "registry.example/agents/claude:2.4.1",
        "imagePullPolicy": "IfNotPresent",
        "command": ["claude", "-p", "Do it.", "--output-format", "stream-json", "--verbose"],
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        "volumeMounts": [{"name": "workspace", "mountPath": "/workspace"}],
    }
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 2,
        "automountServiceAccountToken": False,
        "nodeSelector": {TAINT: "true"},
        "tolerations": [{"key": TAINT, "operator": "Exists"}],
        "volumes": [{"name": "workspace", "emptyDir": {}}],
        "containers": [container],
    }


async def create(cluster: Cluster, namespace: str, made: JSON) -> str:
    """One run; the uid of its Job."""
    job = await cluster.create(f"/apis/batch/v1/namespaces/{namespace}/jobs", made)
    return str(job["metadata"]["uid"])


async def create_all(cluster: Cluster, namespace: str, made: list[JSON]) -> list[str]:
    """As fast as the server takes them; the uids of their Jobs."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(job: JSON) -> str:
        async with gate:
            return await create(cluster, namespace, job)

    return await asyncio.gather(*(one(job) for job in made))


async def create_steadily(cluster: Cluster, namespace: str, made: list[JSON], rate: float) -> list[str]:
    """So many a second, whether or not the server keeps up; the uids of their Jobs."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        tasks = []
        for number, job in enumerate(made):
            await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
            tasks.append(group.create_task(create(cluster, namespace, job)))
    return [task.result() for task in tasks]
