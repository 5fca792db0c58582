"""One attempt's part of a trace: the pod, its scheduling, its containers; from facts kept on the Job.

    attempt <n>
    ├── scheduling
    ├── image pull <container>  of no length if the image was there already
    ├── init <container>
    └── container <name> #<restart>
        └── the agent's part, in the container that is the agent's

An attempt's result is the run's if it is the last one, else what its own containers say.
"""

from dataclasses import dataclass

from controller.core.agents.fold import format_of
from controller.core.contract import Reason
from controller.core.model import Container, Job
from controller.core.snapshot import Attempt, Pull
from controller.core.spans import agent_part, ids
from controller.core.spans import conventions as names
from controller.core.spans.agent_part import Sitting
from controller.core.spans.shape import attributes, fit, name
from controller.core.spantree import Span, SpanKind
from controller.core.transcript import AttemptLog


@dataclass(frozen=True, slots=True)
class Story:
    """An attempt with all that its spans are made of."""

    job: Job
    attempt: Attempt
    number: int
    agent: str
    """Name of the agent, for people."""
    container: str
    """Name of the agent's container."""
    log: AttemptLog | None
    limit: int
    """When what has no recorded end was certainly over."""
    verdict: tuple[str, str] | None
    """(result, reason) of the run if this is its last attempt."""

    @property
    def containers(self) -> tuple[Container, ...]:
        """Those that started, each once."""
        started = (c for c in self.attempt.containers if (c.started_at, c.finished_at) != (None, None))
        return tuple({(c.init, c.name): c for c in started}.values())

    @property
    def hosts_agent(self) -> Container | None:
        """The agent's container, None if it never started."""
        return next((c for c in self.containers if c.name == self.container and not c.init), None)

    @property
    def hosts_log(self) -> Container | None:
        """The start of the agent's container that wrote the log, None if that one is not known."""
        host = self.hosts_agent
        return host if host and self.log and host.restarts == self.log.restarts else None

    @property
    def lost_starts(self) -> int:
        """How many times containers were started of which only a later start is known."""
        return sum(max(0, container.restarts) for container in self.containers)

    @property
    def placed(self) -> bool:
        """Where its log belongs, and from when on it can tell of anything, is certain."""
        host = self.hosts_log
        return host is not None and host.started_at is not None

    @property
    def outcome(self) -> tuple[str, str]:
        """(result, error.type); the latter says nothing for a good result."""
        return self.verdict or _own_verdict(self.attempt, self.hosts_agent)

    @property
    def ended_at(self) -> int:
        """When its last container finished."""
        ends = [self.end_of(container) for container in self.containers] or [self.limit]
        told = [at for pull in self.attempt.pulls for at in (pull.started_at, pull.finished_at)]
        known = [at for at in (*told, self.attempt.created_at, self.attempt.scheduled_at) if at is not None]
        return max(*ends, max(known) + 1)

    def end_of(self, container: Container) -> int:
        """When that container finished, no earlier than the last line it wrote."""
        end = self.limit if container.finished_at is None else container.finished_at
        last = self.log.seen.last_at if self.log and container is self.hosts_log else None
        return end if last is None else max(end, last + 1)


@dataclass(frozen=True, slots=True)
class Part:
    """The spans of one attempt; its steps can be made once it is known how many of them fit."""

    frame: tuple[Span, ...]
    settled: tuple[Span, ...] = ()
    """Those of them that nothing can change any more, as long as the facts keep what they are made of."""
    sitting: Sitting | None = None
    invoked: Span | None = None


def part(story: Story, root: Span) -> Part:
    """The spans of an attempt, parents before children, all inside `root`."""
    pod = fit(_pod(story), root)
    found = [pod]
    host = pod
    if (scheduling := _scheduling(story, pod)) is not None:
        found.append(scheduling)
    pulls = _pulls(story, pod)
    found += pulls
    settled = (*([scheduling] if scheduling and story.attempt.scheduled_at is not None else []), *pulls)
    for container in story.containers:
        span = fit(_container(story, container), pod)
        found.append(span)
        host = span if container is story.hosts_log else host
    if story.log is None:
        return Part(tuple(found), settled)
    sitting = _sitting(story, story.log)
    agents = agent_part.frame(sitting, host)
    return Part((*found, *agents), settled, sitting, agents[0] if agents else None)


def _sitting(story: Story, log: AttemptLog) -> Sitting:
    result, _ = story.outcome
    died = result in names.BAD_RESULTS or result == names.RESULT_CANCELLATION
    form = format_of(story.job.wishes.output)
    return Sitting(
        job_uid=story.job.uid,
        start=f"{story.attempt.uid}{_again(log.restarts)}",
        agent=story.agent,
        log=log,
        died=died,
        death=_death(story),
        closes_turns=form.closes_turns,
        provider=form.provider,
    )


def _pod(story: Story) -> Span:
    attempt, (result, error) = story.attempt, story.outcome
    bad = result in names.BAD_RESULTS
    return Span(
        id=ids.of_pod(attempt.uid),
        parent="",
        name=f"attempt {story.number}",
        kind=SpanKind.INTERNAL,
        start=attempt.created_at,
        end=story.ended_at,
        attributes=attributes(
            (names.TASK_NAME, "attempt"),
            (names.TASK_RUN_ID, attempt.uid),
            (names.TASK_RUN_RESULT, result),
            (names.ATTEMPT_NUMBER, story.number),
            (names.STARTS_LOST, story.lost_starts or None),
            (names.POD_NAME, attempt.pod),
            (names.POD_UID, attempt.uid),
            (names.NODE_NAME, attempt.node),
            (names.POD_REASON, name(attempt.reason)),
            (names.EXIT_CODE, story.hosts_agent.exit_code if story.hosts_agent else None),
            (names.ERROR_TYPE, name(error) if bad else None),
        ),
        error=_exit(story.hosts_agent) if bad else None,
    )


def _scheduling(story: Story, pod: Span) -> Span | None:
    """Creation to PodScheduled; a pod that never found a node was being scheduled until its end."""
    attempt = story.attempt
    never = attempt.scheduled_at is None and not attempt.node and not story.containers
    if attempt.scheduled_at is None and not never:
        return None
    span = Span(
        id=ids.of_span(story.job.uid, "scheduling", attempt.uid),
        parent=pod.id,
        name="scheduling",
        kind=SpanKind.INTERNAL,
        start=pod.start,
        end=pod.end if attempt.scheduled_at is None else attempt.scheduled_at,
        attributes=attributes((names.ERROR_TYPE, _death(story) if never else None)),
        error="" if never else None,
    )
    return fit(span, pod)


def _pulls(story: Story, pod: Span) -> list[Span]:
    """One for each container of which Events told; those tell of successes only."""
    told = {(pull.init, pull.container): pull for pull in reversed(story.attempt.pulls)}
    return [
        fit(_pull(story, pull, at), pod)
        for pull in reversed(told.values())
        if (at := pull.finished_at if pull.finished_at is not None else pull.started_at) is not None
    ]


def _pull(story: Story, pull: Pull, at: int) -> Span:
    image, tag = _image(story.job, pull.container)
    key = f"{story.attempt.uid}/{'init/' if pull.init else ''}{pull.container}"
    return Span(
        id=ids.of_span(story.job.uid, "pull", key),
        parent="",
        name=f"image pull {name(pull.container)}",
        kind=SpanKind.INTERNAL,
        start=at if pull.started_at is None else pull.started_at,
        end=at,
        attributes=attributes(
            (names.CONTAINER_NAME, pull.container),
            (names.CONTAINER_INIT, pull.init or None),
            (names.IMAGE_NAME, image),
            (names.IMAGE_TAGS, (tag,) if tag else None),
            (names.IMAGE_SIZE, pull.size),
            (names.IMAGE_CACHED, pull.started_at is None),
            (names.PULL_MILLIS, pull.millis),
            (names.TIMING, names.DERIVED if pull.derived else None),
        ),
    )


def _container(story: Story, container: Container) -> Span:
    label, init = name(container.name), _ends_before_the_others(story.job, container)
    result, _ = story.outcome
    failed = (container.exit_code or 0) != 0 and result in names.BAD_RESULTS
    image, tag = _image(story.job, container.name)
    key = f"{story.attempt.uid}/{container.name}{_again(container.restarts)}"
    return Span(
        id=ids.of_span(story.job.uid, "init" if container.init else "container", key),
        parent="",
        name=f"init {label}" if init else f"container {label} #{container.restarts}",
        kind=SpanKind.INTERNAL,
        start=story.attempt.created_at if container.started_at is None else container.started_at,
        end=story.end_of(container),
        attributes=attributes(
            (names.CONTAINER_NAME, container.name),
            (names.CONTAINER_RESTARTS, container.restarts),
            (names.CONTAINER_REASON, name(container.reason)),
            (names.EXIT_CODE, container.exit_code),
            (names.SIGNAL, container.signal),
            (names.IMAGE_NAME, image),
            (names.IMAGE_TAGS, (tag,) if tag else None),
            (names.ERROR_TYPE, _kind_of_exit(container) if failed else None),
        ),
        error=_exit(container) if failed else None,
    )


def _again(restarts: int) -> str:
    """What tells a later start of a container from its first one."""
    return f"#{restarts}" if restarts else ""


def _ends_before_the_others(job: Job, container: Container) -> bool:
    """A true init container; a sidecar is listed as one, but runs all along."""
    sidecars = (spec.name for spec in job.specs if spec.sidecar)
    return container.init and container.name not in sidecars


def _image(job: Job, container: str) -> tuple[str, str]:
    """Name and tag of the image asked for; a digest is no tag."""
    image = next((spec.image for spec in job.specs if spec.name == container), "").partition("@")[0]
    path, slash, last = image.rpartition("/")
    base, _, tag = last.partition(":")
    return f"{path}{slash}{base}", tag


def _kind_of_exit(container: Container) -> str:
    """error.type of a container: the kubelet's word if it has one, else ours."""
    return (
        Reason.CONTAINER_ERROR if container.reason in ("", "Error", "Completed") else name(container.reason)
    )


def _exit(container: Container | None) -> str:
    if container is None or container.exit_code is None:
        return ""
    return f"exit code {container.exit_code}"


def _own_verdict(attempt: Attempt, container: Container | None) -> tuple[str, str]:
    """What an earlier attempt came to, judging by its own pod."""
    if attempt.reason:
        return names.RESULT_ERROR, attempt.reason
    if container is None or container.exit_code is None:
        return names.RESULT_ERROR, Reason.UNKNOWN
    if container.exit_code == 0:
        return names.RESULT_SUCCESS, ""
    if container.reason == "OOMKilled":
        return names.RESULT_ERROR, Reason.OOM_KILLED
    return names.RESULT_FAILURE, _kind_of_exit(container)


def _death(story: Story) -> str:
    """What cut off whatever was unfinished."""
    _, reason = story.outcome
    container = story.hosts_agent
    if reason == Reason.OOM_KILLED or (container and container.reason == "OOMKilled"):
        return names.OOM_KILLED
    if reason in (Reason.EVICTED, Reason.PREEMPTED) or story.attempt.reason == "Evicted":
        return names.EVICTED
    if reason == Reason.DEADLINE_EXCEEDED:
        return names.DEADLINE_EXCEEDED
    code = container.exit_code if container else None
    return names.ABORTED if code is None or code == 0 or code > 128 else names.NONZERO_EXIT
