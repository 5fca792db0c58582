"""Carries out a plan: each action to the writer, the log follower or the exporter; replies into the store.

A failure skips what is left for its Job and holds up no other; nothing is done without the lease.
"""

import asyncio
from typing import Final

from controller.core import actions, ownership, pod_events
from controller.core.actions import Action, Plan, Presence
from controller.core.model import Job, Owned, Pod, Slot, Unreadable
from controller.core.snapshot import Answer, Export, Ownership
from controller.engine.findings import EventsRead, Found, NotKept, Told, TooBig
from controller.engine.parts import Parts
from controller.kube import errors
from controller.kube.lease import LeaseLost
from controller.kube.writer import Writer

_WRITE_SECONDS: Final = 4.5
"""A write must be over before another could lead: the Lease leaves 5 s between our deadline and theirs."""
_NO_ANSWER: Final = f"no answer within {_WRITE_SECONDS} s"

_UNCONFIRMED_RETRY_SECONDS: Final = 2.0
_EXPORTER_FULL_RETRY_SECONDS: Final = 30.0
"""The whole trace is made anew for each try: a second of work for some hundred that wait."""
_SHED_SECONDS: Final = 1.0
"""Heartbeats pause for so long, and for longer each time, while the API server fails."""


async def perform(parts: Parts, slot: Slot, plan: Plan) -> errors.KubeError | None:
    """Carries the actions out in order. A failure skips what is left for its Job, and only for that one.

    Says the failure that matters most for when to come back: one that may pass soon before a refusal. A
    server that asks to be left alone ends the round.
    """
    worst: errors.KubeError | None = None
    skipped: set[str] = set()
    for action in plan.actions:
        if action.job_uid in skipped or _must_wait(parts, slot, action):
            continue
        try:
            await _act(parts, slot, action)
        except errors.Throttled as error:
            parts.store.beats.pause(parts.now().mono, error.after)
            raise
        except errors.Refused as error:
            parts.observer.refused(action, error)
            if isinstance(action, actions.TellJob):
                continue
            _skip(skipped, action)
            worst = worst or error
            _pass_over(parts, slot, action, error)
        except errors.KubeError as error:
            if isinstance(error, errors.Unavailable):
                parts.store.beats.pause(parts.now().mono, _SHED_SECONDS)
            _skip(skipped, action)
            worst = error
    return worst


def _must_wait(parts: Parts, slot: Slot, action: Action) -> bool:
    """A heartbeat, or a list of Events, for which there is no budget now: the slot comes when there is."""
    mono = parts.now().mono
    match action:
        case actions.PatchJob(beat=True):
            seconds = parts.store.beats.wait(action.job_uid, mono)
        case actions.ReadEvents():
            seconds = parts.event_lists.wait(action.about, mono, spare=action.started)
        case _:
            return False
    if seconds > 0:
        parts.queue.add_after(slot, seconds)
    return seconds > 0


def _skip(skipped: set[str], action: Action) -> None:
    """What is left for its Job; only labels of a pod hold nothing up."""
    if not isinstance(action, actions.PatchPod):
        skipped.add(action.job_uid)


def _pass_over(parts: Parts, slot: Slot, action: Action, error: errors.Refused) -> None:
    """What was refused must not keep other things waiting: a place on paper, a patch that it was part of."""
    mono = parts.now().mono
    match action:
        case actions.PatchJob() if isinstance(error, errors.TooLarge) and _asks_for_less(parts, action):
            parts.queue.add(slot)
        case actions.PatchJob() if action.labels:
            parts.store.refuse_labels(slot, action.job_uid, mono)
            parts.queue.add(slot)
        case actions.PatchJob() if _starts(action):
            parts.store.refuse(slot, action.job_uid, mono)
            parts.queue.add(slot)
        case _:
            return


def _asks_for_less(parts: Parts, action: actions.PatchJob) -> bool:
    """The next plan does, unless this one has asked for the least already."""
    return bool(action.annotations and parts.store.put_finding(action.job_uid, TooBig(parts.now().mono)))


def _starts(action: actions.PatchJob) -> bool:
    """Not only ends: a Job without parallelism is unsuspended to be over."""
    return action.spec.get("suspend") is False and action.spec.get("parallelism") != 0


async def _act(parts: Parts, slot: Slot, action: Action) -> None:
    if not parts.held():
        raise LeaseLost("the lease ran out")
    match action:
        case actions.FollowLog():
            parts.follower.follow(action)
        case actions.ExportTrace():
            _export(parts, slot, action)
        case actions.TellSpans():
            _tell_spans(parts, action)
        case actions.CloseVanished():
            _close(parts, slot, action)
        case _:
            await _call(parts, slot, action)
    parts.observer.performed(action)


async def _call(parts: Parts, slot: Slot, action: Action) -> None:
    match action:
        case actions.PatchJob():
            await _patch(parts, action)
        case actions.PatchPod():
            await _patch_pod(parts, slot, action)
        case actions.OwnObject():
            await _own(parts, action)
        case actions.TellJob():
            await _tell(parts, action)
        case actions.StoreResult():
            await _store(parts, slot, action)
        case _:
            await _ask(parts, slot, action)


async def _ask(parts: Parts, slot: Slot, action: Action) -> None:
    match action:
        case actions.RefreshJob():
            await _refresh(parts, action)
        case actions.ReadResult():
            await _read_result(parts, slot, action)
        case actions.ReadPods():
            await _read_pods(parts, action)
        case actions.ReadEvents():
            await _read_events(parts, action)
        case actions.ConfirmGone():
            await _confirm(parts, slot, action)


async def _patch(parts: Parts, action: actions.PatchJob) -> None:
    """The reply is taken into the store; where there is none that is certain, the cached Job is in doubt."""
    try:
        async with asyncio.timeout(_WRITE_SECONDS):
            reply = await parts.writer.patch_job(action)
    except TimeoutError as error:
        _doubt(parts, action)
        raise errors.Unavailable(_NO_ANSWER) from error
    except errors.Refused:
        raise
    except errors.KubeError:
        _doubt(parts, action)
        raise
    if action.beat:
        parts.store.beats.accepted()
    if reply is not None:
        _take_reply(parts, reply)


def _doubt(parts: Parts, action: actions.PatchJob) -> None:
    """It may have been taken in or not; whether it was is told once its Job has been read."""
    parts.store.doubt(action.job_uid)
    parts.unsure.put(action)


def _take_reply(parts: Parts, reply: bytes) -> Job:
    job = parts.parser.job(reply)
    if isinstance(job, Unreadable):
        parts.observer.unreadable(job)
        raise errors.Unavailable(f"the answer is no Job: {job.why}")
    for slot in parts.store.put_reply(job):
        parts.queue.add(slot)
    if parts.store.is_settled(job.uid):
        parts.follower.forget(job.uid)
    return job


async def _patch_pod(parts: Parts, slot: Slot, action: actions.PatchPod) -> None:
    """The reply is taken into the store; a pod that is gone leaves it: no watch need ever have shown it.

    Tried once in a while only, even if it succeeds: somebody's webhook may take out again what we put in.
    """
    parts.store.refuse(slot, action.pod_uid, parts.now().mono)
    try:
        async with asyncio.timeout(_WRITE_SECONDS):
            reply = await parts.writer.patch_pod(action)
    except TimeoutError as error:
        raise errors.Unavailable(_NO_ANSWER) from error
    except errors.NotFound:
        gone = parts.store.pod(action.pod_uid)
        touched = parts.store.drop_pod(gone) if gone else set()
    else:
        pod = parts.parser.pod(reply) if reply is not None else None
        touched = parts.store.put_pod(pod) if isinstance(pod, Pod) else set()
    for other in touched:
        parts.queue.add(other)


async def _own(parts: Parts, action: actions.OwnObject) -> None:
    """Whatever comes of it is an answer, kept for the next round; it fails nothing else of the Job.

    But for a server that asks to be left alone: that ends the round, as always.
    """
    owned, asked_at = Owned(action.kind, action.name), parts.now().mono
    try:
        async with asyncio.timeout(_WRITE_SECONDS):
            answer, why = await parts.writer.own(action)
    except errors.Throttled:
        parts.store.put_finding(action.job_uid, Found(owned, Ownership.UNKNOWN, parts.now().mono))
        raise
    except (errors.KubeError, TimeoutError) as error:
        answer, why, asked_at = Ownership.UNKNOWN, str(error), parts.now().mono
    parts.observer.owned(action, answer, why)
    if (told := ownership.told(action, answer, why, parts.policy.domain)) is not None:
        await _tell_in_passing(parts, told)
    for slot in parts.store.put_finding(action.job_uid, Found(owned, answer, asked_at)):
        parts.queue.add(slot)


async def _store(parts: Parts, slot: Slot, action: actions.StoreResult) -> None:
    """A failure is remembered: its run is concluded without, at once if it will never be taken in."""
    try:
        async with asyncio.timeout(_WRITE_SECONDS):
            await parts.writer.store(action)
    except (errors.KubeError, TimeoutError) as error:
        failed = error if isinstance(error, errors.KubeError) else errors.Unavailable(_NO_ANSWER)
        found = NotKept(str(failed), isinstance(failed, errors.Refused), parts.now().mono)
        is_due = parts.store.put_finding(action.job_uid, found)
        if is_due and not isinstance(failed, errors.Throttled):  # that one says itself when to come back
            parts.queue.add(slot)
        raise failed from error


async def _tell_in_passing(parts: Parts, action: actions.TellJob) -> None:
    """An Event that nothing depends on, not even if it is refused."""
    try:
        await _tell(parts, action)
    except errors.Refused as error:
        parts.observer.refused(action, error)
    else:
        parts.observer.performed(action)


async def _tell(parts: Parts, action: actions.TellJob) -> None:
    """An Event that was told a moment ago is only counted, and its series written once a minute."""
    if (count := parts.series.tell(action, parts.now().mono)) > 0:
        await _tell_so_often(parts, action, count)


async def tell_series(parts: Parts) -> None:
    """Writes what has been told again and was only counted."""
    for action, count in parts.series.due(parts.now().mono):
        if not parts.held():
            return
        try:
            await _tell_so_often(parts, action, count)
        except errors.Refused as error:
            parts.observer.refused(action, error)


async def _tell_so_often(parts: Parts, action: actions.TellJob, count: int) -> None:
    """Events are for people, and best effort: a server that is busy is not asked twice."""
    try:
        async with asyncio.timeout(_WRITE_SECONDS):
            count = await _written(parts.writer, action, count)
        parts.series.wrote(action, count, parts.now().mono)
    except (errors.KubeError, TimeoutError) as error:
        parts.series.failed(action)
        if isinstance(error, errors.Refused):
            raise
        code = error.code if isinstance(error, errors.KubeError) else 0
        parts.observer.refused(action, errors.Refused(str(error), code, type(error).__name__))


async def _written(writer: Writer, action: actions.TellJob, count: int) -> int:
    """As a new Event, or as the series of one that is there. Says how often it has been told, all in all."""
    try:
        if count == 1:
            if not await writer.tell(action):
                return 1
            count += await writer.told_before(action)  # before a restart, or longer ago than is remembered
        await writer.tell_again(action, count)
    except errors.NotFound:  # the API server keeps Events for an hour
        await writer.tell(action)
    return count


async def _refresh(parts: Parts, action: actions.RefreshJob) -> None:
    reply = await parts.writer.refresh(action)
    if reply is not None:
        if (patch := parts.unsure.settle(_take_reply(parts, reply))) is not None:
            parts.observer.performed(patch)
        return
    if (job := parts.store.job(action.job_uid)) is not None:
        for slot in parts.store.drop_job(job):
            parts.queue.add(slot)


async def _read_result(parts: Parts, slot: Slot, action: actions.ReadResult) -> None:
    began = parts.now().mono
    reply = await parts.writer.refresh(action)
    answer = Answer(began)
    if reply is not None:
        job = parts.parser.job(reply)
        if isinstance(job, Unreadable):
            parts.observer.unreadable(job)
            raise errors.Unavailable(f"the answer is no Job: {job.why}")
        answer = Answer(began, job, parts.parser.result(reply))
    parts.store.put_answer(slot, action.job_uid, answer)
    parts.queue.add(slot)


async def _read_pods(parts: Parts, action: actions.ReadPods) -> None:
    began = parts.now().mono
    found = [parts.parser.pod(raw) for raw in await parts.writer.pods_of(action)]
    pods = [pod for pod in found if isinstance(pod, Pod)]
    for slot in parts.store.put_pods(action.job_uid, pods, began):
        parts.queue.add(slot)


async def _read_events(parts: Parts, action: actions.ReadEvents) -> None:
    """Whatever comes of it counts as a list, and fails nothing else of the Job.

    But for a server that asks to be left alone: that ends the round, as always.
    """
    began = parts.now().mono
    read = EventsRead(action.about, None, began, action.started, refused=False)
    try:
        async with asyncio.timeout(_WRITE_SECONDS):
            raws = await parts.writer.events_of(action)
        read = read._replace(events=pod_events.read(raws))
        parts.observer.events_read(action, "read")
    except errors.Refused as error:
        read = read._replace(refused=True)
        parts.observer.events_read(action, "refused", str(error))
    except (errors.KubeError, TimeoutError) as error:
        parts.observer.events_read(action, "failed", str(error))
        if isinstance(error, errors.Throttled):
            raise
    finally:
        for slot in parts.store.put_finding(action.job_uid, read):
            parts.queue.add(slot)


async def _confirm(parts: Parts, slot: Slot, action: actions.ConfirmGone) -> None:
    presence = await parts.writer.confirm_gone(action)
    if presence is Presence.RUNS:
        parts.queue.add_after(slot, _UNCONFIRMED_RETRY_SECONDS)
        return
    parts.store.confirm_gone(action.job_uid, absent=presence is Presence.ABSENT)
    parts.follower.forget(action.job_uid)
    parts.queue.add(slot)


def _export(parts: Parts, slot: Slot, action: actions.ExportTrace) -> None:
    if parts.exporter is not None and parts.exporter.submit(action.job_uid, action.tree):
        parts.store.put_export(action.job_uid, Export.PENDING)
    else:
        parts.queue.add_after(slot, _EXPORTER_FULL_RETRY_SECONDS)


def _tell_spans(parts: Parts, action: actions.TellSpans) -> None:
    """What is not taken in now is asked for again with what has become final by then."""
    if parts.exporter is not None and parts.exporter.tell(action.job_uid, action.part):
        parts.store.put_finding(action.job_uid, Told(tuple(span.id for span in action.part.spans)))


def _close(parts: Parts, slot: Slot, action: actions.CloseVanished) -> None:
    if action.tree is not None and not (
        parts.exporter is not None and parts.exporter.submit(action.job_uid, action.tree)
    ):
        parts.queue.add_after(slot, _EXPORTER_FULL_RETRY_SECONDS)
        return
    if (job := parts.store.departed.discard(action.job_uid)) is not None:
        parts.observer.vanished(job)
