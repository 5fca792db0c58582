"""What the host of a round does while its runs go on: it submits what has to meet a run at work, and cancels.

Owns: which run is submitted, or ended, when. Never: checks what comes of it, or knows more than a host can.
"""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from examples.demo import seen
from examples.demo.apiserver import JOBS, ApiServer
from examples.demo.submit import KEYS, Submission

JSON = dict[str, Any]
LATER: Final[Mapping[str, str]] = {"11-continuation": "10-lost-sight", "12-may-not-wait": "10-lost-sight"}
"""Runs that are submitted while another one is at work."""
CANCELLED: Final[Mapping[str, str]] = {"13-cancelled": "it takes too long"}
"""Runs whose end is asked for once they are at work, and why."""
WHOLE_SECOND: Final = 1.0
"""Kubernetes notes times in whole seconds: a start, and what is submitted after this, differ in theirs."""


@dataclass(frozen=True, slots=True)
class Host:
    """The host of all runs of a round."""

    api: ApiServer
    selector: str
    """Of the round's Jobs."""
    submission: Submission
    runs: Mapping[str, JSON]

    async def begin(self) -> None:
        """Submits all runs but those that have to meet another one."""
        await self.submission.submit({name: run for name, run in self.runs.items() if name not in LATER})

    async def go_on(self) -> None:
        """All that is left to do, each thing once its time has come."""
        for other in dict.fromkeys(LATER.values()):
            await self._at_work(other)
            await asyncio.sleep(WHOLE_SECOND)
            await self.submission.submit(
                {name: run for name, run in self.runs.items() if LATER.get(name) == other}
            )
        for name, why in CANCELLED.items():
            await self._at_work(name)
            await self.submission.annotate(name, {KEYS.cancel_requested: why})

    async def _at_work(self, name: str) -> None:
        """Until its agent has said which session it works in; or the run is over, which the checks tell."""
        uid = self.submission.uids[name]
        async with aclosing(self.api.follow(JOBS, self.selector)) as jobs:
            async for job in jobs:
                found = seen.of(job)
                if found.uid == uid and (found.session or found.is_over):
                    return
