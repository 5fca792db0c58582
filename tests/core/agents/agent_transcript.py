"""Recorded runs of Claude Code, and a hand to write lines as it would."""

import json
from pathlib import Path

from controller.core.agents.fold import fold_for
from controller.core.contract import OUTPUT_CLAUDE

RECORDED = Path(__file__).parents[2] / "data" / "claude"


def lines_of(name):
    """The lines of a recorded run."""
    return (RECORDED / f"{name}.jsonl").read_bytes().splitlines()


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
