"""The run that the documents explain: recorded, and killed for its memory in a subagent's call."""

from pathlib import Path

from controller.core.agents.fold import fold_for
from controller.core.contract import OUTPUT_CLAUDE, SECOND, Phase, Reason
from controller.core.model import ContainerSpec, Wishes
from controller.core.snapshot import Facts, Policy, Pull
from controller.core.spans import tree as trees
from tests.core.spans.test_tree import SETUP, at, make_attempt, make_container, make_job, make_run

RECORDED = Path(__file__).parents[1] / "data" / "claude" / "success-subagent-two-results.jsonl"
READ = 17
"""Lines of it that there still are."""


def failing_run():
    """Its trace."""
    fold = fold_for(OUTPUT_CLAUDE)
    for number, line in enumerate(RECORDED.read_bytes().splitlines()[:READ]):
        fold.feed(at(52) + number * SECOND * 3 // 2, line)
    job = make_job(
        Phase.FAILED,
        Reason.OOM_KILLED,
        name="fix-login-7",
        wishes=Wishes(agent_name="Coder"),
        specs=(ContainerSpec("setup", "busybox:1", init=True), ContainerSpec("claude", "example/claude:2")),
        completed_at=at(97),
    )
    pulled = Pull("claude", started_at=at(36), finished_at=at(45), millis=8_700, size=1_890_000_000)
    killed = make_container(exit_code=137, reason="OOMKilled", started_at=at(46), finished_at=at(94))
    attempt = make_attempt(
        SETUP, killed, pod="fix-login-7-x2x9q", node="worker-3", phase="Failed", pulls=(pulled,)
    )
    return trees.build(make_run(fold.seen(), job), Facts((attempt,)), Policy(cluster_name="prod"))
