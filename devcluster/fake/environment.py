"""A container's environment and files: declared variables, references, mounted volumes, `$(VAR)`.

Owns: resolving them from the cluster. A process has no mount namespace of its own: each mountPath is a
folder of the pod's scratch space, whose real path is put in place of the mountPath wherever command, args
or variables name it. Never: starts anything.
"""

import base64
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from devcluster.fake.resources import CONFIG_MAP, JSON, SECRET
from devcluster.fake.storage import Storage

_VARIABLE = re.compile(r"\$(\$|\(([^()$]+)\))")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class ConfigError(Exception):
    """A container cannot be created: something it refers to is missing."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where values come from: the cluster and the pod itself."""

    storage: Storage
    pod: JSON

    def values(self, kind: str, name: str) -> dict[str, bytes] | None:
        """The content of a ConfigMap or Secret, or None."""
        resource = {"configMap": CONFIG_MAP, "secret": SECRET}[kind]
        stored = self.storage.get(resource, (self.pod["metadata"]["namespace"], name))
        if stored is None:
            return None
        held = stored.object.get("data") or {}
        if kind == "secret":
            return {key: base64.b64decode(value) for key, value in held.items()}
        binary = stored.object.get("binaryData") or {}
        return {k: v.encode() for k, v in held.items()} | {k: base64.b64decode(v) for k, v in binary.items()}

    def missing(self, kind: str, name: str) -> str:
        """The kubelet's words for an absent object."""
        return f'{kind.lower()} "{name}" not found'


def variables(source: Source, container: JSON) -> dict[str, str]:
    """The declared variables, in order; ConfigError if a reference leads nowhere."""
    result: dict[str, str] = {}
    for entry in container.get("envFrom") or []:
        result |= _all_of(source, entry)
    for variable in container.get("env") or []:
        value = _value(source, variable, result)
        if value is not None:
            result[variable["name"]] = value
    return result


def _all_of(source: Source, entry: JSON) -> dict[str, str]:
    kind = "configMap" if "configMapRef" in entry else "secret"
    reference = entry[f"{kind}Ref"]
    values = source.values(kind, reference.get("name", ""))
    if values is None:
        if reference.get("optional"):
            return {}
        raise ConfigError(source.missing(kind, reference.get("name", "")))
    return {entry.get("prefix", "") + key: os.fsdecode(value) for key, value in values.items()}


def _value(source: Source, variable: JSON, known: Mapping[str, str]) -> str | None:
    origin = variable.get("valueFrom")
    if not origin:
        return expand(variable.get("value") or "", known)
    if "fieldRef" in origin:
        return field(source.pod, origin["fieldRef"]["fieldPath"])
    kind = "configMap" if "configMapKeyRef" in origin else "secret"
    reference = origin[f"{kind}KeyRef"]
    values = source.values(kind, reference.get("name", ""))
    if values is not None and reference["key"] in values:
        return os.fsdecode(values[reference["key"]])
    if reference.get("optional"):
        return None
    if values is None:
        raise ConfigError(source.missing(kind, reference.get("name", "")))
    where = f"{source.pod['metadata']['namespace']}/{reference.get('name', '')}"
    raise ConfigError(f"couldn't find key {reference['key']} in {kind[0].upper()}{kind[1:]} {where}")


def field(pod: JSON, path: str) -> str:
    """The downward API."""
    meta, spec, status = pod["metadata"], pod["spec"], pod.get("status", {})
    known = {
        "metadata.name": meta["name"], "metadata.namespace": meta["namespace"], "metadata.uid": meta["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.podIP": status.get("podIP", ""), "status.hostIP": status.get("hostIP", ""),
        "status.podIPs": status.get("podIP", ""), "status.hostIPs": status.get("hostIP", ""),
    }  # fmt: skip
    if path in known:
        return str(known[path])
    match = _SUBSCRIPT.fullmatch(path)
    if match:
        return str((meta.get(match[1]) or {}).get(match[2], ""))
    raise ConfigError(f"unsupported fieldPath: {path}")


def expand(text: str, known: Mapping[str, str]) -> str:
    """`$(NAME)` is replaced if it is known, `$$` is one dollar."""

    def replacement(match: "re.Match[str]") -> str:
        if match[1] == "$":
            return "$"
        return known.get(match[2], match[0])

    return _VARIABLE.sub(replacement, text)


def mounts(source: Source, container: JSON, scratch: Path, shared: Path) -> dict[str, Path]:
    """The folder behind each mountPath, filled; ConfigError if a volume's object is missing."""
    volumes = {volume["name"]: volume for volume in source.pod["spec"].get("volumes") or []}
    result = {}
    for mount in container.get("volumeMounts") or []:
        folder = _volume(source, volumes[mount["name"]], shared / mount["name"])
        result[mount["mountPath"].rstrip("/")] = folder / mount["subPath"] if mount.get("subPath") else folder
    message = container.get("terminationMessagePath", "/dev/termination-log")
    result[message] = scratch / "termination-log"
    return result


def fill_volumes(source: Source, shared: Path) -> None:
    """All volumes of the pod; ConfigError, as the kubelet tells it, if an object is missing."""
    for volume in source.pod["spec"].get("volumes") or []:
        try:
            _volume(source, volume, shared / volume["name"])
        except ConfigError as error:
            raise ConfigError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from error


def _volume(source: Source, volume: JSON, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for kind, key in (("configMap", "name"), ("secret", "secretName")):
        if kind in volume:
            _fill(source, kind, volume[kind].get(key, ""), volume[kind], folder)
    return folder


def _fill(source: Source, kind: str, name: str, volume: JSON, folder: Path) -> None:
    values = source.values(kind, name)
    if values is None:
        if volume.get("optional"):
            return
        raise ConfigError(source.missing(kind, name))
    items = volume.get("items") or [{"key": key, "path": key} for key in values]
    for item in items:
        if item["key"] not in values:
            raise ConfigError(f"references non-existent config key: {item['key']}")
        path = folder / item["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(values[item["key"]])


def localise(mounted: Mapping[str, Path]) -> Callable[[str], str]:
    """A function that puts real folders in place of mount paths."""
    if not mounted:
        return lambda text: text
    paths = sorted(mounted, key=len, reverse=True)
    pattern = re.compile("(?<![A-Za-z0-9_./-])(" + "|".join(map(re.escape, paths)) + ")(?![A-Za-z0-9_.-])")
    return lambda text: pattern.sub(lambda match: str(mounted[match[1]]), text)
