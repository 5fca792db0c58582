from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from controller.core.tally import Tally
from controller.core.transcript import ModelUsage
from controller.telemetry.numbers import spending
from controller.telemetry.numbers.spending import RUN, SESSION, Spending

OPUS = ModelUsage("opus", 10, 20, 300, 40, 1.0)


def tally(usage=OPUS, cost=1.0, session="s", *, goes_on=False, claimed=True):
    used = (usage,) if usage else ()
    return Tally(
        claimed=claimed, session=session, usage=used, cost_usd=cost, resumed=session if goes_on else ""
    )


def doubled(used):
    counts = (used.input_tokens, used.output_tokens, used.cache_read_tokens, used.cache_creation_tokens)
    return ModelUsage(used.model, *(2 * count for count in counts), 2 * used.cost_usd)


def test_a_run_of_its_own_is_counted_as_it_says():
    assert Spending().of(tally()) == (RUN, (OPUS,), 1.0)


def test_of_a_resumed_session_only_what_came_on_top_is_counted():
    spent = Spending()
    spent.of(tally())
    assert spent.of(tally(doubled(OPUS), 2.0, goes_on=True)) == (RUN, (OPUS,), 1.0)


def test_a_session_of_which_nothing_is_known_is_said_to_be_one():
    assert Spending().of(tally(goes_on=True)) == (SESSION, (OPUS,), 1.0)


def test_totals_that_went_down_are_those_of_the_run_alone():
    spent = Spending()
    spent.of(tally(doubled(OPUS), 2.0))
    assert spent.of(tally(goes_on=True)) == (RUN, (OPUS,), 1.0)


def test_a_model_that_is_new_in_the_session_counts_in_full():
    spent, haiku = Spending(), replace(OPUS, model="haiku")
    spent.of(tally())
    both = tally(goes_on=True)._replace(usage=(OPUS, haiku), cost_usd=2.0)
    assert spent.of(both).usage[1] == haiku


def test_a_session_that_goes_on_under_another_id_is_followed():
    spent = Spending()
    spent.of(tally())
    assert spent.of(tally(doubled(OPUS), 2.0, session="fork")._replace(resumed="s")).basis == RUN
    third = tally(doubled(doubled(OPUS)), 4.0, session="fork", goes_on=True)
    assert spent.of(third) == (RUN, (doubled(OPUS),), 2.0)


def test_an_agent_that_was_cut_off_leaves_its_session_unknown():
    spent = Spending()
    spent.of(tally())
    spent.of(tally(None, None, claimed=False))
    assert spent.of(tally(doubled(OPUS), 2.0, goes_on=True)).basis == SESSION


def test_so_many_sessions_are_remembered_and_no_more():
    spent = Spending()
    spent.of(tally(session="first"))
    for n in range(spending.SESSIONS_MAX):
        spent.of(tally(session=f"s-{n}"))
    assert spent.of(tally(session="first", goes_on=True)).basis == SESSION
    assert spent.of(tally(doubled(OPUS), 2.0, session="s-9", goes_on=True)).basis == RUN


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_the_runs_of_a_session_add_up_to_its_last_totals(steps):
    spent, counted, total = Spending(), 0, 0
    for place, step in enumerate(steps):
        total += step
        told = tally(ModelUsage("opus", total, 0, 0, 0, None), None, goes_on=place > 0)
        counted += sum(used.input_tokens for used in spent.of(told).usage)
    assert counted == total
