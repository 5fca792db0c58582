"""The scenarios, played on the fake cluster; and what the player makes of what it sees."""

import asyncio
import json
from dataclasses import replace

import pytest

from devcluster import cli
from devcluster.conformance import known, player, scenarios
from devcluster.conformance.connection import ConnectionTrouble, connect
from devcluster.conformance.known import ALL_OF_IT, KNOWN, Known
from devcluster.conformance.player import DIFFERS, EQUAL, STOPPED, Outcome, Play, differences
from devcluster.conformance.scene import Scene
from devcluster.fake import Backoff, FakeCluster, Options
from tests.devcluster.fake_api import QUICK

SOON = replace(QUICK, pull_backoff=0.2, crash_backoff=0.2)
"""Long enough that each state is seen before the next."""


@pytest.fixture
async def kubeconfig(tmp_path):
    """A fake cluster that is in a hurry."""
    options = Options(timing=SOON, job_backoff=Backoff(base=0.05))
    async with FakeCluster(options=options) as cluster:
        yield cluster.write_kubeconfig(tmp_path / "kubeconfig")


def told(outcomes):
    return {o.name: [(d.observation, d.want, d.got) for d in o.differences] for o in outcomes}


async def test_the_fake_differs_from_a_real_cluster_only_where_it_is_listed(kubeconfig):
    async with connect(kubeconfig) as connection:
        outcomes = await player.play(connection, scenarios.chosen(), Play(at_once=200))
    assert told(outcome for outcome in outcomes if outcome.verdict == DIFFERS) == {}
    assert sum(outcome.verdict == EQUAL for outcome in outcomes) > 0.9 * len(outcomes)


def test_every_scenario_says_what_it_is_about_and_what_is_expected():
    for scenario in scenarios.chosen():
        assert scenario.story.endswith(".")
        assert scenario.want
        assert STOPPED not in scenario.want


def test_what_is_listed_as_known_exists_and_has_a_reason():
    for item in KNOWN:
        (scenario,) = scenarios.chosen([item.scenario])
        assert item.observation == ALL_OF_IT or item.observation in scenario.want
        assert item.reason
        assert known.of(item.kind, item.scenario)[item.observation] is item


def test_an_unknown_scenario_is_named():
    with pytest.raises(LookupError, match="no-such-thing"):
        scenarios.chosen(["no-such-thing"])


def listed(observation, got):
    return {observation: Known("fake", "a-scenario", observation, got, "because")}


@pytest.mark.parametrize(
    ("seen", "excuses", "found"),
    [
        ({"a": 1, "b": 2}, {}, []),
        ({"a": 1, "b": 3}, {}, [("b", 2, 3, "")]),
        ({"a": 1}, {}, [("b", 2, "(nothing)", "")]),
        ({"a": 1, "b": 2, "c": 3}, {}, [("c", "(nothing)", 3, "")]),
        ({"a": 1, "b": 3}, listed("b", 3), [("b", 2, 3, "because")]),
        ({"a": 1, "b": 4}, listed("b", 3), [("b", 2, 4, "")]),
        ({"a": 1, "b": 2}, listed("b", 3), [("b", 3, "as on a real cluster: unlist it", "")]),
        ({STOPPED: "no"}, listed("*", "no"), [("*", "the whole scenario", "no", "because")]),
        ({"a": 1, "b": 2}, listed("*", "no"), [("*", "a difference, as it is listed", "(nothing)", "")]),
    ],
)
def test_a_difference_is_excused_only_as_it_is_listed_and_only_while_it_lasts(seen, excuses, found):
    judged = differences({"a": 1, "b": 2}, seen, excuses)
    assert [(d.observation, d.want, d.got, d.reason) for d in judged] == found
    excused = bool(found) and all(reason for *_, reason in found)
    assert (Outcome("a-scenario", 0.0, seen, tuple(judged)).verdict == DIFFERS) is (
        bool(found) and not excused
    )


def test_what_differs_from_play_to_play_is_noted_as_a_word():
    scene = Scene(connection=None, name="a-scenario", image="busybox:1.36")
    uid, moment = "0b37a4ae-44b0-4b7c-9a2c-6a3c1e3f5d10", "2026-01-02T03:04:05.000001Z"
    scene.note("all", {f"in {scene.namespace}": [f"{uid} since {moment}", "busybox:1.36", 7, None, True]})
    assert scene.noted == {"all": {"in {namespace}": ["{uid} since {time}", "{image}", 7, None, True]}}


async def test_the_command_prints_a_table_and_succeeds_where_nothing_differs(kubeconfig, capsys):
    arguments = [
        "conformance",
        "--kubeconfig",
        str(kubeconfig),
        "--only",
        "created-twice",
        "--only",
        "stranger",
    ]
    assert await asyncio.to_thread(cli.main, arguments) == 0
    printed = capsys.readouterr()
    assert "created-twice" in printed.out
    assert "known difference" in printed.out
    assert "why  no authentication" in printed.out
    assert "2 scenarios on a fake cluster" in printed.err


async def test_the_command_tells_all_that_was_seen_as_json(kubeconfig, capsys):
    arguments = ["conformance", "--kubeconfig", str(kubeconfig), "--only", "server-version", "--json"]
    assert await asyncio.to_thread(cli.main, arguments) == 0
    (outcome,) = json.loads(capsys.readouterr().out)
    assert outcome["noted"]["/healthz"] == [200, "ok"]


def test_the_command_lists_what_there_is(capsys):
    assert cli.main(["conformance", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(scenarios.chosen())


def config(server, **user):
    context = {"name": "a", "context": {"cluster": "c", "user": "u"}}
    cluster = {"name": "c", "cluster": {"server": server}}
    users = [{"name": "u", "user": user}]
    return json.dumps({"current-context": "a", "contexts": [context], "clusters": [cluster], "users": users})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "no kubeconfig with a current context"),
        ("{current-context: a, contexts: []}", "no kubeconfig with a current context"),
        (config("http://127.0.0.1:1"), "is the cluster up"),
        (config("http://127.0.0.1:1", exec={}), "a token or a certificate is needed"),
    ],
)
async def test_a_kubeconfig_that_cannot_be_used_is_told_with_what_to_do(tmp_path, content, why):
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    with pytest.raises(ConnectionTrouble, match=why):
        async with connect(path):
            pass
    assert await asyncio.to_thread(cli.main, ["conformance", "--kubeconfig", str(path)]) == 2
