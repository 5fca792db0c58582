"""What the controller counts, against what it wrote: once a run, over restarts."""

from controller.core.contract import Phase
from tests.program import runs
from tests.program.runs import make_run, replay, used

FINISHED = "runherd_runs_finished_total"
KINDS = {
    "input": "inputTokens",
    "output": "outputTokens",
    "cache_read": "cachedInputTokens",
    "cache_write": "cacheCreationInputTokens",
}


def total(measured, name, *labels):
    """The sum over all series of that name that have these labels."""
    return sum(
        value
        for key, value in measured.items()
        if key.split("{")[0] == name and all(x in key for x in labels)
    )


async def test_numbers_and_results_agree(world):
    world.submit(make_run("one", replay(runs.SUBAGENT)), make_run("two", "exit 3", agent="a-2"))
    controller = await world.lead()
    await world.over("one", "two")
    measured = await controller.measures(FINISHED + '{phase="Failed",reason="ContainerError"}')
    result = world.result("one")
    assert total(measured, FINISHED) == 2
    for kind, name in KINDS.items():
        assert total(measured, "runherd_tokens_total", f'type="{kind}"') == used(runs.SUBAGENT)[name]
    assert abs(total(measured, "runherd_cost_usd_total") - result["costUsd"]) < 1e-9
    assert total(measured, "runherd_tool_calls_total") == result["toolCalls"]
    assert total(measured, "runherd_agent_turns_total") == result["numTurns"]
    assert total(measured, "runherd_runs_without_usage_total") == 1


async def test_a_restart_counts_no_run_again_and_knows_how_all_stand(world):
    world.submit(make_run("one", replay(runs.SUBAGENT)))
    first = await world.lead()
    await world.published("one")
    await first.kill()
    world.submit(make_run("two", replay(runs.SUBAGENT), agent="a-2"))
    second = await world.lead()
    await world.published("two")
    measured = await second.measures('runherd_runs{phase="Succeeded",reason="Completed"}', lambda n: n == 2)
    assert total(measured, FINISHED) == 1
    assert total(measured, "runherd_run_duration_seconds_count") == 1
    assert abs(total(measured, "runherd_cost_usd_total") - world.result("two")["costUsd"]) < 1e-9


async def test_a_run_that_goes_on_after_a_restart_counts_whole(world):
    world.submit(make_run("one", replay(runs.SUBAGENT, seconds=0.1)))
    first = await world.lead()
    await world.phase("one", Phase.RUNNING, Phase.FINISHING)
    await first.kill()
    second = await world.lead()
    await world.over("one")
    measured = await second.measures(FINISHED + '{phase="Succeeded",reason="Completed"}')
    assert total(measured, "runherd_tokens_total", 'type="output"') == used(runs.SUBAGENT)["outputTokens"]
    assert total(measured, "runherd_tool_calls_total") == world.result("one")["toolCalls"]
