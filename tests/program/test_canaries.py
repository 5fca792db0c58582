"""What a prompt says, and what looks like a credential, is found nowhere that the controller writes.

Each run carries words of its own in all places where prompts, tool calls, answers and secrets can stand.
Afterwards everything that the program has written or said is searched for them.
"""

import json

import pytest
import pytest_asyncio

from controller.core.contract import Status
from tests.program import oracle
from tests.program.runs import KEYS, NAMESPACE, make_run
from tests.program.stage import stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROMPT = "canaryprompt"
"""Begins every word of a prompt, of a tool's input or of its result: found nowhere."""
ANSWER = "canaryanswer"
"""Begins every word that an agent answered: found in results, and nowhere else."""
HUSH = "Canary5ecret"
"""Is part of every credential: found nowhere."""
KEY = f"sk-ant-api03-{HUSH}-AAAA"
PEM = f"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAA{HUSH}\n-----END PRIVATE KEY-----"
SESSION = "5e551014-0000-4000-8000-000000000001"
MESSAGE = {"id": "msg_1", "model": "claude-opus-5-5", "usage": {"input_tokens": 5, "output_tokens": 1}}


def said(kind, *content, **fields):
    """An assistant or user event."""
    return {"type": kind, "session_id": SESSION, "message": MESSAGE | {"content": list(content)}, **fields}


def told(text, **fields):
    """A result event."""
    result = {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "session_id": SESSION,
        "num_turns": 2,
    }
    return result | {"result": text, "modelUsage": {"claude-opus-5-5": {"inputTokens": 5}}} | fields


def bash(word):
    tool = {
        "type": "tool_use",
        "id": "toolu_1",
        "name": "Bash",
        "input": {"command": f"{PROMPT}{word} {KEY}"},
    }
    back = {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": f"{PROMPT}{word} {KEY}",
        "is_error": True,
    }
    return said("assistant", tool), said("user", back, tool_use_result={"stdout": f"{PROMPT}{word} {KEY}"})


WORK = [
    {"type": "system", "subtype": "init", "session_id": SESSION, "model": "claude-opus-5-5", "cwd": PROMPT},
    said("user", {"type": "text", "text": f"{PROMPT}event {KEY}"}),
    said("assistant", {"type": "thinking", "thinking": f"{PROMPT}thinking {KEY}"}),
    *bash("tool"),
    {"type": "system", "subtype": "hook_response", "hook_name": f"{PROMPT} {KEY}", "exit_code": 2},
    {"type": "system", "subtype": "api_retry", "error": f"{PROMPT} {KEY}", "attempt": 1},
    {"type": "system", "subtype": "task_started", "task_id": "t1", "prompt": f"{PROMPT}task {KEY}"},
    {"type": "system", "subtype": "task_updated", "task_id": "t1", "patch": {"status": "completed"}},
    {"type": "brand_new", "prompt": f"{PROMPT}new {KEY}"},
    said("assistant", {"type": "tool_use", "id": KEY, "name": KEY, "input": {}}),
    said("assistant", {"type": "text", "text": f"{ANSWER}text\nAPI_KEY={HUSH}\n{PEM}"}),
]
OBJECTS = {"secrets": "stringData", "configmaps": "data"}


def script(events, then=""):
    lines = "\n".join(e if isinstance(e, str) else json.dumps(e) for e in events)
    return f"cat <<'END'\n{lines}\nEND\n{then}"


def prompted(name, text, *, command=None, **changes):
    """A run whose prompt is in all places of its manifest, and in objects of its own."""
    sources = [{"secretRef": {"name": f"{name}-prompt"}}, {"configMapRef": {"name": f"{name}-prompt"}}]
    env = [{"name": "PROMPT_CONTENT", "value": f"{PROMPT}env {KEY}"}]
    args = ["sh", "-c", text, f"{PROMPT}args", KEY]
    container = {"env": env, "envFrom": sources, "command": command or args}
    init = {
        "name": "write-prompt",
        "image": "busybox:1.36",
        "env": env,
        "command": ["true", f"{PROMPT}init {KEY}"],
    }
    return make_run(name, agent=f"a-{name}", container=container, pod={"initContainers": [init]}, **changes)


def its_objects(name):
    metadata = {"namespace": NAMESPACE, "name": f"{name}-prompt", "labels": {KEYS.run_id: f"r-{name}"}}
    return {
        kind: {"metadata": metadata, field: {"P": f"{PROMPT}{kind} {KEY}"}} for kind, field in OBJECTS.items()
    }


REFUSED = told(f"I won't do {PROMPT}refused", stop_reason="refusal")
BROKEN = told("", subtype="error_during_execution", is_error=True, errors=[f"no login with {KEY}"])
NOISE = [f"npm warn password={HUSH}", f"Authorization: Bearer {HUSH}.x", PEM]
RUNS = {
    "success": prompted("success", script([*NOISE, *WORK, told(f"{ANSWER}result {KEY} {PEM}")])),
    "refused": prompted("refused", script([*WORK, REFUSED], "exit 1")),
    "broken": prompted("broken", script([*WORK, BROKEN], "exit 1")),
    "truncated": prompted("truncated", script([*WORK], "exit 3")),
    "noise": prompted("noise", script(NOISE, "exit 1")),
    "text": prompted("text", script([f"{ANSWER}line", *NOISE]), adapter="other_k8s"),
    "odd": prompted("odd", script([told(ANSWER)]), notes={KEYS.output: f"password={HUSH}"}),
    "not-there": prompted("not-there", "", command=[f"{PROMPT}command {KEY}"]),
    "cancelled": prompted("cancelled", "sleep 600"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(tmp_path_factory):
    """The world after all runs have ended, and all that was written about them."""
    async with stage(tmp_path_factory.mktemp("canaries")) as world:
        controller = await world.lead()
        for name in RUNS:
            for kind, made in its_objects(name).items():
                world.cluster.create(kind, made)
        world.submit(*RUNS.values())
        await world.started("cancelled")
        wish = {KEYS.cancel_requested: f"enough, token={HUSH}"}
        world.cluster.patch("jobs", NAMESPACE, "cancelled", {"metadata": {"annotations": wish}})
        await world.published(*RUNS)
        world.measured = await controller.metrics()
        yield world


def annotations(world):
    """(key without prefix, value) of everything of ours that was ever on an object."""
    for write in world.cluster.history:
        for key, value in (write.object["metadata"].get("annotations") or {}).items():
            if key.startswith(KEYS.status_prefix):
                yield key.removeprefix(KEYS.status_prefix), value


def places(world):
    """Everything that the controller has written or said: name of the place -> text.

    But for results, and the checkpoints that they can be made from: what an agent answered is theirs.
    """
    theirs = (Status.RESULT, Status.LOG_CURSOR)
    yield from ((key, value) for key, value in annotations(world) if key not in theirs)
    ours = [write.object for write in world.cluster.history if write.actor == oracle.ACTOR]
    yield "labels", json.dumps([written["metadata"].get("labels") for written in ours])
    yield "events", repr([world.events(name) for name in RUNS])
    yield "spans", repr([world.spans(name) for name in RUNS])
    yield "metrics", repr(world.measured)
    yield "log", "\n".join(json.dumps(line) for line in world.controllers[0].said())


async def test_the_runs_went_as_they_were_meant_to(played):
    assert {name: played.standing(name) for name in RUNS} == {
        "success": "Succeeded/Completed",
        "refused": "Failed/Refused",
        "broken": "Failed/AgentError",
        "truncated": "Failed/TruncatedOutput",
        "noise": "Failed/ContainerError",
        "text": "Succeeded/Completed",
        "odd": "Succeeded/Completed",
        "not-there": "Failed/ConfigError",
        "cancelled": "Cancelled/CancelledByHost",
    }
    assert all(played.spans(name) for name in RUNS)


async def test_no_prompt_and_no_credential_is_anywhere(played):
    found = {(where, word) for where, text in places(played) for word in (PROMPT, HUSH) if word in text}
    assert found == set()


async def test_what_an_agent_answered_is_in_its_result_and_nowhere_else(played):
    assert {where for where, text in places(played) if ANSWER in text} == set()
    assert played.result("success")["summary"] == f"{ANSWER}result [redacted] [redacted]"
    assert played.result("success")["resultJson"]["result"] == f"{ANSWER}result [redacted] [redacted]"
    assert played.result("truncated")["summary"].endswith(f"{ANSWER}text\nAPI_KEY=[redacted]\n[redacted]")
    assert played.result("text")["summary"].startswith(f"{ANSWER}line\nnpm warn password=[redacted]")


async def test_results_are_without_credentials_and_prompts(played):
    """What a model refused to do may quote its task: that is an answer like any other."""
    results = {name: played.said(name, Status.RESULT) for name in RUNS}
    assert {name for name, text in results.items() if HUSH in text} == set()
    assert {name for name, text in results.items() if PROMPT in text} == {"refused"}


async def test_checkpoints_hold_no_more_than_results_do(played):
    cursors = [text for key, text in annotations(played) if key == Status.LOG_CURSOR and text]
    assert cursors
    assert [text for text in cursors if HUSH in text] == []
    assert all(f"{PROMPT}refused" in text for text in cursors if PROMPT in text)


async def test_what_was_hidden_is_told_as_hidden(played):
    assert (
        played.result("broken")["errorMessage"] == "The agent reported AgentError: no login with [redacted]"
    )
    assert "enough, token=[redacted]" in played.said("cancelled", Status.MESSAGE)
    assert any("password=[redacted]" in note for _, note in played.events("odd"))
