from hypothesis import given
from hypothesis import strategies as st

from controller.core.transcript import AgentLog, AttemptLog, LogState, ToolCall
from controller.engine.span_budget import SpanBudget


def logs(count):
    tools = tuple(ToolCall(f"t{n}", "Bash", "", n) for n in range(count))
    return [AttemptLog("pod", LogState.READING, AgentLog(tools=tools))]


def ids(count):
    return [f"{n:016x}" for n in range(count)]


def test_the_run_that_holds_most_has_to_tell():
    budget = SpanBudget(100)
    for uid, count in (("a", 30), ("b", 60), ("c", 20)):
        budget.put_logs(uid, logs(count))
    assert [budget.is_crowded(uid) for uid in "abc"] == [False, True, False]
    assert budget.held == 110
    budget.put_told("b", ids(55))
    assert (budget.held, len(budget.told("b"))) == (55, 55)
    budget.forget("b")
    assert (budget.held, budget.is_crowded("b"), budget.told("b")) == (50, False, frozenset())


HOLDINGS = st.lists(
    st.tuples(st.sampled_from(["logs", "told", "forget"]), st.sampled_from("abcdef"), st.integers(0, 60)),
    max_size=40,
)


@given(HOLDINGS, st.integers(1, 100))
def test_what_the_others_hold_is_within_the_limit_whatever_comes(holdings, limit):
    budget, made, told = SpanBudget(limit), {}, {}
    for what, uid, count in holdings:
        match what:
            case "logs":
                made[uid] = max(made.get(uid, 0), count)
                budget.put_logs(uid, logs(made[uid]))
            case "told":
                told[uid] = max(told.get(uid, 0), min(count, made.get(uid, 0)))
                budget.put_told(uid, ids(told[uid]))
            case "forget":
                budget.forget(uid)
                made.pop(uid, None), told.pop(uid, None)
        held = {uid: count - told.get(uid, 0) for uid, count in made.items()}
        assert budget.held == sum(held.values())
        assert sum(count for uid, count in held.items() if not budget.is_crowded(uid)) <= limit
