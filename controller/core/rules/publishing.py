"""What is written about a run: a standing and what is known -> the annotations that differ from today's.

Owns which keys go together in one patch. When a patch is due is decided by the rules that call it.
"""

from collections.abc import Mapping

import msgspec

from controller.core import cursor, diagnosis, facts, fitting, lifecycle, redaction, room
from controller.core.actions import PatchJob
from controller.core.contract import LIVE, SCHEMA, TERMINAL, Phase, Status, clip, keys_of, rfc3339
from controller.core.model import Job, Now
from controller.core.result import Result
from controller.core.snapshot import Policy, Run, Standing
from controller.core.spans import tree
from controller.core.transcript import AgentLog, AttemptLog


def patch(  # noqa: PLR0913 — one keyword for each part of a Job that may be written
    run: Run,
    standing: Standing,
    now: Now,
    policy: Policy,
    *,
    why: str,
    extra: Mapping[str, str | None] | None = None,
    ended: Result | None = None,
    spec: Mapping[str, bool | int | None] | None = None,
    template_labels: Mapping[str, str] | None = None,
) -> PatchJob:
    """The patch that makes the Job say where its run stands, with everything that rides along.

    `ended`: its result, written as large as there is room for it; once: what a host may have read stays.
    """
    wanted = {
        **_standing(run.job, standing, now, policy),
        **_riders(run, standing, now, policy),
        **(extra or {}),
    }
    changed = {name: value for name, value in wanted.items() if run.job.status.get(name) != value}
    changed = {**dict.fromkeys(run.job.leftovers), **changed}
    keys = keys_of(policy.domain)
    if ended is not None and Status.RESULT not in run.job.status:
        changed[Status.RESULT] = fitting.fit(ended, room.for_result(run, changed, now, keys))
    return PatchJob(
        namespace=run.job.namespace,
        name=run.job.name,
        job_uid=run.job.uid,
        version=run.job.version,
        annotations={keys.status(name): value for name, value in changed.items()},
        spec=spec or {},
        template_labels=template_labels or {},
        why=why,
    )


def closing(  # noqa: PLR0913 — as `patch`
    run: Run,
    standing: Standing,
    now: Now,
    policy: Policy,
    *,
    why: str,
    ended: Result,
    extra: Mapping[str, str | None] | None = None,
) -> PatchJob:
    """The patch that ends a run without a pod of its own: it has its result, and nobody can start it."""
    return patch(run, standing, now, policy, why=why, extra=extra, ended=ended, spec={"parallelism": 0})


def identity(run: Run) -> dict[str, str]:
    """Session and model as the agent reports them: what lets a lost run be resumed."""
    pod = lifecycle.newest_pod(run)
    log = run.log(pod.uid) if pod else None
    seen = log.seen if log else AgentLog()
    told = {Status.SESSION_ID: seen.session_id, Status.MODEL: seen.model}
    known = {name: redaction.hidden(value) for name, value in told.items() if value}
    if log is not None and cursor.is_behind(run.job, log):
        # It is being read again: an earlier session than the last is not the one to resume.
        known = {name: value for name, value in known.items() if name not in run.job.status}
    return known


def _standing(job: Job, standing: Standing, now: Now, policy: Policy) -> dict[str, str | None]:
    moved = (job.phase, job.status.get(Status.REASON)) != (standing.phase, standing.reason)
    return {
        Status.SCHEMA: SCHEMA,
        Status.PHASE: standing.phase,
        Status.REASON: standing.reason,
        Status.MESSAGE: job.status[Status.MESSAGE]
        if _keeps_its_words(job, standing)
        else clip(standing.message),
        Status.SINCE: rfc3339(now.wall) if moved else job.status.get(Status.SINCE),
        Status.TRACE_ID: tree.trace_id(job, policy),
    }


def says_so(job: Job, standing: Standing) -> bool:
    """The message on the Job says the same, but for counts and times that change while nothing else does."""
    said = job.status.get(Status.MESSAGE)
    return said is not None and diagnosis.alike(said, clip(standing.message))


def _keeps_its_words(job: Job, standing: Standing) -> bool:
    """What holds up a start is told once; of an agent at work the counts are what is told."""
    moved = (job.phase, job.status.get(Status.REASON)) != (standing.phase, standing.reason)
    return standing.phase is Phase.STARTING and not moved and says_so(job, standing)


def _riders(run: Run, standing: Standing, now: Now, policy: Policy) -> dict[str, str | None]:
    riders: dict[str, str | None] = {**identity(run)}
    if standing.phase in LIVE:
        riders[Status.OBSERVED_AT] = rfc3339(now.wall)
        riders[Status.HEARTBEAT_SECONDS] = str(policy.heartbeat_seconds)
    if (pod := lifecycle.newest_pod(run)) is not None:
        riders[Status.POD] = f"{pod.name}/{pod.uid}"
        log = run.log(pod.uid)
        if log is not None and not cursor.is_behind(run.job, log):
            riders |= _progress(log.seen) | _cursor(log)
    if (known := facts.gather(run)).attempts:
        riders[Status.FACTS] = facts.encode(known)
    if standing.phase in TERMINAL:
        ends = dict.fromkeys((Status.OBSERVED_AT, Status.HEARTBEAT_SECONDS, Status.LOG_CURSOR))
        return riders | ends
    return riders


def _cursor(log: AttemptLog) -> dict[str, str | None]:
    text = cursor.encode(log)
    return {Status.LOG_CURSOR: text} if text else {}


def _progress(seen: AgentLog) -> dict[str, str | None]:
    if seen.last_at is None:
        return {}
    counters = {
        "turns": seen.turns,
        "toolCalls": seen.tool_calls,
        "toolErrors": seen.tool_errors,
        "subagents": seen.subagents,
        "inputTokens": seen.input_tokens,
        "outputTokens": seen.output_tokens,
        "retries": seen.retries,
        "tasksLive": seen.tasks_live,
        "lines": seen.lines,
    }
    return {
        Status.LAST_OUTPUT_AT: rfc3339(seen.last_at),
        Status.PROGRESS: msgspec.json.encode({k: v for k, v in counters.items() if v}).decode(),
    }
