"""Every row of the contract's decision table, as runs to submit: played on the fake and on a real cluster.

Owns the ids of both sides and what has to come of them. It submits nothing.
"""

from tests.program.runs import KEYS

TASK = {"task": "t-1"}
OTHER_TASK = {"task": "t-2"}
SESSION = {"task": "t-1", "session": "s-1"}
OTHER_SESSION = {"task": "t-1", "session": "s-2"}
SAME_RUN = {"task": "t-1", "run": "r-same"}
REATTACH = {KEYS.reattach: "true"}
FAIL = {KEYS.on_conflict: "fail"}
BUSY = "k8s_concurrent_run_blocked"

BLOCKED = {
    "row-1-live-has-no-task": ({}, TASK, "TaskUnknown", "k8s_orphan_task_unknown"),
    "row-1-waiting-has-no-task": (TASK, {}, "TaskUnknown", "k8s_orphan_task_unknown"),
    "row-2-other-task": (TASK, OTHER_TASK, "TaskMismatch", BUSY),
    "row-3-other-session": (SESSION, OTHER_SESSION, "SessionMismatch", "k8s_orphan_session_mismatch"),
    "row-4-same-task": (TASK, TASK, "AgentBusy", BUSY),
    "row-4-session-on-one-side": (SESSION, TASK, "AgentBusy", BUSY),
}
"""Ids of the live Job, those of the run that waits, its reason, and its code if it may not wait."""
REFUSED = {
    "reattach-row-1": ({}, TASK, "TaskUnknown"),
    "reattach-row-2": (TASK, OTHER_TASK, "TaskMismatch"),
    "reattach-row-3": (SESSION, OTHER_SESSION, "SessionMismatch"),
}
"""With `reattach: true` the blocks of rows 1 to 3 stay."""
ATTACHED = {
    "reattach-row-4": (TASK, TASK, REATTACH, "Reattached"),
    "reattach-row-4-session-on-one-side": (SESSION, TASK, REATTACH, "Reattached"),
    "row-0-same-run": (SAME_RUN, SAME_RUN, {}, "DuplicateRun"),
}
"""Ids of both, what the run asks for, and why it is attached."""
ALL = {**BLOCKED, **REFUSED, **ATTACHED}


class Cast:
    """The runs of all rows; each row has an agent of its own. `make`: as `runs.make_run` of the cluster."""

    def __init__(self, make, works, quick):
        self._make, self._works, self._quick = make, works, quick

    def run(self, name, script, ids, **changes):
        named = {"task": KEYS.task_id, "session": KEYS.session_id, "run": KEYS.run_id}
        labels = {KEYS.task_id: None} | {named[kind]: value for kind, value in ids.items()}
        return self._make(name, script, labels=labels, **changes)

    def live(self, row):
        """The Job that works."""
        return self.run(f"{row}-live", self._works, ALL[row][0], agent=row)

    def others(self, row):
        """The runs that come while it does."""
        ids = ALL[row][1]
        if row in BLOCKED:
            yield self.run(f"{row}-queue", self._quick, ids, agent=row)
            yield self.run(f"{row}-fail", self._quick, ids, agent=row, notes=FAIL)
        else:
            notes = REATTACH if row in REFUSED else ATTACHED[row][2]
            yield self.run(f"{row}-next", self._quick, ids, agent=row, notes=notes)


def names_of(jobs):
    return [job["metadata"]["name"] for job in jobs]
