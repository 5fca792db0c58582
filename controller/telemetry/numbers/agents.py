"""What agents used and did, counted when their runs end: tokens, money, turns, tools.

All of it is the agents' own claim. No prompt, output or argument of a tool ever comes here.
"""

from collections.abc import Iterable

from controller.core.tally import Tally
from controller.core.transcript import ModelUsage
from controller.telemetry import labels
from controller.telemetry.families import About, Families
from controller.telemetry.numbers.spending import RUN, Spending, Spent


class AgentNumbers:
    """Agents of runs that have ended."""

    def __init__(self, families: Families) -> None:
        self._spending = Spending()
        self._define_spending(families.about("Agents"))
        self._define_work(families)
        self._define_tools(families)

    def _define_spending(self, families: Families) -> None:
        self._tokens = families.counter(
            "tokens",
            About(
                "Tokens that ended runs have used, as their agents claim; `input` is what was in no cache.",
                'cache_read against all input is the cache hit ratio. Sum over `basis="run"` only.',
            ),
            labels.MODEL,
            labels.TOKENS,
            labels.BASIS,
        )
        self._cost = families.counter(
            "cost_usd",
            About(
                "Money that ended runs have cost, as their agents claim.",
                '`basis="session"` repeats what earlier runs of a session cost: a run was resumed of which '
                "this process knows no earlier total. Leave it out of sums.",
            ),
            labels.MODEL,
            labels.BASIS,
        )
        self._unclaimed = families.counter(
            "runs_without_usage",
            About(
                "Ended runs whose agent ran and never said what it used.",
                "What these cost is in no other number: compare with runs that ended.",
            ),
        )

    def _define_work(self, families: Families) -> None:
        self._turns = families.counter(
            "agent_turns",
            About("Turns of ended runs.", "Divided by runs that ended: turns a run."),
        )
        self._retries = families.counter(
            "agent_api_retries",
            About(
                "Calls of a model's API that agents of ended runs had to try again.",
                "A rise is a provider that is overloaded or limits rates.",
            ),
        )
        self._subagents = families.counter("subagents", About("Subagents that ended runs have started."))
        self._denials = families.counter(
            "permission_denials",
            About(
                "Uses of tools that the agent's permissions forbade.",
                "Agents that work around what they may not do.",
            ),
        )

    def _define_tools(self, families: Families) -> None:
        self._calls = families.counter(
            "tool_calls",
            About(
                "Calls of tools in ended runs. `other`: unknown tools, and calls beyond 5000 a run.",
            ),
            labels.TOOL,
        )
        self._errors = families.counter(
            "tool_errors",
            About(
                "Calls of tools that failed, in ended runs.",
                "Against calls, by tool. Some failures are normal: agents try.",
            ),
            labels.TOOL,
        )
        self._odd = families.counter(
            "odd_log_lines",
            About(
                "Lines in logs of ended runs that are not of the agent's format.",
                "stderr shares the log, so some are normal; a jump after an update of the agent is not.",
            ),
        )

    def models_at_work(self, models: Iterable[str]) -> None:
        """Series of models that live runs use are there before they count: a rate sees the first run too."""
        for model in models:
            self._cost.at(model, RUN)
            for kind in labels.TOKENS.known:
                self._tokens.at(model, kind, RUN)

    def used(self, tally: Tally) -> None:
        """A run has ended."""
        if tally.claimed:
            self._spent(tally.model, self._spending.of(tally))
        elif tally.ran is not None:
            self._unclaimed.at().inc()
        self._turns.at().inc(tally.turns)
        self._retries.at().inc(tally.retries)
        self._subagents.at().inc(tally.subagents)
        self._denials.at().inc(tally.denials)
        self._odd.at().inc(tally.odd_lines)
        for name, calls, errors in tally.tools:
            self._calls.at(labels.tool(name)).inc(calls)
            self._errors.at(labels.tool(name)).inc(errors)

    def _spent(self, model: str, spent: Spent) -> None:
        for used in spent.usage:
            for kind, count in zip(labels.TOKENS.known, _tokens(used), strict=True):
                self._tokens.at(used.model, kind, spent.basis).inc(count)
        for name, dollars in _costs(model, spent):
            self._cost.at(name, spent.basis).inc(dollars)


def _tokens(used: ModelUsage) -> tuple[int, int, int, int]:
    """In the order of `labels.TOKENS`."""
    return used.input_tokens, used.output_tokens, used.cache_read_tokens, used.cache_creation_tokens


_ROUNDING_USD = 1e-9
"""Sums of the same numbers in another order differ by less."""


def _costs(model: str, spent: Spent) -> Iterable[tuple[str, float]]:
    """By model; they add up to what the run is said to have cost, if it is said."""
    by_model = {used.model: used.cost_usd or 0.0 for used in spent.usage}
    if spent.cost_usd is None:
        return by_model.items()
    rest = spent.cost_usd - sum(by_model.values())
    if rest < -_ROUNDING_USD:
        return ((model, spent.cost_usd),)
    return (*by_model.items(), (model, max(0.0, rest)))
