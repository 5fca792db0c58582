"""The result of a run that is over: the document that a host reads (contract §5). `fitting` makes it small.

Key names are the host's. Absent means unknown: nothing is filled in that was not observed, and no number that
no agent can mean. Whatever the agent said, the document is JSON that a strict reader takes.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

import msgspec

from controller.core import contract, diagnosis, exits, history, lifecycle, redaction
from controller.core.agents import words
from controller.core.agents.fold import format_of
from controller.core.agents.shapes import BAD, mended
from controller.core.contract import LAST_SECOND, SECOND, Phase, Reason, Status, rfc3339
from controller.core.model import Container, Job
from controller.core.snapshot import Attempt, Facts, Run, Standing
from controller.core.transcript import AgentLog, AttemptLog, Claim, LogState
from controller.core.verdict import Finding


class Usage(msgspec.Struct, omit_defaults=True, rename="camel"):
    """Tokens of all models together, as the agent's last result claims them."""

    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    """Only in `modelUsage`, one model at a time."""


class PodEnd(msgspec.Struct, omit_defaults=True, rename="camel"):
    """Where the agent ran last and how its container ended. Instants in RFC 3339."""

    name: str = ""
    node: str = ""
    container: str = ""
    reason: str = ""
    exit_code: int | None = None
    message: str = ""
    started_at: str = ""
    finished_at: str = ""


class LogEnd(msgspec.Struct, omit_defaults=True, rename="camel"):
    """How much of the log the result rests on."""

    state: str
    lines: int | None = None
    bytes: int | None = None


class Result(msgspec.Struct, omit_defaults=True, rename="camel", kw_only=True):
    """`status.D/result`. Field order is the order in the JSON: what a reader wants first comes first."""

    run_id: str = ""
    job_uid: str = ""
    phase: str
    reason: str
    exit_code: int | None = None
    signal: str | None = None
    timed_out: bool | None = None
    error_code: str = ""
    error_family: str = ""
    error_message: str = ""
    error_meta: dict[str, str] = {}
    retry_not_before: str = ""
    session_id: str = ""
    session_display_id: str = ""
    clear_session: bool | None = None
    summary: str = ""
    stop_reason: str = ""
    num_turns: int | None = None
    duration_ms: int | None = None
    duration_api_ms: int | None = None
    model: str = ""
    provider: str = ""
    biller: str = ""
    billing_type: str = ""
    usage: Usage | None = None
    usage_basis: str = ""
    cost_usd: float | None = None
    model_usage: dict[str, Usage] = {}
    tool_calls: int | None = None
    subagents: int | None = None
    permission_denials: int | None = None
    pod: PodEnd | None = None
    log: LogEnd | None = None
    result_json: msgspec.Raw | None = None
    sha256: str = ""
    truncated: list[str] = []


_RESULT: Final = msgspec.json.Decoder(Result)
_PARTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LAST_WORDS_MAX: Final = 512
"""Bytes of a termination message that are kept."""
_COUNT_MAX: Final = 2**53 - 1
"""The largest whole number that every reader of JSON reads as it is."""
_DEPTH_MAX: Final = 64
"""Levels of the agent's own result event; one that is deeper is made to hurt its readers."""
_INT_MAX: Final = 2**64 - 1
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def document(run: Run, known: Facts, log: AttemptLog | None, finding: Finding) -> Result:
    """The whole result, before it is fitted. `log`: of the decisive attempt, None if there is none."""
    job = run.job
    run_id = history.submitted(job).best("run")
    found = Result(run_id=run_id, job_uid=job.uid, phase=finding.phase, reason=finding.reason)
    _say_error(found, finding)
    _say_pod(found, run, known)
    _say_identity(found, job, log)
    found.timed_out = finding.phase is Phase.TIMED_OUT
    if log is None or (log.state is LogState.MISSING and not log.seen.lines):
        found.log = LogEnd(LogState.MISSING)
        return found
    found.log = LogEnd(log.state, log.seen.lines, log.seen.bytes)
    _say_agent(found, job, log.seen)
    return found


def rejected(job: Job, reason: Reason, message: str, code: contract.ErrorCode) -> Result:
    """The result of a run that will never be started."""
    return Result(
        run_id=job.ids.best("run"),
        job_uid=job.uid,
        phase=Phase.REJECTED,
        reason=reason,
        timed_out=False,
        error_code=code,
        error_message=message,
    )


def cancelled(job: Job, message: str, *, attached: bool) -> Result:
    """The result of a run that was cancelled without ever having run, or having run on another's Job."""
    return Result(
        run_id=job.ids.best("run"),
        job_uid=job.uid,
        phase=Phase.CANCELLED,
        reason=Reason.CANCELLED_BY_HOST,
        timed_out=False,
        error_code=contract.ErrorCode.CANCELLED,
        error_message=message,
        usage_basis="attached" if attached else "",
    )


def attached(text: str, job: Job) -> Result | None:
    """The result of the Job that this run has continued on, as this run's own; None if it can't be read.

    What was cut stays named, with the checksum of that whole: there is no other.
    """
    try:
        parts = _PARTS.decode(text)
        said = parts.pop("resultJson", None)
        found = _RESULT.decode(msgspec.json.encode(parts))
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return None
    found.run_id, found.job_uid = job.ids.best("run"), job.uid
    found.usage_basis, found.result_json = "attached", said
    return found


def cut_off(job: Job, standing: Standing, code: contract.ErrorCode) -> Result:
    """The result of a run that has continued on a Job of which no result is to be had."""
    return Result(
        run_id=job.ids.best("run"),
        job_uid=job.uid,
        phase=standing.phase,
        reason=standing.reason,
        timed_out=standing.phase is Phase.TIMED_OUT,
        error_code=code,
        error_message=standing.message,
        usage_basis="attached",
    )


def _say_error(found: Result, finding: Finding) -> None:
    if finding.phase is Phase.SUCCEEDED:
        return
    found.error_code = finding.error_code or ""
    found.error_family = finding.family or ""
    found.error_message = (
        contract.clip(finding.message) or f"The run ended as {finding.phase}/{finding.reason}."
    )
    outcome = finding.outcome
    if outcome is None:
        return
    found.clear_session = outcome.clear_session or None
    if outcome.login_url:
        found.error_meta = {"loginUrl": _clean(outcome.login_url)}
    if 0 < (until := outcome.retry_not_before or 0) // SECOND <= LAST_SECOND:
        found.retry_not_before = rfc3339(until)


def _say_pod(found: Result, run: Run, known: Facts) -> None:
    name = lifecycle.agent_container(run.job)
    attempt = lifecycle.decisive(known, name) or (known.attempts[-1] if known.attempts else None)
    if attempt is None:
        return
    container = exits.known(lifecycle.agent_in(attempt, name) or Container(name))
    if container.reason == diagnosis.STATUS_LOST:
        container = replace(container, reason="")
    found.exit_code = container.exit_code
    found.signal = exits.signal_of(container)
    found.pod = PodEnd(
        name=attempt.pod,
        node=attempt.node,
        container=name,
        reason=container.reason or attempt.reason,
        exit_code=container.exit_code,
        message=_last_words(run, attempt, name),
        started_at=_time(container.started_at),
        finished_at=_time(container.finished_at),
    )


def _last_words(run: Run, attempt: Attempt, name: str) -> str:
    """What the agent's program left as its termination message; the runtime's own words are not its."""
    pod = next((pod for pod in (*run.pods, *run.gone) if pod.uid == attempt.uid), None)
    container = lifecycle.agent_in(pod, name) if pod else None
    if container is None or not lifecycle.has_started(container):
        return ""
    return words.end_of(words.shown(container.message).strip(), _LAST_WORDS_MAX)


def _time(at: int | None) -> str:
    """The epoch is what the kubelet reports for a process that never ran: unknown as well."""
    return rfc3339(at) if at else ""


def _say_identity(found: Result, job: Job, log: AttemptLog | None) -> None:
    """What was written as soon as it was seen is known without the log: a lost run can be resumed."""
    if not format_of(job.wishes.output).reports:
        return
    seen = log.seen if log else AgentLog()
    session = _clean(seen.session_id or job.status.get(Status.SESSION_ID, ""))
    found.session_id = found.session_display_id = session
    found.model = _clean(seen.model or job.status.get(Status.MODEL, ""))


def _say_agent(found: Result, job: Job, seen: AgentLog) -> None:
    found.summary = words.shown(seen.claim.text if seen.claim and seen.claim.text else seen.tail)
    said = format_of(job.wishes.output)
    if not said.reports:
        return
    found.provider = said.provider
    found.tool_calls, found.subagents = seen.tool_calls, seen.subagents
    if seen.claim is not None:
        _say_claim(found, job, seen, seen.claim)


def _say_claim(found: Result, job: Job, seen: AgentLog, claim: Claim) -> None:
    found.stop_reason = _clean(claim.stop_reason)
    found.num_turns, found.duration_ms = counted(seen.turns_told), counted(_duration_ms(seen, claim))
    found.duration_api_ms, found.cost_usd = counted(claim.duration_api_ms), priced(claim.cost_usd)
    found.permission_denials = counted(claim.permission_denials)
    goes_on = format_of(job.wishes.output).sums_sessions and history.asked_session(job)
    found.usage_basis = "session" if goes_on else "per_run"
    if claim.models:
        found.usage = Usage(
            input_tokens=_sum(m.input_tokens for m in claim.models),
            cached_input_tokens=_sum(m.cache_read_tokens for m in claim.models),
            cache_creation_input_tokens=_sum(m.cache_creation_tokens for m in claim.models),
            output_tokens=_sum(m.output_tokens for m in claim.models),
        )
    found.model_usage = {
        _clean(m.model): Usage(
            counted(m.input_tokens),
            counted(m.cache_read_tokens),
            counted(m.cache_creation_tokens),
            counted(m.output_tokens),
            priced(m.cost_usd),
        )
        for m in claim.models
        if m.model
    }
    found.result_json = _event(claim.raw)
    found.truncated = _lost(found, claim)


def _lost(found: Result, claim: Claim) -> list[str]:
    """What the agent said and nobody has kept: too long for any place, or nothing that can be read.

    In the order in which things leave a result.
    """
    # What is no event, but a line of plain text, was never one to be kept.
    was_one = not claim.raw or claim.raw.lstrip()[:1] == b"{"
    lost = ["resultJson"] if found.result_json is None and was_one else []
    lost += ["modelUsage"] if "models" in claim.lost else []
    cut = "text" in claim.lost or len(claim.text) >= contract.RESULT_STORED_MAX
    return [*lost, "summary"] if cut else lost


def _duration_ms(seen: AgentLog, claim: Claim) -> int | None:
    """Likewise: from the first init to the last result, unless the agent itself says that it was longer."""
    if claim.duration_ms is None or seen.init_at is None:
        return claim.duration_ms
    return max(claim.duration_ms, (claim.at - seen.init_at) // 1_000_000)


def counted(number: int | None) -> int | None:
    """The number, if it can be a count of anything."""
    return number if number is not None and 0 <= number <= _COUNT_MAX else None


def _sum(numbers: Iterable[int]) -> int | None:
    """Of what is not a count nothing is known, nor of a sum with it."""
    counts = [counted(number) for number in numbers]
    return None if None in counts else counted(sum(count for count in counts if count is not None))


def priced(number: float | None) -> float | None:
    """The number, if it can be an amount of money."""
    return number if number is not None and math.isfinite(number) and number >= 0 else None


def _clean(text: str) -> str:
    """Without credentials, lone surrogates, and control characters but newline and tab."""
    if not text.isprintable():
        text = _CONTROL.sub("", text.encode("utf-8", "replace").decode())
    return redaction.hidden(text)


@lru_cache(maxsize=4)  # every plan asks until the result is written; one is at most of a log line's length
def _event(line: bytes) -> msgspec.Raw | None:
    """The agent's own result event but for credentials, if it is JSON that no reader stumbles over.

    Written anew: without what is read in more than one way, like a key that comes twice.
    """
    try:
        said = msgspec.json.decode(mended(line)[0])
    except BAD:
        return None
    if not _is_sane(said):
        return None
    return msgspec.Raw(redaction.hidden_json(msgspec.json.encode(said).decode()).encode())


def _is_sane(said: Any) -> bool:
    """Neither deeper than anything that is meant, nor with a whole number of more than 64 bits."""
    level = [said]
    for _ in range(_DEPTH_MAX):
        if any(type(value) is int and not -_INT_MAX <= value <= _INT_MAX for value in level):
            return False
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return True
    return False


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
