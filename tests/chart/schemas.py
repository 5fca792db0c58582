"""JSON schemas of Kubernetes' own kinds for kubeconform, made from the OpenAPI document of its Go module.

Strict: a field that Kubernetes does not know is refused. Made once for each version, into the cache.
"""

import json
import subprocess

from devcluster import cache, programs

LOCATION = "{{.ResourceKind}}{{.KindSuffix}}.json"
DEFINITIONS = "#/definitions/"
LOOSE = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["integer", "string"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["number", "string"]},
}


def location():
    """What to give to kubeconform as -schema-location."""
    stamp = f"schemas-{programs.kubernetes_version()}"
    return f"{cache.made(stamp, _write)}/{LOCATION}"


def _write(folder):
    definitions = json.loads((_module() / "api/openapi-spec/swagger.json").read_text())["definitions"]
    strict = {name: _strict(found) for name, found in definitions.items()} | LOOSE
    folder.mkdir()
    for name, found in definitions.items():
        for kind in found.get("x-kubernetes-group-version-kind", []):
            (folder / _file(kind)).write_text(json.dumps(_of_kind(name, kind, strict)))


def _module():
    """The folder of k8s.io/kubernetes, downloaded if it is not there."""
    told = subprocess.run(
        ["go", "mod", "download", "-json", "k8s.io/kubernetes"],
        cwd=programs.MODULE,
        capture_output=True,
        text=True,
        check=True,
    )
    return type(programs.MODULE)(json.loads(told.stdout)["Dir"])


def _file(kind):
    group = kind["group"].partition(".")[0]
    suffix = f"-{group}-{kind['version']}" if group else f"-{kind['version']}"
    return f"{kind['kind'].lower()}{suffix}.json"


def _of_kind(name, kind, strict):
    version = f"{kind['group']}/{kind['version']}" if kind["group"] else kind["version"]
    named = {"kind": {"enum": [kind["kind"]]}, "apiVersion": {"enum": [version]}}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "allOf": [{"$ref": DEFINITIONS + name}, {"properties": named, "required": ["kind", "apiVersion"]}],
        "definitions": {found: strict[found] for found in _needed(name, strict)},
    }


def _needed(name, strict):
    """That definition and all that it refers to, however far."""
    found, ahead = set(), [name]
    while ahead:
        new = ahead.pop()
        if new not in found:
            found.add(new)
            ahead.extend(_referred(strict[new]))
    return sorted(found)


def _referred(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].removeprefix(DEFINITIONS)
        for below in node.values():
            yield from _referred(below)


def _strict(node):
    """Without what is only told to people, and closed where fields are named."""
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if key != "description" and not key.startswith("x-")}
    if "properties" in kept:
        fields = {name: _strict(found) for name, found in kept["properties"].items()}
        return kept | {"properties": fields, "additionalProperties": False}
    return {key: _strict(value) for key, value in kept.items()}
