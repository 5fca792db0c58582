"""Jobs and Pods of runs in progress as an API server sends them: all fields, managedFields, about 6 KB each.

Owns whose they are and the order in which they come. Each state is encoded once, with placeholders (see
`shapes`); number and version are filled in as bytes: making events costs next to nothing beside reading.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bench import shapes
from bench.shapes import JSON, KEYS, stamp
from controller.core.contract import Status

NODES: Final = 40
NOON: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
"""When the first run was submitted; each other an hour before the last."""
WAVE: Final = 50
"""Runs that are in progress at once: their events come mixed."""


@dataclass(frozen=True, slots=True)
class Template:
    """One state of a Job or Pod, for any run."""

    plural: str
    text: bytes

    def fill(self, run: int, version: int) -> bytes:
        """The object of that run."""
        named = self.text.replace(b"@RUN@", b"%08d" % run).replace(b"@VERSION@", b"%d" % version)
        hour = (NOON - timedelta(hours=run)).strftime("%Y-%m-%dT%H")  # no two runs share an instant
        return named.replace(b"@NODE@", b"%d" % (run % NODES)).replace(b"@HOUR@", hour.encode())


def job_template(phase: str = "", *, ended: bool = False, result: str = "") -> Template:
    """A Job as far as its run has come; `phase` empty: just submitted."""
    tree = shapes.job(phase, ended=ended)
    if result:
        tree["metadata"]["annotations"][KEYS.status(Status.RESULT)] = result
    tree["metadata"]["managedFields"] = _owners(tree, "batch/v1", "runherd-host", "kube-controller-manager")
    return Template("jobs", json.dumps(tree, separators=(",", ":")).encode())


def pod_template(state: str) -> Template:
    """A Pod that is `pending`, `creating`, `running` or `succeeded`."""
    tree = shapes.pod(state)
    tree["metadata"]["managedFields"] = _owners(tree, "v1", "kube-controller-manager", "kubelet")
    return Template("pods", json.dumps(tree, separators=(",", ":")).encode())


def life() -> tuple[tuple[str, Template], ...]:
    """The events of one run in the order in which they come, up to the middle of its work."""
    return (
        ("ADDED", job_template()),
        ("MODIFIED", job_template("Starting")),
        ("ADDED", pod_template("pending")),
        ("MODIFIED", pod_template("pending")),
        ("MODIFIED", job_template("Starting")),
        ("MODIFIED", pod_template("creating")),
        ("MODIFIED", pod_template("running")),
        ("MODIFIED", job_template("Running")),
        ("MODIFIED", pod_template("running")),
        ("MODIFIED", job_template("Running")),
    )


def events(runs: int) -> Iterator[tuple[str, bytes]]:
    """Plural and line of each watch event of that many runs, in waves."""
    version, course = 1, life()
    for first in range(0, runs, WAVE):
        for kind, template in course:
            for run in range(first, min(first + WAVE, runs)):
                version += 1
                yield template.plural, line(kind, template.fill(run, version))


def line(kind: str, body: bytes) -> bytes:
    """One event of a watch."""
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), body)


def _owners(tree: JSON, api_version: str, author: str, keeper: str) -> list[JSON]:
    """managedFields: who wrote what, field by field."""
    whole = {"metadata": {"labels": tree["metadata"]["labels"]}, "spec": tree["spec"]}
    told = {"metadata": {"annotations": tree["metadata"].get("annotations", {})}}
    parts = [(author, "", whole), (keeper, "status", {"status": tree["status"]})]
    parts += [("runherd", "", told)] if told["metadata"]["annotations"] else []
    return [
        {
            "manager": manager,
            "operation": "Update",
            "apiVersion": api_version,
            "time": stamp(9),
            "fieldsType": "FieldsV1",
            "fieldsV1": _owned(part),
        }
        | ({"subresource": sub} if sub else {})
        for manager, sub, part in parts
    ]


def _owned(tree: Any) -> JSON:
    if isinstance(tree, dict):
        return {f"f:{key}": _owned(value) for key, value in tree.items()}
    if isinstance(tree, list) and all(isinstance(each, dict) for each in tree):
        key = "name" if all("name" in each for each in tree) else "type"
        return {f'k:{{"{key}":"{each.get(key, "")}"}}': {".": {}} | _owned(each) for each in tree}
    return {}
