"""What is kept of a run's attempts, so that a result and a trace can be made after their pods have gone.

Owns the encoding of `status.D/facts`. Facts only grow: what has once been seen of a pod is never forgotten
because the pod is seen no more. It draws no conclusions.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Final

import msgspec

from controller.core import contract, pulls
from controller.core.contract import instant, rfc3339
from controller.core.model import Container, Pod, RunState
from controller.core.snapshot import Attempt, Facts, Pull, Run

_BEGUN: Final = (RunState.RUNNING, RunState.TERMINATED)
_ORDER: Final = (RunState.UNKNOWN, RunState.WAITING, RunState.RUNNING, RunState.TERMINATED)


class _Container(msgspec.Struct, omit_defaults=True):
    name: str = ""
    init: bool = False
    started: str = ""
    finished: str = ""
    exit: int | None = None
    signal: int | None = None
    reason: str = ""
    restarts: int = 0


class _Pull(msgspec.Struct, omit_defaults=True):
    name: str = ""
    init: bool = False
    started: str = ""
    finished: str = ""
    millis: int | None = None
    size: int | None = None
    derived: bool = False


class _Attempt(msgspec.Struct, omit_defaults=True):
    pod: str = ""
    uid: str = ""
    created: str = ""
    node: str = ""
    scheduled: str = ""
    phase: str = ""
    reason: str = ""
    containers: list[_Container] = []
    pulls: list[_Pull] = []


class _Facts(msgspec.Struct, omit_defaults=True):
    attempts: list[_Attempt] = []
    left_out: int = msgspec.field(default=0, name="leftOut")
    logs: str = ""


_DECODER: Final = msgspec.json.Decoder(_Facts)


def gather(run: Run) -> Facts:
    """The attempts recorded on the Job together with those that can be seen now, oldest first."""
    recorded = decode(run.job.status.get(contract.Status.FACTS, ""))
    known = {attempt.uid: attempt for attempt in recorded.attempts}
    for pod in (*run.gone, *run.pods):
        if _was_left_out(pod, recorded):
            continue
        seen = replace(_attempt(pod), pulls=pulls.of(run.events(pod.uid)))
        known[pod.uid] = _merge(known[pod.uid], seen) if pod.uid in known else seen
    ordered = sorted(known.values(), key=lambda a: (a.created_at // contract.SECOND, a.pod, a.uid))
    return Facts(tuple(ordered), recorded.left_out, recorded.logs)


def encode(facts: Facts) -> str:
    """Facts as JSON of at most FACTS_MAX bytes: pulls leave, the oldest first, then middle attempts.

    These are counted, and where one is missing no pull comes back: the same facts give the same text,
    whatever room the missing ones left. The last attempt stays, for it decides: of the only one, containers
    leave, those of the start first.
    """
    attempts, left_out = list(facts.attempts), facts.left_out
    if left_out:
        attempts = [replace(attempt, pulls=()) for attempt in attempts]
    while True:
        text = msgspec.json.encode(_Facts([_wire(a) for a in attempts], left_out, facts.logs))
        if len(text) <= contract.FACTS_MAX or not attempts:
            return text.decode()
        if (heavy := next((n for n, a in enumerate(attempts) if a.pulls), None)) is not None:
            attempts[heavy] = replace(attempts[heavy], pulls=())
        elif len(attempts) == 1 and attempts[0].containers:
            attempts = [_lighter(attempts[0])]
        else:
            del attempts[(len(attempts) - 1) // 2]
            left_out += 1


@lru_cache(maxsize=256)  # a plan asks several times, and the next plan again
def decode(text: str) -> Facts:
    """Facts from their JSON; what is not in its shape counts as no facts at all. Never raises."""
    try:
        wire = _DECODER.decode(text) if text else _Facts()
    except (msgspec.MsgspecError, RecursionError):
        return Facts()
    attempts = tuple(_unwire(attempt) for attempt in wire.attempts)
    return Facts(attempts, max(wire.left_out, 0), wire.logs)


def _was_left_out(pod: Pod, recorded: Facts) -> bool:
    """A pod that is still there but whose attempt had to leave the annotation is not counted twice."""
    if not recorded.left_out or any(attempt.uid == pod.uid for attempt in recorded.attempts):
        return False
    last = max((a.created_at for a in recorded.attempts), default=0)
    return pod.created_at // contract.SECOND <= last // contract.SECOND


def _lighter(attempt: Attempt) -> Attempt:
    """The attempt without one container: the first init container, else the last one."""
    gone = next((c for c in attempt.containers if c.init), attempt.containers[-1])
    return replace(attempt, containers=tuple(c for c in attempt.containers if c is not gone))


def _attempt(pod: Pod) -> Attempt:
    scheduled = next((c for c in pod.conditions if c.type == "PodScheduled" and c.status == "True"), None)
    disrupted = next((c for c in pod.conditions if c.type == "DisruptionTarget" and c.status == "True"), None)
    return Attempt(
        pod=pod.name,
        uid=pod.uid,
        created_at=pod.created_at,
        node=pod.node,
        scheduled_at=scheduled.at if scheduled else None,
        phase=pod.phase if pod.ended else "",
        reason=contract.clip(pod.reason or (disrupted.reason if disrupted else ""), 64),
        containers=tuple(_kept(c) for c in pod.containers if c.state in _BEGUN),
    )


def _kept(seen: Container) -> Container:
    """What of a container fits into the annotation, so that facts read back equal the facts written."""
    return Container(
        name=seen.name,
        init=seen.init,
        state=_state(seen.exit_code, seen.finished_at),
        reason=contract.clip(seen.reason, 64),
        exit_code=seen.exit_code,
        signal=seen.signal,
        started_at=seen.started_at,
        finished_at=seen.finished_at,
        restarts=seen.restarts,
    )


def _state(exit_code: int | None, finished_at: int | None) -> RunState:
    """An end whose time the kubelet lost (ContainerStatusUnknown) still has an exit code."""
    ended = exit_code is not None or finished_at is not None
    return RunState.TERMINATED if ended else RunState.RUNNING


def _merge(old: Attempt, new: Attempt) -> Attempt:
    """What both know, in the order of the pod as long as it is seen: the same facts give the same text."""
    recorded = {(c.init, c.name): c for c in old.containers}
    containers = {(c.init, c.name): _newer(recorded.get((c.init, c.name)), c) for c in new.containers}
    return Attempt(
        pod=old.pod,
        uid=old.uid,
        created_at=old.created_at,
        node=new.node or old.node,
        scheduled_at=old.scheduled_at if new.scheduled_at is None else new.scheduled_at,
        phase=new.phase or old.phase,
        reason=new.reason or old.reason,
        containers=tuple(
            {**containers, **{k: c for k, c in recorded.items() if k not in containers}}.values()
        ),
        pulls=_all_pulls(old, new),
    )


def _all_pulls(old: Attempt, new: Attempt) -> tuple[Pull, ...]:
    """The first word on each stands: a container that is started again has its image already."""
    known = {(pull.init, pull.container) for pull in old.pulls}
    return (*old.pulls, *(pull for pull in new.pulls if (pull.init, pull.container) not in known))


def _newer(old: Container | None, new: Container) -> Container:
    if old is None or old.restarts < new.restarts:
        return new
    if _age(old) > _age(new):
        return old
    return replace(new, started_at=old.started_at if new.started_at is None else new.started_at)


def _age(container: Container) -> tuple[int, int]:
    return container.restarts, _ORDER.index(container.state)


def _text(at: int | None) -> str:
    return "" if at is None else rfc3339(at)


def _wire(attempt: Attempt) -> _Attempt:
    return _Attempt(
        pod=attempt.pod,
        uid=attempt.uid,
        created=_text(attempt.created_at),
        node=attempt.node,
        scheduled=_text(attempt.scheduled_at),
        phase=attempt.phase,
        reason=attempt.reason,
        containers=[
            _Container(
                c.name,
                c.init,
                _text(c.started_at),
                _text(c.finished_at),
                c.exit_code,
                c.signal,
                c.reason,
                c.restarts,
            )
            for c in attempt.containers
        ],
        pulls=[
            _Pull(p.container, p.init, _text(p.started_at), _text(p.finished_at), p.millis, p.size, p.derived)
            for p in attempt.pulls
        ],
    )


def _unwire(wire: _Attempt) -> Attempt:
    return Attempt(
        pod=wire.pod,
        uid=wire.uid,
        created_at=instant(wire.created) or 0,
        node=wire.node,
        scheduled_at=instant(wire.scheduled),
        phase=wire.phase,
        reason=wire.reason,
        containers=tuple(_container(c) for c in wire.containers),
        pulls=tuple(
            Pull(p.name, p.init, instant(p.started), instant(p.finished), p.millis, p.size, p.derived)
            for p in wire.pulls
        ),
    )


def _container(wire: _Container) -> Container:
    finished = instant(wire.finished)
    return Container(
        name=wire.name,
        init=wire.init,
        state=_state(wire.exit, finished),
        reason=wire.reason,
        exit_code=wire.exit,
        signal=wire.signal,
        started_at=instant(wire.started),
        finished_at=finished,
        restarts=wire.restarts,
    )
