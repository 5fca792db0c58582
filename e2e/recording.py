"""All that happens to Jobs and Pods of the cluster under test: what they are now, and every write before.

Owns: two watches in threads of their own, and waiting for a state with a deadline. The history has the shape
that `tests.program.oracle` reads, so that the same invariants are held to the real cluster.
Never: writes.
"""

import json
import threading
import time
from contextlib import closing
from typing import NamedTuple

import requests

from e2e.apiserver import ApiServer, Refused, Unready, path
from tests.program import oracle

KINDS = {"jobs": "Job", "pods": "Pod"}
_WATCH_SECONDS = 240
_SILENCE_SECONDS = 90
_AGAIN_AFTER_SECONDS = 0.3
_LOOK_EVERY_SECONDS = 1.0
"""A state may depend on more than Jobs and Pods (the collector's spans, a Deployment)."""


class Kept(NamedTuple):
    """One version of an object."""

    object: dict


class Write(NamedTuple):
    """One write as the watch showed it; `actor` is who must have made it, by what was changed."""

    version: int
    type: str
    kind: str
    namespace: str
    name: str
    uid: str
    object: dict
    previous: Kept | None
    actor: str
    verb: str = ""


class Recording:
    """`now` is what there is; `history` every change since the start, oldest first."""

    def __init__(self, kubeconfig):
        self._kubeconfig = kubeconfig
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._objects = {kind: {} for kind in KINDS.values()}
        self._history = []
        self._threads = [threading.Thread(target=self._follow, args=(name,)) for name in KINDS]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def object(self, kind, namespace, name):
        """The newest state of it; None if there is none."""
        with self._changed:
            return self._objects[kind].get((namespace, name))

    def objects(self, kind, namespace):
        with self._changed:
            return [found for key, found in self._objects[kind].items() if key[0] == namespace]

    def history(self, namespace):
        """The writes in a namespace. Versions are one sequence for Jobs and Pods, so they have an order."""
        with self._changed:
            return sorted(w for w in self._history if w.namespace == namespace)

    def until(self, look, seconds):
        """The first truthy thing that `look` returns; asked after every change. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not (found := look()):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"not in {seconds:.0f} s")
                self._changed.wait(min(left, _LOOK_EVERY_SECONDS))
            return found

    # Following

    def _follow(self, resource):
        with closing(ApiServer(self._kubeconfig)) as api:
            version = ""
            while not self._stopping.is_set():
                try:
                    version = self._watch(api, resource, version or self._list(api, resource))
                except (requests.RequestException, Unready):
                    self._stopping.wait(_AGAIN_AFTER_SECONDS)
                except Refused:  # 410: what was missed is seen by the list
                    version = ""
                    self._stopping.wait(_AGAIN_AFTER_SECONDS)

    def _list(self, api, resource):
        found = api.call("GET", path(resource))
        kind = KINDS[resource]
        there = {item["metadata"]["uid"] for item in found["items"]}
        with self._changed:
            gone = [o for o in self._objects[kind].values() if o["metadata"]["uid"] not in there]
        for item in gone:
            self._take("DELETED", kind, item)
        for item in found["items"]:
            self._take("MODIFIED", kind, item)
        return found["metadata"]["resourceVersion"]

    def _watch(self, api, resource, version):
        params = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
        params["timeoutSeconds"] = str(_WATCH_SECONDS)
        with closing(
            api.raw("GET", path(resource), params=params, stream=True, timeout=(5, _SILENCE_SECONDS))
        ) as reply:
            if reply.status_code != 200:
                raise Refused(reply.status_code, reply.text)
            for line in reply.iter_lines(chunk_size=None, delimiter=b"\n"):
                if self._stopping.is_set():
                    break
                if not line:
                    continue
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise Refused(event["object"].get("code", 500), event["object"].get("message", ""))
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._take(event["type"], KINDS[resource], event["object"])
        return version

    def _take(self, what, kind, found):
        meta = found["metadata"]
        key = (meta["namespace"], meta["name"])
        with self._changed:
            old = self._objects[kind].get(key)
            if old and old["metadata"]["resourceVersion"] == meta["resourceVersion"] and what != "DELETED":
                return
            if what == "DELETED":
                self._objects[kind].pop(key, None)
            else:
                self._objects[kind][key] = found
            same = old if old and old["metadata"]["uid"] == meta["uid"] else None
            self._history.append(_write(what, kind, found, same))
            self._changed.notify_all()


def _write(what, kind, found, old):
    meta = found["metadata"]
    shown = "ADDED" if old is None and what != "DELETED" else what
    previous = Kept(old) if old else None
    write = Write(
        int(meta["resourceVersion"]),
        shown,
        kind,
        meta["namespace"],
        meta["name"],
        meta["uid"],
        found,
        previous,
        "",
    )
    ours = (
        kind == "Job" and old is not None and shown != "DELETED" and oracle.notes(old) != oracle.notes(found)
    )
    return write._replace(actor=oracle.ACTOR if ours else "")
