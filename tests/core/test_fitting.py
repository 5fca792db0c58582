"""The laws of sizes: whatever an agent says, a result fits and is honest about what it lacks."""

import hashlib
import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import Phase as Part
from hypothesis import strategies as st

from controller.core import facts, fitting, result, verdict
from controller.core.contract import RESULT_INLINE_MAX, RESULT_STORED_MAX, Phase, Reason
from controller.core.model import Wishes
from controller.core.result import Result
from controller.core.transcript import AgentLog, LogState, ModelUsage
from tests.core.builders import make_claim, make_finished_seen, make_job, make_log, make_over
from tests.core.test_result import strict

LAW = settings(
    max_examples=100,
    phases=[Part.explicit, Part.reuse, Part.generate],  # texts of a megabyte take minutes to shrink
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
KEYS = {each.encode_name for each in msgspec.structs.fields(Result)}
LOOKED_AT = ("phase", "reason", "errorCode")

TEXT = st.one_of(
    st.text(st.characters(), max_size=40),
    st.sampled_from(
        [
            "",
            " ",
            "x" * 9000,
            '"' * 9000,
            "☃" * 9000,
            "\x00" * 9000,
            "\ud83d",
            "🤖" * 9000,
            "\x1b[2J",
            "y" * 900_000,
        ]
    ),
)
NUMBER = st.one_of(st.none(), st.integers(-(2**70), 2**70), st.sampled_from([0, 1, 2**53, 2**64]))
COUNT = st.one_of(st.integers(-(2**70), 2**70), st.integers(0, 100))
AMOUNT = st.one_of(st.none(), st.floats(), st.integers(-5, 10**20))
RAW = st.one_of(
    st.binary(max_size=30),
    st.recursive(st.one_of(st.none(), st.booleans(), COUNT, st.floats(), TEXT), st.lists, max_leaves=10).map(
        lambda said: json.dumps(said).encode("utf-8", "replace")
    ),
    st.sampled_from(
        [
            b"[" * 2000 + b"]" * 2000,
            b"{" + b",".join(b'"%d":0' % n for n in range(100_000)) + b"}",
            b'{"a":1,"a":2}',
            b"9" * 5000,
            rb'"\ud800"',
            b'"' + b"z" * 760_000 + b'"',
            b"",
        ]
    ),
)
MODELS = st.lists(st.builds(ModelUsage, TEXT, COUNT, COUNT, COUNT, COUNT, AMOUNT), max_size=3).map(tuple)
CLAIMS = st.builds(
    make_claim,
    st.sampled_from(["success", "error_max_turns", "error_during_execution", "☃"]),
    raw=RAW,
    text=TEXT,
    stop_reason=TEXT,
    turns=NUMBER,
    duration_ms=NUMBER,
    duration_api_ms=NUMBER,
    cost_usd=AMOUNT,
    models=MODELS,
    permission_denials=NUMBER,
    api_error_status=st.sampled_from([None, 401, 429, 500]),
)
SEEN = st.one_of(
    st.builds(make_finished_seen, claim=CLAIMS, session_id=TEXT, model=TEXT, tail=TEXT),
    st.builds(AgentLog, lines=st.integers(0, 9), tail=TEXT, session_id=TEXT),
)
OUTPUTS = st.sampled_from(["claude-stream-json", "text"])
LIMITS = st.one_of(st.integers(0, 2000), st.just(RESULT_INLINE_MAX), st.just(RESULT_STORED_MAX))


@st.composite
def documents(draw):
    """(what an agent may have said as a result, whether it is a clean success)."""
    log = make_log(seen=draw(SEEN), state=draw(st.sampled_from([s for s in LogState if s != "reading"])))
    job = make_job(phase="Running", reason="AgentWorking", wishes=Wishes(output=draw(OUTPUTS)))
    run = make_over(draw(st.sampled_from([0, 1, 137])), log=log, job=job)
    finding = verdict.conclude(run, log)
    return result.document(run, facts.gather(run), log, finding), finding


@LAW
@given(documents(), LIMITS)
def test_a_result_fits_and_a_strict_reader_takes_it(made, limit):
    document, finding = made
    text = fitting.fit(document, limit)
    found = strict(text)
    assert len(text.encode()) <= max(limit, 400)
    assert found.keys() <= KEYS
    assert [found[name] for name in LOOKED_AT if name in found] == [
        said for said in (finding.phase, finding.reason, finding.error_code) if said
    ]
    assert (finding.phase is Phase.SUCCEEDED) or found["errorMessage"]


@LAW
@given(documents(), LIMITS)
def test_truncated_names_exactly_what_left(made, limit):
    document, _ = made
    whole, found = strict(fitting.whole(document)), strict(fitting.fit(document, limit))
    named = set(found.get("truncated", ()))
    if named == {fitting.EVERYTHING}:
        assert found.keys() <= {*LOOKED_AT, "errorMessage", "sha256", "truncated"}
        return
    beside = {"truncated", "sha256"}
    left = {name for name in whole.keys() - beside if found.get(name) != whole[name]}
    assert left <= named
    assert named - left <= {*whole.get("truncated", ()), *document.truncated}
    assert found.keys() - beside <= whole.keys()


@LAW
@given(documents(), LIMITS)
def test_the_checksum_is_that_of_the_whole(made, limit):
    document, _ = made
    whole = fitting.whole(document)
    assert len(whole.encode()) <= RESULT_STORED_MAX
    assert "sha256" not in strict(whole)
    found = strict(fitting.fit(document, limit))
    if "sha256" in found:
        assert found["sha256"] == hashlib.sha256(whole.encode()).hexdigest()
        assert found["truncated"]


@LAW
@given(documents())
def test_unknown_is_never_0_and_no_number_is_beyond_reading(made):
    found = strict(fitting.whole(made[0]))
    numbers = [found.get(name) for name in ("numTurns", "durationMs", "durationApiMs", "permissionDenials")]
    numbers += [found.get("usage", {}).get(name) for name in ("inputTokens", "outputTokens")]
    numbers += [used.get("inputTokens") for used in found.get("modelUsage", {}).values()]
    assert all(number is None or 0 <= number < 2**53 for number in numbers)
    assert None not in [said for name, said in found.items() if name != "resultJson"]


@LAW
@given(documents(), LIMITS)
def test_fitting_changes_nothing_that_it_is_given(made, limit):
    document, _ = made
    before = msgspec.json.encode(document)
    assert fitting.fit(document, limit) == fitting.fit(document, limit)
    assert msgspec.json.encode(document) == before


def failed(**more):
    return Result(
        run_id="r-1", job_uid="u", phase="Failed", reason="AgentError", error_code="llm_api_error", **more
    )


@pytest.mark.parametrize(
    ("limit", "gone", "kept"),
    [
        pytest.param(900, {"stopReason", "model"}, {"runId", "sessionId", "errorMessage"}, id="the envelope"),
        pytest.param(
            300, {"runId", "sessionId"}, {"phase", "reason", "errorCode", "errorMessage"}, id="the bare end"
        ),
        pytest.param(0, {"runId"}, {"phase", "reason", "errorCode", "errorMessage"}, id="never less"),
    ],
)
def test_what_stays_when_there_is_hardly_any_room(limit, gone, kept):
    document = failed(
        summary="y" * 5000,
        stop_reason="z" * 200,
        model="m" * 200,
        session_id="s" * 100,
        error_message="e" * 600,
    )
    found = json.loads(fitting.fit(document, limit))
    assert gone.isdisjoint(found)
    assert kept <= found.keys()
    assert found["errorMessage"].startswith("eee" if limit else "AgentError")


def test_the_bare_end_says_the_checksum_of_the_whole_if_there_is_room_for_it():
    document = failed(summary="y" * 5000, error_message="e" * 600)
    roomy, tight, least = (fitting.fit(document, limit) for limit in (300, 200, 0))
    assert json.loads(roomy)["sha256"] == hashlib.sha256(fitting.whole(document).encode()).hexdigest()
    assert "sha256" not in json.loads(tight)
    assert len(least) < len(tight) <= 200 < len(roomy) <= 300
    assert json.loads(least)["errorMessage"] == "AgentError"


def test_what_is_too_big_even_for_its_config_map_is_cut_there_and_says_so():
    event = msgspec.Raw(b'"' + b"x" * 700_000 + b'"')
    whole = json.loads(fitting.whole(failed(summary="y" * 300_000, result_json=event, error_message="e")))
    assert whole["truncated"] == ["resultJson"]
    assert len(whole["summary"]) == 300_000


def test_a_result_that_fits_says_nothing_of_sizes():
    found = json.loads(fitting.fit(failed(error_message="e")))
    assert found.keys().isdisjoint({"sha256", "truncated"})
    assert found["reason"] == Reason.AGENT_ERROR
