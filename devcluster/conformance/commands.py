"""The command `devcluster conformance`: plays the scenarios against any cluster, and prints a table.

Owns: its arguments, what it prints, its exit code. Never: plays (`player.py`).
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from devcluster.conformance import player, scenarios
from devcluster.conformance.connection import ConnectionTrouble, connect
from devcluster.conformance.player import DIFFERS, EQUAL, KNOWN, Outcome, Play
from devcluster.conformance.scenario import Scenario

if TYPE_CHECKING:
    from argparse import _SubParsersAction

DESCRIPTION = """Plays requests whose answers are known from a real Kubernetes, and says what is
seen otherwise. Each scenario has a namespace of its own (conf-…), which it deletes in the end."""
EXAMPLES = """examples:
  python -m devcluster conformance --kubeconfig .devcluster/fake/kubeconfig
  python -m devcluster conformance --only job-succeeds --only wrong-uid
  python -m devcluster conformance --list
  python -m devcluster conformance --json > seen.json
"""


def add_commands(kinds: "_SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `conformance`."""
    command = kinds.add_parser(
        "conformance",
        help="does a cluster behave as expected?",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--kubeconfig",
        type=Path,
        default=Path(os.environ.get("KUBECONFIG") or "~/.kube/config").expanduser(),
        help="of an account that may do everything (default: $KUBECONFIG)",
    )
    command.add_argument("--only", action="append", default=[], metavar="NAME", help="this one (repeatable)")
    command.add_argument(
        "--image", default=player.IMAGE, help="image of all containers (default: %(default)s)"
    )
    command.add_argument(
        "--at-once", type=int, default=player.AT_ONCE, help="scenarios side by side (default: %(default)s)"
    )
    command.add_argument("--json", action="store_true", help="all that was seen, as JSON")
    command.add_argument("--list", action="store_true", help="only say what there is")
    command.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    try:
        chosen = scenarios.chosen(given.only)
        if given.list:
            _show_list(chosen)
            return 0
        outcomes = asyncio.run(_play(given, chosen))
    except (LookupError, ConnectionTrouble) as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    else:
        _show_table(outcomes)
    return 1 if any(outcome.verdict == DIFFERS for outcome in outcomes) else 0


async def _play(given: argparse.Namespace, chosen: Sequence[Scenario]) -> list[Outcome]:
    async with connect(given.kubeconfig) as connection:
        print(f"{len(chosen)} scenarios on a {connection.kind} cluster", file=sys.stderr)
        return await player.play(connection, chosen, Play(given.image, given.at_once, _tell))


def _tell(outcome: Outcome) -> None:
    """Progress, for people."""
    print(f"  {outcome.seconds:6.1f} s  {outcome.name}: {outcome.verdict}", file=sys.stderr, flush=True)


def _show_list(chosen: Sequence[Scenario]) -> None:
    width = max(len(scenario.name) for scenario in chosen)
    for scenario in chosen:
        print(f"{scenario.name:{width}}  {scenario.story}")


def _show_table(outcomes: Sequence[Outcome]) -> None:
    width = max(len(outcome.name) for outcome in outcomes)
    for outcome in outcomes:
        print(f"{outcome.name:{width}}  {outcome.seconds:6.1f} s  {outcome.verdict}")
        for found in outcome.differences:
            print(f"    {found.observation}")
            print(f"      want {json.dumps(found.want, ensure_ascii=False)}")
            print(f"      got  {json.dumps(found.got, ensure_ascii=False)}")
            if found.reason:
                print(f"      why  {found.reason}")
    counted = {word: sum(o.verdict == word for o in outcomes) for word in (EQUAL, KNOWN, DIFFERS)}
    seen = sum(len(outcome.noted) for outcome in outcomes)
    print(f"{len(outcomes)} scenarios, {seen} observations: {counted}")
