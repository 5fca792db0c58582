"""Runs submitted to the fake cluster: agents that say hello, work for a second and give their result.

Owns their manifest, and the order and pace in which they are created.
"""

import asyncio
from typing import Any, Final

from bench import transcripts
from bench.shapes import KEYS, NAMESPACE
from devcluster.fake import FakeCluster

JSON = dict[str, Any]
WORK_SECONDS: Final = 1.0
_SCRIPT: Final = 'printf "%s\\n" "$1"; sleep "$2"; printf "%s\\n" "$3"'


def manifest(name: str, agent: str = "", command: list[str] | None = None) -> JSON:
    """A suspended Job of that agent, or of one of its own. `command`: what the agent does instead."""
    labels = {
        KEYS.agent_id: f"agent-{agent or name}",
        KEYS.run_id: f"run-{name}",
        KEYS.adapter_type: "claude_k8s",
    }
    first, *_, last = (line.decode() for _, line in transcripts.lines(1))
    container = {
        "name": "claude",
        "image": "busybox:1.36",
        "imagePullPolicy": "IfNotPresent",
        "command": command or ["sh", "-c", _SCRIPT, "agent", first, str(WORK_SECONDS), last],
    }
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 2, "containers": [container]}
    return {
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "suspend": True,
            "backoffLimit": 0,
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def submit(cluster: FakeCluster, name: str, agent: str = "", command: list[str] | None = None) -> str:
    """One run; the uid of its Job."""
    return str(cluster.create("jobs", manifest(name, agent, command))["metadata"]["uid"])


async def submit_steadily(
    cluster: FakeCluster, prefix: str, runs: int, rate: float, command: list[str] | None = None
) -> list[str]:
    """So many runs a second; the uids of their Jobs."""
    loop = asyncio.get_running_loop()
    began, uids = loop.time(), []
    for number in range(runs):
        await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
        uids.append(submit(cluster, f"{prefix}-{number}", command=command))
    return uids


async def submit_in_line(cluster: FakeCluster, agents: int, rate: float) -> list[tuple[str, str]]:
    """For so many agents a second two runs each, of which one has to wait for the other; their Jobs' uids."""
    loop = asyncio.get_running_loop()
    began, lines = loop.time(), []
    for number in range(agents):
        await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
        agent = f"line-{number}"
        lines.append((submit(cluster, f"{agent}-a", agent), submit(cluster, f"{agent}-b", agent)))
    return lines
