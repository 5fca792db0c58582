"""Manifests of runs whose agents are transcripts, replayed line by line by a shell."""

import json
from pathlib import Path

from controller.core.contract import Keys

ROOT = Path(__file__).resolve().parents[2]
TRANSCRIPTS = ROOT / "tests" / "data" / "claude"
SUBAGENT = TRANSCRIPTS / "success-subagent-two-results.jsonl"
API_RETRY = TRANSCRIPTS / "api-retry.jsonl"
HOOKS = TRANSCRIPTS / "hook-events.jsonl"
TERMINATED = TRANSCRIPTS / "sigterm-truncated.jsonl"
OPENCODE = ROOT / "tests" / "data" / "opencode"
OPENCODE_TOOLS = OPENCODE / "cli-1.18.33-tools.jsonl"
OPENCODE_DENIED = OPENCODE / "cli-1.18.33-denied.jsonl"
OPENCODE_AUTH = OPENCODE / "cli-1.18.33-auth.jsonl"
MAX_TURNS = ROOT / "examples" / "transcripts" / "made-max-turns.jsonl"
KEYS = Keys()
NAMESPACE = "default"
IMAGE = "busybox:1.36"


def replay(path, seconds=0.01, then="", lines=None):
    """A shell command that says the lines of a file, pausing before each."""
    source = f"head -n {lines} '{path}' |" if lines else f"cat '{path}' |"
    return f"{source} while IFS= read -r line; do sleep {seconds}; printf '%s\\n' \"$line\"; done\n{then}"


def make_run(name, script="true", *, agent="a-1", adapter="claude_k8s", suspend=True, labels=None, **changes):
    """A Job as a host submits it.

    `container`, `pod`: changes of the agent's container and of the pod's spec; `notes`: annotations; the rest
    goes into the Job's spec.
    """
    own = {KEYS.agent_id: agent, KEYS.run_id: f"r-{name}", KEYS.adapter_type: adapter, KEYS.task_id: "t-1"}
    own |= labels or {}
    own = {key: value for key, value in own.items() if value is not None}
    container = {"name": "claude", "image": IMAGE, "imagePullPolicy": "IfNotPresent"}
    container |= {"command": ["sh", "-c", script]} | changes.pop("container", {})
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
    pod |= changes.pop("pod", {})
    notes = changes.pop("notes", {})
    return {
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": own, "annotations": notes},
        "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": own}, "spec": pod}}
        | ({"suspend": True} if suspend else {})
        | changes,
    }


def used(path):
    """What the last result of a transcript says was used, as a run's result has to say it."""
    events = [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]
    if path.parent == OPENCODE:
        steps = [event["part"]["tokens"] for event in events if event["type"] == "step_finish"]
        return {
            "inputTokens": sum(step["input"] for step in steps),
            "cachedInputTokens": sum(step["cache"]["read"] for step in steps),
            "cacheCreationInputTokens": sum(step["cache"]["write"] for step in steps),
            "outputTokens": sum(step["output"] + step["reasoning"] for step in steps),
        }
    models = [event for event in events if event.get("type") == "result"][-1]["modelUsage"].values()
    return {
        "inputTokens": sum(model["inputTokens"] for model in models),
        "cachedInputTokens": sum(model["cacheReadInputTokens"] for model in models),
        "cacheCreationInputTokens": sum(model["cacheCreationInputTokens"] for model in models),
        "outputTokens": sum(model["outputTokens"] for model in models),
    }
