"""When Events are listed: once for a pod that is slow to start, once when it has started, or before a stop.

At most twice a pod and once for a Job without one (contract §7), for such a list reads all Events of its
namespace. A start that is no slower than others costs none, unless its trace wants to know of the pulls.
"""

from typing import Final

from controller.core import admission, facts, lifecycle
from controller.core.actions import Plan, ReadEvents
from controller.core.contract import SECOND, TERMINAL, Status
from controller.core.model import Container, Now, Pod
from controller.core.rules.merging import merge
from controller.core.snapshot import Policy, Run, Snapshot

SLOW_SECONDS: Final = 10.0
"""From when this controller first saw the pod on a node, or the Job without a pod."""
LISTS_MOST: Final = 2
_JUST_STARTED_SECONDS: Final = 60
"""So long ago an agent may have started whose pulls are asked for: not all that run, after a restart."""


def read_events(seen: Snapshot, now: Now, policy: Policy) -> Plan:
    """Why a start is slow is asked of Events, once; and how long its pulls took, if there will be a trace."""
    return merge(_of_run(seen, run, now, policy) for run in seen.runs if _is_open(run))


def before_stop(run: Run, about: str, due: float) -> tuple[ReadEvents, ...]:
    """The list that is still wanted before a start that has failed since that second is stopped for it."""
    heard = run.heard.get(about)
    most = 1 if about == run.job.uid else LISTS_MOST
    if heard is not None and (heard.at >= due or heard.tries >= most or heard.refused):
        return ()
    return (ReadEvents(run.job.namespace, about, run.job.uid),)


def _is_open(run: Run) -> bool:
    job = run.job
    if not job.ids.name_a_run or job.phase in TERMINAL or Status.STOP in job.status:
        return False
    return admission.holds(job) and not job.condition("FailureTarget")


def _of_run(seen: Snapshot, run: Run, now: Now, policy: Policy) -> Plan:
    pod = lifecycle.newest_pod(run)
    if pod is None:
        return _slow(seen, run, run.job.uid, now) if lifecycle.never_had_pod(run) else Plan()
    if pod.ended or not pod.node:  # the pod's condition says why it has none
        return Plan()
    container = lifecycle.agent_in(pod, lifecycle.agent_container(run.job))
    if container is None or not lifecycle.has_started(container):
        return _slow(seen, run, pod.uid, now)
    if policy.tracing and _wants_pulls(run, pod, container, now):
        return Plan((ReadEvents(run.job.namespace, pod.uid, run.job.uid, started=True),))
    return Plan()


def _slow(seen: Snapshot, run: Run, about: str, now: Now) -> Plan:
    if about in run.heard:
        return Plan()
    mark = f"slow:{about}"
    left = SLOW_SECONDS - (now.mono - seen.first_seen(mark, now))
    if left > 0:
        return Plan(look_again=left, marks=(mark,))
    return Plan((ReadEvents(run.job.namespace, about, run.job.uid),), marks=(mark,))


def _wants_pulls(run: Run, pod: Pod, container: Container, now: Now) -> bool:
    heard = run.heard.get(pod.uid)
    if heard is not None and (heard.started or heard.refused or heard.tries >= LISTS_MOST):
        return False
    began = container.started_at
    if began is None or abs(now.wall - began) >= _JUST_STARTED_SECONDS * SECOND:
        return False
    attempt = next((a for a in facts.gather(run).attempts if a.uid == pod.uid), None)
    return attempt is None or all(pull.container != container.name for pull in attempt.pulls)
