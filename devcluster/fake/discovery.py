"""What clients read to find their way: versions, groups, resources, as much OpenAPI as kubectl needs.

Owns: these documents. Never: looks at objects.
"""

from typing import Any

from devcluster.fake.resources import GROUP_VERSIONS, JSON, RESOURCES, Resource

VERSION: JSON = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.0+devcluster-fake",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "linux/amd64",
}


def document(path: str) -> JSON | None:  # noqa: C901, PLR0911 - a table of addresses, one case each
    """The document at a path, or None."""
    match path.strip("/").split("/"):
        case ["version"]:
            return VERSION
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": _groups()}
        case ["api", version]:
            return _resource_list("", version)
        case ["apis", group]:
            return next(
                (g | {"kind": "APIGroup", "apiVersion": "v1"} for g in _groups() if g["name"] == group), None
            )
        case ["apis", group, version]:
            return _resource_list(group, version)
        case ["openapi", "v3"]:
            return {"paths": {_openapi_path(*gv): {"serverRelativeURL": f"/openapi/v3/{_openapi_path(*gv)}"}
                              for gv in GROUP_VERSIONS}}  # fmt: skip
        case ["openapi", "v3", *rest]:
            return _openapi("/".join(rest))
    return None


def _groups() -> list[JSON]:
    return [_group(group, version) for group, version in GROUP_VERSIONS if group]


def _group(group: str, version: str) -> JSON:
    served = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [served], "preferredVersion": served}


def _resource_list(group: str, version: str) -> JSON | None:
    if (group, version) not in GROUP_VERSIONS:
        return None
    entries: list[JSON] = []
    for resource in RESOURCES:
        if (resource.group, resource.version) == (group, version):
            entries += _entries(resource)
    group_version = f"{group}/{version}" if group else version
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": entries,
    }


def _entries(resource: Resource) -> list[JSON]:
    entry: JSON = {
        "name": resource.plural,
        "singularName": resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return [entry, *(_subresource(resource, name) for name in resource.subresources)]


def _subresource(resource: Resource, name: str) -> JSON:
    verbs = ["get"] if name == "log" else ["get", "patch", "update"]
    entry: JSON = {"name": f"{resource.plural}/{name}", "singularName": "", "namespaced": resource.namespaced}
    return entry | {"kind": resource.kind, "verbs": verbs}


def _openapi_path(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _openapi(path: str) -> JSON | None:
    """Enough for kubectl to learn that writes take `fieldValidation`; no schemas."""
    paths: dict[str, Any] = {}
    for resource in RESOURCES:
        base = _openapi_path(resource.group, resource.version)
        if base != path:
            continue
        where = "namespaces/{namespace}/" if resource.namespaced else ""
        paths[f"/{base}/{where}{resource.plural}/{{name}}"] = {"patch": _operation(resource)}
    if not paths:
        return None
    info = {"title": "devcluster fake", "version": str(VERSION["gitVersion"])}
    return {"openapi": "3.0.0", "info": info, "paths": paths}


def _operation(resource: Resource) -> JSON:
    names = ("dryRun", "fieldManager", "fieldValidation", "force", "pretty")
    return {
        "parameters": [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names],
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": {
            "group": resource.group, "version": resource.version, "kind": resource.kind,
        },
    }  # fmt: skip
