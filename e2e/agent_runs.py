"""Manifests of the runs whose container is the real Claude Code, and of what it talks to.

Owns: how such a container looks: image, environment, folders it may write. Never: submits.
"""

import shlex

import yaml

from e2e.machine import ROOT
from e2e.runs import RESTRICTED, make_run

AGENT_IMAGE = "localhost/runherd-agent:dev"
MESSAGES_IMAGE = "localhost/runherd-messages:dev"
MESSAGES = "messages"
"""Name of the stand-in's pod, and of its container."""
MESSAGES_PORT = 8080
EVERYWHERE = "0.0.0.0"  # noqa: S104 — other pods have to reach it
HOME = "/home/agent"
WORKSPACE = "/workspace"
WRITABLE = {"home": HOME, "workspace": WORKSPACE, "scratch": "/tmp"}  # noqa: S108 — of a pod of its own
TRACEPARENT = ROOT / "examples" / "traceparent.yaml"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
RETRIES = 3
"""How often the agent repeats a request that failed; ten times by default, which takes minutes."""

COMMAND = ("claude", "-p", "Do what there is to do.", "--output-format", "stream-json", "--verbose")
COMMAND += ("--dangerously-skip-permissions",)
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
}
"""With these the agent speaks to nobody but the Messages API."""


def make_agent_run(
    name, scenario, url, *, arguments=(), subscription=False, memory="1Gi", then="", **changes
):
    """A Job as a host submits it, whose agent goes through a scenario of the stand-in at `url`.

    `scenario`: its name, and its number if it has one (`slow-30`). `arguments`: more of the agent's own.
    `subscription`: the agent believes that it runs on one, not on an API key. `memory`: its limit.
    `then`: what a shell around it does after it. `changes`: as in `make_run`.
    """
    key = "CLAUDE_CODE_OAUTH_TOKEN" if subscription else "ANTHROPIC_API_KEY"
    told = {"HOME": HOME, "ANTHROPIC_BASE_URL": url, key: f"scenario-{scenario}"}
    told |= {"CLAUDE_CODE_MAX_RETRIES": str(RETRIES)} | QUIET
    command = [*COMMAND, *arguments]
    container = {
        "image": AGENT_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", f"{shlex.join(command)}; {then}"] if then else command,
        "env": [{"name": key, "value": value} for key, value in told.items()],
        "workingDir": WORKSPACE,
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": memory}},
        "volumeMounts": [{"name": name, "mountPath": where} for name, where in WRITABLE.items()],
    }
    volumes = [{"name": name, "emptyDir": {}} for name in WRITABLE]
    return make_run(name, container=container, pod={"volumes": volumes}, **changes)


def with_spans_of_its_own(job, endpoint):
    """The same run, whose agent sends spans to `endpoint`, as the example of how to do it says."""
    (agent,) = job["spec"]["template"]["spec"]["containers"]
    (example,) = yaml.safe_load(TRACEPARENT.read_text())["spec"]["template"]["spec"]["containers"]
    wrapper = example["command"][: example["command"].index("claude")]
    own = [env for env in example["env"] if env["name"] != ENDPOINT]
    agent["command"] = [*wrapper, *agent["command"]]
    agent["env"] += [*own, {"name": ENDPOINT, "value": endpoint}]
    return job


def make_messages():
    """The pod of the stand-in of the Messages API; ready when it answers."""
    container = {
        "name": MESSAGES,
        "image": MESSAGES_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": ["--host", EVERYWHERE, "--port", str(MESSAGES_PORT)],
        "ports": [{"containerPort": MESSAGES_PORT}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": MESSAGES_PORT}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "5m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": RESTRICTED | {"readOnlyRootFilesystem": True},
    }
    pod = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 2,
        "containers": [container],
    }
    return {"metadata": {"name": MESSAGES, "labels": {"app.kubernetes.io/name": MESSAGES}}, "spec": pod}


def url_of(pod):
    """Where the stand-in is reached from other pods; empty while it is not ready. There is no DNS."""
    status = pod.get("status") or {}
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
    return f"http://{status['podIP']}:{MESSAGES_PORT}" if ready else ""
