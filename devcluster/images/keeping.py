"""Keeps in the cache what images are made from, and them, and forgets what has not been used for long.

Owns: how many of a kind are kept. Never: knows what they are.
"""

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from devcluster import cache

KEPT = 3
"""Of each kind, so many are kept: two checkouts may use the cache at the same time."""


def kept(kind: str, stamp: str, make: Callable[[Path], None]) -> Path:
    """The file or folder of a kind that `stamp` stands for, made when it is missing; see `cache.made`."""
    place = cache.made(f"image-{kind}-{stamp}", make)
    os.utime(place)  # it was used just now
    alike = [(at.stat().st_mtime_ns, at) for at in cache.folder().glob(f"image-{kind}-*")]
    for _, old in sorted(alike, reverse=True)[KEPT:]:
        with contextlib.suppress(FileNotFoundError):  # somebody else forgot it first
            _remove(old)
    return place


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
