"""The chart as Helm renders it, and what Helm says when it refuses to."""

import json
import subprocess
from functools import cache
from pathlib import Path

import yaml

from devcluster import programs

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "runherd"
CASES = sorted(CHART.glob("ci/*-values.yaml"))
RELEASE = "herd"
NAMESPACE = "runherd-system"
NAME = "herd-runherd"


class HelmError(Exception):
    """Helm's words."""


def values():
    """The values as they come."""
    return yaml.safe_load((CHART / "values.yaml").read_text())


def schema():
    return json.loads((CHART / "values.schema.json").read_text())


def case(path):
    """A case's name: of `ci/NAME-values.yaml`."""
    return path.name.removesuffix("-values.yaml")


def run(program, *arguments, given=""):
    """A program's output, both streams; its exit code."""
    done = subprocess.run(
        [programs.path(program), *arguments],
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@cache
def _template(given, notes):
    command = ("install", "--dry-run=client") if notes else ("template",)
    code, text = run("helm", *command, RELEASE, str(CHART), "-n", NAMESPACE, "-f", "-", given=given)
    if code:
        raise HelmError(text)
    return text


def text(given=""):
    """All objects as Helm prints them; `given`: values as YAML, or as a mapping."""
    return _template(given if isinstance(given, str) else yaml.safe_dump(given), notes=False)


def objects(given=""):
    """All objects."""
    return [found for found in yaml.safe_load_all(text(given)) if found]


def of_kind(kind, given="", *, hooks=False):
    """The objects of one kind; those of `helm test` only if asked for."""
    return [
        found
        for found in objects(given)
        if found["kind"] == kind and hooks is ("helm.sh/hook" in (found["metadata"].get("annotations") or {}))
    ]


def only(kind, given="", *, hooks=False):
    """The only object of its kind."""
    (found,) = of_kind(kind, given, hooks=hooks)
    return found


def container(given=""):
    """The controller's container."""
    (found,) = only("Deployment", given)["spec"]["template"]["spec"]["containers"]
    return found


def environment(given=""):
    """The container's variables by name: what they are set to, or where from."""
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container(given)["env"]}


def notes(given=""):
    """What Helm says after an installation."""
    given = given if isinstance(given, str) else yaml.safe_dump(given)
    return _template(given, notes=True).partition("\nNOTES:\n")[2]


def refusal(given):
    """Helm's words when it refuses these values; empty if it takes them."""
    try:
        text(given)
    except HelmError as refused:
        return str(refused)
    return ""
