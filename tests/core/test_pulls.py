"""What a kubelet tells of pulls, in its own words, as facts."""

import pytest

from controller.core import pulls
from controller.core.snapshot import Pull
from tests.core.builders import at, make_event

PULLING = make_event("Pulling", 'Pulling image "i:1"', "claude", seconds=35)


def pulled(said, seconds=39, **changes):
    return make_event("Pulled", said, "claude", seconds=seconds, **changes)


@pytest.mark.parametrize(
    ("said", "millis", "size"),
    [
        (
            'Successfully pulled image "i:1" in 3.21s (3.21s including waiting). Image size: 77 bytes.',
            3210,
            77,
        ),
        ('Successfully pulled image "i:1" in 1.5s (1m3.25s including waiting)', 63250, None),
        ('Successfully pulled image "i:1" in 812.5ms', 812, None),
        ('Successfully pulled image "i:1" in 1h0m2s', 3_602_000, None),
        ('Successfully pulled image "i:1" in 400µs', 0, None),
        ('Successfully pulled image "i:1" in 3.2.1s', None, None),
    ],
)
def test_a_pull_has_its_times_and_what_the_kubelet_says_of_it(said, millis, size):
    assert pulls.of((PULLING, pulled(said))) == (
        Pull("claude", started_at=at(35), finished_at=at(39), millis=millis, size=size),
    )


def test_an_image_that_was_there_has_no_start():
    said = 'Container image "i:1" already present on machine'
    assert pulls.of((pulled(said),)) == (Pull("claude", finished_at=at(39)),)


def test_of_a_pull_that_was_tried_again_the_last_try_counts():
    again = make_event("Pulling", "", "claude", first_at=at(10), last_at=at(37))
    (pull,) = pulls.of((again, pulled('Successfully pulled image "i:1" in 2s (2s including waiting)')))
    assert (pull.started_at, pull.finished_at) == (at(37), at(39))


def test_a_pull_whose_begin_was_not_told_began_as_much_earlier_as_it_took():
    (pull,) = pulls.of((pulled('Successfully pulled image "i:1" in 2.5s (2.5s including waiting)'),))
    assert (pull.started_at, pull.finished_at) == (at(36), at(39))
    assert pull.derived


def test_a_pull_of_which_the_words_are_not_known_has_the_times_of_its_events():
    (pull,) = pulls.of((PULLING, pulled("Image is there now")))
    assert (pull.started_at, pull.finished_at, pull.millis) == (at(35), at(39), None)
    (present,) = pulls.of((PULLING, pulled('Container image "i:1" already present on machine')))
    assert present.started_at is None


def test_a_container_that_is_started_again_was_pulled_once():
    first = pulled('Successfully pulled image "i:1" in 2s (2s including waiting)')
    again = pulled('Container image "i:1" already present on machine', 80)
    assert [pull.finished_at for pull in pulls.of((PULLING, first, again))] == [at(39)]


def test_what_is_pulled_now_is_what_nothing_was_said_of_since():
    other = make_event("Pulling", "", "helper", seconds=36)
    assert pulls.under_way((PULLING,)) == PULLING
    assert pulls.under_way((PULLING, other, pulled("", 37))) == other
    assert pulls.under_way((PULLING, make_event("Failed", "", "claude", seconds=37))) is None
    assert pulls.under_way((pulled("", 35), PULLING)) is None, "within the same second"
    assert pulls.under_way(()) is None
