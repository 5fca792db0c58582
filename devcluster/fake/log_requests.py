"""`GET pods/x/log`: which log is meant, whether it can be read yet, and which part of it is sent.

Owns: the options of a log read and the refusals of API server and kubelet. Never: writes a log.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from devcluster.fake import clock, errors
from devcluster.fake.log_storage import LogKey, LogReader, LogStorage
from devcluster.fake.resources import JSON
from devcluster.fake.strategies import pod_template
from devcluster.fake.streams import CUT, Stream

KNOWN = {
    "container", "follow", "previous", "sinceSeconds", "sinceTime", "timestamps", "tailLines", "limitBytes",
    "pretty", "insecureSkipTLSVerifyBackend", "stream",
}  # fmt: skip
PULL_TEXTS = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What a log read asks for."""

    container: str = ""
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    since: bytes = b""
    tail: int | None = None
    limit: int | None = None


def options(query: Mapping[str, str], pod: str, now: datetime) -> LogOptions:
    """The options of a request; 422 if they contradict each other."""
    found = errors.FieldErrors()
    if "sinceSeconds" in query and "sinceTime" in query:
        found.forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified")
    if query.get("stream", "All") != "All":
        raise errors.not_modelled("logs of one output stream")
    numbers = {name: _number(query, name, found) for name in ("sinceSeconds", "tailLines", "limitBytes")}
    if found.causes:
        raise errors.invalid("", "PodLogOptions", pod, found.causes)
    return LogOptions(
        container=query.get("container", ""),
        follow=_flag(query, "follow"),
        previous=_flag(query, "previous"),
        timestamps=_flag(query, "timestamps"),
        since=_since(query, numbers["sinceSeconds"], now),
        tail=numbers["tailLines"],
        limit=numbers["limitBytes"],
    )


def _flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("1", "true", "t")


def _number(query: Mapping[str, str], name: str, found: errors.FieldErrors) -> int | None:
    if not query.get(name):
        return None
    try:
        value = int(query[name])
    except ValueError:
        raise errors.bad_request(errors.no_int(query[name])) from None
    least = 0 if name == "tailLines" else 1
    if value < least:
        found.invalid(name, value, f"must be greater than {'or equal to ' if least == 0 else ''}0")
    return value


def _since(query: Mapping[str, str], seconds: int | None, now: datetime) -> bytes:
    if seconds is not None:
        moment = now - timedelta(seconds=seconds)
        return f"{moment:%Y-%m-%dT%H:%M:%S.%f}000Z".encode()
    text = query.get("sinceTime")
    if not text:
        return b""
    try:
        moment = clock.parse(text)
    except ValueError:
        raise errors.bad_request(errors.no_time(text, "2006-01-02T15:04:05Z07:00")) from None
    # Between API server and kubelet the time travels in whole seconds.
    return clock.seconds(moment).replace("Z", ".000000000Z").encode()


def log_key(pod: JSON, wanted: LogOptions) -> LogKey | None:
    """The log that is meant; None if the pod has no node; 400 if there is none yet."""
    name, container = pod["metadata"]["name"], wanted.container or _only_container(pod)
    if container not in [c["name"] for c in pod_template.containers(pod["spec"])]:
        raise errors.bad_request(f"container {container} is not valid for pod {name}")
    if not pod["spec"].get("nodeName") and not _status(pod, container):
        return None
    status = _status(pod, container)
    if not status:
        raise errors.bad_request(f'container "{container}" in pod "{name}" is not available')
    return (
        pod["metadata"]["uid"],
        container,
        _instance(status, wanted, f'container "{container}" in pod "{name}"'),
    )


def _only_container(pod: JSON) -> str:
    names = [container["name"] for container in pod["spec"]["containers"]]
    if len(names) == 1:
        return str(names[0])
    every = " ".join(container["name"] for container in pod_template.containers(pod["spec"]))
    text = f"a container name must be specified for pod {pod['metadata']['name']}"
    raise errors.bad_request(f"{text}, choose one of: [{every}]")


def _status(pod: JSON, container: str) -> JSON:
    status = pod.get("status", {})
    listed = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
    return next((item for item in listed if item["name"] == container), {})


def _instance(status: JSON, wanted: LogOptions, what: str) -> int:
    """The restart whose log is meant."""
    state, last = status.get("state", {}), status.get("lastState", {}).get("terminated")
    count: int = status.get("restartCount", 0)
    waiting: Any = state.get("waiting")
    if wanted.previous:
        if not last:
            raise errors.bad_request(f"previous terminated {what} not found")
        return count if waiting is not None else max(count - 1, 0)
    if "running" in state or "terminated" in state or last:
        return count
    if waiting is None:
        raise errors.bad_request(f"{what} is waiting to start - no logs yet")
    reason = waiting.get("reason", "")
    raise errors.bad_request(f"{what} is waiting to start: {PULL_TEXTS.get(reason, reason)}")


def lost(pod: JSON, key: LogKey, logs: LogStorage) -> str:
    """What the kubelet says, with status 200, of a container that it has removed; empty if it has not."""
    if key[0] not in logs.removed:
        return ""
    return f"unable to retrieve container logs for {_status(pod, key[1]).get('containerID', '')}"


class Excerpt:
    """The bytes of a log that a reader asked for, record by record."""

    def __init__(self, reader: LogReader, wanted: LogOptions) -> None:
        self._reader = reader
        self._wanted = wanted
        self._left = wanted.limit
        self._line_start = True
        if wanted.tail is not None:
            reader.skip_to_tail(wanted.tail)

    @property
    def over(self) -> bool:
        """Whether the limit is reached."""
        return self._left is not None and self._left <= 0

    def more(self) -> bytes:
        """What can be sent now; empty if there is nothing new."""
        while not self.over:
            records = self._reader.records()
            if not records:
                break
            data = b"".join(map(self._shown, records))
            if self._left is not None:
                data = data[: self._left]
                self._left -= len(data)
            if data:
                return data
        return b""

    def _shown(self, record: bytes) -> bytes:
        moment, _, tag, content = record.split(b" ", 3)
        if self._wanted.since and moment < self._wanted.since:
            return b""
        prefix = moment + b" " if self._wanted.timestamps and self._line_start else b""
        self._line_start = tag == b"F"
        return prefix + content + (b"\n" if tag == b"F" else b"")


async def serve(
    response: web.StreamResponse, logs: LogStorage, key: LogKey, wanted: LogOptions, stream: Stream
) -> None:
    """Send the log; a follow ends when the container has ended and everything is sent."""
    log = logs.log(key) if wanted.follow else logs.find(key)
    if log is None:
        return
    reader = log.reader(stream.wake.set)
    excerpt = Excerpt(reader, wanted)
    try:
        while True:
            closed = (
                log.closed
            )  # looked at before reading: what is written in between is read in the next round
            data = b"" if stream.silent else excerpt.more()
            if stream.ending == CUT:
                await response.write(data[: max(len(data) // 2, 1)] or b"2")
                stream.abort()
                return
            if data:
                await response.write(data)
            elif excerpt.over or stream.ending or (not stream.silent and (closed or not wanted.follow)):
                return
            else:
                await stream.wait()
    finally:
        reader.close()
