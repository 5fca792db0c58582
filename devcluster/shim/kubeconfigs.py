"""A cluster's entries in a kubeconfig that may hold others: put in, and taken out again.

Owns: the file's mode (its owner's only) and that other clusters stay as they are. What kind does with
`--kubeconfig`. Never: makes up an entry.
"""

import os
from pathlib import Path
from typing import Any

import yaml

LISTS = ("clusters", "users", "contexts")


def merge(source: Path, target: Path) -> None:
    """Put all entries of one file into another, replacing those of their names, and use its context."""
    if target.exists() and target.samefile(source):
        return
    added, held = _read(source), _read(target)
    _write(target, {**added, **{key: _others(held, added, key) + added[key] for key in LISTS}})


def remove(source: Path, target: Path) -> None:
    """Take all entries of one file out of another; what is then empty is deleted."""
    if not (source.exists() and target.exists()) or target.samefile(source):
        return
    gone, held = _read(source), _read(target)
    left = {**held, **{key: _others(held, gone, key) for key in LISTS}}
    if not any(left[key] for key in LISTS):
        target.unlink()
        return
    if left.get("current-context") not in {entry["name"] for entry in left["contexts"]}:
        left["current-context"] = ""
    _write(target, left)


def _others(held: dict[str, Any], named: dict[str, Any], key: str) -> list[Any]:
    names = {entry["name"] for entry in named[key]}
    return [entry for entry in held.get(key) or [] if entry["name"] not in names]


def _read(path: Path) -> dict[str, Any]:
    """The content of a kubeconfig; nothing when there is no file, or an empty one."""
    return (yaml.safe_load(path.read_text("utf-8")) if path.exists() else None) or {}


def _write(path: Path, content: dict[str, Any]) -> None:
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.touch(mode=0o600)
    new.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    new.replace(path)
