"""One run of each outcome, all at once, through the whole program: what the host and the collector get."""

import json

import pytest
import pytest_asyncio

from controller.core.contract import Status
from tests.program import oracle
from tests.program.runs import (
    API_RETRY,
    HOOKS,
    MAX_TURNS,
    OPENCODE_AUTH,
    OPENCODE_DENIED,
    OPENCODE_TOOLS,
    SUBAGENT,
    TERMINATED,
    make_run,
    replay,
    used,
)
from tests.program.stage import stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

TERMINATE = "trap 'exit 143' TERM; sh -c 'kill -TERM \"$PPID\"'"
FLOOD = "ulimit -v 1048576\nexec tail /dev/zero"
MISSING = {"envFrom": [{"configMapRef": {"name": "nowhere"}}]}
NOT_THERE = {
    "pod": {"volumes": [{"name": "prompt", "secret": {"secretName": "nowhere"}}]},
    "container": {"volumeMounts": [{"name": "prompt", "mountPath": "/prompt"}]},
}
PREPARATION = {"name": "prepare", "image": "busybox:1.36", "command": ["sh", "-c", "exit 3"]}
SCHEDULE = "k8s_pod_schedule_failed"


def second_time(folder):
    """Fails at the first attempt, succeeds at the second."""
    return f"if mkdir '{folder}/tried'; then exit 1; fi\n{replay(HOOKS)}"


def submitted(folder):
    """All runs; each has an agent of its own."""
    limits = {"resources": {"limits": {"memory": "64Mi"}}}
    jobs = [
        make_run("subagent", replay(SUBAGENT)),
        make_run("api-retry", replay(API_RETRY)),
        make_run("max-turns", replay(MAX_TURNS, then="exit 1")),
        make_run("out-of-memory", replay(SUBAGENT, lines=6, then=FLOOD), container=limits),
        make_run("terminated", replay(TERMINATED, then=TERMINATE)),
        make_run("never-pulled", container={"imagePullPolicy": "Never", "image": "x.invalid/agent:1"}),
        make_run("no-image-name", container={"image": "No Image"}),
        make_run("not-configured", container=MISSING),
        make_run("not-mounted", **NOT_THERE),
        make_run("not-prepared", replay(HOOKS), pod={"initContainers": [PREPARATION]}),
        make_run("submitted-running", replay(HOOKS), suspend=False),
        make_run("opencode", replay(OPENCODE_TOOLS), adapter="opencode_k8s"),
        make_run("opencode-denied", replay(OPENCODE_DENIED), adapter="opencode_k8s"),
        make_run("opencode-auth", replay(OPENCODE_AUTH, then="exit 1"), adapter="opencode_k8s"),
        make_run("text", "echo done", adapter="other_k8s"),
        make_run("text-failed", "echo no >&2; exit 3", adapter="other_k8s"),
        make_run("second-attempt", second_time(folder), backoffLimit=1),
        make_run("silent", "true"),
    ]
    for job in jobs:
        for labels in (job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]):
            labels["paperclip.io/agent-id"] = f"a-{job['metadata']['name']}"
    return jobs


EXPECTED = {
    "subagent": ("Succeeded/Completed", None, 0),
    "api-retry": ("Succeeded/Completed", None, 0),
    "max-turns": ("Failed/MaxTurns", "max_turns_exhausted", 1),
    "out-of-memory": ("Failed/OOMKilled", "adapter_failed", 137),
    "terminated": ("Failed/TruncatedOutput", "claude_truncated", 143),
    "never-pulled": ("Failed/ImagePullFailed", SCHEDULE, None),
    "no-image-name": ("Failed/ImagePullFailed", SCHEDULE, None),
    "not-configured": ("Failed/ConfigError", SCHEDULE, None),
    "not-mounted": ("Failed/ConfigError", SCHEDULE, None),
    "not-prepared": ("Failed/InitFailed", SCHEDULE, None),
    "submitted-running": ("Succeeded/Completed", None, 0),
    "opencode": ("Succeeded/Completed", None, 0),
    "opencode-denied": ("Failed/AgentError", "adapter_failed", 0),
    "opencode-auth": ("Failed/AuthRequired", "claude_auth_required", 1),
    "text": ("Succeeded/Completed", None, 0),
    "text-failed": ("Failed/ContainerError", "adapter_failed", 3),
    "second-attempt": ("Succeeded/Completed", None, 0),
    "silent": ("Failed/NoResult", "adapter_failed", 0),
}
SAID = {
    "never-pulled": ("Image x.invalid/agent:1 is not on node", "imagePullPolicy"),
    "no-image-name": ("“No Image” is no name of an image", "correct it in the pod template"),
    "not-configured": ('configmap "nowhere" not found', "Create it in the run's namespace"),
    "not-mounted": ('Volume prompt can\'t be mounted: secret "nowhere" not found', "Create it"),
    "not-prepared": ("Init container prepare exited with 3", "Its log says why"),
}
"""What is wrong with a start that failed, and what to do."""
TOLD = {
    "subagent": SUBAGENT,
    "api-retry": API_RETRY,
    "submitted-running": HOOKS,
    "second-attempt": HOOKS,
    "max-turns": MAX_TURNS,
    "opencode": OPENCODE_TOOLS,
    "opencode-denied": OPENCODE_DENIED,
}
every = pytest.mark.parametrize("name", EXPECTED)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(tmp_path_factory):
    """The world after all runs have ended and been published."""
    folder = tmp_path_factory.mktemp("outcomes")
    async with stage(folder) as world:
        world.settings["RUNHERD_START_TIMEOUT_SECONDS"] = "4"
        await world.lead()
        world.submit(*submitted(folder))
        await world.published(*EXPECTED)
        yield world


@every
async def test_it_ends_as_it_should(played, name):
    standing, code, exit_code = EXPECTED[name]
    assert played.standing(name) == standing
    result = played.result(name)
    assert (result.get("errorCode"), result.get("exitCode")) == (code, exit_code)
    assert bool(result.get("errorMessage")) is (code is not None)


@pytest.mark.parametrize("name", SAID)
async def test_a_start_that_failed_says_what_to_do(played, name):
    said = played.result(name)["errorMessage"]
    assert [words for words in SAID[name] if words not in said] == [], said


async def test_how_an_image_came_is_kept_for_the_trace(tmp_path):
    async with stage(tmp_path) as world:
        controller = await world.lead()
        world.submit(make_run("slow", f"until [ -e '{tmp_path}/go' ]; do sleep 0.05; done"))
        await controller.measures('runherd_event_lists_total{outcome="read"}')
        (tmp_path / "go").touch()
        await world.over("slow")
        attempt = json.loads(world.said("slow", Status.FACTS))["attempts"][0]
        assert [pull["name"] for pull in attempt["pulls"]] == ["claude"]


@every
async def test_its_result_is_about_itself(played, name):
    result = played.result(name)
    assert f"{result['phase']}/{result['reason']}" == played.standing(name)
    assert (result["runId"], result["jobUid"]) == (f"r-{name}", played.uid(name))


@every
async def test_it_used_what_its_transcript_says(played, name):
    said = TOLD.get(name)
    assert played.result(name).get("usage") == (used(said) if said else None)


@every
async def test_its_trace_is_one_tree_with_the_id_of_its_uid(played, name):
    uid = played.uid(name).replace("-", "")
    assert played.said(name, Status.TRACE_ID) == uid
    spans = played.spans(name)
    known = {span.span_id for span in spans}
    assert len(known) == len(spans), "each span once"
    assert [span.name for span in spans if span.parent_id not in known], "there is a root"
    assert len([span for span in spans if span.parent_id not in known]) == 1
    assert all(span.start_ns <= span.end_ns for span in spans)


@every
async def test_few_patches_are_spent_on_it_and_none_after_its_end(played, name):
    ours, weighty = oracle.patches(played.cluster.history, played.uid(name))
    assert len(weighty) <= 5, [sorted(oracle.changed(write)) for write in weighty]
    last = ours[-1]
    assert Status.TRACE_EXPORTED in oracle.notes(last.object)
    assert Status.TRACE_EXPORTED not in oracle.notes(last.previous.object)


@every
async def test_it_is_not_said_to_be_alive_any_more(played, name):
    assert not played.said(name, Status.OBSERVED_AT)
    assert not played.said(name, Status.HEARTBEAT_SECONDS)


async def test_subagents_and_tools_are_spans(played):
    names = {span.name for span in played.spans("subagent")}
    assert any(name.startswith("execute_tool") for name in names), names
    assert played.result("subagent")["subagents"] == 1


async def test_another_agents_tools_session_and_failure_are_in_its_trace(played):
    said = {span.name: span.attributes for span in played.spans("opencode")}
    assert {"execute_tool bash", "execute_tool read", "agent startup"} <= set(said)
    agent = next(about for name, about in said.items() if name.startswith("invoke_agent"))
    assert agent["gen_ai.conversation.id"] == played.said("opencode", Status.SESSION_ID)
    assert (agent["gen_ai.usage.input_tokens"], agent["agent.tool_calls.failed"]) == (16446, 2)
    assert not {"gen_ai.request.model", "error.type"} & set(agent)
    errors = [
        span.attributes["error.type"]
        for name in ("opencode-denied", "opencode-auth")
        for span in played.spans(name)
        if span.name.startswith("invoke_agent")
    ]
    assert errors == ["permission_denied", "api_error"]


async def test_both_attempts_are_in_the_trace(played):
    assert len(played.pods("second-attempt")) == 2
    numbers = {span.attributes.get("agent.attempt.number") for span in played.spans("second-attempt")}
    assert {1, 2} <= numbers


async def test_events_tell_the_story(played):
    assert {"Admitted", "ResultRecorded", "TraceExported"} <= {r for r, _ in played.events("subagent")}
    assert "Stopping" in {reason for reason, _ in played.events("never-pulled")}


async def test_every_write_was_as_it_must_be(played):
    played.check()
