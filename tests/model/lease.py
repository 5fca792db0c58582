"""Who leads, as the Lease of `kube/lease.py` has it: our own deadline passes 5 s before others may begin.

Renewals are not played; a holder leads until it is cut off, and for 10 s after that.
"""

DEADLINE_SECONDS = 10.0
DURATION_SECONDS = 15.0


class Leadership:
    def __init__(self, world):
        self._world = world
        self.holder = None
        self._until = float("inf")

    def held(self, program):
        """What a program's own clock can promise it."""
        return self.holder is program and self._world.clock.now < self._until

    def cut_off(self):
        """The holder can't renew any more: it ends when it knows, and another follows after 15 s."""
        holder = self.holder
        if holder is None or self._until != float("inf"):
            return
        now = self._world.clock.now
        self._until = now + DEADLINE_SECONDS
        self._world.agenda.after(DEADLINE_SECONDS, self._deadline, holder)
        self._world.agenda.after(DURATION_SECONDS, self._expired, holder)

    def _deadline(self, holder):
        if self.holder is holder and not holder.frozen:
            self._world.kill(holder)

    def _expired(self, holder):
        if self.holder is holder:
            self.holder = None
        self.fill()

    def left(self, program):
        """The program has died; one that was killed does not give its lease back."""
        if self.holder is program:
            self.cut_off()

    def fill(self):
        """Somebody who is warm takes a free lease."""
        if self.holder is None:
            self.holder = next((p for p in self._world.programs if not p.frozen), None)
            self._until = float("inf")
            if self.holder is not None:
                self.holder.elect()
