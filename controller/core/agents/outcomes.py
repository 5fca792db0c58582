"""What a failed claim of Claude Code means: the reason, code and family of contract §3 and §5.

Never looks at pods, exit codes or logs that ended early. A category or a number that the agent gives is
trusted before any text, and no text but that of a failed claim decides anything; or, for an agent that gave
up before its first word (`of_start`), what it complained of. RULES is the table, docs/outcomes.md shows it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from controller.core.agents import resets
from controller.core.contract import SECOND, ErrorCode, ErrorFamily, Reason
from controller.core.transcript import ANSWER_CUT, AgentLog, Claim

SAID_MAX: Final = 4096
"""Characters of a claim's text that are searched: an error message is short, and patterns must stay cheap."""


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


# Gaps are bounded: a text that repeats the first word for kilobytes must not cost their square.
_NOT_A_SESSION: Final = (
    r"not a valid UUID",
    r"is not a UUID",
    r"--resume requires a valid session",
    r"does not match any session title",
)
_NO_SESSION: Final = _words(
    r"no conversation found with session id",
    r"unknown session",
    r"session .{0,200}not found",
    *_NOT_A_SESSION,
)
_NO_SESSION_AT_ALL: Final = _words(
    r"no conversation found with session id",
    r"--resume requires a valid session",
    r"does not match any session title",
)
_SPOILED: Final = _words(
    r"previous_message_id: must be the .{0,40}id",
    r"prompt is too long",
    r"tool_use.{0,20} ids? (were|was) found without .{0,20}tool_result",
)
"""The API refuses the conversation itself, and will do so again."""
_NO_LOGIN: Final = _words(
    r"please run (/login|`?claude (auth )?login)|please log in",
    r"(not logged in|login required|requires login|authentication required|failed to authenticate)",
    r"invalid (x-)?api[ -]key|invalid bearer token",
    r"authentication_(error|failed)",
    r"(oauth|access|bearer) (token|session) .{0,20}(expired|revoked|invalid)",
)
_NO_LOGIN_AT_ALL: Final = _words(
    r"please run (/login|`?claude (auth )?login)",
    r"invalid (x-)?api[ -]key|invalid bearer token",
    r"authentication_(error|failed)",
    r"oauth token .{0,20}(expired|revoked|invalid)",
)
_NO_QUOTA: Final = _words(
    r"(usage|session|weekly|spend(ing)?|hour) (limit|cap)( has been)? reached",
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
    r"internal server error|(service|temporarily) unavailable|too many requests|overloaded",
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
    """ns since the epoch; None: the agent did not say, or not for certain."""


class Rule(NamedTuple):
    """One line of the table."""

    when: str
    """What applies, in words for docs/outcomes.md."""
    applies: "Callable[[_Failure], bool]"
    outcome: Outcome


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


REFUSALS: Final = ("refusal", "model_refusal")
"""Stop reasons."""
_SILENT: Final = Claim(at=0, raw=b"", is_error=True)
"""Stands for the claim of an agent that told an error and then nothing more."""


def classify(log: AgentLog) -> Outcome | None:
    """What went wrong as far as the agent says; None if it claims success, or says nothing."""
    if (failure := _failure(log)) is None:
        return None
    outcome = next(rule.outcome for rule in RULES if rule.applies(failure))
    if outcome.reason is Reason.AUTH_REQUIRED:
        return replace(outcome, login_url=_login_url(log))
    if outcome.reason in (Reason.QUOTA_EXCEEDED, Reason.UPSTREAM_TRANSIENT):
        quota = outcome.reason is Reason.QUOTA_EXCEEDED
        return replace(outcome, retry_not_before=_retry_not_before(log, quota=quota))
    return outcome


def of_start(log: AgentLog) -> Outcome | None:
    """What an agent complained of that failed before its first word; None if it is nothing that we know.

    The program then says plain text, or nothing but the start of its turn: there is no work of a model in
    such a log, or of a tool, in which these words might stand.
    """
    if log.claim is not None or log.assistant_lines:
        return None
    failure = _Failure(replace(_SILENT, text=log.tail), "", api=False, limited=False)
    outcome = next((rule.outcome for rule in OF_START if rule.applies(failure)), None)
    if outcome is not None and outcome.reason is Reason.AUTH_REQUIRED:
        return replace(outcome, login_url=_login_url(log))
    return outcome


def _failure(log: AgentLog) -> _Failure | None:
    claim, limited = log.claim, log.limited_until is not None
    if claim is None:
        if not (log.assistant_error or log.unanswered):
            return None
        return _Failure(_SILENT, log.assistant_error, api=True, limited=limited)
    if claim.subtype == "success" and not claim.is_error:
        # The text of a success is the agent's work, in which any of our patterns may stand.
        refused = claim.stop_reason in REFUSALS
        return _Failure(replace(claim, text=""), "", api=False, limited=limited) if refused else None
    # An error of an earlier message that was overcome says nothing about a claim that is no API error.
    api = _is_api_error(claim)
    if claim.subtype == ANSWER_CUT:  # the model's work, as with a success
        claim = replace(claim, text="")
    return _Failure(claim, log.assistant_error if api else "", api=api, limited=limited)


def _retry_not_before(log: AgentLog, *, quota: bool) -> int | None:
    """The limit's own event counts more than words; neither counts if it lies before the claim.

    It says when a quota is given back: that has nothing to do with a server that is busy.
    """
    claim = log.claim or _SILENT
    until = log.limited_until if quota else None
    if until is not None and until // SECOND >= claim.at // SECOND:
        return until
    return resets.told(claim.text, claim.at)


def _is_api_error(claim: Claim) -> bool:
    if claim.subtype == "success" and claim.is_error:
        return True
    if claim.api_error_status is not None:
        return True
    return claim.terminal_reason in ("api_error", "model_error", "prompt_too_long")


def _login_url(log: AgentLog) -> str | None:
    found = _LOGIN_URL.search(log.claim.text[:SAID_MAX] if log.claim else log.tail)
    return found[0].rstrip(".,;:!") if found else None


def _max_turns(it: _Failure) -> bool:
    return it.claim.subtype == "error_max_turns" or "max_turns" in (
        it.claim.terminal_reason,
        it.claim.stop_reason,
    )


def _over_budget(it: _Failure) -> bool:
    return it.claim.subtype == "error_max_budget_usd" or it.claim.terminal_reason == "budget_exhausted"


def _stopped_by_refusal(it: _Failure) -> bool:
    return it.claim.stop_reason in REFUSALS


def _category(*names: str) -> Callable[[_Failure], bool]:
    return lambda it: it.category in names


def _spoiled(it: _Failure) -> bool:
    return it.claim.terminal_reason == "prompt_too_long" or (it.api and it.says(_SPOILED))


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

_SPOILT: Final = Outcome(Reason.AGENT_ERROR, ErrorCode.LLM_API_ERROR, clear_session=True)

RULES: Final = (
    # The agent's own words for how its turn ended.
    Rule(
        "subtype `error_max_turns`, or `max_turns` as terminal or stop reason",
        _max_turns,
        Outcome(Reason.MAX_TURNS, ErrorCode.MAX_TURNS_EXHAUSTED, clear_session=True),
    ),
    Rule(
        "subtype `error_max_budget_usd`, or terminal reason `budget_exhausted`",
        _over_budget,
        Outcome(Reason.BUDGET_EXCEEDED, ErrorCode.ADAPTER_FAILED),
    ),
    Rule("stop reason `refusal`, also with a claim of success", _stopped_by_refusal, _REFUSED),
    # Its categories of API errors; `rate_limit` may also be a quota, which the next block tells.
    Rule("an API error of category `authentication_failed`", _category("authentication_failed"), _AUTH),
    Rule("an API error of category `billing_error`", _category("billing_error"), _QUOTA),
    Rule("an API error of category `model_not_found`", _category("model_not_found"), _MODEL),
    Rule(
        "an API error of category `overloaded` or `server_error`",
        _category("overloaded", "server_error"),
        _BUSY,
    ),
    # Status codes, and the text of the error.
    Rule("its text says that the session to resume is unknown, or no session id", _says(_NO_SESSION), _LOST),
    Rule("its text says that a usage policy is violated", _says(_REFUSAL), _REFUSED),
    Rule(
        "status 402; status 429 or `rate_limit` after a rejecting `rate_limit_event`; its text says that a"
        " limit is reached or credit is used up",
        _out_of_quota,
        _QUOTA,
    ),
    Rule("status 401, or its text asks to log in", _unauthorised, _AUTH),
    Rule("its text says that the model does not exist", _says(_NO_MODEL), _MODEL),
    Rule(
        "an API error whose text says that the conversation itself can't be sent (too long, a spoiled"
        " `previous_message_id`), or terminal reason `prompt_too_long`",
        _spoiled,
        _SPOILT,
    ),
    Rule(
        "status 429 or 5xx; category `rate_limit`; an API error without a status whose text says overloaded,"
        " unavailable, or a lost connection",
        _upstream,
        _BUSY,
    ),
    Rule("any other API error", _api, Outcome(Reason.AGENT_ERROR, ErrorCode.LLM_API_ERROR)),
    Rule("any other failure", _any, Outcome(Reason.AGENT_ERROR, ErrorCode.ADAPTER_FAILED)),
)
"""The first that applies."""
OF_START: Final = (
    Rule("it says that the session to resume is unknown, or no session id", _says(_NO_SESSION_AT_ALL), _LOST),
    Rule("it asks to log in", _says(_NO_LOGIN_AT_ALL), _AUTH),
)
"""The same for an agent that failed before its first word. What tools around it say fits none."""
