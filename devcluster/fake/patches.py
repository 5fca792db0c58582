"""The three kinds of patch: merge (RFC 7386), JSON (RFC 6902) and strategic merge.

Owns: computing a patched object from a private copy. Never validates the result.
"""

from typing import Any

import msgspec

from devcluster.fake import errors

JSON = dict[str, Any]
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
# Lists that a strategic merge joins by a key of their items; all other lists are replaced.
MERGE_KEYS = {
    "ownerReferences": "uid",
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "resourceClaims": "name",
    "conditions": "type",
    "podIPs": "ip",
    "hostIPs": "ip",
}
MERGED_SETS = {"finalizers"}
_decode, _encode = msgspec.json.decode, msgspec.json.encode
ORDER, DELETE_FROM = "$setElementOrder/", "$deleteFromPrimitiveList/"
DIRECTIVES = {"$patch": ("replace", "delete", "merge"), "$retainKeys": None}
"""What a strategic merge knows besides fields, and the values that it takes."""


def copied(value: Any) -> Any:
    """A deep copy of any JSON value."""
    return _decode(_encode(value))


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386: objects are merged, null removes, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = target if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def strategic(target: Any, patch: Any, field: str = "") -> Any:
    """Like merge, but lists with a known key are joined item by item, and `$patch` directives are obeyed."""
    if isinstance(patch, list):
        return _strategic_list(target if isinstance(target, list) else [], patch, field)
    if not isinstance(patch, dict):
        return patch
    _check_directives(patch)
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if patch.get("$patch") == "delete":
        return {}
    return _strategic_object(dict(target) if isinstance(target, dict) else {}, patch)


def _check_directives(patch: JSON) -> None:
    """501 for what a real server may understand, and this one does not."""
    for key, value in patch.items():
        if not key.startswith("$") or key.startswith((ORDER, DELETE_FROM)):
            continue
        known = DIRECTIVES.get(key, ())
        if known is not None and value not in known:
            raise errors.not_modelled(f"{key}: {value} of a strategic merge patch")


def _strategic_object(result: JSON, patch: JSON) -> JSON:
    if "$retainKeys" in patch:
        result = {key: value for key, value in result.items() if key in patch["$retainKeys"]}
    for key, value in patch.items():
        if key.startswith(DELETE_FROM):
            field = key.removeprefix(DELETE_FROM)
            result[field] = [item for item in result.get(field, []) if item not in value]
        elif value is None:
            result.pop(key, None)
        elif not key.startswith("$"):
            result[key] = strategic(result.get(key), value, key)
    for key in [key for key in patch if key.startswith(ORDER)]:
        _reorder(result, key.removeprefix(ORDER), patch[key])
    return result


def _strategic_list(target: list[Any], patch: list[Any], field: str) -> list[Any]:
    if field in MERGED_SETS:
        return target + [item for item in patch if item not in target]
    key = MERGE_KEYS.get(field)
    if key is None or not all(isinstance(item, dict) for item in patch):
        return patch
    if any(item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if item.get("$patch") != "replace"]
    result, fresh = list(target), list[Any]()
    for item in patch:
        _merge_item(result, fresh, item, key)
    return fresh + result  # what is new comes first


def _merge_item(result: list[Any], fresh: list[Any], item: JSON, key: str) -> None:
    if key not in item:
        raise errors.bad_request(f"map: {item} does not contain declared merge key: {key}")
    at = next((i for i, known in enumerate(result) if known.get(key) == item[key]), None)
    if item.get("$patch") == "delete":
        if at is not None:
            del result[at]
    elif at is None:
        fresh.append(strategic({}, item))
    else:
        result[at] = strategic(result[at], item)


def _reorder(result: JSON, field: str, order: list[Any]) -> None:
    key = MERGE_KEYS.get(field)
    wanted = [item.get(key) if isinstance(item, dict) else item for item in order]
    items = result.get(field)
    if not isinstance(items, list):
        return

    def place(item: Any) -> int:
        name = item.get(key) if isinstance(item, dict) else item
        return wanted.index(name) if name in wanted else len(wanted)

    result[field] = sorted(items, key=place)


def json_patch(target: JSON, operations: Any) -> JSON:
    """RFC 6902, all or nothing."""
    if not isinstance(operations, list) or not all(isinstance(op, dict) for op in operations):
        raise errors.bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    document: Any = target
    for operation in operations:
        document = _apply(document, operation)
    result: JSON = document
    return result


def _apply(document: Any, operation: JSON) -> Any:
    name, path = operation.get("op"), _pointer(operation.get("path"))
    match name:
        case "add" | "replace" | "remove" | "test" if name == "remove" or "value" in operation:
            return _edit(document, name, path, operation.get("value"))
        case "move" | "copy":
            source = _pointer(operation.get("from"))
            value = _get(document, source)
            if name == "move":
                document = _edit(document, "remove", source, None)
            return _edit(document, "add", path, value)
    raise errors.unprocessable()


def _pointer(text: Any) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise errors.unprocessable()
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _get(document: Any, path: list[str]) -> Any:
    for part in path:
        document = _child(document, part)
    return document


def _child(parent: Any, part: str) -> Any:
    if isinstance(parent, list) and part.isdigit() and int(part) < len(parent):
        return parent[int(part)]
    if isinstance(parent, dict) and part in parent:
        return parent[part]
    raise errors.unprocessable()


def _edit(document: Any, name: str, path: list[str], value: Any) -> Any:
    if name == "test":
        if (_get(document, path) if _exists(document, path) else None) != value:
            raise errors.unprocessable()
        return document
    if not path:
        return value
    parent, last = _get(document, path[:-1]), path[-1]
    if name in ("replace", "remove"):
        _child(parent, last)
    if isinstance(parent, list):
        _edit_list(parent, name, last, value)
    elif not isinstance(parent, dict):
        raise errors.unprocessable()
    elif name == "remove":
        del parent[last]
    else:
        parent[last] = value
    return document


def _exists(document: Any, path: list[str]) -> bool:
    try:
        _get(document, path)
    except errors.ApiError:
        return False
    return True


def _edit_list(parent: list[Any], name: str, last: str, value: Any) -> None:
    if name == "add" and last == "-":
        parent.append(value)
    elif name == "add" and last.isdigit() and int(last) <= len(parent):
        parent.insert(int(last), value)
    elif name == "replace":
        parent[int(last)] = value
    elif name == "remove":
        del parent[int(last)]
    else:
        raise errors.unprocessable()
