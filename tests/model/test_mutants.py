"""The model sees what it is there to see: each of these controllers is broken on purpose, and found out."""

from dataclasses import replace

import pytest
from hypothesis import Phase as Stage

from controller.core import admission, lifecycle
from controller.core.rules import concluding, publishing, reporting
from controller.core.snapshot import Standing
from controller.engine import loops, perform
from controller.engine.store import Store
from tests.model import test_state_machine

pytestmark = pytest.mark.slow

EXAMPLES = 2000
SEED = 5


def forgets_what_vanished(patch):
    """A Job that is not seen any more holds no place, nor do its pods."""
    old = Store.snapshot
    patch.setattr(
        Store, "snapshot", lambda self, slot, **known: replace(old(self, slot, **known), ghosts=(), strays=())
    )


def frees_places_before_pods_end(patch):
    """A Job that was suspended or deleted holds no place, whatever its pods do."""
    patch.setattr(admission, "is_released", lambda _run, _seen: True)
    old = Store.snapshot

    def snapshot(self, slot, **known):
        seen = old(self, slot, **known)
        runs = (run if admission.holds(run.job) else replace(run, pods=()) for run in seen.runs)
        return replace(seen, runs=tuple(runs))

    patch.setattr(Store, "snapshot", snapshot)


def has_no_doubts(patch):
    """After a write without a certain answer it goes on with what it has cached."""
    patch.setattr(Store, "doubt", lambda _self, _uid: None)


def trusts_stale_caches(patch):
    """A watch that has been silent for long is believed."""
    patch.setattr(loops, "is_fresh", lambda parts: all(i.synced for i in parts.informers))


def needs_no_lease(patch):
    """It writes on when its lease has run out."""
    old = perform._act

    async def act(parts, slot, action):
        object.__setattr__(parts, "held", lambda: True)
        await old(parts, slot, action)

    patch.setattr(perform, "_act", act)


def counts_one_place_too_many(patch):
    """A slot has a place more than its limit says."""
    old = admission.holders
    patch.setattr(admission, "holders", lambda seen: frozenset(sorted(old(seen))[1:]))


def writes_without_a_version(patch):
    """Nothing tells the server what a write was based on."""
    old = publishing.patch

    def unguarded(*about, **more):
        made = old(*about, **more)
        object.__setattr__(made, "version", "")
        return made

    patch.setattr(publishing, "patch", unguarded)


def goes_back(patch):
    """A phase that was reached is left again."""
    patch.setattr(reporting, "_forward", lambda _run, standing: standing)


def says_running_too_late(patch):
    """A run whose agent works is still told to be starting."""
    old = lifecycle._working

    def working(run, seen):
        found = old(run, seen)
        return Standing(found.phase.STARTING, found.reason, found.message)

    patch.setattr(lifecycle, "_working", working)


def never_concludes_what_left_no_pod(patch):
    """Without a pod there is nothing to conclude."""
    old = concluding.is_over
    patch.setattr(concluding, "is_over", lambda run: bool(run.pods) and old(run))


MUTANTS = {
    forgets_what_vanished: "S2",
    frees_places_before_pods_end: "S2",
    has_no_doubts: "S6",
    trusts_stale_caches: "S6",
    needs_no_lease: "S6",
    counts_one_place_too_many: "S2",
    writes_without_a_version: "S[236]",
    goes_back: "S3",
    says_running_too_late: "L1",
    never_concludes_what_left_no_pod: "L1",
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_controller_that_is_broken_on_purpose_is_found_out(monkeypatch, mutant):
    monkeypatch.setattr(test_state_machine, "STAGES", [Stage.generate])
    mutant(monkeypatch)
    with pytest.raises((AssertionError, ExceptionGroup), match=MUTANTS[mutant]):
        test_state_machine.play(EXAMPLES, SEED)
