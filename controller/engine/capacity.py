"""Places of companies and cluster over all slots: who holds them, who waits for one, whose turn it is.

In memory, without a clock, and never a look at all Jobs: each change costs as much as what changed. It knows
of uids, companies and slots; whether a Job holds a place, and whether a run could start, is told to it.

A turn is a reservation: from the moment it is given the run counts as running. It ends when the run is seen
to hold a place, and is given back when its start was refused, or when its slot does not ask for it any more.
Turns are given when a slot is looked at, not when a place becomes free: the slot in which that happened is
looked at then, and what waits there is first in line as often as any other.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from controller.core import contending
from controller.core.model import Slot
from controller.core.snapshot import Capacity, Contender, Policy, Snapshot
from controller.engine.groups import Groups

_STALE_ENTRIES: Final = 64
"""The heap of companies is built anew when it has grown beyond four times what it needs, and this."""


class Line:
    """All contenders: of each company the oldest first, and first the company with the fewest running."""

    def __init__(self, running: Counter[str], company_limit: int) -> None:
        self._running = running
        self._limit = company_limit
        self._slots: dict[Slot, dict[str, Contender]] = {}
        self._where: dict[str, Slot] = {}
        self._of_company: dict[str, list[Contender]] = {}
        """Heaps; who has left the line is still in them until he comes first."""
        self._companies: list[tuple[int, Contender]] = []
        """A heap of (running, first contender) of each company; what is outdated is skipped."""

    def __len__(self) -> int:
        """How many wait."""
        return len(self._where)

    def set(self, slot: Slot, contenders: Iterable[Contender]) -> None:
        """These are the contenders of the slot now."""
        before = self._slots.get(slot, {})
        after = {contender.uid: contender for contender in contenders}
        for uid, contender in before.items():
            if after.get(uid) != contender and self._where.get(uid) == slot:
                del self._where[uid]
        for uid, contender in after.items():
            self._where[uid] = slot
            if before.get(uid) != contender:
                heapq.heappush(self._of_company.setdefault(contender.company, []), contender)
        if after:
            self._slots[slot] = after
        else:
            self._slots.pop(slot, None)
        for company in {contender.company for contender in (*before.values(), *after.values())}:
            self.moved(company)

    def discard(self, uid: str) -> None:
        """This one waits no more."""
        if (slot := self._where.get(uid)) is not None:
            self.set(slot, [other for other in self._slots[slot].values() if other.uid != uid])

    def moved(self, company: str) -> None:
        """Another number of the company's runs are running, or another of them is first in line."""
        if (first := self._first(company)) is None:
            return
        heapq.heappush(self._companies, (self._running[company], first))
        if len(self._companies) > 4 * len(self._of_company) + _STALE_ENTRIES:
            firsts = [(name, self._first(name)) for name in list(self._of_company)]
            self._companies = [(self._running[name], first) for name, first in firsts if first is not None]
            heapq.heapify(self._companies)

    def take(self) -> tuple[Slot, Contender] | None:
        """Whose turn is next, now out of the line; None if nobody's."""
        while self._companies:
            running, contender = heapq.heappop(self._companies)
            company = contender.company
            if (running, contender) != (self._running[company], self._first(company)):
                continue
            if self._limit and running >= self._limit:
                continue  # it is put here again as soon as one of its runs has ended
            slot = self._where[contender.uid]
            self.discard(contender.uid)
            return slot, contender
        return None

    def _first(self, company: str) -> Contender | None:
        waiting = self._of_company.get(company)
        while waiting:
            slot = self._where.get(waiting[0].uid)
            if slot is not None and self._slots[slot].get(waiting[0].uid) == waiting[0]:
                return waiting[0]
            heapq.heappop(waiting)
        self._of_company.pop(company, None)
        return None


class Ledger:
    """Who runs, by uid of the Job. `wake` is called with each slot one of whose runs has got its turn."""

    def __init__(self, policy: Policy, wake: Callable[[Slot], None]) -> None:
        self._cluster_limit = policy.cluster_concurrency
        self._wake = wake
        self._held: dict[str, str] = {}
        """Uid -> company."""
        self._turns: dict[str, Contender] = {}
        self._turns_of = Groups[Slot]()
        self._slot_of: dict[str, Slot] = {}
        self._room: dict[Slot, int] = {}
        """Places of the slot itself that nobody has got a turn for."""
        self._running: Counter[str] = Counter()
        self._line = Line(self._running, policy.company_concurrency)

    # ── Who runs ─────────────────────────────────────────────────────────────────────────────────

    def hold(self, uid: str, company: str | None) -> None:
        """Something of this Job may run; None: its company is as it was, or none."""
        turn = self._end_turn(uid)
        if turn is not None and uid in self._held:
            self._count(turn.company, -1)  # it was counted for both
        before = self._held.get(uid, turn.company if turn else None)
        now = (before or "") if company is None else company
        self._held[uid] = now
        self._line.discard(uid)
        if before == now:
            return
        self._count(now, 1)
        if before is not None:
            self._count(before, -1)

    def free(self, uid: str) -> None:
        """Nothing of it runs. If it has a turn it keeps it."""
        if (company := self._held.pop(uid, None)) is not None:
            self._count(company, -1)

    def give_back(self, uid: str) -> None:
        """It will not be started now, though it was its turn."""
        self._line.discard(uid)
        if (turn := self._end_turn(uid)) is not None:
            self._count(turn.company, -1)

    def forget(self, uid: str) -> None:
        """There is no such Job."""
        self.free(uid)
        self.give_back(uid)

    # ── Who waits ────────────────────────────────────────────────────────────────────────────────

    def contend(
        self, slot: Slot, contenders: tuple[Contender, ...], free: int, *, later: bool = False
    ) -> bool:
        """These runs of the slot could start, so many at once. Says whether its turns have changed.

        `later`: turns are given when `give_turns` is called, once all contenders are known.
        """
        before = self._turns_of.of(slot)
        asked = {contender.uid: contender for contender in contenders}
        for uid in before:
            if self._turns[uid] != asked.get(uid):
                self._count(self._turns[uid].company, -1)
                self._end_turn(uid)
        room = free - len(self._turns_of.of(slot))
        self._set_room(slot, room, [one for one in contenders if one.uid not in self._turns])
        if not later:
            self.give_turns(asking=slot)
        return self._turns_of.of(slot) != before

    def stand_aside(self, slot: Slot) -> None:
        """What is known of the slot is in doubt: nobody else of it gets a turn, who has one keeps it."""
        self._set_room(slot, 0, [])
        self.give_turns()

    def give_turns(self, asking: Slot | None = None) -> None:
        """To as many as there is capacity for, in their order. The slot that asks need not be woken."""
        while not self._cluster_limit or len(self._held) + len(self._turns) < self._cluster_limit:
            if (found := self._line.take()) is None:
                return
            slot, contender = found
            self._turns[contender.uid] = contender
            self._turns_of.add(slot, contender.uid)
            self._slot_of[contender.uid] = slot
            self._count(contender.company, 1)
            self._room[slot] -= 1
            if not self._room[slot]:
                self._set_room(slot, 0, [])  # its other contenders come again when it is looked at
            if slot != asking:
                self._wake(slot)

    def view(self, slot: Slot, companies: Iterable[str]) -> Capacity:
        """What a slot is told."""
        running = {company: self._running[company] for company in companies}
        return Capacity(frozenset(self._turns_of.of(slot)), len(self._held) + len(self._turns), running)

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────

    def _set_room(self, slot: Slot, room: int, contenders: list[Contender]) -> None:
        if room > 0 and contenders:
            self._room[slot] = room
            self._line.set(slot, contenders)
        else:
            self._room.pop(slot, None)
            self._line.set(slot, ())

    def _end_turn(self, uid: str) -> Contender | None:
        turn = self._turns.pop(uid, None)
        if turn is not None:
            self._turns_of.discard(self._slot_of.pop(uid), uid)
        return turn

    def _count(self, company: str, change: int) -> None:
        self._running[company] += change
        if not self._running[company]:
            del self._running[company]
        self._line.moved(company)


def compete(ledger: Ledger | None, seen: Snapshot, policy: Policy, *, later: bool = False) -> bool:
    """The slot's runs compete with those of others. Says whether their turns have changed.

    `later`: nobody gets a turn before `give_turns`.
    """
    if ledger is None or not seen.fresh:
        return False
    if seen.doubts:
        ledger.stand_aside(seen.slot)
        return False
    asking, free = contending.contenders(seen, policy), contending.free_places(seen, policy)
    return ledger.contend(seen.slot, asking, free, later=later)
