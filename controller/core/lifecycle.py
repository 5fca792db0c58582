"""Where a run stands: Job, Pods and the agent's log -> phase and reason of a run that is not over.

Judges by Job status, container states (not the pod's phase: sidecars) and the log. How a run that is over
has ended is `result`'s question; who of the waiting may start is `admission`'s.
"""

from dataclasses import replace

from controller.core import diagnosis, disruption, facts
from controller.core.contract import Phase, Reason, Status
from controller.core.model import Container, Job, Pod, RunState
from controller.core.snapshot import Attempt, Facts, Run, Standing
from controller.core.transcript import AgentLog, AttemptLog, LogState

DEFAULT_CONTAINER = "claude"


def agent_container(job: Job) -> str:
    """Name of the container whose log is the agent's (contract §1)."""
    names = [spec.name for spec in job.specs if not spec.init]
    for wanted in (job.wishes.agent_container, DEFAULT_CONTAINER):
        if wanted in names:
            return wanted
    return names[0] if names else DEFAULT_CONTAINER


def newest_pod(run: Run) -> Pod | None:
    """The pod of the current attempt, None if there is none to be seen."""
    return max(run.pods, key=lambda pod: (pod.created_at, pod.name), default=None)


def agent_in(pod: Pod | Attempt, name: str) -> Container | None:
    """The agent's container of that pod, None if the kubelet has not reported it."""
    return next((c for c in pod.containers if c.name == name and not c.init), None)


def has_started(container: Container | None) -> bool:
    """The container's process runs or ran: there is, or was, a log."""
    if container is None or container.reason in diagnosis.START_ERRORS:
        return False
    if container.reason == diagnosis.STATUS_LOST and container.started_at is None and not container.restarts:
        return False
    return container.state in (RunState.RUNNING, RunState.TERMINATED) or container.restarts > 0


def decisive(known: Facts, name: str) -> Attempt | None:
    """The last attempt whose agent container started; its log and exit decide the outcome."""
    started = [a for a in known.attempts if has_started(agent_in(a, name))]
    return started[-1] if started else None


def unread(run: Run, log: AttemptLog | None) -> bool:
    """Whether more of the decisive log may still come."""
    name = agent_container(run.job)
    attempt = decisive(facts.gather(run), name)
    container = agent_in(attempt, name) if attempt else None
    if log is not None and (container is None or log.restarts >= container.restarts):
        return log.state is LogState.READING
    return attempt is not None and any(pod.uid == attempt.uid for pod in run.pods)


def never_had_pod(run: Run) -> bool:
    """As far as anybody has seen, or counted."""
    job = run.job
    return not (job.active or job.failed or job.succeeded or facts.gather(run).attempts)


def further_pod_possible(run: Run) -> bool:
    """Whether the Job controller may yet make another pod for this Job (backoffLimit)."""
    job, current = run.job, newest_pod(run)
    if job.finished or job.condition("FailureTarget") or job.condition("SuccessCriteriaMet"):
        return False
    if Status.STOP in job.status:  # the deadline that came with it lets no further pod start
        return False
    failed = sum(1 for pod in run.pods if pod.phase == "Failed" and pod is not current)
    gone = max(job.failed - (1 if current and current.phase == "Failed" else 0), failed)
    return gone < job.backoff_limit


def standing(run: Run) -> Standing:
    """Phase and reason of a run that has been admitted, or was submitted running, and is not terminal."""
    found = _observed(run)
    if Status.STOP in run.job.status and found.reason is not Reason.DRAINING_LOG:
        said = run.job.status.get(Status.MESSAGE) or "The run is being stopped."
        return Standing(found.phase, Reason.STOPPING, said)
    return found


def _observed(run: Run) -> Standing:
    if run.job.finished:
        return Standing(Phase.FINISHING, Reason.DRAINING_LOG, "The Job is over; its log is being read.")
    pod = newest_pod(run)
    if pod is None:
        return _without_pod(run)
    container = agent_in(pod, agent_container(run.job))
    if container is None or not has_started(container):
        return _not_started(run, pod)
    if container.state is RunState.TERMINATED:
        return _ended(run, pod, container)
    log = run.log(pod.uid)
    return _still_there(pod, _working(run, log.seen if log else AgentLog()))


def _still_there(pod: Pod, found: Standing) -> Standing:
    """An agent whose node is lost looks as if it worked, for as long as nobody can ask."""
    taken = disruption.under_way(pod)
    return replace(found, message=f"{taken} {found.message}") if taken else found


def _without_pod(run: Run) -> Standing:
    known = facts.gather(run)
    worked = decisive(known, agent_container(run.job)) is not None
    if worked or (known.attempts and further_pod_possible(run)):
        return Standing(Phase.RUNNING, Reason.NEW_ATTEMPT, "The pod is gone; a further one may come.")
    if known.attempts:
        return Standing(Phase.STARTING, Reason.ADMITTED, "The pod has gone before the agent started.")
    if said := diagnosis.of_no_pod(run.events(run.job.uid)):
        return Standing(Phase.STARTING, Reason.ADMITTED, said)
    return Standing(Phase.STARTING, Reason.ADMITTED, "Admitted; Kubernetes has not made a pod yet.")


def _not_started(run: Run, pod: Pod) -> Standing:
    found = diagnosis.of_start(pod, run.events(pod.uid))
    if len(facts.gather(run).attempts) > 1:
        said = f"A further attempt is starting. {found.message}"
        return Standing(Phase.RUNNING, Reason.NEW_ATTEMPT, said)
    return Standing(Phase.STARTING, found.reason, found.message)


def _ended(run: Run, pod: Pod, container: Container) -> Standing:
    said = f"The agent's container exited with {container.exit_code}"
    if container.exit_code != 0 and further_pod_possible(run):
        return Standing(Phase.RUNNING, Reason.NEW_ATTEMPT, f"{said}; a further attempt may come.")
    log = run.log(pod.uid)
    if log is None or log.state is LogState.READING:
        return Standing(Phase.FINISHING, Reason.DRAINING_LOG, f"{said}; its log is being read.")
    return Standing(Phase.FINISHING, Reason.AGENT_FINISHED, f"{said}; Kubernetes has not closed the Job yet.")


def is_done(seen: AgentLog) -> bool:
    """A result has closed the agent's last turn, and nothing of it works on in the background."""
    return seen.claim is not None and not seen.turn_open and not seen.tasks_live


def _working(run: Run, seen: AgentLog) -> Standing:
    if is_done(seen):
        phase = Phase.RUNNING if further_pod_possible(run) else Phase.FINISHING
        return Standing(phase, Reason.AGENT_FINISHED, "The agent has given its result and not exited yet.")
    if not seen.lines:
        return Standing(Phase.RUNNING, Reason.AGENT_STARTING, "The agent's container runs; no output yet.")
    if seen.retrying:
        return Standing(
            Phase.RUNNING, Reason.AGENT_RETRYING, f"The agent retries its model API ({seen.retrying})."
        )
    return Standing(Phase.RUNNING, Reason.AGENT_WORKING, f"The agent works: {_counted(seen)}.")


def _counted(seen: AgentLog) -> str:
    if not seen.turns:
        return _times(seen.lines, "line")
    return f"{_times(seen.turns, 'turn')}, {_times(seen.tool_calls, 'tool call')}"


def _times(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"
