"""The controller as a pod that is killed, doubled, upgraded, taken away: nothing is lost or runs twice."""

import random
from collections import defaultdict

import pytest

from controller.core.contract import Status
from e2e.installation import SECONDS, values
from e2e.runs import HOOKS, MAX_TURNS, SUBAGENT, make_run, replay
from tests.program import oracle
from tests.program.runs import used
from tests.program.test_faults import masked

SEED = 20261124
KILLS = 12
ROUND = 3
"""Runs submitted before each kill, each of another length, so that a kill finds runs in all their states."""
TOLD = (SUBAGENT, HOOKS, MAX_TURNS)
END = {SUBAGENT: "Succeeded/Completed", HOOKS: "Succeeded/Completed", MAX_TURNS: "Failed/MaxTurns"}


def ready(installation):
    """The leader, once there is one that is ready; None until then."""
    pod = installation.leader()
    return pod if pod and is_ready(pod) else None


def is_ready(pod):
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", ())}
    return conditions.get("Ready") == "True"


def names_of(pods):
    return {pod["metadata"]["name"] for pod in pods if pod}


def run(name, file, seconds):
    return make_run(name, replay(file, seconds, "exit 1" if file is MAX_TURNS else ""))


def differing(spans):
    """Spans that were sent more than once and not the same each time."""
    sent = defaultdict(set)
    for span in spans:
        sent[span.trace_id, span.span_id].add(repr(span))
    return [key for key, versions in sent.items() if len(versions) > 1]


def test_a_controller_that_is_killed_at_many_moments_comes_to_the_same_end(stage, installation, collector):
    dice = random.Random(SEED)
    told = {}
    for number in range(KILLS):
        for place in range(ROUND):
            name, file = f"k-{number}-{place}", TOLD[place % len(TOLD)]
            told[name] = file
            stage.submit(run(name, file, dice.uniform(0.02, 0.25)))
        pod = stage.until(installation.leader, 60)
        stage.until(lambda: moment(stage, told, dice), 60)
        installation.kill(pod, grace=0 if number % 2 else 30)
    stage.published(*told, seconds=150)
    for name, file in told.items():
        assert stage.standing(name) == END[file], name
        assert stage.result(name).get("usage") == used(file), name
        assert stage.said(name, Status.TRACE_ID) == stage.uid(name).replace("-", "")
        assert len(stage.pods(name)) == 1, "it ran once"
        assert len(oracle.unsuspended(stage.history(), stage.uid(name))) == 1, "it was admitted once"
    check_results(stage, told)
    assert differing(collector.spans) == []


def moment(stage, told, dice):
    """Some moment from now: after one of the next changes in the cluster."""
    return dice.random() < 0.25 and any(not stage.said(name, Status.TRACE_EXPORTED) for name in told)


def check_results(stage, told):
    """Runs of the same transcript came to the same result, whoever was killed meanwhile."""
    found = defaultdict(set)
    for name, file in told.items():
        found[file].add(repr(sorted(masked(stage.result(name)).items())))
    assert {file.name: len(kinds) for file, kinds in found.items()} == dict.fromkeys(
        (f.name for f in TOLD), 1
    )


def test_of_two_controllers_one_acts_and_the_other_takes_over(stage, installation):
    installation.scale(2)
    stage.until(lambda: len(installation.pods()) == 2 and all(map(is_ready, installation.pods())), SECONDS)
    names = [f"two-{number}" for number in range(6)]
    stage.submit(*(run(name, SUBAGENT, 0.2) for name in names))
    stage.starts(*names[:1])
    leader = stage.until(lambda: ready(installation), SECONDS)
    (standby,) = names_of(installation.pods()) - names_of([leader])
    installation.scale_down_to(standby)
    stage.until(lambda: names_of([installation.leader()]) == {standby}, 20)
    stage.published(*names, seconds=90)
    assert {stage.standing(name) for name in names} == {"Succeeded/Completed"}
    assert all(len(oracle.unsuspended(stage.history(), stage.uid(name))) == 1 for name in names)


def test_runs_that_end_while_there_is_no_controller_get_their_results_from_the_next(
    stage, installation, collector
):
    names = ["alone-1", "alone-2"]
    stage.submit(run(names[0], SUBAGENT, 0.2), run(names[1], MAX_TURNS, 0.2))
    stage.starts(*names)
    installation.uninstall()
    stage.submit(run("waiting", HOOKS, 0.02))
    stage.until(lambda: all(oracle.is_over(stage.job(name)) for name in names), 60)
    assert not stage.said("waiting")
    installation.install(values(collector.url))
    stage.published(*names, "waiting")
    assert [stage.standing(name) for name in names] == ["Succeeded/Completed", "Failed/MaxTurns"]
    assert stage.standing("waiting") == "Succeeded/Completed"


def test_an_upgrade_in_mid_run_changes_nothing_for_the_run(stage, installation, collector):
    stage.submit(run("upgraded", SUBAGENT, 0.3))
    stage.starts("upgraded")
    given = values(collector.url)
    installation.install(given | {"podAnnotations": {"e2e/upgraded": "yes"}})
    stage.published("upgraded")
    assert stage.standing("upgraded") == "Succeeded/Completed"
    assert stage.result("upgraded")["usage"] == used(SUBAGENT)
    assert all(pod["metadata"]["annotations"].get("e2e/upgraded") for pod in installation.pods())


def test_the_charts_own_test_passes(installation):
    assert "Succeeded" in installation.test()


@pytest.fixture(autouse=True)
def _one_controller(installation):
    """Each test begins with one that is ready."""
    if not installation.pods():
        pytest.fail("there is no controller; did the test before this one end it?")
