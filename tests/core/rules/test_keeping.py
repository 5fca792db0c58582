from dataclasses import replace

import pytest

from controller.core.actions import Plan
from controller.core.contract import Status
from controller.core.model import Condition, Wishes
from controller.core.reconcile import reconcile
from controller.core.rules import keeping
from controller.core.snapshot import Export
from tests.core.builders import (
    KEYS,
    POLICY,
    TRACED,
    at,
    make_ids,
    make_job,
    make_over,
    make_run,
    make_snapshot,
    make_waiting,
    now,
    stamp,
)
from tests.core.world import after

ACKNOWLEDGED = Wishes(acknowledged=True)
RETAINED = Wishes(retain=True)
DAY = 86400


def put_aside(job):
    return keeping.put_aside(make_snapshot(make_run(job)), now(), POLICY)


# ── Put aside ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(make_waiting(ttl_seconds=0), id="just submitted"),
        pytest.param(make_waiting(ttl_seconds=0, phase="Queued"), id="waiting"),
        pytest.param(make_waiting(ttl_seconds=0, external_queue="gpus"), id="waiting elsewhere"),
        pytest.param(make_job(ttl_seconds=0), id="submitted running"),
        pytest.param(make_job(ttl_seconds=0, phase="Running"), id="running"),
        pytest.param(make_job(ttl_seconds=0, phase="Finishing", over="Complete"), id="over, not concluded"),
        pytest.param(make_job(ttl_seconds=0, over="x"), id="over before it was seen"),
        pytest.param(make_waiting(ttl_seconds=0, phase="Attached"), id="attached"),
        pytest.param(make_job(ttl_seconds=0, wishes=RETAINED), id="to be retained"),
        pytest.param(make_waiting(ttl_seconds=0, ids=make_ids(run="")), id="about to be rejected"),
    ],
)
def test_a_ttl_is_put_aside_as_long_as_its_run_is_not_over(job):
    (patch,) = put_aside(job).actions
    assert patch.spec == {"ttlSecondsAfterFinished": None}
    assert patch.annotations == {KEYS.status(Status.HOST_TTL): "0"}
    assert (patch.version, patch.why) == ("", "keep")


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(make_job(), id="there is none"),
        pytest.param(make_job(ttl_seconds=300, phase="Succeeded", result=True), id="the run is over"),
        pytest.param(make_job(ttl_seconds=300, deleted_at=1), id="it is being deleted"),
        pytest.param(make_job(ttl_seconds=300, ids=make_ids(run="")), id="it is no run"),
    ],
)
def test_which_ttl_is_left_alone(job):
    assert put_aside(job) == Plan()


def test_the_newest_ttl_of_the_host_counts():
    (patch,) = put_aside(make_job(ttl_seconds=600, notes={Status.HOST_TTL: "0"})).actions
    assert patch.annotations == {KEYS.status(Status.HOST_TTL): "600"}


def test_a_ttl_that_somebody_adds_to_every_write_is_put_aside_once_in_a_minute():
    seen = make_snapshot(make_run(make_job(ttl_seconds=600, notes={Status.HOST_TTL: "600"})))
    first = keeping.put_aside(seen, now(100), POLICY)
    assert len(first.actions) == 1
    seen = replace(seen, since=dict.fromkeys(first.marks, 100.0))
    assert keeping.put_aside(seen, now(110), POLICY).actions == ()
    assert len(keeping.put_aside(seen, now(161), POLICY).actions) == 1


def test_a_ttl_is_put_aside_by_the_first_patch_whatever_that_is():
    seen = make_snapshot(make_run(make_waiting(ttl_seconds=0)))
    (patch,) = [each for each in reconcile(seen, now(), POLICY).actions if hasattr(each, "spec")]
    assert patch.spec == {"ttlSecondsAfterFinished": None, "suspend": False}
    assert patch.version


def test_a_ttl_that_a_copied_manifest_put_aside_is_not_taken_for_this_ones():
    leftovers = ("host-ttl", "phase")
    (patch,) = put_aside(make_waiting(ttl_seconds=7, leftovers=leftovers)).actions
    assert patch.annotations == {KEYS.status("phase"): None, KEYS.status(Status.HOST_TTL): "7"}
    seen = make_snapshot(make_run(make_waiting(ttl_seconds=7, leftovers=leftovers)))
    (merged,) = [each for each in reconcile(seen, now(), POLICY).actions if hasattr(each, "spec")]
    assert merged.annotations[KEYS.status(Status.HOST_TTL)] == "7"


# ── Given back ───────────────────────────────────────────────────────────────────────────────────

OVER = (Condition("Complete", "True", "", "", at(90)),)


def make_done(late=0, **changes):
    """A concluded Job whose result was there so many seconds after its end."""
    notes = {Status.SINCE: stamp(90 + late), **changes.pop("notes", {})}
    return make_job(phase="Succeeded", result=True, conditions=OVER, notes=notes, **changes)


def given(job, *others, policy=POLICY, export=Export.NONE):
    """The TTL that the Job is given, `None` if it loses it, `...` if nothing is done."""
    seen = make_snapshot(make_run(job, export=export), *others)
    plan = keeping.release(seen, now(), policy)
    again = after(seen, plan, now())
    assert keeping.release(again, now(9999), policy) == Plan(), "once is enough"
    if not plan.actions:
        return ...
    (patch,) = plan.actions
    ttl = patch.spec["ttlSecondsAfterFinished"]
    assert patch.annotations == {KEYS.status(Status.TTL_SET): None if ttl is None else str(ttl)}
    assert (patch.version, patch.why) == ("", "release")
    return ttl


@pytest.mark.parametrize(
    ("job", "want"),
    [
        pytest.param(make_done(), DAY, id="the host had none"),
        pytest.param(make_done(notes={Status.HOST_TTL: "0"}), 300, id="the host's, but at least 300 s"),
        pytest.param(make_done(notes={Status.HOST_TTL: "7200"}), 7200, id="the host's"),
        pytest.param(make_done(notes={Status.HOST_TTL: "-5"}), DAY, id="what is no number is none"),
        pytest.param(make_done(notes={Status.HOST_TTL: "9" * 10}), 2**31 - 1, id="as long as can be said"),
        pytest.param(make_done(wishes=ACKNOWLEDGED), 300, id="the host has its result"),
        pytest.param(
            make_done(wishes=ACKNOWLEDGED, notes={Status.HOST_TTL: "7200"}), 300, id="also against its own"
        ),
        pytest.param(make_done(late=1000), DAY + 1000, id="the time without a result does not count"),
        pytest.param(make_done(late=1000, notes={Status.HOST_TTL: "0"}), 1300, id="nor for a host's own"),
        pytest.param(make_done(late=-3600), DAY, id="a clock that is behind takes nothing away"),
        pytest.param(make_done(notes={Status.SINCE: "soon"}), DAY, id="nor one that cannot be read"),
        pytest.param(make_done(wishes=RETAINED), ..., id="retained"),
        pytest.param(make_done(deleted_at=1), ..., id="being deleted"),
        pytest.param(make_done(ttl_seconds=5), ..., id="somebody else's"),
        pytest.param(make_done(kept=DAY, ttl_seconds=5), ..., id="changed after us"),
        pytest.param(
            make_done(ttl_seconds=None, notes={Status.TTL_SET: str(DAY)}), ..., id="removed after us"
        ),
        pytest.param(make_done(kept=DAY, wishes=ACKNOWLEDGED), 300, id="acknowledged later"),
        pytest.param(make_done(kept=DAY, wishes=RETAINED), None, id="retained later"),
        pytest.param(make_job(phase="Succeeded", conditions=OVER), ..., id="no result"),
        pytest.param(make_job(phase="Succeeded", result=True), ..., id="the Job is not over"),
        pytest.param(make_job(phase="Running", result=True, conditions=OVER), ..., id="no terminal phase"),
    ],
)
def test_how_long_a_job_is_kept(job, want):
    assert given(job) == want


@pytest.mark.parametrize(
    ("job", "export", "want"),
    [
        pytest.param(make_done(), Export.NONE, ..., id="not handed over"),
        pytest.param(make_done(), Export.PENDING, ..., id="not accepted"),
        pytest.param(make_done(), Export.ACCEPTED, DAY, id="accepted: one patch with its note"),
        pytest.param(make_done(notes={Status.TRACE_EXPORTED: stamp(99)}), Export.NONE, DAY, id="noted"),
        pytest.param(make_done(), Export.GIVEN_UP, DAY, id="given up"),
    ],
)
def test_a_trace_has_to_be_safe_first(job, export, want):
    assert given(job, policy=TRACED, export=export) == want


def test_the_copies_of_attached_runs_have_to_be_safe_first():
    job = make_done()
    to = {Status.ATTACHED_TO: f"{job.name}/{job.uid}"}
    waits = make_run(make_waiting("n-1", phase="Attached", parallelism=0, notes=to))
    has_it = make_run(make_waiting("n-2", phase="Succeeded", result=True, parallelism=0, notes=to))
    assert given(job, has_it, waits) is ...
    assert given(job, has_it) == DAY


def test_a_job_that_was_over_with_a_ttl_before_it_was_seen_is_saved_by_its_first_patch():
    job = replace(make_job(), ttl_seconds=100)
    seen = make_snapshot(make_over(job=job))
    plan = reconcile(seen, now(), POLICY)
    (patch,) = [each for each in plan.actions if hasattr(each, "spec")]
    assert patch.spec == {"ttlSecondsAfterFinished": None}
    assert KEYS.status(Status.RESULT) in patch.annotations
    (back,) = reconcile(after(seen, plan, now()), now(), POLICY).actions
    assert back.spec == {"ttlSecondsAfterFinished": 305}, "its end was 5 s before its result"
