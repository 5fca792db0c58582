"""Recorded runs of agents, and a hand to write lines as they would."""

import json
from pathlib import Path

from controller.core.agents.fold import fold_for
from controller.core.contract import OUTPUT_CLAUDE

DATA = Path(__file__).parents[2] / "data"
RECORDED = DATA / "claude"
OPENCODE = "cli-1.18.33"


def lines_of(name, agent="claude"):
    """The lines of a recorded run."""
    return (DATA / agent / f"{name}.jsonl").read_bytes().splitlines()


def opencode_lines(name):
    """The lines of a recorded run of OpenCode."""
    return lines_of(f"{OPENCODE}-{name}", "opencode")


class Transcript:
    """Lines fed to a fold, a second of kubelet time apart, starting at second 1."""

    def __init__(self, output=OUTPUT_CLAUDE):
        self.fold = fold_for(output)
        self.at = 0

    def say(self, *events, cut=False):
        for event in events:
            self.at += 1
            line = event if isinstance(event, bytes) else json.dumps(event).encode()
            self.fold.feed(self.at, line, cut)
        return self.fold.seen()
