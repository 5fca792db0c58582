"""Carries out one Action: patch a Job or a pod, tell an Event, read a Job, make sure that one is gone.

Owns how an Action looks on the wire. One call to the API server each (two to confirm an end, or for a result
that is kept already; up to three to own an object), none if there is nothing to say. It never decides, never
repeats, and adds nothing to what the Action asks for.
"""

import hashlib
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final

import msgspec

from controller.core import contract
from controller.core.actions import (
    ConfirmGone,
    OwnObject,
    PatchJob,
    PatchPod,
    Presence,
    ReadEvents,
    ReadPods,
    ReadResult,
    RefreshJob,
    StoreResult,
    TellJob,
)
from controller.kube import errors
from controller.kube.adoption import Adopted, Adoption
from controller.kube.api import CORE_EVENTS, EVENTS, JOBS, PODS, Kube, Resource, micro_time
from controller.kube.keeping import Keeping

_PLACES: Final[Mapping[str, int]] = {reason: place for place, reason in enumerate(contract.STORY)}
_EVENTS_MOST: Final = 200
"""So many Events about one object are taken: Kubernetes' components tell much less, and count repeats."""
ENDED: Final = frozenset({"Succeeded", "Failed"})


class _Meta(msgspec.Struct):
    uid: str = ""
    deleted: str | None = msgspec.field(name="deletionTimestamp", default=None)


class _Spec(msgspec.Struct):
    suspend: bool | None = None
    parallelism: int | None = None


class _Condition(msgspec.Struct):
    type: str = ""
    status: str = ""


class _Status(msgspec.Struct):
    phase: str = ""
    conditions: list[_Condition] | None = None


class _Seen(msgspec.Struct):
    """As much of an object as is looked at here."""

    metadata: _Meta = msgspec.field(default_factory=_Meta)
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


_SEEN = msgspec.json.Decoder(_Seen)


class _Series(msgspec.Struct):
    count: int = 0


class _Event(msgspec.Struct):
    series: _Series | None = None


_EVENT = msgspec.json.Decoder(_Event)


class Writer:
    """The only hand that writes Jobs, pods, Events, whole results, and the owners of a run's objects."""

    def __init__(
        self, kube: Kube, keys: contract.Keys, *, clock_wall: Callable[[], int], instance: str
    ) -> None:
        self._kube = kube
        self._adoption = Adoption(kube, keys)
        self._keeping = Keeping(kube, keys)
        self._reporter = f"{keys.domain}/runherd"  # two installations differ in their domain
        self._clock_wall = clock_wall
        self._instance = instance

    async def patch_job(self, action: PatchJob) -> bytes | None:
        """The Job as it is now, None if nothing was asked. NotFound: another uid lives under the name."""
        body = _merge_patch(action)
        if body is None:
            return None
        return await self._patch(JOBS, action.namespace, action.name, body)

    async def patch_pod(self, action: PatchPod) -> bytes | None:
        """The pod as it is now, None if nothing was asked. NotFound: another uid lives under the name."""
        changes = {"labels": dict(action.labels), "annotations": dict(action.annotations)}
        asked = {name: values for name, values in changes.items() if values}
        if not asked:
            return None
        body = {"metadata": {"uid": action.pod_uid, **asked}}
        return await self._patch(PODS, action.namespace, action.name, body)

    async def _patch(self, resource: Resource, namespace: str, name: str, body: Any) -> bytes:
        try:
            return await self._kube.patch(resource, namespace, name, msgspec.json.encode(body))
        except (errors.Refused, errors.Conflict) as e:
            if _wrong_uid(e):
                raise errors.NotFound(f"{namespace}/{name} is another object by now: {e}") from e
            raise

    async def own(self, action: OwnObject) -> Adopted:
        """Whose the object is now, as far as the API server says."""
        return await self._adoption.own(action)

    async def store(self, action: StoreResult) -> None:
        """The whole of the result is kept now, or was already."""
        await self._keeping.store(action)

    async def tell(self, action: TellJob) -> bool:
        """One new Event. Its name follows from what it says: True if it has been told before."""
        body = msgspec.json.encode(self._event(action))
        try:
            await self._kube.create(EVENTS, action.namespace, body)
        except errors.AlreadyExists:
            return True
        return False

    async def told_before(self, action: TellJob) -> int:
        """How often the Event has been told, as the API server knows it. NotFound if it has none."""
        found = await self._kube.patch(EVENTS, action.namespace, _event_name(action), b"{}")
        try:
            series = _EVENT.decode(found).series
        except (msgspec.DecodeError, UnicodeDecodeError) as e:
            raise errors.Unavailable(f"an answer that is no Event: {e}", 200) from e
        return max(series.count, 1) if series else 1

    async def tell_again(self, action: TellJob, count: int) -> None:
        """The Event that is there has been told so often by now. NotFound if there is none any more."""
        series = {"count": count, "lastObservedTime": micro_time(self._clock_wall())}
        body = msgspec.json.encode({"series": series})
        await self._kube.patch(EVENTS, action.namespace, _event_name(action), body)

    async def refresh(self, action: RefreshJob | ReadResult) -> bytes | None:
        """The Job, None if there is none of this uid."""
        return await self._job(action.namespace, action.name, action.job_uid)

    async def pods_of(self, action: ReadPods) -> list[bytes]:
        """All pods of the Job that the API server knows now."""
        return [pod async for pod in self._pods(action.namespace, action.job_uid)]

    async def events_of(self, action: ReadEvents) -> list[bytes]:
        """What has been said about the object of this uid, one page of it; in no order of time."""
        chosen = f"involvedObject.uid={action.about}"
        page = await self._kube.page(
            CORE_EVENTS, namespace=action.namespace, field_selector=chosen, limit=_EVENTS_MOST
        )
        return [bytes(event) for event in page.items]

    async def confirm_gone(self, action: ConfirmGone) -> Presence:
        """What there is of the Job of this uid, and whether a pod of it could still run."""
        job = await self._job(action.namespace, action.name, action.job_uid)
        if job is not None and _may_make_pods(_seen(job)):
            return Presence.RUNS  # it only lost the label that it was watched by
        if await self._may_run(action.namespace, action.job_uid):
            return Presence.RUNS
        return Presence.ABSENT if job is None else Presence.OVER

    async def _job(self, namespace: str, name: str, uid: str) -> bytes | None:
        try:
            found = await self._kube.get(JOBS, namespace, name)
        except errors.NotFound:
            return None
        return found if _seen(found).metadata.uid == uid else None

    async def _may_run(self, namespace: str, uid: str) -> bool:
        async with aclosing(self._pods(namespace, uid)) as pods:
            async for pod in pods:
                if _seen(pod).status.phase not in ENDED:
                    return True
        return False

    async def _pods(self, namespace: str, uid: str) -> AsyncGenerator[bytes, None]:
        """Every pod of the controller uid, by a consistent list (no resourceVersion), page by page."""
        selector, token = f"{contract.JOB_UID_LABEL}={uid}", ""
        while True:
            page = await self._kube.page(PODS, namespace=namespace, selector=selector, token=token)
            for pod in page.items:
                yield bytes(pod)
            if not page.token:
                return
            token = page.token

    def _event(self, action: TellJob) -> dict[str, Any]:
        return {
            "apiVersion": EVENTS.group_version,
            "kind": "Event",
            "metadata": {"name": _event_name(action), "namespace": action.namespace},
            "eventTime": micro_time(self._clock_wall()),
            "type": "Warning" if action.warning else "Normal",
            "reason": action.reason,
            "action": action.reason,
            "note": contract.clip(action.note, contract.MESSAGE_MAX),
            "reportingController": self._reporter,
            "reportingInstance": self._instance[:128],
            "regarding": {
                "apiVersion": JOBS.group_version,
                "kind": "Job",
                "namespace": action.namespace,
                "name": action.name,
                "uid": action.job_uid,
            },
        }


def _event_name(action: TellJob) -> str:
    """The same for the same words. `kubectl describe` shows such Events by name: so the story goes first."""
    said = f"{action.job_uid}\n{action.reason}\n{contract.clip(action.note, contract.MESSAGE_MAX)}"
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    place = _PLACES.get(action.reason, _PLACES["Silent"])
    return f"{action.name[:234]}.{place:02d}{digest}"


def _merge_patch(action: PatchJob) -> dict[str, Any] | None:
    """None: nothing is asked for."""
    spec: dict[str, Any] = dict(action.spec)
    if action.template_labels:
        spec["template"] = {"metadata": {"labels": dict(action.template_labels)}}
    if not spec and not action.annotations and not action.labels:
        return None
    metadata: dict[str, Any] = {"uid": action.job_uid}
    if action.version:
        metadata["resourceVersion"] = action.version
    if action.annotations:
        metadata["annotations"] = dict(action.annotations)
    if action.labels:
        metadata["labels"] = dict(action.labels)
    return {"metadata": metadata} | ({"spec": spec} if spec else {})


def _wrong_uid(error: errors.KubeError) -> bool:
    """It was deleted and its name used again: 422 for a field that can't change, or a precondition."""
    return (error.code == 422 and "metadata.uid" in str(error)) or "UID in precondition" in str(error)


def _may_make_pods(job: _Seen) -> bool:
    if _is_over(job) or job.metadata.deleted or job.spec.suspend:
        return False
    return job.spec.parallelism != 0


def _is_over(job: _Seen) -> bool:
    conditions = job.status.conditions or ()
    return any(c.type in ("Complete", "Failed") and c.status == "True" for c in conditions)


def _seen(raw: bytes) -> _Seen:
    try:
        return _SEEN.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise errors.Unavailable(f"an answer that is no object: {e}", 200) from e
