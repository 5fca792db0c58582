"""What the real Claude Code said to our stand-in, recorded: read on our own, and by the controller."""

from dataclasses import replace

import aiohttp
import pytest

from e2e.agent_differences import differences_of_result, differences_of_spans
from e2e.agent_said import Call, said
from tests.program.runs import NAMESPACE, TRANSCRIPTS, make_run, replay
from tests.program.stage import stage

RECORDED = ("subagent", "quota", "max-turns", "api-error")


def recorded(name):
    return TRANSCRIPTS / f"cli-2.1.197-{name}.jsonl"


def read(name):
    return said(recorded(name).read_bytes())


@pytest.fixture(params=[*RECORDED, "background"])
def any_log(request):
    return recorded(request.param).read_bytes()


def test_every_recorded_run_says_who_it_is_and_how_it_ended(any_log):
    found = said(any_log)
    assert (found.version, found.model.startswith("claude-"), len(found.session)) == ("2.1.197", True, 36)
    assert found.result["session_id"] == found.session
    assert (found.lines, found.size) == (any_log.count(b"\n"), len(any_log) - any_log.count(b"\n"))


def test_a_subagents_call_belongs_to_the_call_that_started_it():
    agent, counting = read("subagent").calls
    assert (agent.name, agent.parent, agent.subagent) == ("Agent", "", "general-purpose")
    assert counting == Call(counting.id, "Bash", parent=agent.id)


def test_a_subagent_in_the_background_makes_two_results_and_the_turns_of_both_count():
    found = read("background")
    assert [result["num_turns"] for result in found.results] == [2, 1]
    assert (found.turns, found.text) == (3, "The subagent is done: no file.")
    assert found.result["total_cost_usd"] > found.results[0]["total_cost_usd"]


def test_an_error_of_the_api_is_no_success_though_it_is_called_one():
    found = read("api-error")
    assert (found.result["subtype"], found.succeeded) == ("success", False)
    assert found.text.startswith("API Error: 500")
    assert found.retries == [("server_error", 500)] * 3
    assert (found.models, found.calls) == ({}, [])


def test_a_limit_of_turns_tells_its_errors_instead_of_a_text():
    found = read("max-turns")
    assert (found.succeeded, found.text) == (False, "Reached maximum number of turns (2)")
    assert (found.turns, [call.name for call in found.calls]) == (3, ["Bash", "Bash"])


def test_lines_that_are_not_the_agents_change_nothing_but_their_count(any_log):
    plain = said(any_log)
    noisy = said(b'warning: no such thing\n"text"\n[1]\n{}\n' + any_log + b"killed")
    assert (noisy.lines, noisy.size) == (plain.lines + 5, plain.size + 22 + 6 + 3 + 2 + 6)
    assert replace(noisy, lines=plain.lines, size=plain.size) == plain


def test_a_log_that_breaks_off_has_no_result(any_log):
    found = said(b"\n".join(any_log.split(b"\n")[:2]))
    assert (found.result, found.succeeded, found.text, found.models) == ({}, False, "", {})
    assert said(b"") == said(b"") != found


async def log_of(world, name):
    """As a client of the cluster gets it."""
    (pod,) = world.pods(name)
    where = f"{world.cluster.url}/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}/log"
    async with aiohttp.request("GET", where) as reply:
        return await reply.read()


async def published(world, *names):
    """(what the agent said, result, spans) of these recorded runs, played by the fake cluster."""
    await world.lead()
    ends = {name: "exit 0" if read(name).succeeded else "exit 1" for name in names}
    world.submit(*(make_run(n, replay(recorded(n), then=ends[n]), agent=n) for n in names))
    await world.published(*names)
    world.check()
    return [(said(await log_of(world, n)), world.result(n), world.spans(n)) for n in names]


@pytest.fixture
async def world(tmp_path):
    async with stage(tmp_path) as made:
        yield made


async def test_results_and_spans_say_what_the_agent_said_and_every_lie_would_be_seen(world):
    runs = await published(world, *RECORDED)
    for found, result, spans in runs:
        assert differences_of_result(found, result) == []
        assert differences_of_spans(found, spans) == []
    assert [result["reason"] for _, result, _ in runs] == [
        "Completed",
        "QuotaExceeded",
        "MaxTurns",
        "UpstreamTransient",
    ]
    found, result, spans = runs[0]
    lies = differences_of_result(found, result | {"numTurns": 9, "costUsd": None, "phase": "Failed"})
    assert [lie.split(" is ")[0] for lie in lies] == [
        "result: numTurns",
        "result: costUsd",
        "result: success",
    ]
    tool = next(span for span in spans if span.name == "execute_tool Bash")
    without = [span for span in spans if span is not tool]
    calls = {call.name: call.id for call in found.calls}
    assert f"spans: none for the call {calls['Bash']} of Bash" in differences_of_spans(found, without)
    (root,) = (span for span in spans if not span.parent_id)
    elsewhere = [*without, replace(tool, parent_id=root.span_id, status_code="ERROR")]
    lies = differences_of_spans(found, elsewhere)
    assert [lie.split(" is ")[0] for lie in lies] == [
        "execute_tool Bash: parent",
        "execute_tool Bash: status",
    ]


async def test_a_run_of_several_turns_has_the_same_number_in_its_result_and_its_spans(world):
    ((found, result, spans),) = await published(world, "background")
    assert differences_of_result(found, result) == []
    assert differences_of_spans(found, spans) == []
