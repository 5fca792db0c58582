"""Watches of the model: events in the order of their versions; late, silent, cut, or ended in their turn."""

import asyncio
from itertools import takewhile

import msgspec

from controller.kube import errors
from controller.kube.api import RawEvent

IDLE_SECONDS = 70.0
"""A connection that brings nothing for so long is given up by the transport."""
BOOKMARK_SECONDS = 60.0


class Wires:
    """How events travel: a lag for each kind, kinds that are silent, and all streams that are open."""

    def __init__(self):
        self.lag = {"jobs": 0.0, "pods": 0.0}
        self.silent = set()
        self.open = []

    def cut(self, plural):
        """All connections of a kind break."""
        for stream in [stream for stream in self.open if stream.plural == plural]:
            stream.give(errors.Unavailable("cut"))

    def replay(self, plural, events):
        """The last events come again, as after a resumption from an old version."""
        for stream in [stream for stream in self.open if stream.plural == plural]:
            stream.replay(events)

    def speak(self):
        """Nobody is silent or slow any more; what was withheld comes now."""
        self.lag = dict.fromkeys(self.lag, 0.0)
        self.silent.clear()
        for stream in tuple(self.open):
            stream.flush()


class Stream:
    """One watch of one controller."""

    def __init__(self, world, program, plural, selector, version):
        self.plural = plural
        self._world, self._program, self._selector = world, program, selector
        self._inbox, self._withheld, self._past = [], [], []
        self._wake = asyncio.Event()
        self._last = 0.0
        self._closed = False
        self._version = version

    async def batches(self, seconds):
        """What comes, until the server ends the watch after so many seconds."""
        self._open(seconds)  # or Expired
        if self.plural in self._program.ended_well:
            self._program.ended_well.discard(self.plural)
            self._program.heard(self.plural, ())  # it went on where the last one ended in its turn
        try:
            yield ()
            while True:
                try:
                    async with asyncio.timeout(IDLE_SECONDS):
                        await self._wake.wait()
                except TimeoutError as error:
                    raise errors.Unavailable("nothing came for too long") from error
                self._wake.clear()
                found, self._inbox = self._inbox, []
                events = tuple(takewhile(lambda event: isinstance(event, RawEvent), found))
                if events:
                    self._program.heard(self.plural, events)
                    yield events
                if len(events) < len(found):
                    end = found[len(events)]
                    if end is None:
                        self._program.ended_well.add(self.plural)
                        return
                    raise end
        finally:
            self._closed = True
            self._world.wires.open.remove(self)
            self._world.cluster.storage.unlisten(self._see)

    def _open(self, seconds):
        storage = self._world.cluster.storage
        if self._version < storage.oldest:
            raise errors.Expired("compacted meanwhile")
        self._world.wires.open.append(self)
        for write in storage.since(self._version):
            self._see(write)
        storage.listen(self._see)
        self._world.agenda.after(seconds, self.give, None)
        self._world.agenda.after(BOOKMARK_SECONDS, self._bookmark)

    def _see(self, write):
        if write.resource.plural != self.plural:
            return
        now = self._selector.matches(write.resource, write.object)
        before = write.previous is not None and self._selector.matches(write.resource, write.previous.object)
        if not now and not before:
            return
        if write.type == "DELETED":
            kind, raw = "DELETED", write.stored.json()
        elif now:
            kind, raw = "MODIFIED" if before else "ADDED", write.stored.json()
        else:
            kind, raw = "DELETED", _last_selected(write)
        self._send(RawEvent(kind, msgspec.Raw(raw)), write.version)

    def _send(self, event, version):
        clock = self._world.agenda.clock
        at = max(self._last, clock.now + self._world.wires.lag[self.plural])
        self._last = at
        self._world.agenda.after(at - clock.now, self._arrive, event, version)

    def _arrive(self, event, version):
        self._version = max(self._version, version)
        if self.plural in self._world.wires.silent or self._withheld:
            self._withheld.append(event)
        else:
            self.give(event)

    def _bookmark(self):
        if self._closed:
            return
        version = self._version if self._last > self._world.agenda.clock.now else self._newest()
        mark = {"metadata": {"resourceVersion": str(version)}}
        self._arrive(RawEvent("BOOKMARK", msgspec.Raw(msgspec.json.encode(mark))), version)
        self._world.agenda.after(BOOKMARK_SECONDS, self._bookmark)

    def _newest(self):
        return self._world.cluster.storage.version

    def give(self, event):
        """An event; an error that breaks the stream; None for its proper end."""
        if not self._closed:
            self._inbox.append(event)
            if isinstance(event, RawEvent) and event.type != "BOOKMARK":
                self._past.append(event)
            self._wake.set()

    def replay(self, events):
        for event in self._past[-events:] if events else ():
            self.give(event)

    def flush(self):
        """What was withheld comes now."""
        withheld, self._withheld = self._withheld, []
        for event in withheld:
            self.give(event)


def _last_selected(write):
    """What leaves the selector is told as it was before, with the version in which it left."""
    last = write.previous.object
    return msgspec.json.encode(
        last | {"metadata": last["metadata"] | {"resourceVersion": str(write.version)}}
    )
