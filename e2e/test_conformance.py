"""The scenarios that the fake cluster is measured by, played on the real one: what they expect is so."""

import asyncio

from devcluster.conformance import player, scenarios
from devcluster.conformance.connection import connect
from devcluster.conformance.player import DIFFERS, Play
from e2e.conftest import told


async def play(kubeconfig):
    """All scenarios; progress is told."""

    def say(outcome):
        told(f"conformance: {outcome.seconds:5.1f} s {outcome.name}: {outcome.verdict}")

    async with connect(kubeconfig) as connection:
        return await player.play(connection, scenarios.chosen(), Play(told=say))


def test_a_real_cluster_does_what_the_fake_is_measured_by(kubeconfig):
    outcomes = asyncio.run(play(kubeconfig))
    differing = {o.name: o.differences for o in outcomes if o.verdict == DIFFERS}
    for name, differences in differing.items():
        told(f"conformance: {name}: {differences}")
    assert list(differing) == []
    assert not [o.name for o in outcomes if any(d.reason for d in o.differences)]
