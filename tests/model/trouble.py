"""What may go wrong with a call to the API server: before its effect, after it, or without an answer."""

from dataclasses import dataclass
from typing import NamedTuple

from controller.kube import errors

WRITES = ("patch", "create", "update")
READS = ("get", "list", "watch")


class Fate(NamedTuple):
    """What becomes of one call: whether it takes effect, and what is answered instead of the truth."""

    arrives: bool
    error: type | None = None
    code: int = 0
    answered: bool = True
    """If not, the client waits until it gives up."""


FATES = {
    "500": Fate(arrives=False, error=errors.Unavailable, code=500),
    "lost answer": Fate(arrives=True, error=errors.Unavailable),
    "lost request": Fate(arrives=False, error=errors.Unavailable, answered=False),
    "no answer": Fate(arrives=True, error=errors.Unavailable, answered=False),
    "429": Fate(arrives=False, error=errors.Throttled),
    "403": Fate(arrives=False, error=errors.Refused, code=403),
    "409": Fate(arrives=False, error=errors.Conflict),
    "410": Fate(arrives=False, error=errors.Expired),
}
WELL = Fate(arrives=True)


def raised(fate, what):
    """The error that a fate means."""
    if fate.error is errors.Throttled:
        return errors.Throttled(f"{what}: 429", 2.0)
    if fate.error is errors.Refused:
        return errors.Refused(f"{what}: {fate.code} Forbidden", fate.code, "Forbidden")
    if fate.error is errors.Unavailable:
        return errors.Unavailable(f"{what}: {fate.code}", fate.code)
    return fate.error(what)


@dataclass
class _Ill:
    fate: Fate
    verbs: tuple
    left: int


class Trouble:
    """What is wrong at the moment."""

    def __init__(self):
        self._ills = []
        self.dark = set()
        """Kinds that can't be listed or watched."""

    def add(self, name, verbs, calls):
        """So many of the next calls with these verbs have this fate."""
        self._ills.append(_Ill(FATES[name], tuple(verbs), calls))

    def clear(self):
        self._ills.clear()
        self.dark.clear()

    def fate_of(self, verb, plural):
        """What becomes of this call."""
        if plural in self.dark and verb in ("list", "watch"):
            return FATES["500"]
        for ill in self._ills:
            if verb not in ill.verbs or (ill.fate.error is errors.Conflict and plural != "jobs"):
                continue
            ill.left -= 1
            if not ill.left:
                self._ills.remove(ill)
            return ill.fate
        return WELL
