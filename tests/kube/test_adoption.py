"""Owning a run's objects, on the fake cluster: whose they have to be, and that nobody else's are touched."""

import json

import pytest
from aiohttp import web

from controller.core.actions import OwnObject
from controller.core.contract import Keys
from controller.core.snapshot import Ownership
from controller.kube import errors
from controller.kube.adoption import Adoption
from devcluster.fake.faults import Refusal
from tests.kube.doubles import status

KEYS = Keys()
PLURALS = {"Secret": "secrets", "ConfigMap": "configmaps"}
CANARY = "Y2FuYXJ5"


def job(name="run", run="r-1"):
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "claude", "image": "x"}]}}
    metadata = {"namespace": "default", "name": name, "labels": {KEYS.run_id: run}}
    return {"metadata": metadata, "spec": {"suspend": True, "template": template}}


def make(cluster, kind="Secret", name="prompt", *, run="r-1", owners=(), **fields):
    labels = {} if run is None else {KEYS.run_id: run}
    metadata = {"namespace": "default", "name": name, "labels": labels, "ownerReferences": list(owners)}
    return cluster.create(PLURALS[kind], {"metadata": metadata, "data": {"k": CANARY}, **fields})


def owner(of, **changes):
    meta = of["metadata"]
    return {
        "apiVersion": of["apiVersion"],
        "kind": of["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        **changes,
    }


@pytest.fixture
def run(cluster):
    return cluster.create("jobs", job())


@pytest.fixture
def adoption(kube):
    return Adoption(kube, KEYS)


def asking(run, kind="Secret", name="prompt"):
    meta = run["metadata"]
    return OwnObject("default", kind, name, meta["name"], meta["uid"], "r-1")


def there(cluster, kind="Secret", name="prompt"):
    return cluster.get(PLURALS[kind], "default", name)


def calls(cluster):
    return {(verb, plural): count for (verb, plural, _), count in cluster.requests.items()}


@pytest.mark.parametrize("kind", PLURALS)
async def test_an_object_of_the_run_gets_the_job_as_an_owner_and_nothing_else(cluster, adoption, run, kind):
    before = make(cluster, kind, immutable=True)
    assert (await adoption.own(asking(run, kind))).ownership is Ownership.ADOPTED
    after = there(cluster, kind)
    assert after["metadata"].pop("ownerReferences") == [owner(run, blockOwnerDeletion=False)]
    for obj in (before, after):
        del obj["metadata"]["resourceVersion"]
    assert after == before


async def test_it_stands_beside_the_other_owners(cluster, adoption, run):
    other = owner(make(cluster, "ConfigMap", "other"))
    make(cluster, owners=[other])
    assert (await adoption.own(asking(run))).ownership is Ownership.ADOPTED
    owners = there(cluster)["metadata"]["ownerReferences"]
    assert len(owners) == 2
    assert other in owners


async def test_asking_again_writes_nothing(cluster, adoption, run):
    make(cluster)
    await adoption.own(asking(run))
    before, version = calls(cluster), cluster.storage.version
    assert (await adoption.own(asking(run))).ownership is Ownership.ADOPTED
    assert cluster.storage.version == version
    assert calls(cluster)["patch", "secrets"] == before["patch", "secrets"] + 1


async def test_an_owner_that_the_host_has_set_is_left_as_it_is(cluster, adoption, run):
    make(cluster, run=None, owners=[owner(run, controller=True)])
    before = there(cluster)
    assert (await adoption.own(asking(run))).ownership is Ownership.ADOPTED
    assert there(cluster) == before


# ── Objects of others ────────────────────────────────────────────────────────────────────────────


async def test_an_object_without_the_runs_label_is_left_alone(cluster, adoption, run):
    before = make(cluster, run=None)
    found = await adoption.own(asking(run))
    assert found.ownership is Ownership.REFUSED
    assert KEYS.run_id in found.why
    assert there(cluster) == before


async def test_an_object_of_another_run_is_left_alone(cluster, adoption, run):
    before = make(cluster, run="r-2")
    found = await adoption.own(asking(run))
    assert found.ownership is Ownership.REFUSED
    assert "r-2" in found.why
    assert there(cluster) == before


async def test_an_object_that_something_controls_is_left_alone(cluster, adoption, run):
    controller = make(cluster, "ConfigMap", "operator")
    before = make(cluster, owners=[owner(controller, controller=True)])
    found = await adoption.own(asking(run))
    assert found.ownership is Ownership.REFUSED
    assert "operator" in found.why
    assert there(cluster) == before


async def test_a_run_without_a_label_owns_nothing(cluster, adoption, run):
    before = make(cluster, run="")
    asked = OwnObject("default", "Secret", "prompt", "run", run["metadata"]["uid"], "")
    assert (await adoption.own(asked)).ownership is Ownership.REFUSED
    assert there(cluster) == before


def between(kube, verb, happens):
    """Something happens just before the first call of that verb."""
    asked, left = getattr(kube, verb), [happens]

    async def call(*arguments, **options):
        if left:
            left.pop()()
        return await asked(*arguments, **options)

    setattr(kube, verb, call)


async def test_an_object_that_changes_between_look_and_write_is_not_owned(cluster, kube, adoption, run):
    make(cluster)
    theirs = {"metadata": {"labels": {KEYS.run_id: "r-2"}}}
    between(kube, "get", lambda: cluster.patch("secrets", "default", "prompt", theirs))
    with pytest.raises(errors.Conflict):
        await adoption.own(asking(run))
    assert "ownerReferences" not in there(cluster)["metadata"]
    assert (await adoption.own(asking(run))).ownership is Ownership.REFUSED


async def test_an_object_that_was_made_anew_between_look_and_write_is_not_owned(cluster, kube, adoption, run):
    make(cluster)

    def renewed():
        cluster.delete("secrets", "default", "prompt")
        make(cluster, run="r-2")

    between(kube, "get", renewed)
    with pytest.raises(errors.Conflict):
        await adoption.own(asking(run))
    assert "ownerReferences" not in there(cluster)["metadata"]


# ── The Job ──────────────────────────────────────────────────────────────────────────────────────


def deleted(cluster):
    cluster.delete("jobs", "default", "run")


def name_used_again(cluster):
    cluster.delete("jobs", "default", "run")
    cluster.create("jobs", job())


def held_by_a_finalizer(cluster):
    cluster.patch("jobs", "default", "run", {"metadata": {"finalizers": ["example.com/hold"]}})
    cluster.delete("jobs", "default", "run")


@pytest.mark.parametrize("happens", [deleted, name_used_again, held_by_a_finalizer])
async def test_no_uid_is_written_of_a_job_that_is_not_certain_to_be_there(cluster, adoption, run, happens):
    make(cluster)
    happens(cluster)
    with pytest.raises(errors.Conflict):
        await adoption.own(asking(run))
    assert "ownerReferences" not in there(cluster)["metadata"]


async def test_a_job_that_a_later_run_continues_on_owns_what_is_its_first_ones(cluster, adoption, run):
    make(cluster)
    cluster.patch("jobs", "default", "run", {"metadata": {"labels": {KEYS.run_id: "r-2"}}})
    assert (await adoption.own(asking(run))).ownership is Ownership.ADOPTED


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────


async def test_an_object_that_is_not_there_is_missing(cluster, adoption, run):
    assert (await adoption.own(asking(run))).ownership is Ownership.MISSING


async def test_an_object_that_is_going_is_missing(cluster, adoption, run):
    make(cluster)
    cluster.patch("secrets", "default", "prompt", {"metadata": {"finalizers": ["example.com/hold"]}})
    cluster.delete("secrets", "default", "prompt")
    assert (await adoption.own(asking(run))).ownership is Ownership.MISSING


async def test_an_object_that_we_may_not_touch_is_forbidden(cluster, adoption, run):
    make(cluster)
    cluster.faults.refusals = [Refusal(403, verbs=("patch",), resources=("secrets",))]
    found = await adoption.own(asking(run))
    assert found.ownership is Ownership.FORBIDDEN
    assert found.why


@pytest.mark.parametrize(
    ("code", "want"), [(422, errors.Refused), (500, errors.Unavailable), (429, errors.Throttled)]
)
async def test_other_failures_are_no_answers(cluster, adoption, run, code, want):
    make(cluster)
    cluster.faults.refusals = [Refusal(code, resources=("secrets",))]
    with pytest.raises(want):
        await adoption.own(asking(run))


async def test_that_the_job_may_not_be_read_says_nothing_of_the_object(cluster, adoption, run):
    make(cluster)
    cluster.faults.refusals = [Refusal(403, verbs=("get",), resources=("jobs",))]
    with pytest.raises(errors.Conflict):
        await adoption.own(asking(run))


async def test_a_lost_answer_is_made_up_for(cluster, adoption, run):
    make(cluster)
    cluster.faults.lost_answers = 2
    for _ in range(2):
        with pytest.raises(errors.Unavailable):
            await adoption.own(asking(run))
    assert (await adoption.own(asking(run))).ownership is Ownership.ADOPTED
    assert len(there(cluster)["metadata"]["ownerReferences"]) == 1


# ── What comes over the wire ─────────────────────────────────────────────────────────────────────


async def test_nothing_that_is_in_a_secret_comes_into_this_process(cluster, kube, adoption, run, monkeypatch):
    make(cluster)
    bodies, asked = [], kube._call

    async def call(request, resource):
        bodies.append(await asked(request, resource))
        return bodies[-1]

    monkeypatch.setattr(kube, "_call", call)
    await adoption.own(asking(run))
    assert len(bodies) == 3
    assert not any(CANARY.encode() in body for body in bodies)


@pytest.mark.parametrize(
    "body", [{"kind": "Secret", "metadata": {}}, [], "<html>"], ids=["whole", "list", "text"]
)
async def test_an_answer_that_is_not_metadata_only_is_not_believed(script, body):
    async def answer(request):
        assert request.headers["Accept"] == "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        return web.Response(text=body if isinstance(body, str) else json.dumps(body))

    script.answer = answer
    async with script.kube() as kube:
        with pytest.raises(errors.Unavailable):
            await Adoption(kube, KEYS).own(OwnObject("ns", "Secret", "x", "run", "uid", "r-1"))


async def test_an_owner_that_was_not_kept_is_told(script):
    labels = {KEYS.run_id: "r-1"}

    async def answer(request):
        if request.method == "GET":
            return web.json_response({"metadata": {"uid": "uid", "labels": labels}})
        return web.json_response({"kind": "PartialObjectMetadata", "metadata": {"labels": labels}})

    script.answer = answer
    async with script.kube() as kube:
        with pytest.raises(errors.Unavailable):
            await Adoption(kube, KEYS).own(OwnObject("ns", "Secret", "x", "run", "uid", "r-1"))


async def test_a_server_that_can_not_do_it_is_no_answer(script):
    async def answer(_request):
        return web.json_response(status(406, "NotAcceptable"), status=406)

    script.answer = answer
    async with script.kube() as kube:
        with pytest.raises(errors.Refused):
            await Adoption(kube, KEYS).own(OwnObject("ns", "ConfigMap", "x", "run", "uid", "r-1"))
