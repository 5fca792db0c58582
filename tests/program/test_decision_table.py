"""Every row of the contract's decision table, all at once, through the whole program on the fake cluster."""

import pytest
import pytest_asyncio

from controller.core import orphans
from controller.core.contract import Status
from tests.program.decision_rows import ALL, ATTACHED, BLOCKED, REFUSED, Cast, names_of
from tests.program.runs import HOOKS, make_run, replay, used
from tests.program.stage import stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(tmp_path_factory):
    """(the world once all is over, where each run stood while its live Job worked)."""
    folder = tmp_path_factory.mktemp("rows")
    gate = folder / "gate"
    works = f"until [ -e '{gate}' ]; do sleep 0.1; done\n{replay(HOOKS)}"
    cast = Cast(make_run, works, replay(HOOKS))
    async with stage(folder) as world:
        await world.lead()
        world.submit(*map(cast.live, ALL))
        for row in ALL:
            await world.started(f"{row}-live")
        for row in ALL:
            await world.later_than_start_of(f"{row}-live")
        jobs = [job for row in ALL for job in cast.others(row)]
        world.submit(*jobs)
        await world.until(lambda: all(world.said(name) for name in names_of(jobs)))
        decided = {name: world.standing(name) for name in names_of(jobs)}
        gate.touch()
        await world.published(*(f"{row}-live" for row in ALL), *decided)
        yield world, decided


@pytest.mark.parametrize("row", BLOCKED)
async def test_a_run_that_is_blocked_waits_says_why_and_is_started_later(played, row):
    world, decided = played
    assert decided[f"{row}-queue"] == f"Queued/{BLOCKED[row][2]}"
    assert world.standing(f"{row}-queue") == "Succeeded/Completed"


@pytest.mark.parametrize("row", BLOCKED)
async def test_a_run_that_is_blocked_and_may_not_wait_is_rejected(played, row):
    world, decided = played
    _, _, reason, code = BLOCKED[row]
    assert decided[f"{row}-fail"] == f"Rejected/{reason}"
    assert world.result(f"{row}-fail")["errorCode"] == code
    assert world.pods(f"{row}-fail") == []


@pytest.mark.parametrize("row", REFUSED)
async def test_a_continuation_of_something_else_waits(played, row):
    world, decided = played
    assert decided[f"{row}-next"] == f"Queued/{REFUSED[row][2]}"
    assert world.standing(f"{row}-next") == "Succeeded/Completed"


@pytest.mark.parametrize("row", ATTACHED)
async def test_a_run_that_works_already_is_continued(played, row):
    world, decided = played
    assert decided[f"{row}-next"] == f"Attached/{ATTACHED[row][3]}"
    assert world.standing(f"{row}-next") == "Succeeded/Completed"
    assert world.result(f"{row}-next")["usage"] == used(HOOKS)
    assert world.pods(f"{row}-next") == []


async def test_every_verdict_can_be_replayed_from_what_is_written_and_every_write_was_right(played):
    world, decided = played
    for name in decided:
        if said := world.said(name, Status.DECISION):
            found = orphans.read(said)
            assert orphans.replay(found) == found.decision, name
    world.check()
