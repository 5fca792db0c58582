"""A run's Secrets and ConfigMaps, and the labels of its pods, through the whole program."""

import asyncio

import pytest
import pytest_asyncio

from controller.core.contract import Status
from devcluster.fake import Refusal
from tests.program.runs import HOOKS, KEYS, NAMESPACE, SUBAGENT, make_run, replay
from tests.program.stage import stage

CANARY = "canary-in-a-secret"
WORKS = replay(HOOKS)


def using(name, **changes):
    """A run whose agent has its variables from the Secret that is named after it."""
    source = {"envFrom": [{"secretRef": {"name": f"{name}-key"}}]}
    return make_run(name, WORKS, agent=f"a-{name}", container=source, **changes)


def secret(name, run, **metadata):
    labels = {"labels": {KEYS.run_id: f"r-{run}"}} if run else {}
    return {
        "metadata": {"namespace": NAMESPACE, "name": name, **labels, **metadata},
        "stringData": {"KEY": CANARY},
    }


def naming(name, owned, **changes):
    """A run that says itself which objects are its own."""
    return make_run(name, WORKS, agent=f"a-{name}", notes={KEYS.owned: owned}, **changes)


def owners(world, plural, name):
    """Names of the owners of an object, None if it is not there."""
    found = world.cluster.get(plural, NAMESPACE, name)
    return None if found is None else [o["name"] for o in found["metadata"].get("ownerReferences", [])]


def reasons(world, name):
    return {reason for reason, _ in world.events(name)}


def asked(world, plural="secrets"):
    return sum(
        count
        for (verb, kind, _), count in world.cluster.requests.items()
        if (verb, kind) == ("patch", plural)
    )


async def test_an_object_that_comes_a_second_after_its_job_is_waited_for_and_goes_with_it(world):
    await world.lead()
    world.submit(using("late"))
    await asyncio.sleep(1.2)  # the host takes its time
    assert world.job("late")["spec"]["suspend"]
    world.cluster.create("secrets", secret("late-key", "late"))
    await world.published("late")
    assert world.standing("late") == "Succeeded/Completed"
    assert owners(world, "secrets", "late-key") == ["late"]
    world.cluster.delete("jobs", NAMESPACE, "late")
    await world.until(lambda: owners(world, "secrets", "late-key") is None)
    world.check()


async def test_a_run_whose_object_never_comes_is_rejected(world):
    await world.lead(RUNHERD_START_TIMEOUT_SECONDS="9")
    world.submit(using("alone"), make_run("behind", WORKS, agent="a-alone"))
    await world.until(lambda: world.standing("alone") == "Queued/ObjectMissing")
    assert "secret/alone-key" in world.said("alone", Status.MESSAGE)
    await world.published("behind")
    await world.over("alone")
    assert world.standing("alone") == "Rejected/ObjectMissing"
    result = world.result("alone")
    assert result["errorCode"] == "adapter_failed"
    assert "secret/alone-key" in result["errorMessage"]
    spec = world.job("alone")["spec"]
    assert (spec["suspend"], spec["parallelism"]) == (True, 0)
    world.check()


async def test_without_rights_to_secrets_runs_go_on_and_one_event_says_so(world):
    world.cluster.faults.refusals = [Refusal(403, verbs=("patch",), resources=("secrets",))]
    controller = await world.lead()
    world.cluster.create("secrets", secret("barred-key", "barred"))
    world.submit(using("barred"))
    await world.published("barred")
    assert world.standing("barred") == "Succeeded/Completed"
    assert [reason for reason, _ in world.events("barred")].count("OwnedRefused") == 1
    assert owners(world, "secrets", "barred-key") == []
    assert asked(world) == 1
    assert (await controller.metrics())['runherd_owned_objects_total{answer="forbidden"}'] == 1


async def test_switched_off_secrets_are_not_looked_at_and_config_maps_are(world):
    await world.lead(RUNHERD_OWN_SECRETS="false")
    files = {"metadata": {"namespace": NAMESPACE, "name": "files", "labels": {KEYS.run_id: "r-off"}}}
    world.cluster.create("configmaps", files)
    world.submit(naming("off", "secret/none,configmap/files"))
    await world.published("off")
    assert asked(world) == 0
    assert owners(world, "configmaps", "files") == ["off"]
    world.check()


async def test_what_was_not_owned_before_a_restart_is_owned_after_it(world):
    first = await world.lead()
    world.cluster.faults.refusals = [Refusal(500, verbs=("patch",), resources=("secrets",))]
    world.cluster.create("secrets", secret("again-key", "again"))
    world.submit(using("again"))
    await world.until(lambda: world.standing("again") == "Queued/ObjectMissing")
    assert await first.stop() == 0
    world.cluster.faults.clear()
    await world.lead()
    await world.published("again")
    assert owners(world, "secrets", "again-key") == ["again"]
    world.check()


# ── Objects of others ────────────────────────────────────────────────────────────────────────────

THEIRS = {
    "unlabelled": secret("unlabelled", None),
    "of-another-run": secret("of-another-run", "victim"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(tmp_path_factory):
    """Runs that name somebody else's objects as their own; then all their Jobs are deleted."""
    async with stage(tmp_path_factory.mktemp("owned")) as world:
        await world.lead()
        for manifest in THEIRS.values():
            world.cluster.create("secrets", manifest)
        operator = world.cluster.create(
            "configmaps", {"metadata": {"namespace": NAMESPACE, "name": "operator"}}
        )
        controller = {"apiVersion": "v1", "kind": "ConfigMap", "name": "operator", "controller": True}
        controller["uid"] = operator["metadata"]["uid"]
        world.cluster.create("secrets", secret("controlled", "thief-2", ownerReferences=[controller]))
        world.submit(
            naming("thief-0", "secret/unlabelled,pod/thief,secret/Not_A_Name"),
            naming("thief-1", "secret/of-another-run"),
            naming("thief-2", "secret/controlled"),
            naming("thief-3", "secret/unlabelled", suspend=False),
        )
        await world.published(*(f"thief-{n}" for n in range(4)))
        yield world


NAMED = {0: "unlabelled", 1: "of-another-run", 2: "controlled", 3: "unlabelled"}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("number", "name"), NAMED.items(), ids=NAMED.values())
async def test_nobody_can_have_somebody_elses_object_removed(played, number, name):
    thief = f"thief-{number}"
    assert played.standing(thief) == "Succeeded/Completed", "that it is left alone holds nothing back"
    (note,) = [note for reason, note in played.events(thief) if reason == "OwnedRefused"]
    assert f"secret/{name}" in note
    played.cluster.delete("jobs", NAMESPACE, thief)
    await played.until(lambda: not played.job(thief))
    assert thief not in owners(played, "secrets", name)


@pytest.mark.asyncio(loop_scope="module")
async def test_odd_names_of_objects_are_told(played):
    notes = [note for reason, note in played.events("thief-0") if reason == "OddInput"]
    for entry in ("pod/thief", "secret/Not_A_Name"):
        assert [note for note in notes if entry in note], entry


@pytest.mark.asyncio(loop_scope="module")
async def test_nothing_that_is_in_a_secret_is_said_anywhere(played):
    said = [line for controller in played.controllers for line in controller._lines()]
    assert said
    assert not [line for line in said if CANARY in line]
    for plural in ("jobs", "events", "pods"):
        assert CANARY not in str([each["metadata"] for each in played.cluster.list(plural)])
    assert CANARY not in str(played.cluster.list("events"))
    played.check()


# ── Labels ───────────────────────────────────────────────────────────────────────────────────────


def without_labels(name, **changes):
    """A run whose pod template says nothing of whose it is, or something wrong."""
    job = make_run(name, replay(SUBAGENT, 0.4), agent=f"a-{name}", **changes)
    job["spec"]["template"]["metadata"] = {"labels": {}}
    return job


def labels(world, name):
    (pod,) = world.pods(name)
    return {
        key: value for key, value in pod["metadata"]["labels"].items() if key.startswith(KEYS.host_prefix)
    }


async def test_every_pod_of_a_run_carries_its_labels(world):
    await world.lead()
    wrong = without_labels("wrong")
    wrong["spec"]["template"]["metadata"]["labels"] = {KEYS.agent_id: "a-somebody-else"}
    world.submit(without_labels("held"), without_labels("running", suspend=False), wrong)
    for name in ("held", "running", "wrong"):
        want = {KEYS.agent_id: f"a-{name}", KEYS.run_id: f"r-{name}", KEYS.adapter_type: "claude_k8s"}
        want |= {KEYS.task_id: "t-1"}
        await world.until(lambda name=name, want=want: world.pods(name) and labels(world, name) == want)
    await world.started("running")
    await world.published("held", "running", "wrong")
    for name in ("held", "running", "wrong"):
        assert world.standing(name) == "Succeeded/Completed"
    world.check()


async def test_pods_that_may_not_be_labelled_hold_up_nothing(world):
    world.cluster.faults.refusals = [Refusal(403, verbs=("patch",), resources=("pods",))]
    await world.lead()
    world.submit(without_labels("running", suspend=False))
    await world.published("running", seconds=120)
    assert world.standing("running") == "Succeeded/Completed"
    assert asked(world, "pods") <= 3
