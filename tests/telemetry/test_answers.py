import pytest

from controller.telemetry.answers import ABOUT_ITSELF, ADVICE, WAIT_MOST_SECONDS, Answer, Verdict, of_status


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (200, Verdict.ACCEPTED),
        (202, Verdict.ACCEPTED),
        (302, Verdict.MISDIRECTED),
        (400, Verdict.REFUSED),
        (401, Verdict.UNAUTHORIZED),
        (403, Verdict.UNAUTHORIZED),
        (404, Verdict.MISDIRECTED),
        (405, Verdict.MISDIRECTED),
        (408, Verdict.TIMEOUT),
        (413, Verdict.TOO_LARGE),
        (415, Verdict.MISDIRECTED),
        (422, Verdict.REFUSED),
        (429, Verdict.THROTTLED),
        (500, Verdict.UNAVAILABLE),
        (503, Verdict.UNAVAILABLE),
    ],
)
def test_each_status_has_a_meaning(code, verdict):
    assert of_status(code, page=False).verdict is verdict


def test_a_page_for_people_is_no_acceptance_whatever_its_status():
    assert of_status(200, page=True).verdict is Verdict.MISDIRECTED


def test_a_collector_is_left_alone_as_long_as_it_asks_but_not_for_ever():
    assert of_status(503, page=False, wait=7.5).wait == 7.5
    assert of_status(503, page=False, wait=1e9).wait == WAIT_MOST_SECONDS
    assert [of_status(503, page=False, wait=odd).wait for odd in (float("nan"), float("inf"), -3.0)] == [
        0.0
    ] * 3


def test_what_it_left_out_counts_only_if_it_took_the_rest():
    assert of_status(200, page=False, rejected=3) == Answer(Verdict.ACCEPTED, "200", 0.0, 3)
    assert of_status(400, page=False, rejected=3).rejected == 0


def test_its_words_are_told_in_one_bounded_line():
    said = of_status(503, page=False, said="come\nback " + "x" * 1000).said
    assert said.startswith("503 come back x")
    assert len(said) == 200


def test_each_trouble_comes_with_what_to_do_about_it():
    assert set(ADVICE) == set(Verdict) - {Verdict.ACCEPTED}
    assert set(ADVICE) > ABOUT_ITSELF
