"""One run of each outcome in real containers, all at once: what the host and the collector get."""

import time

import pytest

from controller.core.contract import TERMINAL, Status
from e2e.runs import API_RETRY, HOOKS, MAX_TURNS, SUBAGENT, TERMINATED, make_run, replay
from tests.program.runs import used

SCHEDULE = "k8s_pod_schedule_failed"
FAILED = "adapter_failed"
FIRST_ATTEMPT_SECONDS = 30
"""How long the first of two attempts may take to start, on a node that starts all runs of this file."""

FLOOD = "exec tail /dev/zero"
"""A line without an end, kept in memory: process 1 itself is killed for it."""
CHILD_FLOOD = "tail /dev/zero; echo the child ended with $?"
FILL = "head -c 8000000 /dev/zero > /scratch/file; sleep 120"
LINES = 30_000
CHATTER = (
    f"{{ head -n 2 /transcripts/{HOOKS.name}; "
    f'i=0; while [ $i -lt {LINES} ]; do echo "{{\\"type\\":\\"noise\\",\\"n\\":$i,'
    f'\\"pad\\":\\"{"x" * 120}\\"}}"; i=$((i+1)); [ $((i % 500)) = 0 ] && sleep 0.2; done; '
    f"tail -n +3 /transcripts/{HOOKS.name}; }}"
)
"""A transcript with 5 MB in its middle, over 12 s: the kubelet rotates the file at each MiB."""


def attempts():
    """Waits till some time from now and fails; whoever starts later succeeds."""
    late = f'[ "$(date +%s)" -ge {int(time.time()) + FIRST_ATTEMPT_SECONDS} ]'
    return f"{late} || {{ until {late}; do sleep 0.5; done; exit 1; }}\n{replay(HOOKS)}"


def preparation(command):
    """An init container."""
    own = {"name": "prepare", "image": "busybox:1.36", "imagePullPolicy": "IfNotPresent"}
    return own | {"command": ["sh", "-c", command]}


def scratch(limit):
    """Changes of pod and container: a volume that may hold so much, and no more."""
    volumes = [
        {"name": "transcripts", "configMap": {"name": "transcripts"}},
        {"name": "scratch", "emptyDir": {"sizeLimit": limit}},
    ]
    mounts = [
        {"name": "transcripts", "mountPath": "/transcripts"},
        {"name": "scratch", "mountPath": "/scratch"},
    ]
    return {"pod": {"volumes": volumes}, "container": {"volumeMounts": mounts}}


def unmountable():
    """Changes of pod and container: a volume of a Secret that is not there."""
    volumes = [{"name": "prompt", "secret": {"secretName": "nowhere"}}]
    mounts = [{"name": "prompt", "mountPath": "/prompt"}]
    return {"pod": {"volumes": volumes}, "container": {"volumeMounts": mounts}}


def submitted():
    """All runs; each has an agent of its own."""
    missing = {"envFrom": [{"configMapRef": {"name": "nowhere"}}]}
    return [
        make_run("subagent", replay(SUBAGENT)),
        make_run("api-retry", replay(API_RETRY)),
        make_run("max-turns", replay(MAX_TURNS, then="exit 1")),
        make_run("submitted-running", replay(HOOKS), suspend=False),
        make_run("text", "echo done", adapter="other_k8s"),
        make_run("text-failed", "echo no >&2; exit 3", adapter="other_k8s"),
        make_run("silent", "true"),
        make_run("terminated", replay(TERMINATED, then="exit 143")),
        make_run("out-of-memory", replay(SUBAGENT, lines=6, then=FLOOD)),
        make_run("child-out-of-memory", f"{CHILD_FLOOD}\n{replay(HOOKS)}"),
        make_run("child-out-of-memory-failed", f"{CHILD_FLOOD}; exit 1"),
        make_run("pull-fails", container={"image": "127.0.0.1:1/agent:1"}),
        make_run("never-pulled", container={"image": "localhost/nowhere:1", "imagePullPolicy": "Never"}),
        make_run("no-image-name", container={"image": "No Image"}),
        make_run("not-configured", container=missing),
        make_run("not-mounted", **unmountable()),
        make_run("not-prepared", replay(HOOKS), pod={"initContainers": [preparation("exit 3")]}),
        make_run("no-command", container={"command": ["/nowhere/agent"]}),
        make_run("deadline", "sleep 120", activeDeadlineSeconds=6),
        make_run("second-attempt", attempts(), backoffLimit=1),
        make_run("too-much-disk", FILL, **scratch("1Mi")),
        make_run("rotated", CHATTER),
    ]


EXPECTED = {
    "subagent": ("Succeeded/Completed", None, 0),
    "api-retry": ("Succeeded/Completed", None, 0),
    "max-turns": ("Failed/MaxTurns", "max_turns_exhausted", 1),
    "submitted-running": ("Succeeded/Completed", None, 0),
    "text": ("Succeeded/Completed", None, 0),
    "text-failed": ("Failed/ContainerError", FAILED, 3),
    "silent": ("Failed/NoResult", FAILED, 0),
    "terminated": ("Failed/TruncatedOutput", "claude_truncated", 143),
    "out-of-memory": ("Failed/OOMKilled", FAILED, 137),
    "child-out-of-memory": ("Succeeded/Completed", None, 0),
    "child-out-of-memory-failed": ("Failed/OOMKilled", FAILED, 1),
    "pull-fails": ("Failed/ImagePullFailed", SCHEDULE, None),
    "never-pulled": ("Failed/ImagePullFailed", SCHEDULE, None),
    "no-image-name": ("Failed/ImagePullFailed", SCHEDULE, None),
    "not-configured": ("Failed/ConfigError", SCHEDULE, None),
    "not-mounted": ("Failed/ConfigError", SCHEDULE, None),
    "not-prepared": ("Failed/InitFailed", SCHEDULE, None),
    "no-command": ("Failed/ConfigError", SCHEDULE, 128),
    "deadline": ("TimedOut/DeadlineExceeded", "timeout", None),
    "second-attempt": ("Succeeded/Completed", None, 0),
    "too-much-disk": ("Failed/Evicted", FAILED, None),
    "rotated": ("Succeeded/Completed", None, 0),
}
SAID = {
    "pull-fails": ("Image 127.0.0.1:1/agent:1 can't be pulled", "See that the node can reach the registry."),
    "never-pulled": ("Image localhost/nowhere:1 is not on node", "imagePullPolicy"),
    "no-image-name": ("“No Image” is no name of an image", "correct it in the pod template"),
    "not-configured": ('configmap "nowhere" not found.', "Create it in the run's namespace"),
    "not-mounted": ('Volume prompt can\'t be mounted: secret "nowhere" not found.', "Create it"),
    "not-prepared": ("Init container prepare exited with 3.", "Its log says why."),
    "no-command": ('exec: "/nowhere/agent"', "Correct the command, or use another image."),
    "too-much-disk": ("was evicted: Usage of EmptyDir volume", "Give it requests, limits and room"),
}
"""What is wrong with a run that got nowhere, and what to do."""
TOLD = {
    "subagent": SUBAGENT,
    "api-retry": API_RETRY,
    "submitted-running": HOOKS,
    "second-attempt": HOOKS,
    "child-out-of-memory": HOOKS,
    "rotated": HOOKS,
    "max-turns": MAX_TURNS,
}
SECONDS = 150
every = pytest.mark.parametrize("name", EXPECTED)


@pytest.fixture(scope="module")
def played(stage):
    """The world once all runs were submitted; each test waits for its own."""
    stage.submit(*submitted())
    return stage


@every
def test_it_ends_as_it_should(played, name):
    played.published(name, seconds=SECONDS)
    standing, code, exit_code = EXPECTED[name]
    result = played.result(name)
    assert played.standing(name) == standing, result
    assert result.get("errorCode") == code
    if exit_code is not None:
        assert result.get("exitCode") == exit_code
    assert bool(result.get("errorMessage")) is (code is not None)


@pytest.mark.parametrize("name", SAID)
def test_it_says_what_is_wrong_and_what_to_do(played, name):
    played.published(name, seconds=SECONDS)
    said = played.result(name)["errorMessage"]
    assert [words for words in SAID[name] if words not in said] == [], said


@every
def test_its_result_is_about_itself(played, name):
    played.published(name, seconds=SECONDS)
    result = played.result(name)
    assert f"{result['phase']}/{result['reason']}" == played.standing(name)
    assert (result["runId"], result["jobUid"]) == (f"r-{name}", played.uid(name))


@every
def test_it_used_what_its_transcript_says(played, name):
    played.published(name, seconds=SECONDS)
    said = TOLD.get(name)
    assert played.result(name).get("usage") == (used(said) if said else None)


@every
def test_its_trace_is_one_tree_with_the_id_of_its_uid(played, name):
    played.published(name, seconds=SECONDS)
    assert played.said(name, Status.TRACE_ID) == played.uid(name).replace("-", "")
    spans = played.spans(name)
    known = {span.span_id for span in spans}
    assert len(known) == len(spans), "each span once"
    assert len([span for span in spans if span.parent_id not in known]) == 1
    assert all(span.start_ns <= span.end_ns for span in spans)


def test_a_log_that_was_rotated_in_the_middle_is_whole(played):
    played.published("rotated", seconds=SECONDS)
    log = played.result("rotated")["log"]
    assert (log["state"], log["lines"]) == ("complete", LINES + len(HOOKS.read_text().splitlines()))


def test_a_second_attempt_is_told_as_one(played):
    played.published("second-attempt", seconds=SECONDS)
    names = [span.name for span in played.spans("second-attempt")]
    assert {"attempt 1", "attempt 2"} <= set(names)


def test_a_pod_that_fits_nowhere_is_told_and_waited_for(stage):
    stage.submit(make_run("nowhere", pod={"nodeSelector": {"moon": "yes"}}))
    stage.stands("nowhere", "Starting/Unscheduled")
    assert "node" in stage.said("nowhere", Status.MESSAGE)
    assert stage.said("nowhere") not in TERMINAL


def test_the_message_of_a_run_is_a_sentence_without_a_prompt(played):
    for name in EXPECTED:
        played.published(name, seconds=SECONDS)
        assert 0 < len(played.said(name, Status.MESSAGE)) <= 1024
