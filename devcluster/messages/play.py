"""One run after another played by its scenario, and a record of what was asked.

Owns what has to be remembered: how often a run was refused, and the last requests. All of it is bounded.
Never touches a socket.
"""

import itertools
import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from devcluster.messages import scenarios
from devcluster.messages.scenarios import SCENARIOS, Chosen, Refusal
from devcluster.messages.wire import JSON, Asked, Block, Message, Text, Usage

RUNS_MAX = 10_000
RECORDS_MAX = 1_000
PATH_MAX = 200
UNKNOWN = Refusal(
    400,
    "invalid_request_error",
    f"The API key has to name a scenario: {scenarios.PREFIX} and one of {', '.join(SCENARIOS)}.",
)


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks what. `session`: the agent's own id of its run, empty if it tells none."""

    key: str
    session: str
    asked: Asked


@dataclass(frozen=True, slots=True)
class Said:
    """An answer. `seconds`: how long it takes to say."""

    message: Message
    seconds: float = 0


@dataclass(frozen=True, slots=True)
class Record:
    """One request for a message, as `GET /requests` shows it."""

    scenario: str
    session: str
    model: str
    stream: bool
    subagent: bool
    messages: int
    turns: int
    tools: tuple[str, ...]
    status: int


class Play:
    """All runs of one server; used by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refused: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._records: deque[Record] = deque(maxlen=RECORDS_MAX)
        self._others: deque[JSON] = deque(maxlen=RECORDS_MAX)
        self._numbers = itertools.count(1)
        self._server = secrets.token_hex(4)

    def answer(self, call: Call) -> Said | Refusal:
        """What is said to a request, which is recorded."""
        chosen = scenarios.chosen(call.key)
        answer = UNKNOWN if chosen is None else self._refusal(call, chosen) or self._said(call, chosen)
        self._record(call, chosen, answer)
        return answer

    def note(self, method: str, path: str, status: int) -> None:
        """A request for something else was answered so."""
        with self._lock:
            self._others.append({"method": method, "path": path[:PATH_MAX], "status": status})

    def asked(self) -> JSON:
        """The last requests, oldest first: `messages`, and `others` for anything else."""
        with self._lock:
            return {"messages": [asdict(record) for record in self._records], "others": list(self._others)}

    def next_id(self, kind: str) -> str:
        """An id that nobody else has, also not after a restart."""
        return f"{kind}_{self._server}{next(self._numbers):08d}"

    def _refusal(self, call: Call, chosen: Chosen) -> Refusal | None:
        refusal = chosen.scenario.refusal
        if refusal is None or refusal.for_ever:
            return refusal
        run = (call.key, call.session)
        with self._lock:
            before = self._refused.pop(run, 0)
            self._refused[run] = before + 1
            if len(self._refused) > RUNS_MAX:
                self._refused.popitem(last=False)
        return refusal if before < chosen.number else None

    def _said(self, call: Call, chosen: Chosen) -> Said:
        blocks, last = scenarios.step(chosen.scenario, call.asked)
        stops = chosen.scenario.stops if last else ""
        message = Message(self.next_id("msg"), call.asked.model, blocks, _usage(call.asked, blocks), stops)
        return Said(message, chosen.number if last and chosen.scenario.dribbles else 0)

    def _record(self, call: Call, chosen: Chosen | None, answer: Said | Refusal) -> None:
        asked = call.asked
        record = Record(
            scenario=chosen.name if chosen else "",
            session=call.session,
            model=asked.model,
            stream=asked.stream,
            subagent=scenarios.is_subagent(asked),
            messages=len(asked.messages),
            turns=asked.turns,
            tools=asked.tools,
            status=answer.status if isinstance(answer, Refusal) else 200,
        )
        with self._lock:
            self._records.append(record)


def _usage(asked: Asked, blocks: Sequence[Block]) -> Usage:
    """Plausible numbers that depend on the request alone: a cache that grows with the conversation."""
    said = sum(len(block.text) if isinstance(block, Text) else len(str(block.input)) for block in blocks)
    return Usage(
        input=10 + asked.turns,
        cache_creation=100,
        cache_read=1000 * len(asked.messages),
        output=20 + said // 4,
    )
