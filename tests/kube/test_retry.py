import random

import pytest

from controller.kube import errors
from controller.kube.retry import Retry


class World:
    """A Retry, and a clock that moves when told."""

    def __init__(self):
        self.now = 100.0
        self.retry = Retry(lambda: self.now, random.Random(1))

    def watch(self, *, lasted=0.0, event=False):
        """A watch that was opened and lasted."""
        self.retry.opening()
        self.retry.heard(useful=event)
        self.now += lasted

    def listed(self):
        self.retry.listing()
        assert self.retry.after_end() == 0

    def pause(self, error):
        """Waits as long as it says, and says how long that was."""
        seconds = self.retry.after(error)[1]
        self.now += seconds
        return seconds


def test_unreachable_waits_longer_each_time_up_to_a_minute():
    world, waits = World(), []
    for _ in range(9):
        world.retry.opening()
        waits.append(world.pause(errors.Unavailable("refused")))
    for wait, least in zip(waits, (0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30, 30), strict=True):
        assert least <= wait <= 2 * least


def test_two_quiet_minutes_begin_anew():
    world = World()
    for _ in range(5):
        world.retry.opening()
        world.pause(errors.Unavailable("refused"))
    world.now += 121
    assert world.pause(errors.Unavailable("refused")) <= 1.6


@pytest.mark.parametrize("lasted", [1.0, 300.0])
def test_a_watch_that_lasted_is_opened_again_at_once(lasted):
    world = World()
    world.watch(lasted=lasted)
    assert world.retry.after_end() == 0
    world.watch(lasted=lasted)
    assert world.retry.after(errors.Unavailable("cut")) == ("reconnect", 0)


def test_a_watch_that_brought_an_event_is_opened_again_soon():
    world = World()
    world.watch(lasted=0.1, event=True)
    assert 0 < world.retry.after_end() < 0.5


def test_a_watch_that_brought_nothing_and_ended_at_once_is_a_failure():
    world = World()
    waits = []
    for _ in range(3):
        world.watch(lasted=0.5)
        waits.append(world.retry.after_end())
    assert waits == sorted(waits)
    assert waits[0] >= 1.6


def test_throttled_waits_as_told_and_counts_for_nothing():
    world = World()
    for _ in range(20):
        assert 7 <= world.pause(errors.Throttled("wait", 7)) <= 7.7
    assert world.pause(errors.Unavailable("refused")) <= 1.6


@pytest.mark.parametrize(
    "error",
    [
        errors.Refused("no", 403, "Forbidden"),
        errors.Unavailable("no", 401),
        errors.NotFound("no"),
        errors.Refused("no", 422),
    ],
)
def test_refused_is_tried_again_slowly(error):
    what, wait = World().retry.after(error)
    assert what == "refused"
    assert 30 <= wait <= 60


def test_the_first_expiry_lists_at_once():
    world = World()
    world.listed()
    world.watch(lasted=400, event=True)
    world.retry.opening()
    assert world.retry.after(errors.Expired("old")) == ("expired", 0)


def test_two_lists_are_a_second_apart():
    world = World()
    world.listed()
    world.now += 0.25
    world.watch(event=True)
    assert world.pause(errors.Expired("old")) == pytest.approx(0.75)


def test_a_list_that_did_not_help_is_not_repeated_soon():
    world = World()
    world.listed()
    world.retry.opening()
    world.pause(errors.Expired("old"))
    world.listed()
    world.retry.opening()
    assert world.pause(errors.Expired("old")) >= 10


def test_a_list_that_expires_itself_is_not_repeated_soon():
    world = World()
    world.retry.listing()
    assert world.pause(errors.Expired("old")) >= 10
