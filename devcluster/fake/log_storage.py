"""Container logs on disk, as a container runtime keeps them: a timestamped record a line, rotated by size.

Owns: the files, their records, rotation, and waking whoever reads along.
Never: knows about pods, HTTP or processes.
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

LINE_PIECE = 16 * 1024  # a runtime cuts longer lines into pieces
NANO = 1_000_000_000
LogKey = tuple[str, str, int]  # pod uid, container, restart


def stamp(nanoseconds: int) -> bytes:
    """RFC 3339 with nine digits."""
    seconds, rest = divmod(nanoseconds, NANO)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode() + b".%09dZ" % rest


class ContainerLog:
    """The log of one container instance."""

    def __init__(self, folder: Path, max_size: int | None, max_files: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._max_size = max_size
        self._max_files = max_files
        self._number = 0
        self._file = self._path().open("ab")
        self._partial = {b"stdout": b"", b"stderr": b""}
        self._readers: set[LogReader] = set()
        self.closed = False

    def write(self, stream: bytes, data: bytes, at: int | None = None) -> None:
        """Output as it came out of a pipe: whole lines are recorded, the rest waits for its end."""
        lines = (self._partial[stream] + data).split(b"\n")
        rest = lines.pop()
        for line in lines:
            self._line(stream, line, at)
        while len(rest) >= LINE_PIECE:
            self._record(stream, b"P", rest[:LINE_PIECE], at)
            rest = rest[LINE_PIECE:]
        self._partial[stream] = rest
        self._publish()

    def close(self) -> None:
        """No more output will come."""
        for stream, rest in self._partial.items():
            if rest:
                self._record(stream, b"P", rest, None)  # a line that never ended
            self._partial[stream] = b""
        self.closed = True
        self._publish()

    def reader(self, wake: Callable[[], None]) -> "LogReader":
        """Read from the newest file on; `wake` is called when there is more."""
        reader = LogReader(self, self._path().open("rb"), wake)
        self._readers.add(reader)
        return reader

    def leave(self, reader: "LogReader") -> None:
        """A reader has gone."""
        self._readers.discard(reader)

    def tail(self, limit: int) -> bytes:
        """The newest bytes of the newest file, from the start of a record on, without record headers."""
        raw = self._path().read_bytes()[-2 * limit - LINE_PIECE :]
        records = [line.split(b" ", 3) for line in raw.split(b"\n") if line.count(b" ") >= 3]
        return b"".join(text + (b"\n" if tag == b"F" else b"") for _, _, tag, text in records)[-limit:]

    def delete(self) -> None:
        """Remove the files; readers in progress come to an end."""
        self.close()
        self._file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _line(self, stream: bytes, line: bytes, at: int | None) -> None:
        while len(line) > LINE_PIECE:
            self._record(stream, b"P", line[:LINE_PIECE], at)
            line = line[LINE_PIECE:]
        self._record(stream, b"F", line, at)

    def _record(self, stream: bytes, tag: bytes, content: bytes, at: int | None) -> None:
        moment = stamp(time.time_ns() if at is None else at)
        self._file.write(b"%s %s %s %s\n" % (moment, stream, tag, content))
        if self._max_size is not None and self._file.tell() > self._max_size:
            self._rotate()

    def _rotate(self) -> None:
        self._file.close()
        self._number += 1
        self._file = self._path().open("ab")
        for reader in self._readers:
            reader.follow_into(self._path().open("rb"))
        old = self._path(self._number - self._max_files)
        old.unlink(missing_ok=True)

    def _publish(self) -> None:
        if not self._file.closed:
            self._file.flush()
        for reader in tuple(self._readers):
            reader.wake()

    def _path(self, number: int | None = None) -> Path:
        return self._folder / f"{self._number if number is None else number}.log"


class LogReader:
    """A position in a log; whole records only. Rotation does not lose anything for it."""

    def __init__(self, log: ContainerLog, file: BinaryIO, wake: Callable[[], None]) -> None:
        self.log = log
        self.wake = wake
        self._files = [file]
        self._rest = b""

    def follow_into(self, file: BinaryIO) -> None:
        """The log goes on in a new file."""
        self._files.append(file)

    def skip_to_tail(self, count: int) -> None:
        """Leave out all but the last records of the file."""
        file = self._files[0]
        position = file.seek(0, 2)
        block, seen = 64 * 1024, 0
        while position > 0:
            start = max(position - block, 0)
            file.seek(start)
            data = file.read(position - start)
            at = len(data)
            while (at := data.rfind(b"\n", 0, at)) >= 0:
                seen += 1
                if seen > count:
                    file.seek(start + at + 1)
                    return
            position = start
        file.seek(0)

    def records(self, size: int = 2**20) -> list[bytes]:
        """More records, without their newline; empty if there are none yet."""
        while True:
            data = self._files[0].read(size)
            if data:
                lines = (self._rest + data).split(b"\n")
                self._rest = lines.pop()
                if lines:
                    return lines
            elif len(self._files) > 1:
                self._files.pop(0).close()
            else:
                return []

    def close(self) -> None:
        """Done reading."""
        self.log.leave(self)
        for file in self._files:
            file.close()


class LogStorage:
    """All logs below one folder."""

    def __init__(self, folder: Path, max_size: int | None = None, max_files: int = 5) -> None:
        self._folder = folder
        self.max_size = max_size
        self.max_files = max_files
        self._logs: dict[LogKey, ContainerLog] = {}
        self.removed: set[str] = set()  # uids of pods that are still there, and have lost their containers

    def log(self, key: LogKey) -> ContainerLog:
        """The log of a container instance, new if there is none."""
        if key not in self._logs:
            uid, container, restart = key
            folder = self._folder / uid / container / str(restart)
            self._logs[key] = ContainerLog(folder, self.max_size, self.max_files)
        return self._logs[key]

    def find(self, key: LogKey) -> ContainerLog | None:
        """The log of a container instance, if it has one."""
        return self._logs.get(key)

    def remove_containers(self, uid: str) -> None:
        """Remove all logs of a pod that may stay without them, held by a finalizer."""
        self.delete_pod(uid)
        self.removed.add(uid)

    def delete_pod(self, uid: str) -> None:
        """Remove all logs of a pod that has gone."""
        self.removed.discard(uid)
        for key in [key for key in self._logs if key[0] == uid]:
            self._logs.pop(key).delete()
        shutil.rmtree(self._folder / uid, ignore_errors=True)

    def close(self) -> None:
        """Remove everything."""
        for uid in {key[0] for key in self._logs}:
            self.delete_pod(uid)
