"""The latest of everything, by slot: Jobs, Pods, logs, exports. Hands out Snapshots; decides nothing.

Takes changes of the watches and replies to our own writes alike (read-your-writes): the newer version wins.
A Job that vanishes leaves a ghost, which holds its place until it is confirmed to be gone. A run that is over
and published leaves the working set; so does one that rests, until its rest is over.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from controller.core import admission, limits, room
from controller.core.contract import LIVE, TERMINAL
from controller.core.model import Job, Pod, Slot
from controller.core.rules import concluding
from controller.core.snapshot import Answer, Export, Policy, Run, Snapshot
from controller.core.transcript import AttemptLog
from controller.engine.asked import Answers, Refusals
from controller.engine.budget import Heartbeats
from controller.engine.capacity import Ledger
from controller.engine.carriers import Carriers
from controller.engine.departed import Departed
from controller.engine.findings import Finding, Findings
from controller.engine.ghosts import Ghosts
from controller.engine.groups import Groups
from controller.engine.resting import Resting
from controller.engine.versions import is_older, is_same


class Store:
    """In-memory state of one controller. Every method that changes it returns the slots it touched.

    `wake` is called with a slot one of whose runs may start because a place became free in another slot.
    """

    def __init__(self, policy: Policy, wake: Callable[[Slot], None] = lambda _slot: None) -> None:
        self._policy = policy
        self.beats = Heartbeats(policy)
        self.ledger = Ledger(policy, wake) if limits.is_limited(policy) else None
        """None if neither companies nor the cluster have a limit."""
        self._jobs: dict[str, Job] = {}
        self._pods: dict[str, Pod] = {}
        self._pods_of = Groups[str]()
        self._active = Groups[Slot]()
        self._strays = Groups[Slot]()
        self._ghosts = Ghosts()
        self.departed = Departed()  # runs whose Job has vanished in mid-run
        self.resting = Resting()
        self._settled: dict[Slot, dict[str, None]] = {}  # no Groups: a history may be long
        self._carriers = Carriers()
        self._answers = Answers()
        self._labels_refused = Refusals()
        self._refused = Refusals()
        self._since: dict[Slot, dict[str, float]] = {}
        self._exports: dict[str, Export] = {}
        self._doubts: set[str] = set()
        self._findings = Findings(policy.trace_spans)
        self.spans = self._findings.spans

    # ── What the watches and our own writes say ──────────────────────────────────────────────────

    def put_job(self, job: Job) -> set[Slot]:
        """A Job as it is now; ignored if a newer version of it is known, or the same but for its version."""
        known = self._jobs.get(job.uid)
        if known is not None:
            if is_older(job.version, known.version):
                return set()
            if is_same(job, known):
                self._jobs[job.uid] = job
                waits = room.full(job.uid) in self._since.get(job.slot, {})
                return {job.slot} if waits and job.notes_bytes < known.notes_bytes else set()
        touched = {job.slot}
        if known is not None and known.slot != job.slot:
            self._leave(known)
            touched.add(known.slot)
            if self.ledger:
                self.ledger.give_back(job.uid)  # its turn was one of the slot that it has left
        self._jobs[job.uid] = job
        self.departed.discard(job.uid)
        touched |= self._ghosts.discard(job.uid)
        for pod_uid in self._pods_of.of(job.uid):
            touched |= self._unstray(self._pods[pod_uid])
        self._settle(job.uid)
        self._count(job.uid)
        self.beats.see(job)
        return touched | self._carry(known, job)

    def drop_job(self, job: Job) -> set[Slot]:
        """A Job is not seen any more. It leaves a ghost if something of it could still run."""
        cut_off = (known := self._jobs.get(job.uid)) is not None and known.phase in LIVE
        if cut_off:
            self.departed.add(self._run(job.uid))
        self._jobs.pop(job.uid, None)
        self._exports.pop(job.uid, None)
        self._findings.forget(job.uid)
        self.beats.forget(job.uid)
        last = known or job
        self._leave(last)
        carrying = self._carry(last, None)
        pods = [self._pods[uid] for uid in self._pods_of.of(job.uid)]
        still = last.suspended or not last.parallelism
        idle = still and not admission.was_started(last) and job.uid not in self._doubts
        self._doubts.discard(job.uid)
        if cut_off or (last.finished is None and not idle) or any(not pod.ended for pod in pods):
            self._ghosts.add(last)  # only here: an older copy of the Job must not lay a ghost
        for pod in pods:
            # What has ended holds nothing; and a pod that the watch does not select would be kept for ever.
            if pod.ended:
                self.drop_pod(pod)
            else:
                self._stray(pod)
        self._count(job.uid)
        return {last.slot} | {pod.slot for pod in pods} | carrying

    def put_pod(self, pod: Pod) -> set[Slot]:
        """A pod as it is now; ignored if a newer version of it is known, or the same but for its version."""
        known = self._pods.get(pod.uid)
        if known is not None:
            if is_older(pod.version, known.version):
                return set()
            if is_same(pod, known):
                self._pods[pod.uid] = pod
                return set()
        touched: set[Slot] = set()
        if known is not None and (known.slot, known.job_uid) != (pod.slot, pod.job_uid):
            touched = self.drop_pod(known)  # its labels were changed: it leaves where it was
        self._pods[pod.uid] = pod
        if pod.job_uid:
            self._pods_of.add(pod.job_uid, pod.uid)
        job = self._jobs.get(pod.job_uid)
        if job is None:
            self.departed.put_pod(pod)
            self._stray(pod)
        else:
            self._settle(job.uid)
        self._count(pod.job_uid or pod.uid)
        return touched | {pod.slot if job is None else job.slot}

    def drop_pod(self, pod: Pod) -> set[Slot]:
        """A pod is not seen any more."""
        known = self._pods.pop(pod.uid, pod)
        self._pods_of.discard(known.job_uid, pod.uid)
        touched = self._unstray(known)
        if not self.is_settled(known.job_uid):  # its last word may come with the news that it is gone
            self._findings.put_gone(known if is_older(pod.version, known.version) else pod)
        if (job := self._jobs.get(known.job_uid)) is not None:
            self._settle(job.uid)
            touched.add(job.slot)
        self._count(known.job_uid or known.uid)
        return touched

    # ── What our own work says ───────────────────────────────────────────────────────────────────

    def put_reply(self, job: Job) -> set[Slot]:
        """The server's answer to our own write or read: certain, unless the Job has vanished meanwhile."""
        known = self._jobs.get(job.uid)
        if known is None:
            return set()
        settled = {known.slot} if job.uid in self._doubts else set()
        self._doubts.discard(job.uid)
        if known.slot.agent and not job.slot.agent and not is_older(job.version, known.version):
            # It has lost the label that it is watched by, and its watch is about to say that it is gone.
            self._jobs[job.uid] = replace(job, slot=known.slot)
            return settled | self.drop_job(job)
        touched = settled | self.put_job(job)
        if settled and self.ledger:
            self.ledger.give_back(job.uid)  # it was not started: this once, others go first
            self.ledger.give_turns()
        return touched

    def doubt(self, job_uid: str) -> None:
        """A write to this Job had no certain outcome: what is cached of it may be older than the write."""
        if job_uid in self._jobs:
            self._doubts.add(job_uid)

    def refuse(self, slot: Slot, uid: str, mono: float) -> None:
        """The API server refused to start this Job, or was asked to label this pod: it is passed over now."""
        self._refused.put(slot, uid, mono)
        if self.ledger:
            self.ledger.give_back(uid)

    def put_finding(self, job_uid: str, finding: Finding) -> set[Slot]:
        """The answer to a question about a run; of no interest once it is settled."""
        job = self._jobs.get(job_uid)
        if job is None or self.is_settled(job_uid):
            return set()
        return {job.slot} if self._findings.put(job_uid, finding) else set()

    def refuse_labels(self, slot: Slot, uid: str, mono: float) -> None:
        """The API server refused to change the labels of this Job: they are left alone for a while."""
        self._labels_refused.put(slot, uid, mono)

    def put_answer(self, slot: Slot, job_uid: str, answer: Answer) -> None:
        """What the API server says of a Job that a run of this slot continues on."""
        self._answers.put(slot, job_uid, answer)

    def put_pods(self, job_uid: str, pods: Iterable[Pod], mono: float) -> set[Slot]:
        """All pods of a Job, as the API server itself lists them at that second: others of it are gone."""
        listed = {pod.uid: pod for pod in pods}
        touched = {slot for pod in listed.values() for slot in self.put_pod(pod)}
        for uid in set(self._pods_of.of(job_uid)) - listed.keys():
            touched |= self.drop_pod(self._pods[uid])
        if (job := self._jobs.get(job_uid)) is not None:
            self._findings.put_read(job_uid, mono)
            touched.add(job.slot)
            self._count(job_uid)
        return touched

    def pod(self, pod_uid: str) -> Pod | None:
        """The latest known state of a pod."""
        return self._pods.get(pod_uid)

    def job(self, job_uid: str) -> Job | None:
        """The latest known state of a Job."""
        return self._jobs.get(job_uid)

    def confirm_gone(self, job_uid: str, *, absent: bool) -> None:
        """The cluster says that nothing of this Job can run; absent: that the Job itself is gone."""
        self._ghosts.discard(job_uid)
        if absent:
            self.departed.confirm(job_uid)
        else:
            self.departed.discard(job_uid)
        for pod_uid in self._pods_of.of(job_uid):
            self.drop_pod(self._pods[pod_uid])
        self._count(job_uid)

    def is_settled(self, job_uid: str) -> bool:
        """Nothing more will be written about this run, or it is not known at all."""
        job = self._jobs.get(job_uid)
        return job is None or job_uid in self._settled.get(job.slot, {})

    def put_log(self, job_uid: str, log: AttemptLog) -> set[Slot]:
        """How far a log has been read, and what it says; of no interest once its run is settled."""
        if job_uid in self.departed:
            return {self.departed.put_log(job_uid, log)}
        job = self._jobs.get(job_uid)
        if job is None or self.is_settled(job_uid):
            return set()
        self._findings.put_log(job_uid, log)
        return {job.slot}

    def put_export(self, job_uid: str, state: Export) -> set[Slot]:
        """How far the trace of a run is."""
        job = self._jobs.get(job_uid)
        if job is None:
            return set()
        self._exports[job_uid] = state
        self._settle(job_uid)
        self._count(job_uid)
        return {job.slot}

    def remember(self, slot: Slot, marks: Iterable[str], mono: float) -> None:
        """These marks hold now; those that held before and are not named have ended."""
        before = self._since.pop(slot, {})
        if held := {mark: before.get(mark, mono) for mark in marks}:
            self._since[slot] = held
        self._answers.keep(slot, held)
        if self.ledger and (changed := before.keys() ^ held.keys()):
            for job_uid in self._active.of(slot):
                if admission.release_mark(self._jobs[job_uid]) in changed:
                    self._count(job_uid)
            self.ledger.give_turns()

    def rest(self, job_uid: str, until: float) -> None:
        """Nothing is to be done about this run before that monotonic second, unless it changes."""
        if (job := self._jobs.get(job_uid)) is not None:
            self._set_aside(job)
            self.resting.rest(job.slot, job_uid, until)

    def wake(self, slot: Slot, mono: float) -> None:
        """Runs of the slot that have rested enough are to be worked on again."""
        for job_uid in self.resting.wake(slot, mono):
            self._unsettle(self._jobs[job_uid])
            self._active.add(slot, job_uid)

    # ── What rules and people see ────────────────────────────────────────────────────────────────

    def snapshot(self, slot: Slot, *, fresh: bool, mono: float = 0.0) -> Snapshot:
        """Everything known about one slot now."""
        active = self._active.of(slot)
        return Snapshot(
            slot=slot,
            runs=tuple(self._run(uid) for uid in active),
            strays=tuple(self._pods[uid] for uid in self._strays.of(slot)),
            ghosts=self._ghosts.of(slot),
            vanished=self.departed.of(slot),
            doubts=tuple(uid for uid in active if uid in self._doubts),
            settled=tuple(self._jobs[uid] for uid in self._settled.get(slot, ())),
            answers=self._answers.of(slot),
            fresh=fresh,
            since=self._since.get(slot, {}),
            refused=self._refused.of(slot, mono),
            capacity=self.ledger.view(slot, {self._jobs[uid].ids.company for uid in active})
            if self.ledger
            else None,
            labels_refused=self._labels_refused.of(slot, mono),
        )

    def slots(self) -> tuple[Slot, ...]:
        """All slots that hold anything to be worked on."""
        return tuple({*self._active, *self._strays, *self._ghosts.slots(), *self.departed.slots()})

    def jobs(self) -> Iterable[Job]:
        """All that are known."""
        return self._jobs.values()

    def stray_count(self) -> int:
        """Pods of which no Job is known."""
        return len(self._strays)

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────

    def _count(self, uid: str) -> None:
        """Tells the ledger whether a place is held under this controller uid."""
        if not self.ledger:
            return
        job = self._jobs.get(uid)
        pods = [self._pods[pod] for pod in self._pods_of.of(uid) or (uid,) if pod in self._pods]
        if self._holds(uid) or any(not pod.ended for pod in pods):
            of_pods = (pod.labels.company for pod in pods if pod.labels)
            self.ledger.hold(uid, job.ids.company if job else next(of_pods, None))
        elif job is None:
            self.ledger.forget(uid)
        else:
            self.ledger.free(uid)

    def _holds(self, job_uid: str) -> bool:
        """By itself: a ghost, or a Job that holds a place or has not been seen to free it."""
        job = self._jobs.get(job_uid)
        if job is None or job_uid not in self._active.of(job.slot):
            return job_uid in self._ghosts
        if admission.holds(job):
            return True
        marks = Snapshot(job.slot, since=self._since.get(job.slot, {}))
        return not admission.is_released(self._run(job_uid), marks)

    def _run(self, job_uid: str) -> Run:
        pods = (self._pods[uid] for uid in self._pods_of.of(job_uid))
        return Run(
            job=self._jobs[job_uid],
            pods=tuple(sorted(pods, key=lambda pod: (pod.created_at, pod.name))),
            gone=self._findings.gone(job_uid),
            logs=self._findings.logs(job_uid),
            export=self._exports.get(job_uid, Export.NONE),
            pods_read_at=self._findings.read_at(job_uid),
            owned=self._findings.owned(job_uid),
            heard=self._findings.heard(job_uid),
            rested=self.resting.is_over(job_uid),
            attached=self._carriers.of(job_uid),
            unkept=self._findings.unkept(job_uid),
            cramped=self._findings.cramped(job_uid),
            told=self._findings.spans.told(job_uid),
            crowded=self._findings.spans.is_crowded(job_uid),
        )

    def _settle(self, job_uid: str) -> None:
        """A run of which nothing more will be written leaves the working set until it changes."""
        job = self._jobs[job_uid]
        self.resting.discard(job.slot, job_uid)
        # Asked first because it is cheap: nearly every change is one of a run that is not over.
        over = job.phase in TERMINAL
        if not over or not concluding.is_settled(self._run(job_uid), self._policy):
            self._unsettle(job)
            self._active.add(job.slot, job_uid)
            return
        self._set_aside(job)
        self._findings.forget(job_uid)

    def _set_aside(self, job: Job) -> None:
        """It is not worked on any more; what it was is still known."""
        self._active.discard(job.slot, job.uid)
        self._settled.setdefault(job.slot, {})[job.uid] = None

    def _unsettle(self, job: Job) -> None:
        settled = self._settled.get(job.slot)
        if settled is not None and job.uid in settled:
            del settled[job.uid]
            if not settled:
                del self._settled[job.slot]

    def _leave(self, job: Job) -> None:
        """The Job is no longer in its slot."""
        self._active.discard(job.slot, job.uid)
        self.resting.discard(job.slot, job.uid)
        self._unsettle(job)

    def _carry(self, before: Job | None, now: Job | None) -> set[Slot]:
        """The Job that an attached run continues on is not settled before that run has ended."""
        changed = [uid for uid in self._carriers.move(before, now) if uid in self._jobs]
        for job_uid in changed:
            self._settle(job_uid)
        return {self._jobs[job_uid].slot for job_uid in changed}

    def _stray(self, pod: Pod) -> None:
        if pod.uid in self._pods:
            self._strays.add(pod.slot, pod.uid)

    def _unstray(self, pod: Pod) -> set[Slot]:
        return {pod.slot} if self._strays.discard(pod.slot, pod.uid) else set()
