"""What took long to make is kept here, outside the tree, until its stamp changes.

Owns: the cache folder, and that a thing in it is either whole or absent, whoever makes it at the same time.
Never: knows what is made, or removes what was made under other stamps.
"""

import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path


def folder() -> Path:
    """$RUNHERD_CACHE, else runherd below $XDG_CACHE_HOME, else ~/.cache/runherd; it need not exist yet."""
    if own := os.environ.get("RUNHERD_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "runherd"
    return Path.home() / ".cache" / "runherd"


def made(stamp: str, make: Callable[[Path], None]) -> Path:
    """The path of what `stamp` (one file name) stands for, made by `make` when it is missing.

    `make` gets a path at which nothing is yet, and leaves a file or a folder there. Only when it returns
    does that become visible under the stamp. Two processes never make the same thing: one waits.
    """
    place = folder() / stamp
    if place.exists():
        return place
    folder().mkdir(parents=True, exist_ok=True)
    draft = folder() / f".{stamp}.draft"
    with _alone(folder() / f".{stamp}.lock", stamp):
        if not place.exists():
            try:
                _remove(draft)  # what a killed process left
                make(draft)
                draft.rename(place)
            finally:
                _remove(draft)
    return place


@contextlib.contextmanager
def _alone(lock: Path, stamp: str) -> Iterator[None]:
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process that makes {stamp} …", file=sys.stderr, flush=True)
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
