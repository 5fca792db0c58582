"""What a failed claim is called, and what a host may do about it."""

import pytest

from controller.core.agents.outcomes import classify, of_start
from controller.core.contract import SECOND, ErrorCode, ErrorFamily, Reason
from controller.core.transcript import AgentLog, Claim

AUTH = (Reason.AUTH_REQUIRED, ErrorCode.CLAUDE_AUTH_REQUIRED, None)
QUOTA = (Reason.QUOTA_EXCEEDED, ErrorCode.PROVIDER_QUOTA, ErrorFamily.PROVIDER_QUOTA)
BUSY = (Reason.UPSTREAM_TRANSIENT, ErrorCode.CLAUDE_TRANSIENT_UPSTREAM, ErrorFamily.TRANSIENT_UPSTREAM)
MODEL = (Reason.MODEL_NOT_FOUND, ErrorCode.MODEL_NOT_FOUND, None)
REFUSED = (Reason.REFUSED, ErrorCode.CLAUDE_REFUSAL, ErrorFamily.MODEL_REFUSAL)
SESSION = (Reason.SESSION_UNAVAILABLE, ErrorCode.SESSION_UNAVAILABLE, None)
TURNS = (Reason.MAX_TURNS, ErrorCode.MAX_TURNS_EXHAUSTED, None)
BUDGET = (Reason.BUDGET_EXCEEDED, ErrorCode.ADAPTER_FAILED, None)
API = (Reason.AGENT_ERROR, ErrorCode.LLM_API_ERROR, None)
OTHER = (Reason.AGENT_ERROR, ErrorCode.ADAPTER_FAILED, None)
NOON = 1_795_348_800
POISONED = (
    "API Error: 400 diagnostics.previous_message_id: must be the `id` from a prior /v1/messages response"
)


def claimed(subtype="success", error="", limited_until=None, **fields):
    claim = Claim(raw=b"", **{"at": 1, "subtype": subtype, "is_error": True, **fields})
    return AgentLog(claim=claim, assistant_error=error, limited_until=limited_until)


def during(text):
    return claimed("error_during_execution", text=text)


@pytest.mark.parametrize(
    "log",
    [
        pytest.param(AgentLog(), id="an agent that said nothing"),
        pytest.param(claimed(is_error=False, text="all done"), id="a clean success"),
        pytest.param(
            claimed(is_error=False, error="overloaded"), id="a success after an error that was overcome"
        ),
        pytest.param(
            claimed(is_error=False, text="session x not found, max turns"),
            id="a success that talks of errors",
        ),
        pytest.param(AgentLog(retrying="overloaded", retries=3), id="an agent that is still retrying"),
    ],
)
def test_nothing_went_wrong_as_far_as_the_agent_says(log):
    assert classify(log) is None


@pytest.mark.parametrize(
    ("log", "want"),
    [
        pytest.param(claimed("error_max_turns"), TURNS, id="max turns by subtype"),
        pytest.param(claimed(terminal_reason="max_turns"), TURNS, id="max turns by the reason of the end"),
        pytest.param(claimed(stop_reason="max_turns"), TURNS, id="max turns by stop reason"),
        pytest.param(during("reached max turns"), OTHER, id="not max turns by free text"),
        pytest.param(claimed("error_max_budget_usd"), BUDGET, id="the budget by subtype"),
        pytest.param(claimed(error="authentication_failed"), AUTH, id="no login by category"),
        pytest.param(claimed(api_error_status=401), AUTH, id="no login by status"),
        pytest.param(claimed(text="Invalid API key · Please run /login"), AUTH, id="no login by text"),
        pytest.param(claimed(text="Not logged in · Please run /login"), AUTH, id="never logged in"),
        pytest.param(
            claimed(text="Failed to authenticate. OAuth session has expired"), AUTH, id="a login that is over"
        ),
        pytest.param(claimed(error="billing_error"), QUOTA, id="the quota by category"),
        pytest.param(claimed(text="Credit balance is too low"), QUOTA, id="no credit by text"),
        pytest.param(
            claimed(text="You've hit your limit · resets 4pm", error="rate_limit", api_error_status=429),
            QUOTA,
            id="a limit of the plan although the status is that of a busy server",
        ),
        pytest.param(
            claimed(api_error_status=429, limited_until=5),
            QUOTA,
            id="a limit of the plan by the event before",
        ),
        pytest.param(claimed(api_error_status=429), BUSY, id="a busy server by status 429"),
        pytest.param(claimed(api_error_status=529), BUSY, id="an overloaded server by status 529"),
        pytest.param(claimed(api_error_status=503), BUSY, id="a server error by status"),
        pytest.param(claimed(error="overloaded"), BUSY, id="an overloaded server by category"),
        pytest.param(claimed(error="server_error"), BUSY, id="a server error by category"),
        pytest.param(claimed(text="API Error: Connection error."), BUSY, id="a lost connection by text"),
        pytest.param(during("API Error: Connection error."), OTHER, id="not by text when no request failed"),
        pytest.param(claimed(error="model_not_found"), MODEL, id="no model by category"),
        pytest.param(
            claimed(
                text="There's an issue with the selected model (x). It may not exist", api_error_status=404
            ),
            MODEL,
            id="no model by text",
        ),
        pytest.param(claimed(stop_reason="refusal"), REFUSED, id="a refusal that is an error"),
        pytest.param(
            claimed(stop_reason="refusal", is_error=False), REFUSED, id="a refusal that claims success"
        ),
        pytest.param(during("No conversation found with session ID: 1"), SESSION, id="an unknown session"),
        pytest.param(during("--resume requires a valid session ID"), SESSION, id="a session that is none"),
        pytest.param(
            during('Provided value "x" is not a UUID and does not match any session title.'),
            SESSION,
            id="a session that is no id",
        ),
        pytest.param(claimed(text="Repeated 529 Overloaded errors"), BUSY, id="an overloaded server by text"),
        pytest.param(claimed(text=POISONED, api_error_status=400), API, id="a spoiled conversation"),
        pytest.param(
            claimed("error_during_execution", terminal_reason="prompt_too_long"),
            API,
            id="a conversation that is too long",
        ),
        pytest.param(AgentLog(assistant_lines=1, unanswered=True), API, id="a model that never answered"),
        pytest.param(claimed(api_error_status=400), API, id="any other API error"),
        pytest.param(
            claimed(terminal_reason="api_error", subtype="error_during_execution"),
            API,
            id="told as API error",
        ),
        pytest.param(during("boom"), OTHER, id="an error without a name"),
        pytest.param(claimed("", is_error=False), OTHER, id="a claim that does not say how it went"),
        pytest.param(
            claimed("error_during_execution", error="overloaded"),
            OTHER,
            id="an old API error explains nothing",
        ),
        pytest.param(AgentLog(assistant_error="overloaded"), BUSY, id="an error as the last word"),
        pytest.param(AgentLog(assistant_error="invalid_request"), API, id="an API error as the last word"),
        pytest.param(
            AgentLog(assistant_error="invalid_request", tail="session x not found"),
            API,
            id="the last words of an agent without a claim decide nothing",
        ),
    ],
)
def test_a_failure_has_a_reason_a_code_and_a_family(log, want):
    outcome = classify(log)
    assert (outcome.reason, outcome.code, outcome.family) == want


@pytest.mark.parametrize(
    ("text", "url"),
    [
        pytest.param(
            "Please run /login: https://claude.ai/oauth?x=1.", "https://claude.ai/oauth?x=1", id="theirs"
        ),
        pytest.param(
            "Please run /login at https://console.anthropic.com", "https://console.anthropic.com", id="bare"
        ),
        pytest.param("Please run /login", None, id="none"),
        pytest.param("Please run /login https://claude.ai.evil.example/x", None, id="a foreign host"),
        pytest.param("Please run /login https://evilclaude.ai/x", None, id="a host that ends alike"),
    ],
)
def test_where_to_log_in_is_told_only_for_the_providers_own_hosts(text, url):
    assert classify(claimed(text=text)).login_url == url


@pytest.mark.parametrize(
    "log",
    [
        pytest.param(claimed("error_max_turns"), id="that has used up its turns"),
        pytest.param(during("No conversation found with session ID: 1"), id="that is not there"),
        pytest.param(claimed(text=POISONED, api_error_status=400), id="that the API refuses"),
        pytest.param(claimed(text="Prompt is too long", api_error_status=400), id="that is too long"),
    ],
)
def test_a_session_that_would_fail_again_is_to_be_cleared(log):
    assert classify(log).clear_session


@pytest.mark.parametrize(
    "log",
    [
        pytest.param(during("the prompt is too long for my taste"), id="no API refused it"),
        pytest.param(claimed(api_error_status=529), id="the API was busy"),
        pytest.param(claimed(error="authentication_failed"), id="nobody was logged in"),
    ],
)
def test_any_other_session_may_be_resumed(log):
    assert not classify(log).clear_session


@pytest.mark.parametrize(
    ("changes", "until"),
    [
        pytest.param({"limited_until": NOON + 60}, NOON + 60, id="by the event"),
        pytest.param({"text": "Limit reached · resets 1pm (UTC)"}, NOON + 3600, id="by the text"),
        pytest.param(
            {"limited_until": NOON + 60, "text": "resets 1pm (UTC)"},
            NOON + 60,
            id="by the event before the text",
        ),
        pytest.param(
            {"limited_until": NOON - 60, "text": "resets 1pm (UTC)"},
            NOON + 3600,
            id="not by an event that is over",
        ),
        pytest.param({"text": "Limit reached · resets 1pm"}, None, id="not by a time without its zone"),
    ],
)
def test_a_quota_says_when_to_retry(changes, until):
    limited = changes.pop("limited_until", None)
    log = claimed(error="rate_limit", limited_until=limited and limited * SECOND, at=NOON * SECOND, **changes)
    outcome = classify(log)
    assert outcome.reason in (Reason.QUOTA_EXCEEDED, Reason.UPSTREAM_TRANSIENT)
    assert outcome.retry_not_before == (until and until * SECOND)


def test_a_busy_server_says_when_to_retry():
    log = claimed(api_error_status=529, text="Overloaded, try again in 2 minutes", at=NOON * SECOND)
    assert classify(log).retry_not_before == (NOON + 120) * SECOND


@pytest.mark.parametrize(
    ("tail", "want"),
    [
        pytest.param("Error: No conversation found with session ID: 1", SESSION, id="no session"),
        pytest.param("--resume requires a valid session ID", SESSION, id="a session that is none"),
        pytest.param("Invalid API key · Please run /login", AUTH, id="no login"),
    ],
)
def test_an_agent_that_gives_up_before_its_first_word_says_why(tail, want):
    outcome = of_start(AgentLog(lines=1, odd_lines=1, tail=tail))
    assert (outcome.reason, outcome.code, outcome.family) == want


@pytest.mark.parametrize(
    "log",
    [
        pytest.param(AgentLog(lines=1, odd_lines=1, tail="tmux: session x not found"), id="another program"),
        pytest.param(AgentLog(lines=1, odd_lines=1, tail="API Error: 529"), id="a text that may be any"),
        pytest.param(AgentLog(assistant_lines=1, tail="please run /login"), id="an agent at work"),
        pytest.param(claimed(is_error=False), id="an agent that has claimed something"),
    ],
)
def test_other_words_before_the_first_one_decide_nothing(log):
    assert of_start(log) is None


def test_a_hostile_text_is_classified_quickly():
    assert classify(during("session model violate your " * 30_000)).reason is Reason.AGENT_ERROR
