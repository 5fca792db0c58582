"""A finished run -> its trace as a value: ids, times, attributes, links.

    RUN <pipeline>              Job created -> Job over
    ├── queued                  Job created -> started
    ├── attempt <n>             see attempt_part
    └── finalizing              last container finished -> Job over

A run that continues on another Job has an `attached` span instead, and a link to that Job's trace, where the
work is told.

A pure function of the Job, the facts kept on it and the agent's logs: every controller makes the same spans
at any time, which is what makes a second export harmless. It looks at no pods or clocks, and never raises.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from msgspec.structs import replace

from controller.core import attachments, lifecycle, orphans
from controller.core.contract import Phase, Status, instant
from controller.core.model import Job
from controller.core.snapshot import Attempt, Facts, Policy, Run
from controller.core.spans import attempt_part, ids, run_part, step_part, telling
from controller.core.spans import conventions as names
from controller.core.spans.attempt_part import Part, Story
from controller.core.spans.shape import MAX_FRAME, MAX_SPANS, Attributes, attributes, fit, storable
from controller.core.spans.step_part import Step
from controller.core.spantree import Span, SpanKind, SpanLink, SpanTree
from controller.core.transcript import LogState

MAX_STEPS: Final = MAX_SPANS - MAX_FRAME


def trace_id(job: Job, policy: Policy) -> str:
    """The id of a run's trace, 32 hex digits; known as soon as the Job is."""
    remote = _submitter(job)
    return remote.trace_id if remote and policy.trace_parent == "parent" else ids.of_trace(job.uid)


def build(run: Run, facts: Facts, policy: Policy) -> SpanTree:
    """The trace of a finished run; a valid partial one that says so where facts or logs are missing."""
    stories = _stories(run, facts)
    root = _root_span(run, stories, policy)
    parts = [attempt_part.part(story, root) for story in stories]
    frame = [_queued(run.job, stories, root)]
    frame += _attached(run.job, root)
    frame += [span for part in parts for span in part.frame]
    if not attachments.was_attached(run.job) and (last := _finalizing(run.job, stories, root)) is not None:
        frame.append(last)
    shown = frame[: MAX_FRAME - 1]
    tools = [] if _is_told_otherwise(run.job, policy) else _tools(stories, parts, shown)
    dropped = _dropped(stories, tools, len(frame) - len(shown))
    about = run_part.about(run.job, facts, stories) + dropped
    if _is_told_otherwise(run.job, policy):
        told = {span.id for part in parts for span in part.settled}
        shown = [span for span in shown if span.id not in told]
    spans = (replace(root, attributes=about), *shown, *tools)
    version = telling.version(run, facts)
    return of(run.job, telling.renamed(spans, version) if version else spans, policy)


def of(job: Job, spans: tuple[Span, ...], policy: Policy) -> SpanTree:
    """These spans as a part of the run's trace."""
    return SpanTree(trace_id(job, policy), run_part.resource(job, policy), spans)


def settled(run: Run, facts: Facts, policy: Policy) -> tuple[Span, ...]:
    """Those spans of a run, live or over, that nothing can change any more: no log line, no fact, no status.

    Each is a span of `build`, then as now, as long as the log can be read whole and the facts keep its
    attempt. Never the root; ancestors may be missing. The same input gives the same spans, more input more;
    those that have been told are left out, and take hardly any time.
    Of a log that has lost its beginning no step is: an earlier process may have told it otherwise.
    """
    if _is_told_otherwise(run.job, policy):
        return ()
    stories = _stories(run, facts)
    root = _root_span(run, stories, policy)
    found: list[Span] = []
    room = MAX_STEPS
    for story in stories:
        part = attempt_part.part(story, root)
        found += (span for span in part.settled if span.id not in run.told)
        for step in _steps(part) if story.placed and telling.is_whole(story.log) else ():
            room -= 1 + step.grows
            if step.final and room >= 0 and step.id not in run.told:
                found.append(step.span)
        if story.log is None or story.log.state is not LogState.COMPLETE:
            room = 0  # how much it leaves to later ones is not known yet
    return tuple(found)


def _stories(run: Run, facts: Facts) -> list[Story]:
    attempts = list({attempt.uid: attempt for attempt in facts.attempts}.values())
    limits = [later.created_at for later in attempts[1:]]
    front = (len(attempts) + 1) // 2
    over = _over_at(run, attempts)
    return [
        Story(
            job=run.job,
            attempt=attempt,
            number=index + 1 + (facts.left_out if index >= front else 0),
            agent=run_part.pipeline(run.job),
            container=lifecycle.agent_container(run.job),
            log=run.log(attempt.uid),
            limit=limits[index] if index < len(limits) else over,
            verdict=run_part.verdict(run.job) if index == len(attempts) - 1 else None,
        )
        for index, attempt in enumerate(attempts)
    ]


def _over_at(run: Run, attempts: Sequence[Attempt]) -> int:
    """When the Job was over: as it says itself, else as its phase says, else the last that was seen of it."""
    job = run.job
    said = instant(job.status.get(Status.SINCE, ""))
    finished = job.finished.at if job.finished else None
    order = (
        (said, job.completed_at, finished)
        if job.phase is Phase.REJECTED or attachments.was_attached(job)
        else (job.completed_at, finished, said)
    )
    for at in (*order, job.deleted_at):
        if at is not None:
            return at
    seen = [job.created_at, *(a.created_at for a in attempts)]
    seen += [c.finished_at for a in attempts for c in a.containers if c.finished_at is not None]
    logs = (run.log(a.uid) for a in attempts)
    seen += [log.seen.last_at for log in logs if log and log.seen.last_at is not None]
    return max(seen)


def _submitter(job: Job) -> ids.Remote | None:
    return ids.remote(job.wishes.traceparent)


def _root_span(run: Run, stories: Sequence[Story], policy: Policy) -> Span:
    """The root without its attributes: the frame that everything else has to fit into."""
    job, remote = run.job, _submitter(run.job)
    result, _ = run_part.verdict(job)
    adopted = remote is not None and policy.trace_parent == "parent"
    links = _links_to_work(job)
    if remote is not None and not adopted:
        links = (*links, SpanLink(*remote, attributes((names.LINK_KIND, names.LINK_SUBMITTER))))
    start = storable(job.created_at)
    over = _over_at(run, [story.attempt for story in stories])
    return Span(
        id=ids.of_span(job.uid, "run"),
        parent=remote.span_id if remote and adopted else "",
        name=f"RUN {run_part.pipeline(job)}".rstrip(),
        kind=SpanKind.SERVER,
        start=start,
        end=max(start, storable(max([over, *(story.ended_at for story in stories)])) - 1) + 1,
        links=links,
        error=_exit_of_last(stories) if result in names.BAD_RESULTS else None,
    )


def _links_to_work(job: Job) -> tuple[SpanLink, ...]:
    """The root of the trace of the Job that does this run's work, if that is another."""
    if (on := attachments.target(job)) is None:
        return ()
    decision = orphans.read(job.status.get(Status.DECISION, ""))
    trace = decision.trace if decision and ids.is_trace(decision.trace) else ids.of_trace(on.uid)
    return (SpanLink(trace, ids.of_span(on.uid, "run"), attributes((names.LINK_KIND, names.LINK_WORK))),)


def _exit_of_last(stories: Sequence[Story]) -> str:
    container = stories[-1].hosts_agent if stories else None
    return f"exit code {container.exit_code}" if container and container.exit_code else ""


def _queued(job: Job, stories: Sequence[Story], root: Span) -> Span:
    """Until the Job was started; a run that never was waited all its life."""
    starts = [story.attempt.created_at for story in stories]
    starts += [] if job.started_at is None else [job.started_at]
    if (attached := _attached_at(job)) is not None:
        starts = [attached]
    span = Span(
        id=ids.of_span(job.uid, "queued"),
        parent=root.id,
        name="queued",
        kind=SpanKind.INTERNAL,
        start=root.start,
        end=min(starts, default=root.end),
        attributes=attributes((names.QUEUE_NAME, job.external_queue)),
    )
    return fit(span, root)


def _attached_at(job: Job) -> int | None:
    decision = orphans.read(job.status.get(Status.DECISION, ""))
    return instant(decision.at) if decision and attachments.was_attached(job) else None


def _attached(job: Job, root: Span) -> list[Span]:
    """While the run continued on another Job."""
    if (start := _attached_at(job)) is None:
        return []
    on = attachments.target(job)
    about = attributes((names.ATTACHED_JOB, on.name if on else None))
    span_id = ids.of_span(job.uid, "attached")
    span = Span(span_id, root.id, "attached", SpanKind.INTERNAL, start, root.end, about)
    return [fit(span, root)]


def _finalizing(job: Job, stories: Sequence[Story], root: Span) -> Span | None:
    """From the end of the last pod to the Job's: Kubernetes' own time."""
    over = max((story.ended_at for story in stories), default=root.end)
    if over >= root.end:
        return None
    span_id = ids.of_span(job.uid, "finalizing")
    return fit(Span(span_id, root.id, "finalizing", SpanKind.INTERNAL, over, root.end), root)


def _is_told_otherwise(job: Job, policy: Policy) -> bool:
    """With other settings: what could be told while the run went on may be there, looking otherwise."""
    return telling.is_live(job) and not telling.goes_on(job, policy)


def _tools(stories: Sequence[Story], parts: Sequence[Part], shown: Sequence[Span]) -> list[Span]:
    """As many steps as there is room for, oldest first; a parent is never cut off from its child."""
    placed = ((story, part) for story, part in zip(stories, parts, strict=True) if part.invoked in shown)
    found = ((story, step) for story, part in placed for step in _steps(part))
    return [
        step.span
        for story, step in islice(found, MAX_STEPS)
        if telling.may_tell(story.job, story.log, final=step.final)
    ]


def _steps(part: Part) -> Iterator[Step]:
    if part.sitting is not None and part.invoked is not None:
        yield from step_part.steps(part.sitting, part.invoked)


def _dropped(stories: Sequence[Story], shown: Sequence[Span], frames: int) -> Attributes:
    """What has no span, because there was no room, or because an earlier process has read of it."""
    if any(telling.is_live(story.job) and not telling.is_whole(story.log) for story in stories):
        return attributes((names.SPANS_DROPPED, frames or None))  # how many were told before is not known
    seen = [story.log.seen for story in stories if story.log]
    calls = sum(max(log.tool_calls, len(log.tools) + log.dropped) for log in seen)
    chats = sum(max(log.chat_count, len(log.chats)) for log in seen)
    tools = sum(span.name.startswith(names.OPERATION_EXECUTE_TOOL) for span in shown)
    asked = sum(span.kind is SpanKind.CLIENT for span in shown)
    return attributes(
        (names.TOOL_CALLS_DROPPED, calls - tools or None),
        (names.MODEL_CALLS_DROPPED, chats - asked or None),
        (names.SPANS_DROPPED, frames or None),
    )
