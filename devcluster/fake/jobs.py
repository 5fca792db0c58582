"""The Job controller: pods for Jobs, and the Jobs' status from their pods.

Owns: creating and deleting a Job's pods, counting them exactly once, the order in which a Job ends.
Never: starts anything itself. What is to be done is read off in `job_view.py`.
"""

from typing_extensions import override

from devcluster.fake import patches
from devcluster.fake.control_loop import ControlLoop
from devcluster.fake.errors import ApiError
from devcluster.fake.event_recorder import NORMAL, WARNING, EventRecorder
from devcluster.fake.faults import Faults
from devcluster.fake.job_view import Backoff, JobView
from devcluster.fake.registry import Call, Registry
from devcluster.fake.resources import JOB, JSON, POD
from devcluster.fake.storage import Key, Write
from devcluster.fake.strategies.job import TRACKING_FINALIZER
from devcluster.fake.strategies.metadata import suffix

ACTOR = "job-controller"


class JobController(ControlLoop[Key]):
    """Looks at one Job at a time, with all its pods."""

    name = ACTOR

    def __init__(self, registry: Registry, faults: Faults, backoff: Backoff) -> None:
        super().__init__(faults)
        self._registry = registry
        self._storage = registry.storage
        self._backoff = backoff
        self._recorder = EventRecorder(registry, ACTOR)
        self._pods: dict[str, set[Key]] = {}  # by controller uid
        self._uids: dict[Key, set[str]] = {}  # controller uids by the Job's key: a name may be used again
        self._storage.listen(self._see)

    def _see(self, write: Write) -> None:
        if write.resource is JOB:
            self.enqueue((write.namespace, write.name))
        elif write.resource is POD:
            owner = _controller(write.object)
            if owner is not None:
                self._index(owner["uid"], (write.namespace, owner["name"]), write)
                self.enqueue((write.namespace, owner["name"]))

    def _index(self, uid: str, job: Key, write: Write) -> None:
        pods = self._pods.setdefault(uid, set())
        self._uids.setdefault(job, set()).add(uid)
        if write.type == "DELETED":
            pods.discard((write.namespace, write.name))
        else:
            pods.add((write.namespace, write.name))
        if not pods:
            del self._pods[uid]
            self._uids[job].discard(uid)

    @override
    def sync(self, key: Key) -> None:
        stored = self._storage.get(JOB, key)
        self._release_orphans(key, stored.object["metadata"]["uid"] if stored else "")
        if stored is None:
            return
        view = JobView(
            stored.copy(),
            self._pods_of(stored.object["metadata"]["uid"]),
            self._registry.now(),
            self._backoff,
        )
        if view.finished:
            return
        view.start()
        view.judge()
        if view.verdict is not None:
            self._delete_pods(view, view.active, keep_finalizer=True)
        else:
            self._manage(view)
            view.conclude()
            view.note_suspension()
        if view.look_again is not None:
            self.enqueue_after(key, view.look_again)
        self._track(view)

    def _pods_of(self, uid: str) -> list[JSON]:
        found = [self._storage.get(POD, key) for key in sorted(self._pods.get(uid, ()))]
        return [stored.object for stored in found if stored is not None]

    def _release_orphans(self, job: Key, uid: str) -> None:
        """Pods whose Job is gone shall not wait to be counted."""
        for other in self._uids.get(job, set()) - {uid}:
            for pod in self._pods_of(other):
                self._remove_finalizer(pod)
        if not self._uids.get(job):
            self._uids.pop(job, None)

    def _manage(self, view: JobView) -> None:
        """Bring the number of active pods to what is wanted."""
        if view.deleting:
            return
        if view.suspended:
            self._delete_pods(view, view.active, keep_finalizer=False)
        elif view.surplus > 0:
            self._delete_pods(view, view.active[-view.surplus :], keep_finalizer=False)
        elif view.surplus < 0 and not view.backing_off():
            for _ in range(-view.surplus):
                self._create_pod(view)

    def _create_pod(self, view: JobView) -> None:
        meta, template = view.job["metadata"], view.job["spec"]["template"]
        given = template.get("metadata", {})
        owner = {"apiVersion": JOB.api_version, "kind": JOB.kind, "name": meta["name"], "uid": meta["uid"]}
        pod: JSON = {
            "metadata": {
                "generateName": f"{meta['name']}-",
                "name": f"{meta['name'][:57]}-{suffix()}",
                "namespace": meta["namespace"],
                "labels": dict(given.get("labels", {})),
                "annotations": dict(given.get("annotations", {})),
                "finalizers": [TRACKING_FINALIZER],
                "ownerReferences": [owner | {"controller": True, "blockOwnerDeletion": True}],
            },
            "spec": patches.copied(template["spec"]),
        }
        try:
            self._registry.create(Call(POD, meta["namespace"], actor=ACTOR, verb="create"), pod)
        except ApiError as refusal:
            message = f"Error creating: {refusal.message}"
            self._recorder.record(JOB, view.job, WARNING, "FailedCreate", message)
            return
        view.added += 1
        name = pod["metadata"]["name"]
        self._recorder.record(JOB, view.job, NORMAL, "SuccessfulCreate", f"Created pod: {name}")

    def _delete_pods(self, view: JobView, pods: list[JSON], *, keep_finalizer: bool) -> None:
        for pod in tuple(pods):
            if not keep_finalizer:
                self._remove_finalizer(pod)
                view.uncount(pod)
            meta = pod["metadata"]
            call = Call(POD, meta["namespace"], meta["name"], actor=ACTOR, verb="delete")
            try:
                _, gone = self._registry.delete(call, {"preconditions": {"uid": meta["uid"]}})
            except ApiError:
                gone = True
            view.deleted(pod, gone=gone)
            message = f"Deleted pod: {meta['name']}"
            self._recorder.record(JOB, view.job, NORMAL, "SuccessfulDelete", message)

    def _track(self, view: JobView) -> None:
        """Count ended pods exactly once: announce them, release them, count them, and only then finish."""
        countable = view.announce()
        announced = view.announce_verdict()
        if countable or announced or view.changed():
            self._flush(view)
        for pod in view.releasable():
            self._remove_finalizer(pod)
        view.count()
        ended = view.enact()
        if view.changed():
            self._flush(view)
        if ended is not None:
            self._report(view, ended)

    def _flush(self, view: JobView) -> None:
        meta = view.job["metadata"]
        call = Call(JOB, meta["namespace"], meta["name"], "status", ACTOR, "update")
        current = self._registry.get(call).copy()
        body = current | {"status": patches.copied(view.status)}
        self._registry.update(call, body)
        change = view.suspension_event()
        view.flushed()
        if change is not None:
            self._recorder.record(JOB, view.job, NORMAL, *change)

    def _report(self, view: JobView, ended: JSON) -> None:
        if ended["type"] == "Complete":
            self._recorder.record(JOB, view.job, NORMAL, "Completed", "Job completed")
        else:
            self._recorder.record(JOB, view.job, WARNING, ended["reason"], ended["message"])

    def _remove_finalizer(self, pod: JSON) -> None:
        meta = pod["metadata"]
        if TRACKING_FINALIZER not in meta.get("finalizers", []):
            return
        call = Call(POD, meta["namespace"], meta["name"], actor=ACTOR, verb="patch")
        body = {"metadata": {"uid": meta["uid"], "$deleteFromPrimitiveList/finalizers": [TRACKING_FINALIZER]}}
        try:
            self._registry.patch(call, patches.STRATEGIC, body)
        except ApiError:
            return  # gone in the meantime


def _controller(pod: JSON) -> JSON | None:
    owners = pod["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller") and owner["kind"] == JOB.kind), None)
