"""The end of a step of OpenCode, or an error of its session, as a Claim.

Never decides whether the claim is true, or what a failed one means: it only puts OpenCode's names for things
into the words that `outcomes` knows.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from controller.core.agents.opencode_events import Cache, Fault, Spent
from controller.core.agents.words import word
from controller.core.transcript import ANSWER_CUT, AgentLog, Claim, ModelUsage

GOES_ON: Final = frozenset({"", "tool-calls", "unknown"})
"""Reasons for the end of a step that another one follows, unless a permission was refused."""
_ENDS_BADLY: Final = frozenset({"length", "error"})
_FILTERED: Final = "content-filter"

_TERMINAL: Final[Mapping[str, str]] = {
    "APIError": "api_error",
    "ProviderAuthError": "api_error",
    "ProviderModelNotFoundError": "api_error",
    "ContextOverflowError": "prompt_too_long",
    "MessageOutputLengthError": "length",
    "MessageAbortedError": "aborted",
}
_CATEGORIES: Final[Mapping[str, str]] = {
    "ProviderAuthError": "authentication_failed",
    "ProviderModelNotFoundError": "model_not_found",
}


class Spending:
    """Tokens and cost of all steps of the main agent. Those of subagents are told nowhere.

    Of steps before a checkpoint only sums are known, with which nobody can say what was spent on what.
    """

    def __init__(self, begun: AgentLog) -> None:
        self.input = self.output = self.cache_read = self.cache_write = 0
        self.cost = 0.0
        self._told = False
        self._before = begun

    def add(self, tokens: Spent | None, cost: float | None) -> None:
        """One more step."""
        if tokens is None:
            return
        cache = tokens.cache or Cache()
        self._told = True
        self.input += tokens.input or 0
        self.output += (tokens.output or 0) + (tokens.reasoning or 0)
        self.cache_read += cache.read or 0
        self.cache_write += cache.write or 0
        self.cost += cost or 0.0

    @property
    def read(self) -> int:
        """All that the model has read."""
        return self._before.input_tokens + self.input + self.cache_read + self.cache_write

    @property
    def written(self) -> int:
        """All that the model has written."""
        return self._before.output_tokens + self.output

    def on(self, claim: Claim) -> Claim:
        """The claim with what was spent. A cost of 0 says that OpenCode does not know the model's price."""
        if not self._told or self._before.lines:
            return claim
        # No event names the model.
        spent = ModelUsage("", self.input, self.output, self.cache_read, self.cache_write, None)
        return replace(claim, models=(spent,), cost_usd=self.cost or None)


def of_step(claim: Claim, reason: str, text: str, denied: str) -> Claim:
    """What a step claims that ended for `reason` and is the last one.

    `text`: of the message that has ended. `denied`: a tool of this step that was not allowed.
    """
    if reason in GOES_ON:
        # A refused permission ends the run: with exit code 0, and its work undone.
        return _failed(claim, f"{denied} was not allowed", "permission_denied", "error_step")
    if reason in _ENDS_BADLY:
        return _failed(claim, text or f"The model's answer ended early: {reason}.", reason, ANSWER_CUT)
    stopped = "refusal" if reason == _FILTERED else reason
    return replace(claim, subtype="success", text=text, stop_reason=stopped)


def of_fault(claim: Claim, fault: Fault) -> tuple[Claim, str]:
    """What an error claims, and its category, empty if it has none that we know."""
    name, data = word(fault.name), fault.data
    text = (data.message if data else None) or name
    status = data.status if data else None
    category = _CATEGORIES.get(name, "")
    if status == 404 and text.lower().startswith("model"):
        category = "model_not_found"
    failed = _failed(claim, text, _TERMINAL.get(name, name))
    if name == "ContentFilterError":
        failed = replace(failed, stop_reason="refusal")
    return replace(failed, api_error_status=status), category


def of_unknown_session(claim: Claim) -> Claim:
    """The session that was to be resumed is not there."""
    return _failed(claim, "Session not found", "session_unavailable")


def is_for_good(claim: Claim) -> bool:
    """An error of the session, which nothing that follows takes back."""
    return claim.subtype == "error_session"


def _failed(claim: Claim, text: str, why: str, subtype: str = "error_session") -> Claim:
    return replace(claim, subtype=subtype, is_error=True, text=text, terminal_reason=why)
