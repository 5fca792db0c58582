"""docs/outcomes.md: every outcome, what it rests on, and what a host does about it.

`python -m tests.core.outcomes_page` writes it anew; a test compares them. Order, codes and families come from
the code that judges. What a host should do is said here, once for each reason.
"""

import sys
from pathlib import Path

from controller.core import orphans, verdict
from controller.core.agents import outcomes
from controller.core.contract import ErrorCode, Phase, Reason

PAGE = Path(__file__).resolve().parents[2] / "docs" / "outcomes.md"

RESUME = "Resume the session (`sessionId`) with a new run"
AGAIN = "Submit a new run"
LATER = "Submit a new run after `retryNotBefore`, or with growing delays without it"
ASK = "Ask a person"

ENDED = {
    Reason.COMPLETED: ("The agent claimed success and its container exited with 0.", "Nothing."),
    Reason.COMPLETED_HUNG: (
        "The agent claimed success but did not exit, and was stopped for that.",
        "Nothing; look at what keeps the container alive if it happens often.",
    ),
    Reason.AGENT_ERROR: (
        "The agent told an error that has no name of its own.",
        f"{ASK}; `llm_api_error`: the model's API told it. With `clearSession` start without the session.",
    ),
    Reason.MAX_TURNS: (
        "It has used up its turns.",
        "Go on in a new run, or raise the limit. `clearSession` is set.",
    ),
    Reason.BUDGET_EXCEEDED: (
        "It has used up its own budget of money.",
        f"{ASK}, or raise the limit and resume.",
    ),
    Reason.AUTH_REQUIRED: (
        "It is not logged in, or its key is not valid.",
        f"{ASK}: `errorMeta.loginUrl` says where, if the agent does. A retry fails in the same way.",
    ),
    Reason.QUOTA_EXCEEDED: (
        "The quota or credit of its account is used up.",
        f"{LATER}; or use another account.",
    ),
    Reason.UPSTREAM_TRANSIENT: (
        "The model's API was overloaded or out of reach, also after the agent's own retries.",
        f"{LATER}. {RESUME} to keep what was done.",
    ),
    Reason.MODEL_NOT_FOUND: (
        "There is no such model for this account.",
        "Correct the model; a retry is in vain.",
    ),
    Reason.REFUSED: (
        "The model refused, whatever the exit code.",
        f"{ASK}; the same prompt is refused again.",
    ),
    Reason.SESSION_UNAVAILABLE: (
        "The session to resume is not there, or is no session id.",
        "Submit a new run without a session at once: `clearSession` is set.",
    ),
    Reason.NO_RESULT: (
        "Its container ended without a result, and before any work; or its log can't be had.",
        f"{AGAIN}; with `log.state: missing` look at what the run has changed before.",
    ),
    Reason.TRUNCATED_OUTPUT: (
        "Its output breaks off in the middle of its work; the message says how its container ended.",
        f"{RESUME}. With SIGKILL look at its memory first.",
    ),
    Reason.CONTAINER_ERROR: (
        "Its container exited with an error that nothing else explains, perhaps after a claim of success.",
        "Read `summary`: the last lines of the log.",
    ),
    Reason.OOM_KILLED: ("The kernel killed it for its memory limit.", f"Raise the limit. {RESUME}."),
    Reason.EVICTED: ("The node took the pod away: it lacked memory or disk.", f"{RESUME}, soon."),
    Reason.PREEMPTED: ("A pod of higher priority took its place.", f"{RESUME}, soon."),
    Reason.NODE_LOST: ("Its node went away, was shut down, or gave up its start.", f"{RESUME}, soon."),
    Reason.IMAGE_PULL_FAILED: ("Its image can't be pulled.", "Correct the image or its pull secret."),
    Reason.CONFIG_ERROR: (
        "Its container can't be made or started.",
        "Correct the Job: the message names the cause.",
    ),
    Reason.INIT_FAILED: (
        "An init container failed.",
        "Read that container's log, as long as its pod is there.",
    ),
    Reason.UNSCHEDULABLE: ("No node has had room in time.", "Submit it later, or ask for less."),
    Reason.START_TIMEOUT: (
        "It did not start in time, for no reason that has a name.",
        f"{AGAIN}; then look at its node.",
    ),
    Reason.POD_MISSING: (
        "Kubernetes has made no pod for it.",
        "Look at the Job's Events: quota, policies, webhooks.",
    ),
    Reason.UNKNOWN: (
        "How it ended could not be observed. Unknown is never success.",
        f"Look at what the run has changed. {RESUME} if there is one.",
    ),
    Reason.DEADLINE_EXCEEDED: (
        "It took longer than its host allowed.",
        f"{RESUME} with more time, or give up.",
    ),
    Reason.STALLED_TOO_LONG: ("It said nothing for too long, and was stopped for that.", f"{RESUME} once."),
    Reason.CANCELLED_BY_HOST: ("Its host wanted it to end.", "Nothing."),
    Reason.JOB_DELETED: ("Somebody deleted its Job.", f"{AGAIN}, if it was not you."),
    Reason.EXTERNALLY_SUSPENDED: (
        "Somebody suspended its Job after its start.",
        f"{AGAIN}, if it was not you.",
    ),
}
"""Reason with which a run ends -> what it rests on, what the host does."""
REJECTED = {
    Reason.AGENT_BUSY: (
        "Its agent was busy, and it may not wait.",
        "Submit it later, or with `on-conflict: queue`.",
    ),
    Reason.TASK_UNKNOWN: (
        "Its agent was busy, and it can't be told whether with this task.",
        "Label runs with their task; else as AgentBusy.",
    ),
    Reason.TASK_MISMATCH: ("Its agent was busy with another task.", "As AgentBusy."),
    Reason.SESSION_MISMATCH: ("Its agent was busy with another session of the task.", "As AgentBusy."),
    Reason.OBJECT_MISSING: ("A Secret or ConfigMap of it never came.", "Create it right after the Job."),
    Reason.INVALID_RUN: ("Its Job is no run of one agent: the message says why.", "Correct the Job."),
}
"""The same for runs that were never started."""
LIVE = {
    Reason.AGENT_BUSY: "Waits: all places of its agent are taken.",
    Reason.TASK_UNKNOWN: "The same; one of both runs names no task.",
    Reason.TASK_MISMATCH: "The same; the agent is at another task.",
    Reason.SESSION_MISMATCH: "The same; the agent is in another session of the task.",
    Reason.COMPANY_LIMIT: "Waits: its company runs as many as it may.",
    Reason.CLUSTER_LIMIT: "Waits: the cluster runs as many as it may.",
    Reason.OBJECT_MISSING: "Waits for its Secret or ConfigMap. Create it now.",
    Reason.EXTERNAL_QUEUE: "Waits in a queue that is not ours.",
    Reason.ADMITTED: "Is started; Kubernetes has made no pod yet.",
    Reason.UNSCHEDULED: "Waits for a node.",
    Reason.PULLING_IMAGE: "Its image is being pulled.",
    Reason.IMAGE_PULL_BACK_OFF: "Its image can't be pulled so far. Correct it, or cancel the run.",
    Reason.INIT_RUNNING: "Its init containers run.",
    Reason.CONTAINER_CREATING: "Its container is being made.",
    Reason.STOPPING: "Is being stopped: the terminal reason will be that of the stop.",
    Reason.AGENT_STARTING: "Its container runs; the agent has said nothing yet.",
    Reason.AGENT_WORKING: "Works.",
    Reason.AGENT_RETRYING: "Works, and its model's API fails: the agent tries again by itself.",
    Reason.AGENT_SILENT: "Has said nothing for long. Look at it, or cancel it.",
    Reason.AGENT_FINISHED: "Has given its result, and has not ended yet.",
    Reason.AGENT_HANGING: "Has given its result and does not end; it will be stopped.",
    Reason.NEW_ATTEMPT: "A pod has failed; another is or may be made.",
    Reason.DRAINING_LOG: "Is over; the rest of its log is being read.",
    Reason.REATTACHED: "Continues on the live Job of an earlier run. Watch that one.",
    Reason.DUPLICATE_RUN: "Is the run of another Job, submitted twice. Watch that one.",
}
"""Reason of a run that is not over -> what it does. A host waits, unless told otherwise."""

HEAD = """\
# Outcomes

Made from the code by `python -m tests.core.outcomes_page`: don't edit it.
What the words promise is in [contract.md](contract.md).

A run has one outcome: `phase` and `reason`, and in `result` the `errorCode` with a sentence, `errorMessage`.
A host bases retries on `errorFamily`, `retryNotBefore`, and `clearSession`: the session would fail again.
"""
RETRY = """\
`retryNotBefore` is there for QuotaExceeded and UpstreamTransient if the agent says when: by an event, else by
the words of its error ("resets 4pm (Europe/Berlin)", "try again in 5 minutes", an epoch, ISO 8601).
Only what is certain counts. A time of day without its zone, a zone's abbreviation and a day without its time
are not certain, nor is anything before the error, or more than eight days after it.
"""
JUDGED = """\
## How a run that is over is judged

From top to bottom; the first line that is sure decides.
"""
CALLED = """\
## What an agent's failure is called

Of Claude Code's last result. From top to bottom, likewise.
The text of a result that claims success is never looked at.
"""


def page():
    """The whole page."""
    parts = [
        HEAD,
        "## What a host does\n",
        _table(
            "phase", "reason", "`errorCode`", "`errorFamily`", "rests on", "what the host does", rows=_ended()
        ),
        RETRY,
        JUDGED,
        _table("", "if", rows=[(number, judge.when) for number, judge in enumerate(verdict.JUDGES, 1)]),
        CALLED,
        _table("if", "reason", "`errorCode`", "`clearSession`", rows=_rules(outcomes.RULES)),
        "Of what it said before its first word, if it exited with an error and without any result:\n",
        _table("if", "reason", "`errorCode`", "`clearSession`", rows=_rules(outcomes.OF_START)),
        "## While a run is not over\n",
        _table("reason", "the run", rows=LIVE.items()),
    ]
    return "\n".join(parts)


def _ended():
    rows = []
    for reason, (rests_on, does) in ENDED.items():
        phase = verdict.Finding(reason, "").phase
        codes, families = _codes(reason), {o.family for o in _outcomes(reason) if o.family}
        rows.append((phase, reason, _words(codes), _words(families), rests_on, does))
    for reason, (rests_on, does) in REJECTED.items():
        rows.append((Phase.REJECTED, reason, _words(_codes_of_rejection(reason)), "", rests_on, does))
    return rows


def _outcomes(reason):
    return [rule.outcome for rule in outcomes.RULES if rule.outcome.reason is reason]


def _codes(reason):
    """Those of the agent's own words, or that of the reason; none of a success."""
    return {o.code for o in _outcomes(reason)} or {verdict.Finding(reason, "").error_code} - {None}


def _codes_of_rejection(reason):
    blocked = {orphans.REASONS[decision]: code for decision, code in orphans.CODES.items()}
    if reason is Reason.INVALID_RUN:
        return {ErrorCode.AGENT_ID_INVALID, ErrorCode.ADAPTER_FAILED}
    return {blocked.get(reason, ErrorCode.ADAPTER_FAILED)}


def _rules(rules):
    return [
        (r.when, r.outcome.reason, _words({r.outcome.code}), "yes" * r.outcome.clear_session) for r in rules
    ]


def _words(found):
    return ", ".join(f"`{word}`" for word in sorted(found))


def _table(*heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"wrote {PAGE.name}\n")
