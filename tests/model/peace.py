"""What must hold once faults have stopped: L1, everything is as it should be; L2, nobody writes any more.

Judges by the cluster's objects alone, in the words of the contract, and never by the controller's own rules.
Each entry of LIVENESS looks at one Job; a new behaviour is a new entry.
"""

import json
from typing import NamedTuple

from controller.core.contract import KUEUE_QUEUE_LABEL, LIVE, TERMINAL, Keys, Phase, Reason, Status
from devcluster.fake.resources import JOB
from tests.model.api import GIVE_UP_SECONDS
from tests.program import oracle
from tests.program.oracle import is_over, notes

KEYS = Keys()
IN_TIME = 65.0
"""60 s (L1), and what the calls take after the last wait."""
QUIET = 150.0
"""Long enough for two heartbeats, and for every wait that is shorter than a start's."""


class Seen(NamedTuple):
    """One Job as the cluster has it."""

    world: object
    job: dict
    pods: list

    @property
    def uid(self):
        return self.job["metadata"]["uid"]

    @property
    def labels(self):
        return self.job["metadata"].get("labels") or {}

    @property
    def phase(self):
        return notes(self.job).get(Status.PHASE)

    @property
    def suspended(self):
        return bool(self.job["spec"].get("suspend"))

    @property
    def started(self):
        return self.uid in self.world.watchman.started

    @property
    def begun(self):
        """Whether the agent in its first pod has begun to work."""
        return self.pods[0]["metadata"]["uid"] in self.world.watchman.begun

    @property
    def pods_ever(self):
        """How many pods it has had: one that is yet to start after another is a new attempt."""
        writes = self.world.cluster.storage.log
        return len({w.uid for w in writes if w.kind == "Pod" and oracle.owner(w.object) == self.uid})

    @property
    def names_a_run(self):
        return all(self.labels.get(key) for key in (KEYS.agent_id, KEYS.run_id, KEYS.adapter_type))


def unsettled(world):
    """L1: what is not as it should be, as sentences."""
    found = []
    for job in world.cluster.objects(JOB):
        if KEYS.agent_id not in (job["metadata"].get("labels") or {}):
            continue
        seen = Seen(world, job, world.cluster.pods_of(job["metadata"]["uid"]))
        said = [f"L1: {job['metadata']['name']} {wrong}" for look in LIVENESS if (wrong := look(seen))]
        found += said
    return found


def restless(world, since):
    """L2: our writes after that version which are no heartbeats of a live run, and retire nothing."""
    found = []
    for write in world.cluster.storage.since(since):
        if write.actor != oracle.ACTOR or _retires(write):
            continue
        beats = write.kind == "Job" and oracle.changed(write) <= oracle.BEATS
        if not beats or notes(write.object).get(Status.PHASE) not in LIVE:
            what = sorted(oracle.changed(write)) if write.kind == "Job" else write.object.get("reason")
            found.append(f"L2: a write to {write.kind} {write.name}: {what}")
    return found


def _retires(write):
    """A run that never ran is collected when its retention is due (contract §4), however long that takes."""
    if write.kind != "Job" or notes(write.object).get(Status.PHASE) not in TERMINAL:
        return False
    spec = write.object["spec"]
    retired = (False, 0, 1, 0)
    keys = ("suspend", "parallelism", "activeDeadlineSeconds", "ttlSecondsAfterFinished")
    return oracle.changed(write) == {"spec"} and tuple(spec.get(key) for key in keys) == retired


def _is_concluded(seen):
    """A Job that is over has its terminal phase and its result."""
    if not seen.names_a_run or not is_over(seen.job):
        return None
    if seen.phase not in TERMINAL or Status.RESULT not in notes(seen.job):
        return f"is over, but says {seen.phase}, {sorted(notes(seen.job))}"
    return None


def _ended_truthfully(seen):
    """An exit code other than 0 is no success, and no deadline either; a stop of ours aside."""
    if seen.phase != Phase.SUCCEEDED:
        return None
    if notes(seen.job).get(Status.REASON) == Reason.COMPLETED_HUNG and Status.STOP in notes(seen.job):
        return None  # by our own stop of an agent that had succeeded
    codes = {_code(pod) for pod in seen.pods} - {None}
    return f"succeeded with the exit codes {sorted(codes)}" if codes and 0 not in codes else None


def _is_told(seen):
    """A live run says where it stands."""
    if not seen.names_a_run or seen.suspended or is_over(seen.job) or seen.phase in TERMINAL:
        return None
    if seen.job["metadata"].get("deletionTimestamp") or not seen.job["spec"].get("parallelism"):
        return None
    if any(KEYS.agent_id not in pod["metadata"]["labels"] for pod in seen.pods):
        return None if seen.phase in LIVE else f"says {seen.phase}"  # nobody is told of such a pod
    running = [pod for pod in seen.pods if _state(pod) == "running"]
    fitting = {Phase.RUNNING, Phase.FINISHING} if running else LIVE
    if not running and len(seen.pods) == 1 and not seen.begun:
        fitting = {Phase.STARTING} if seen.pods_ever == 1 else {Phase.STARTING, Phase.RUNNING}
    return None if seen.phase in fitting else f"says {seen.phase}, not {sorted(fitting)}"


def _waits_for_a_reason(seen):
    """A run that could be started is started; until then it says what it waits for."""
    if not seen.suspended or seen.started or seen.job["metadata"].get("deletionTimestamp"):
        return None
    if seen.phase in TERMINAL:
        return None if Status.RESULT in notes(seen.job) else f"waits, and says {seen.phase} without a result"
    if seen.phase not in (Phase.QUEUED, Phase.ATTACHED):
        return f"waits, and says {seen.phase}"
    if not seen.names_a_run and KUEUE_QUEUE_LABEL not in seen.labels:
        return f"is no run, and says {seen.phase}"
    held_back = seen.phase == Phase.ATTACHED or KUEUE_QUEUE_LABEL in seen.labels or _is_held_back(seen)
    return None if held_back else "waits, though its slot has a place"


def _is_held_back(seen):
    slot = oracle._slot(seen.job)
    if len(seen.world.watchman.places(slot)) >= seen.world.policy.agent_concurrency:
        return True
    if seen.job["spec"].get("parallelism") != 1 or seen.job["spec"].get("completions") != 1:
        return True
    jobs = [job for job in seen.world.cluster.objects(JOB) if oracle._slot(job) == slot]
    same = [job for job in jobs if seen.labels[KEYS.run_id] in _run_ids(job)]
    return len(same) > 1  # which of a run's Jobs goes first is not judged here


def _run_ids(job):
    """The run a Job is labelled with, and those that it was labelled with before (contract §5, row 0)."""
    served = json.loads(notes(job).get(Status.RUN_HISTORY, "[]"))
    return {job["metadata"].get("labels", {}).get(KEYS.run_id), *(entry["runId"] for entry in served)}


LIVENESS = (_is_concluded, _ended_truthfully, _is_told, _waits_for_a_reason)


def _state(pod):
    for status in pod["status"].get("containerStatuses") or []:
        return next(iter(status.get("state") or {}), "")
    return ""


def _code(pod):
    for status in pod["status"].get("containerStatuses") or []:
        ended = (status.get("state") or {}).get("terminated")
        return ended.get("exitCode") if ended else None
    return None


def come_to_rest(world):
    """Peace; then L1, then L2. What was wrong, as sentences."""
    world.make_peace()
    world.pass_time(GIVE_UP_SECONDS)  # calls that nobody will answer are faults until then
    world.pass_time(IN_TIME)
    found = unsettled(world)
    world.let_agents_end()
    world.pass_time(IN_TIME)
    found += unsettled(world)
    version = world.cluster.storage.version
    world.pass_time(QUIET)
    return found + restless(world, version) + world.watchman.found + world.complaints
