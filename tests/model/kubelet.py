"""Scheduler and kubelet of the model: pods from Pending to their end, step by step, as their scripts say."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from controller.core.transcript import AgentLog
from devcluster.fake.registry import Call
from devcluster.fake.resources import POD
from devcluster.fake.storage import Origin
from tests.core.builders import make_claim, make_seen

ENDED = ("Succeeded", "Failed")
NODE = "node-1"
_STATUS = Origin("kubelet", "update", "status")


class Script(NamedTuple):
    """What becomes of one attempt of a run."""

    start: str = ""
    """Why the agent's container does not start: a waiting reason, or `Unscheduled`; empty if it does."""
    works: float = 5.0
    says: str = "success"
    """The agent's last word: `success`, `error`, or `nothing`."""
    lingers: float = 0.5
    """From its last word to its exit."""
    code: int = 0
    again: bool = False
    """It goes on after its first result, half way to its end, and gives another."""


@dataclass
class Life:
    """One pod."""

    key: tuple
    script: Script
    started: int | None = None
    said: int | None = None
    """When it had its last word."""
    works_on: bool = False
    """It has said something since."""
    lost: bool = False
    """Its node is not heard of any more."""
    bound: bool = False


class Kubelet:
    """All nodes. `poked(pod_uid)` is told when there is more in a log."""

    def __init__(self, cluster, script_of, poked):
        self.lag = 0.2
        self.still = False
        """No agent comes to an end by itself any more."""
        self.lives = {}
        self._cluster = cluster
        self._script_of = script_of
        self._poked = poked
        cluster.storage.listen(self._see)

    def _see(self, write):
        if write.resource is not POD:
            return
        if write.type == "DELETED":
            self._poked(write.uid)  # whoever reads its log learns that it is gone
        if write.actor == "kubelet":
            return
        if write.type == "ADDED":
            self.lives[write.uid] = Life((write.namespace, write.name), self._script_of(write.object))
            self._soon(self._schedule, write.uid)
        elif write.type == "MODIFIED" and write.object["metadata"].get("deletionTimestamp"):
            self._soon(self._kill, write.uid)

    def _soon(self, step, uid):
        self._cluster.agenda.after(self.lag, step, uid)

    def _pod(self, uid):
        """A copy to be changed; None if the pod is gone."""
        stored = self._cluster.storage.get(POD, self.lives[uid].key)
        return stored.copy() if stored and stored.object["metadata"]["uid"] == uid else None

    def _may_go_on(self, uid):
        pod = self._pod(uid)
        if pod is None or self.lives[uid].lost or pod["metadata"].get("deletionTimestamp"):
            return None
        return None if pod["status"]["phase"] in ENDED else pod

    def _put(self, pod):
        self._cluster.storage.put(POD, pod, _STATUS)
        self._poked(pod["metadata"]["uid"])

    def _stamp(self):
        return self._cluster.time().strftime("%Y-%m-%dT%H:%M:%SZ")

    # ── A start ──────────────────────────────────────────────────────────────────────────────────

    def _schedule(self, uid):
        if (pod := self._may_go_on(uid)) is None or self.lives[uid].bound:
            return
        unscheduled = self.lives[uid].script.start == "Unscheduled"
        met = {"type": "PodScheduled", "status": "False" if unscheduled else "True"}
        met |= {"lastTransitionTime": self._stamp(), "reason": "Unschedulable" if unscheduled else ""}
        pod["status"]["conditions"] = [met]
        if not unscheduled:
            pod["spec"]["nodeName"] = NODE
            self.lives[uid].bound = True
            self._soon(self._pull, uid)
        self._put(pod)

    def _pull(self, uid):
        if (pod := self._may_go_on(uid)) is None or self.lives[uid].started is not None:
            return
        reason = self.lives[uid].script.start
        self._show(pod, {"waiting": {"reason": reason or "ContainerCreating"}})
        self._put(pod)
        if not reason:
            self._soon(self._run, uid)

    def _run(self, uid):
        life = self.lives[uid]
        if (pod := self._may_go_on(uid)) is None or life.started is not None:
            return
        life.started = self._cluster.wall()
        pod["status"]["phase"] = "Running"
        self._show(pod, {"running": {"startedAt": self._stamp()}})
        self._put(pod)
        self._cluster.agenda.after(life.script.works, self._speak, uid)

    def heal(self, uid):
        """Whatever held the start up is mended."""
        life = self.lives[uid]
        if life.script.start:
            life.script = life.script._replace(start="")
            self._soon(self._pull if life.bound else self._schedule, uid)

    # ── An end ───────────────────────────────────────────────────────────────────────────────────

    def _speak(self, uid):
        life = self.lives[uid]
        if self.still or self._may_go_on(uid) is None:
            return
        life.said = self._cluster.wall()
        self._poked(uid)
        if life.script.again:
            self._cluster.agenda.after(life.script.lingers / 2, self._go_on, uid)
        self._cluster.agenda.after(life.script.lingers, self.finish, uid)

    def _go_on(self, uid):
        if not self.still:
            self.lives[uid].works_on = True
            self._poked(uid)

    def finish(self, uid):
        """The agent has its last word now, and exits as its script says."""
        life = self.lives[uid]
        if life.started is not None and self._may_go_on(uid) is not None:
            if life.said is None or life.works_on:
                life.said, life.works_on = self._cluster.wall(), False
            self._poked(uid)
            self.exit(uid, life.script.code)

    def exit(self, uid, code, reason=""):
        """The agent's container ends; `reason` is the pod's (Evicted)."""
        if (pod := self._may_go_on(uid)) is not None:
            self._end(pod, code, reason)

    def _end(self, pod, code, reason=""):
        life = self.lives[pod["metadata"]["uid"]]
        ended = {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}
        if life.started is None:
            ended = {"exitCode": 137, "reason": "ContainerStatusUnknown"}
        else:
            shown = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
            ended |= {"startedAt": shown, "finishedAt": self._stamp()}
        pod["status"]["phase"] = "Succeeded" if code == 0 else "Failed"
        if reason:
            pod["status"]["reason"] = reason
        self._show(pod, {"terminated": ended})
        self._put(pod)

    def _kill(self, uid):
        """What a deletion does: SIGTERM, then the object goes as far as finalizers let it."""
        pod, life = self._pod(uid), self.lives[uid]
        if pod is None or life.lost:
            return
        if pod["status"]["phase"] not in ENDED:
            self._end(pod, 143)
        self.remove(uid)

    def remove(self, uid):
        """The pod is deleted without grace, whatever it does."""
        pod = self._pod(uid)
        if pod is not None:
            call = Call(POD, *self.lives[uid].key, actor="kubelet", verb="delete")
            self._cluster.registry.delete(call, {"gracePeriodSeconds": 0})
            self._poked(uid)

    def clean_up(self, uid):
        """What pod garbage collection does to a pod whose node is gone."""
        pod = self._pod(uid)
        if pod is not None and self.lives[uid].lost:
            if pod["status"]["phase"] not in ENDED:
                pod["status"] |= {"phase": "Failed", "reason": "NodeLost"}
                self._put(pod)
            self.remove(uid)

    @staticmethod
    def _show(pod, state):
        status = {"name": "claude", "image": "x", "restartCount": 0, "state": state}
        pod["status"]["containerStatuses"] = [status]

    # ── Its words ────────────────────────────────────────────────────────────────────────────────

    def has_log(self, uid):
        """The kubelet can be asked for the pod's log."""
        return self._pod(uid) is not None

    def words(self, uid):
        """What is to be read in the log so far."""
        life = self.lives[uid]
        if life.started is None:
            return AgentLog()
        seen = make_seen(first_at=life.started, last_at=life.started, session_id=_session(life))
        if life.said is None or life.script.says == "nothing":
            return seen
        claim = make_claim("success" if life.script.says == "success" else "error_during_execution")
        return replace(seen, claim=replace(claim, at=life.said), last_at=life.said, turn_open=life.works_on)


def _session(life):
    """The same for all attempts of a Job; the random end of a pod's name is left out."""
    return "session-" + life.key[1].rpartition("-")[0]
