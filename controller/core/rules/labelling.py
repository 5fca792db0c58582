"""Pods of a run carry its labels: those that lack them are found and given them.

A pod without the agent's label is not selected by the watch of pods: it is found by the uid of its Job.
"""

from typing import Final

from controller.core import admission
from controller.core.actions import PatchPod, Plan, ReadPods
from controller.core.contract import Keys, keys_of
from controller.core.model import Job, Now, Pod
from controller.core.rules.merging import merge
from controller.core.snapshot import Policy, Run, Snapshot

_LAG_SECONDS: Final = 5.0
"""So long the watch of pods may well lag behind that of Jobs."""
_AGAIN_SECONDS: Final = 30.0
"""Between two lists of pods that the watch does not show."""
_REFUSED_AGAIN_SECONDS: Final = 60.0
"""When a pod is tried again that did not take its labels."""


def find_pods(seen: Snapshot, now: Now, _policy: Policy) -> Plan:
    """The pods of a Job that counts more of them than the watch shows are listed by its uid."""
    return merge(_find(seen, run, now) for run in seen.runs if admission.holds(run.job))


def label_pods(seen: Snapshot, _now: Now, policy: Policy) -> Plan:
    """Every pod of a run that could still run has the labels of its Job."""
    keys = keys_of(policy.domain)
    patches: list[PatchPod] = []
    refused = False
    for run in seen.runs:
        for pod in run.pods if run.job.ids.name_a_run else ():
            if not (labels := _wrong_labels(run.job, pod, keys)):
                continue
            if pod.uid in seen.refused:
                refused = True
                continue
            patches.append(
                PatchPod(pod.namespace, pod.name, pod.uid, run.job.uid, labels=labels, why="label")
            )
    return Plan(tuple(patches), look_again=_REFUSED_AGAIN_SECONDS if refused else None)


def _find(seen: Snapshot, run: Run, now: Now) -> Plan:
    if sum(map(_is_shown, run.pods)) >= run.job.active:
        return Plan()
    mark = f"unseen:{run.job.uid}"
    due = seen.first_seen(mark, now) + _LAG_SECONDS
    if run.pods_read_at is not None and run.pods_read_since(due):
        due = run.pods_read_at + _AGAIN_SECONDS
    if now.mono < due:
        return Plan(look_again=due - now.mono, marks=(mark,))
    return Plan((ReadPods(run.job.namespace, run.job.uid),), look_again=_AGAIN_SECONDS, marks=(mark,))


def _is_shown(pod: Pod) -> bool:
    """The watch shows this pod, and its Job may count it as active."""
    return not pod.ended and (pod.labels is None or bool(pod.labels.agent))


def _wrong_labels(job: Job, pod: Pod, keys: Keys) -> dict[str, str]:
    """What a pod that could still run lacks of its Job's labels.

    What it has otherwise is put right only where places are counted by it: run and session are changed
    together with the Job's when a run is attached to it.
    """
    if pod.ended or pod.deleted_at is not None or pod.labels is None:
        return {}
    has = pod.labels.labels(keys)
    decisive = (keys.agent_id, keys.adapter_type)
    wanted = job.ids.labels(keys).items()
    return {key: value for key, value in wanted if key not in has or (key in decisive and has[key] != value)}
