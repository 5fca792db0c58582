"""Bad input: each gets a reason and an Event or a metric, never a crash, never a blocked queue."""

import json

import pytest
import pytest_asyncio

from controller.core.contract import Phase, Status
from tests.program.runs import API_RETRY, KEYS, NAMESPACE, make_run, replay
from tests.program.stage import stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEEP = "[" * 20_000
NOT_OURS = {
    KEYS.status(Status.PHASE): "Flying",
    KEYS.status(Status.FACTS): DEEP,
    KEYS.status(Status.STOP): "at once",
    KEYS.status(Status.OBSERVED_AT): "yesterday",
    KEYS.status(Status.PROGRESS): "{",
}
OF_THE_HOST = {
    KEYS.on_conflict: "perhaps",
    KEYS.traceparent: "00-zz",
    KEYS.reattach: "maybe",
    KEYS.agent_container: "nobody",
    KEYS.output: "interpretive-dance",
    KEYS.retain: "for ever",
}
LONG_LINE = "head -c 5000000 /dev/zero | tr '\\0' x; echo;"
NOT_UTF8 = "printf '\\377\\376\\200 {\\n\\360\\237\\n';"
DEEP_LINE = "head -c 200000 /dev/zero | tr '\\0' '['; echo;"
GOOD = ["good-1", "good-2", "good-3"]
ENDED = {
    "odd-ids": "Succeeded/Completed",
    "odd-status": "Succeeded/Completed",
    "odd-wishes": "Succeeded/Completed",
    "no-json": "Failed/NoResult",
    "no-json-failed": "Failed/ContainerError",
    "long-line": "Succeeded/Completed",
    "not-utf8": "Succeeded/Completed",
    "deep-line": "Succeeded/Completed",
} | dict.fromkeys(GOOD, "Succeeded/Completed")
REJECTED = {
    "without-run": {KEYS.run_id: None},
    "without-adapter": {KEYS.adapter_type: None},
    "empty-agent": {KEYS.agent_id: ""},
}


def bad_runs():
    fine = replay(API_RETRY)
    odd_ids = {KEYS.run_id: "quite another", KEYS.task_id: "x" * 300, KEYS.agent_id: "?!"}
    return [
        *(make_run(name, fine, labels=labels, agent="a-bad") for name, labels in REJECTED.items()),
        make_run("two-pods", fine, agent="a-two", parallelism=2, completions=2),
        make_run("odd-ids", fine, agent="a-odd-ids", notes=odd_ids),
        make_run("odd-status", fine, agent="a-odd-status", notes=NOT_OURS),
        make_run("odd-wishes", fine, agent="a-odd-wishes", notes=OF_THE_HOST),
        make_run("no-json", "echo 'Traceback'; echo '{'; echo 7", agent="a-no-json"),
        make_run("no-json-failed", "echo 'Traceback'; exit 2", agent="a-no-json-failed"),
        make_run("long-line", LONG_LINE + fine, agent="a-long"),
        make_run("not-utf8", NOT_UTF8 + fine, agent="a-not-utf8"),
        make_run("deep-line", DEEP_LINE + fine, agent="a-deep"),
        make_run("deleted", "exec sleep 60", agent="a-deleted"),
        make_run("deleted-next", fine, agent="a-deleted"),
        make_run("behind-a-stray", fine, agent="a-stray"),
        *(make_run(name, fine, agent=f"a-{name}") for name in GOOD),
    ]


def stray():
    """A pod of a Job that nobody knows."""
    labels = make_run("stray", agent="a-stray")["metadata"]["labels"]
    labels["batch.kubernetes.io/controller-uid"] = "00000000-0000-4000-8000-000000000000"
    container = {"name": "claude", "image": "busybox:1.36", "command": ["sh", "-c", "sleep 600"]}
    metadata = {"name": "stray", "namespace": NAMESPACE, "labels": labels}
    return {"metadata": metadata, "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(tmp_path_factory):
    async with stage(tmp_path_factory.mktemp("bad-input")) as world:
        world.cluster.create("pods", stray())
        await world.lead()
        world.submit(*bad_runs())
        await world.started("deleted")
        world.cluster.delete("jobs", NAMESPACE, "deleted")
        await world.published(*ENDED, "deleted-next")
        await world.over(*REJECTED, "two-pods")
        yield world


@pytest.mark.parametrize("name", ENDED)
async def test_a_run_with_odd_input_ends_as_its_agent_did(played, name):
    assert played.standing(name) == ENDED[name]


@pytest.mark.parametrize("name", [*REJECTED, "two-pods"])
async def test_a_job_that_is_no_run_is_rejected_and_told(played, name):
    assert played.standing(name) == "Rejected/InvalidRun"
    assert played.result(name)["errorMessage"]
    assert "Rejected" in {reason for reason, _ in played.events(name)}
    spec = played.job(name)["spec"]
    assert (spec["suspend"], spec["parallelism"]) == (True, 0)


@pytest.mark.parametrize("name", ["odd-ids", "odd-wishes"])
async def test_what_is_odd_is_told_in_an_event(played, name):
    assert "OddInput" in {reason for reason, _ in played.events(name)}


async def test_what_is_odd_is_counted(played):
    measured = await played.controllers[0].measures('runherd_decisions_total{decision="admit"}')
    wheres = [key for key, value in measured.items() if "odd_input_total" in key and value]
    for key in (*OF_THE_HOST, KEYS.run_id):
        if key not in (KEYS.agent_container, KEYS.output, KEYS.retain, KEYS.reattach):
            assert any(key in where for where in wheres), key


async def test_an_id_that_does_not_fit_its_label_is_not_believed(played):
    assert played.result("odd-ids")["runId"] == "r-odd-ids"


async def test_the_lines_around_bad_ones_are_read(played):
    for name in ("long-line", "not-utf8", "deep-line"):
        result = played.result(name)
        assert (result["log"]["state"], result["numTurns"]) == ("complete", 1)


async def test_a_job_deleted_while_it_ran_is_counted_and_frees_its_place(played):
    measured = await played.controllers[0].measures('runherd_decisions_total{decision="admit"}')
    assert [value for key, value in measured.items() if "JobDeleted" in key and value]
    assert played.standing("deleted-next") == "Succeeded/Completed"


async def test_a_pod_without_a_job_holds_its_agents_place_and_is_counted(played):
    assert played.standing("behind-a-stray") == "Queued/AgentBusy"
    assert await played.controllers[0].measures("runherd_stray_pods", lambda strays: strays == 1)
    played.cluster.delete("pods", NAMESPACE, "stray")
    await played.published("behind-a-stray")


async def test_every_result_is_json(played):
    for name in ENDED:
        assert json.loads(played.said(name, Status.RESULT))["phase"] in set(Phase)


async def test_every_write_was_as_it_must_be(played):
    played.check()
