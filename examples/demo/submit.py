"""The manifests of `examples/runs`, made into the Jobs of one round, and submitted as a host does.

Owns: what differs from one round to the next (names and ids get a suffix on a cluster that others share),
the ConfigMap with the transcripts, and the removal of all of it. Never: writes anything of the controller's.
"""

import asyncio
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from controller.core.contract import Keys
from examples.demo.apiserver import CONFIGMAPS, JOBS, NAMESPACES, ApiServer
from examples.demo.trouble import Trouble

ROOT: Final = Path(__file__).resolve().parents[2]
RUNS: Final = ROOT / "examples" / "runs"
_RECORDED: Final = ROOT / "tests" / "data"
TRANSCRIPTS: Final = (_RECORDED / "claude", _RECORDED / "opencode", ROOT / "examples" / "transcripts")
CONFIGMAP: Final = "transcripts"
INSTANCE: Final = "app.kubernetes.io/instance"
KEYS: Final = Keys()

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Round:
    """One round of the demo: what sets its objects apart from those of another."""

    suffix: str = ""
    """Put after names and ids; empty on a cluster of its own."""

    @property
    def instance(self) -> str:
        """Value of the label that all Jobs and pods of this round carry."""
        return self.named("demo")

    @property
    def selector(self) -> str:
        """Selects the runs of this round and no others."""
        return f"{KEYS.agent_id},{INSTANCE}={self.instance}"

    @property
    def lease(self) -> str:
        """Name of the controller's lease."""
        return self.named("runherd-demo")

    def named(self, name: str) -> str:
        """A name or id, in this round."""
        return f"{name}-{self.suffix}" if self.suffix else name


def manifests(folder: Path = RUNS) -> dict[str, JSON]:
    """All runs by name, in the order in which they are submitted."""
    found = [yaml.safe_load(path.read_text("utf-8")) for path in sorted(folder.glob("*.yaml"))]
    if not found:
        raise Trouble(f"There are no manifests in {folder}: is the working copy complete?")
    return {manifest["metadata"]["name"]: manifest for manifest in found}


def prepared(manifest: JSON, current: Round) -> JSON:
    """The Job of this round."""
    job = copy.deepcopy(manifest)
    metadata, pod = job["metadata"], job["spec"]["template"]
    metadata["name"] = current.named(metadata["name"])
    for labels in (metadata["labels"], pod["metadata"]["labels"]):
        labels[INSTANCE] = current.instance
        for key in (KEYS.agent_id, KEYS.run_id):
            labels[key] = current.named(labels[key])
    metadata["annotations"][KEYS.run_id] = metadata["labels"][KEYS.run_id]
    for reference in _transcripts_of(pod["spec"]):
        reference["name"] = current.named(CONFIGMAP)
    return job


def transcripts(current: Round) -> JSON:
    """The ConfigMap that the runs read their lines from."""
    paths = [path for folder in TRANSCRIPTS for path in sorted(folder.glob("*.jsonl"))]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": current.named(CONFIGMAP), "labels": {INSTANCE: current.instance}},
        "data": {path.name: path.read_text("utf-8") for path in paths},
    }


class Submission:
    """The objects of one round, from the first to the last; `uids` are those of its Jobs by run name."""

    def __init__(self, api: ApiServer, current: Round) -> None:
        self._api = api
        self._round = current
        self.uids: dict[str, str] = {}

    async def prepare(self) -> None:
        """What the runs need before they can start: a namespace, their transcripts."""
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self._api.namespace}}
        await self._api.create(NAMESPACES, namespace)
        if await self._api.create(CONFIGMAPS, transcripts(self._round)) is None:
            raise Trouble(
                f"There is a ConfigMap {self._round.named(CONFIGMAP)} in {self._api.namespace} already."
            )

    async def submit(self, runs: Mapping[str, JSON]) -> None:
        """All Jobs, one after the other: of two runs of an agent the one that came first goes first."""
        for name, manifest in runs.items():
            job = await self._api.create(JOBS, prepared(manifest, self._round))
            if job is None:
                raise Trouble(f"There is a Job {self._round.named(name)} in {self._api.namespace} already.")
            self.uids[name] = job["metadata"]["uid"]

    async def annotate(self, name: str, notes: Mapping[str, str]) -> None:
        """Adds annotations to a Job that was submitted here."""
        change = {"metadata": {"uid": self.uids[name], "annotations": dict(notes)}}
        await self._api.patch(JOBS, self._round.named(name), change)

    async def remove(self) -> None:
        """Deletes what was created here. The controller never does: it has no right to."""
        deletions = [self._api.delete(JOBS, self._round.named(name), uid) for name, uid in self.uids.items()]
        await asyncio.gather(*deletions, self._api.delete(CONFIGMAPS, self._round.named(CONFIGMAP)))


def _transcripts_of(pod: JSON) -> Iterator[JSON]:
    containers: Sequence[JSON] = pod["containers"]
    for variable in (variable for container in containers for variable in container.get("env", ())):
        reference = variable.get("valueFrom", {}).get("configMapKeyRef")
        if reference and reference["name"] == CONFIGMAP:
            yield reference
