"""What a failed claim of Claude Code means: the reason, code and family of contract §3 and §5.

Never looks at pods, exit codes or logs that ended early. A category or a number that the agent gives is
trusted before any text, and no text but that of a failed claim decides anything.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from controller.core.contract import ErrorCode, ErrorFamily, Reason
from controller.core.transcript import AgentLog, Claim

SAID_MAX: Final = 4096
"""Characters of a claim's text that are searched: an error message is short, and patterns must stay cheap."""


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


# Gaps are bounded: a text that repeats the first word for kilobytes must not cost their square.
_NO_SESSION: Final = _words(
    r"no conversation found with session id",
    r"unknown session",
    r"session .{0,200}not found",
    r"not a valid UUID",
    r"is not a UUID",
    r"--resume requires a valid session",
    r"does not match any session title",
)
_NO_LOGIN: Final = _words(
    r"please run /login",
    r"(not logged in|login required|failed to authenticate)",
    r"invalid (x-)?api[ -]key",
    r"authentication_error",
    r"oauth token (has expired|revoked)",
)
_NO_QUOTA: Final = _words(
    r"(usage|session|weekly|spend(ing)?|hour) limit( has been)? reached",
    r"(hit|reached) your .{0,30}limit",
    r"credit balance is too low",
    r"out of (extra usage|credits)",
    r"quota exceeded|insufficient_quota",
)
_NO_MODEL: Final = _words(
    r"issue with the selected model",
    r"model.{0,200}(does not exist|may not exist|not found)",
    r"not_found_error.{0,40}model",
)
_REFUSAL: Final = _words(r"violate .{0,40}usage policy")
_TRANSIENT: Final = _words(
    r"API Error: (429|5\d\d)\b",
    r"overloaded_error|rate_limit_error",
    r"internal server error|service unavailable",
    r"connection error|socket hang up|request timed out",
    r"ECONNRESET|ETIMEDOUT|ECONNREFUSED",
)
_LOGIN_URL: Final = re.compile(
    r"https://(?:[\w-]{1,63}\.){0,4}(?:anthropic\.com|claude\.ai|claude\.com)"
    r"(?=[/?#\s]|$)[^\s\"'<>()\[\]`]{0,2048}"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a failure is called, and what a host may do about it."""

    reason: Reason
    code: ErrorCode
    family: ErrorFamily | None = None
    clear_session: bool = False
    """Resuming this session would fail in the same way."""
    login_url: str | None = None
    retry_not_before: int | None = None
    """ns since the epoch; None: the agent did not say."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """What the rules look at."""

    claim: Claim
    category: str
    """The agent's own word for an API error; empty if the failure is none."""
    api: bool
    limited: bool
    """The newest word on the provider's quota is that it is used up."""

    @property
    def status(self) -> int:
        return self.claim.api_error_status or 0

    def says(self, words: re.Pattern[str]) -> bool:
        return words.search(self.claim.text[:SAID_MAX]) is not None


_SILENT: Final = Claim(at=0, raw=b"", is_error=True)
"""Stands for the claim of an agent that told an error and then nothing more."""


def classify(log: AgentLog) -> Outcome | None:
    """What went wrong as far as the agent says; None if it claims success, or says nothing."""
    if (failure := _failure(log)) is None:
        return None
    outcome = next(outcome for applies, outcome in RULES if applies(failure))
    if outcome.reason is Reason.AUTH_REQUIRED:
        return replace(outcome, login_url=_login_url(log))
    if outcome.reason in (Reason.QUOTA_EXCEEDED, Reason.UPSTREAM_TRANSIENT):
        return replace(outcome, retry_not_before=log.limited_until)
    return outcome


def _failure(log: AgentLog) -> _Failure | None:
    claim, limited = log.claim, log.limited_until is not None
    if claim is None:
        return (
            _Failure(_SILENT, log.assistant_error, api=True, limited=limited) if log.assistant_error else None
        )
    if claim.subtype == "success" and not claim.is_error:
        # The text of a success is the agent's work, in which any of our patterns may stand.
        refused = claim.stop_reason == "refusal"
        return _Failure(replace(claim, text=""), "", api=False, limited=limited) if refused else None
    # An error of an earlier message that was overcome says nothing about a claim that is no API error.
    api = _is_api_error(claim)
    return _Failure(claim, log.assistant_error if api else "", api=api, limited=limited)


def _is_api_error(claim: Claim) -> bool:
    if claim.subtype == "success" and claim.is_error:
        return True
    return claim.api_error_status is not None or claim.terminal_reason in ("api_error", "model_error")


def _login_url(log: AgentLog) -> str | None:
    found = _LOGIN_URL.search(log.claim.text[:SAID_MAX] if log.claim else log.tail)
    return found[0].rstrip(".,;:!") if found else None


def _max_turns(it: _Failure) -> bool:
    return it.claim.subtype == "error_max_turns" or it.claim.terminal_reason == "max_turns"


def _over_budget(it: _Failure) -> bool:
    return it.claim.subtype == "error_max_budget_usd" or it.claim.terminal_reason == "budget_exhausted"


def _stopped_by_refusal(it: _Failure) -> bool:
    return it.claim.stop_reason == "refusal"


def _category(*names: str) -> Callable[[_Failure], bool]:
    return lambda it: it.category in names


def _says(words: re.Pattern[str]) -> Callable[[_Failure], bool]:
    return lambda it: it.says(words)


def _out_of_quota(it: _Failure) -> bool:
    throttled = it.category == "rate_limit" or it.status == 429
    return it.status == 402 or (throttled and it.limited) or it.says(_NO_QUOTA)


def _unauthorised(it: _Failure) -> bool:
    return it.status == 401 or it.says(_NO_LOGIN)


def _upstream(it: _Failure) -> bool:
    if it.category == "rate_limit" or it.status == 429 or 500 <= it.status <= 599:
        return True
    return it.api and not it.status and it.says(_TRANSIENT)


def _api(it: _Failure) -> bool:
    return it.api


def _any(_it: _Failure) -> bool:
    return True


_AUTH: Final = Outcome(Reason.AUTH_REQUIRED, ErrorCode.CLAUDE_AUTH_REQUIRED)
_QUOTA: Final = Outcome(Reason.QUOTA_EXCEEDED, ErrorCode.PROVIDER_QUOTA, ErrorFamily.PROVIDER_QUOTA)
_MODEL: Final = Outcome(Reason.MODEL_NOT_FOUND, ErrorCode.MODEL_NOT_FOUND)
_REFUSED: Final = Outcome(Reason.REFUSED, ErrorCode.CLAUDE_REFUSAL, ErrorFamily.MODEL_REFUSAL)
_BUSY: Final = Outcome(
    Reason.UPSTREAM_TRANSIENT, ErrorCode.CLAUDE_TRANSIENT_UPSTREAM, ErrorFamily.TRANSIENT_UPSTREAM
)
_LOST: Final = Outcome(Reason.SESSION_UNAVAILABLE, ErrorCode.SESSION_UNAVAILABLE, clear_session=True)

RULES: Final[tuple[tuple[Callable[[_Failure], bool], Outcome], ...]] = (
    # The agent's own words for how its turn ended.
    (_max_turns, Outcome(Reason.MAX_TURNS, ErrorCode.MAX_TURNS_EXHAUSTED, clear_session=True)),
    (_over_budget, Outcome(Reason.BUDGET_EXCEEDED, ErrorCode.ADAPTER_FAILED)),
    (_stopped_by_refusal, _REFUSED),
    # Its categories of API errors; `rate_limit` may also be a quota, which the next block tells.
    (_category("authentication_failed"), _AUTH),
    (_category("billing_error"), _QUOTA),
    (_category("model_not_found"), _MODEL),
    (_category("overloaded", "server_error"), _BUSY),
    # Status codes, and the text of the error.
    (_says(_NO_SESSION), _LOST),
    (_says(_REFUSAL), _REFUSED),
    (_out_of_quota, _QUOTA),
    (_unauthorised, _AUTH),
    (_says(_NO_MODEL), _MODEL),
    (_upstream, _BUSY),
    (_api, Outcome(Reason.AGENT_ERROR, ErrorCode.LLM_API_ERROR)),
    (_any, Outcome(Reason.AGENT_ERROR, ErrorCode.ADAPTER_FAILED)),
)
"""The first that applies."""
