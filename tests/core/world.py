"""What the cluster and the engine make of a plan, as a pure function: the world of the laws.

Knows nothing but merge patches, read logs and marks. Job controller and scheduler stand still.
"""

from dataclasses import replace

from controller.core.actions import (
    CloseVanished,
    ConfirmGone,
    ExportTrace,
    FollowLog,
    OwnObject,
    PatchJob,
    PatchPod,
    ReadEvents,
    ReadPods,
    ReadResult,
    RefreshJob,
    TellSpans,
    answer_mark,
)
from controller.core.contract import TERMINAL, Keys, Status
from controller.core.model import Ids, Owned
from controller.core.snapshot import Answer, Asked, Export, Heard, Ownership
from controller.core.transcript import AgentLog, AttemptLog, LogState

_SPEC_FIELDS = {
    "suspend": "suspended",
    "parallelism": "parallelism",
    "activeDeadlineSeconds": "deadline_seconds",
    "ttlSecondsAfterFinished": "ttl_seconds",
}


def after(seen, plan, now):
    """The same slot once every action of the plan has succeeded and nothing else has happened."""
    known = seen
    for action in plan.actions:
        seen = _carried_out(seen, action, now.mono)
    if not known.fresh or known.doubts:
        return seen  # such a plan says nothing about what holds
    return replace(
        seen,
        since={mark: seen.since.get(mark, now.mono) for mark in plan.marks},
        answers={uid: said for uid, said in seen.answers.items() if answer_mark(uid) in plan.marks},
    )


def _carried_out(seen, action, mono):
    match action:
        case RefreshJob():
            return replace(seen, doubts=tuple(uid for uid in seen.doubts if uid != action.job_uid))
        case ConfirmGone():
            return replace(
                seen,
                ghosts=tuple(ghost for ghost in seen.ghosts if ghost.uid != action.job_uid),
                strays=tuple(pod for pod in seen.strays if pod.job_uid != action.job_uid),
            )
        case ReadResult():
            return replace(seen, answers={**seen.answers, action.job_uid: _answer(seen, action, mono)})
        case CloseVanished():
            return replace(
                seen, vanished=tuple(run for run in seen.vanished if run.job.uid != action.job_uid)
            )
        case _:
            runs = (
                _touched(run, action, mono) if run.job.uid == action.job_uid else run for run in seen.runs
            )
            return replace(seen, runs=tuple(runs))


def _answer(seen, action, mono):
    everywhere = (*(run.job for run in seen.runs), *seen.settled)
    job = next((job for job in everywhere if job.uid == action.job_uid), None)
    if job is None or Status.RESULT not in job.status or job.phase not in TERMINAL:
        return Answer(mono, job)
    text = f'{{"runId":"r","jobUid":"{job.uid}","phase":"{job.phase}","reason":"Completed"}}'
    return Answer(mono, job, text)


def _touched(run, action, mono):
    made = _MADE.get(type(action))
    return made(run, action, mono) if made else run


def _adopted(run, action, mono):
    answer = Asked(Ownership.ADOPTED, mono)
    return replace(run, owned={**run.owned, Owned(action.kind, action.name): answer})


def _labelled(run, patch, _mono):
    pods = (_with_labels(pod, patch) if pod.uid == patch.pod_uid else pod for pod in run.pods)
    return replace(run, pods=tuple(pods))


def _with_labels(pod, patch):
    keys = Keys()
    names = {"agent": keys.agent_id, "run": keys.run_id, "adapter": keys.adapter_type}
    names |= {"task": keys.task_id, "session": keys.session_id, "company": keys.company_id}
    labels = {**(pod.labels or Ids()).labels(keys), **patch.labels}
    return replace(
        pod,
        run_id=labels.get(keys.run_id, ""),
        labels=pod.labels and Ids(**{name: labels.get(key, "") for name, key in names.items()}),
    )


def _patched(run, patch, _mono):
    prefix = Keys().status_prefix
    ours = {key: value for key, value in patch.annotations.items() if key.startswith(prefix)}
    own = {key.removeprefix(prefix): value for key, value in ours.items()}
    if Status.RESULT in own:
        own[Status.RESULT] = "…"
    status = {name: value for name, value in {**run.job.status, **own}.items() if value is not None}
    spec = {_SPEC_FIELDS[name]: value for name, value in patch.spec.items()}
    labels = tuple({**dict(run.job.template_labels), **patch.template_labels}.items())
    version = str(int(run.job.version) + 1)
    changed = {"ids": _relabelled(run.job.ids, patch), "template_labels": labels, "version": version}
    changed["notes_bytes"] = run.job.notes_bytes + growth(run.job, patch)
    return replace(run, job=replace(run.job, status=status, **changed, **spec))


def growth(job, patch):
    """Bytes of annotations that the Job has more after the patch; of foreign ones only what is new."""
    prefix, grown = Keys().status_prefix, 0
    for key, text in patch.annotations.items():
        before = job.status.get(key.removeprefix(prefix)) if key.startswith(prefix) else None
        grown += 0 if text is None else len(key.encode()) + len(text.encode())
        grown -= 0 if before is None else len(key.encode()) + len(before.encode())
    return grown


def _relabelled(ids, patch):
    names = {Keys().run_id: "run", Keys().session_id: "session"}
    labels = {names[key]: value for key, value in patch.labels.items()}
    raw = dict(ids.raw) | {names[key]: patch.annotations[key] for key in patch.annotations if key in names}
    return replace(
        ids, **labels, raw=tuple((name, value) for name, value in raw.items() if value is not None)
    )


def _followed(run, follow, mono):
    known = run.log(follow.pod_uid) or AttemptLog(follow.pod_uid, LogState.READING, AgentLog())
    others = tuple(log for log in run.logs if log.pod_uid != follow.pod_uid)
    if follow.restarts > known.restarts:
        known = AttemptLog(follow.pod_uid, LogState.READING, AgentLog())
    read_at = mono if follow.check and known.works else known.read_at
    known = replace(
        known, final=follow.ended, urgent=follow.urgent, read_at=read_at, restarts=follow.restarts
    )
    return replace(run, logs=(*others, known))


def _heard(run, action, mono):
    before = run.heard.get(action.about)
    tries = before.tries + 1 if before else 1
    heard = Heard(before.events if before else (), mono, tries, action.started)
    return replace(run, heard={**run.heard, action.about: heard})


_MADE = {
    PatchJob: _patched,
    PatchPod: _labelled,
    OwnObject: _adopted,
    FollowLog: _followed,
    ExportTrace: lambda run, _action, _mono: replace(run, export=Export.PENDING),
    TellSpans: lambda run, action, _mono: replace(run, told=run.told | {s.id for s in action.part.spans}),
    ReadEvents: _heard,
    ReadPods: lambda run, _action, mono: replace(run, pods_read_at=mono),
}
"""What each action makes of the run that it is about."""
