"""Whose lines these are: the agent's own session, and that of a program which prints into the same log.

Never reads a line. A new session is believed when it begins: a container may be restarted, and a script may
run one agent after the other. But if the session before it speaks again, then it was only a guest, and all
that it claimed is forgotten. While that may still happen, the turn of the one before stays open: live work
is not taken for finished.
"""

from dataclasses import dataclass

from controller.core.transcript import AgentLog, Claim


@dataclass(frozen=True, slots=True)
class Session:
    """What the agent has said about itself."""

    id: str = ""
    model: str = ""
    version: str = ""
    claim: Claim | None = None
    turn_open: bool = False


class Sessions:
    """The session that speaks, and the one that it took over from."""

    def __init__(self, begun: AgentLog) -> None:
        self.id, self.model, self.version = begun.session_id, begun.model, begun.agent_version
        self.claim, self.turn_open = begun.claim, begun.turn_open
        self._before: Session | None = None
        self._any = False
        """The conversation was cleared: whichever session comes next goes on with it."""

    @property
    def unsettled(self) -> bool:
        """Whose the next lines are follows from what was said before; the newest session is not all of it."""
        return self._any or (self._before is not None and self._before.turn_open)

    def owns(self, session: str, *, begins: bool) -> bool:
        """Whether a line of that session is the agent's own. `begins`: a turn begins with it."""
        if not session or session == self.id or not self.id or self._any:
            return True
        if self._before is not None and session == self._before.id:
            back, self._before = self._before, None
            self.id, self.model, self.version, self.claim = back.id, back.model, back.version, back.claim
            return True
        return begins

    def begin(self, session: str, model: str, version: str) -> None:
        """A turn of that session begins."""
        another = session and self.id and session != self.id and not self._any
        if another and (self._before is None or not self._before.turn_open):
            self._before = Session(self.id, self.model, self.version, self.claim, self.turn_open)
        self._any = False
        self.id = session or self.id
        self.model = model or self.model
        self.version = version or self.version
        self.turn_open = True

    def end(self, session: str, claim: Claim) -> None:
        """A turn has ended with that claim."""
        self.id = self.id or session
        self.claim = claim
        self.turn_open = self._before is not None and self._before.turn_open

    def begin_anew(self) -> None:
        """The conversation was cleared: the session that goes on may be another."""
        self._any = True
