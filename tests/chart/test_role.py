"""The role is what the controller needs: compared with every request that arrives while it works."""

import contextlib
import json
import re
from dataclasses import dataclass

import pytest
import pytest_asyncio

from controller.kube import api
from devcluster.fake import requests
from tests.chart import rendering
from tests.program.runs import HOOKS, KEYS, NAMESPACE, SUBAGENT, make_run, replay
from tests.program.stage import LEASE, stage

pytestmark = [pytest.mark.chart, pytest.mark.asyncio(loop_scope="module")]

POLICY = ("report", f"status.{KEYS.domain}", "runs")
"""No object: how the admission policies know the controller."""
OWN_SECRETS = ("patch", "", "secrets")
UNTOLD = {KEYS.status("phase"): None, KEYS.status("reason"): None}
METHODS = {
    "page": "list",
    "watch": "watch",
    "get": "get",
    "patch": "patch",
    "patch_metadata": "patch",
    "create": "create",
    "replace": "update",
}
"""The methods of `Kube` that take a resource, and their verbs."""
WATCHED = (api.JOBS, api.PODS)
"""What an informer's `_resource` may be."""
OWNED = (api.SECRETS, api.CONFIG_MAPS)
"""What an adoption's `resource` may be."""


VARIABLES = {"self._resource": WATCHED, "resource": OWNED}


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str

    @property
    def right(self):
        return self.verb, self.group, self.resource


@contextlib.contextmanager
def arrivals():
    """Every request that reaches the fake API server, as its own parser understands it."""
    arrived, understood = set(), requests.verb_of

    def verb_of(request, where):
        verb = understood(request, where)
        arrived.add(Asked(verb, where.resource.group, where.kind, where.namespace or "", where.name))
        return verb

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(requests, "verb_of", verb_of)
        yield arrived


def owning(world):
    """A run with objects of its own, whose pod lacks its labels."""
    for plural, name in (("secrets", "owning-key"), ("configmaps", "owning-files")):
        labels = {KEYS.run_id: "r-owning"}
        world.cluster.create(plural, {"metadata": {"namespace": NAMESPACE, "name": name, "labels": labels}})
    sources = [{"secretRef": {"name": "owning-key"}}, {"configMapRef": {"name": "owning-files"}}]
    job = make_run("owning", replay(SUBAGENT, 0.4), agent="d", suspend=False, container={"envFrom": sources})
    job["spec"]["template"]["metadata"] = {}
    yield job


def wordy():
    """A run whose result is too big for an annotation."""
    said = {"type": "result", "subtype": "success", "is_error": False, "result": "x" * 20_000}
    yield make_run("wordy", f"echo '{json.dumps(said)}'", agent="w")


async def play(folder, **settings):
    """Two controllers' lives: runs, some that wait, one that is told again, one that continues on another,
    one that says too much for an annotation, a deletion, a stop.
    """
    with arrivals() as arrived:
        async with stage(folder) as world:
            controller = await world.lead(**settings)
            world.submit(make_run("long", replay(HOOKS, 2), agent="c"), make_run("waits", agent="c"))
            await world.until(lambda: [reason for reason, _ in world.events("waits")] == ["Queued"])
            assert await controller.stop() == 0
            world.cluster.patch("jobs", NAMESPACE, "waits", {"metadata": {"annotations": UNTOLD}})
            controller = await world.lead(**settings)
            world.submit(make_run("first", replay(HOOKS, 0.05)), make_run("second", replay(HOOKS)))
            world.submit(
                make_run("deleted", replay(HOOKS, 0.2), agent="b"), make_run("behind", "true", agent="b")
            )
            world.submit(*owning(world), *wordy())
            await continued(world)
            await world.started("deleted")
            world.cluster.delete("jobs", NAMESPACE, "deleted")
            await world.published("first", "second", "behind", "owning", "long", "waits", "again", "wordy")
            assert await controller.stop() == 0
    return arrived


async def continued(world):
    """A run whose host has lost sight of it, and submits it again."""
    task = {KEYS.task_id: "t-1"}
    world.submit(make_run("lost", replay(HOOKS, 1), agent="e", labels=task))
    await world.later_than_start_of("lost")
    world.submit(make_run("again", agent="e", labels=task, notes={KEYS.reattach: "true"}))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asked(tmp_path_factory):
    return await play(tmp_path_factory.mktemp("everywhere"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asked_there(tmp_path_factory):
    return await play(tmp_path_factory.mktemp("there"), RUNHERD_WATCH_NAMESPACES=NAMESPACE)


def is_lease(one):
    return one.resource == "leases"


def granted(role):
    """(verb, group, resource) of all rules; a name narrows them elsewhere."""
    return {
        (verb, group, resource)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def for_lease(given=""):
    return next(o for o in rendering.of_kind("Role", given) if o["metadata"]["name"].endswith("-lease"))


async def test_the_cluster_role_is_exactly_what_was_asked_for(asked, checked):
    used = {one.right for one in asked if not is_lease(one)}
    assert granted(rendering.only("ClusterRole")) - {POLICY} == used
    checked("rights", used=len(used), only_for_the_policy=1)


async def test_the_role_of_a_namespace_is_exactly_what_was_asked_for_there(asked_there):
    (role,) = [
        o
        for o in rendering.of_kind("Role", {"watchNamespaces": [NAMESPACE]})
        if o["metadata"]["namespace"] == NAMESPACE
    ]
    assert granted(role) - {POLICY} == {one.right for one in asked_there if not is_lease(one)}


async def test_with_namespaces_to_watch_nothing_is_asked_of_the_whole_cluster(asked_there):
    assert {one.namespace for one in asked_there} == {NAMESPACE}
    assert rendering.of_kind("ClusterRole", {"watchNamespaces": [NAMESPACE]}) == []


async def test_the_lease_is_asked_for_by_the_name_that_is_granted(asked):
    by_name = {(one.verb, one.name) for one in asked if is_lease(one)}
    rules = for_lease({"config": {"leaseName": LEASE}})["rules"]
    allowed = {
        (verb, name) for rule in rules for verb in rule["verbs"] for name in rule.get("resourceNames", [""])
    }
    assert by_name == allowed == {("get", LEASE), ("update", LEASE), ("create", "")}
    assert {one.namespace for one in asked if is_lease(one)} == {NAMESPACE}


async def test_every_call_that_the_code_can_make_was_made(asked):
    """Else a right could be missing that this play did not need."""
    made = {one.right for one in asked}
    assert calls_in_the_code() - made == set()
    assert calls_in_the_code()


def calls_in_the_code():
    """The right that each call of `Kube` needs; but the command line has the rights of who types."""
    own = rendering.ROOT / "controller"
    sources = [path.read_text() for path in sorted(own.rglob("*.py")) if own / "cli" not in path.parents]
    calls = [call for source in sources for call in re.findall(r"self\._kube\.(\w+)\(\s*([\w.*]+)", source)]
    return {right for method, first in calls for right in rights_of(method, first)}


def rights_of(method, first):
    if method == "log":
        return {("get", "", "pods/log")}
    resources = [vars(api)[first]] if first in vars(api) else VARIABLES[first]
    return {(METHODS[method], group_of(resource), resource.plural) for resource in resources}


def group_of(resource):
    return resource.group_version.rpartition("/")[0] if "/" in resource.group_version else ""


async def test_secrets_are_a_choice():
    with_secrets, without = (
        granted(rendering.only("ClusterRole", {"ownSecrets": chosen})) for chosen in (True, False)
    )
    assert with_secrets - without == {OWN_SECRETS}


@pytest.mark.parametrize("path", rendering.CASES, ids=rendering.case)
async def test_no_role_has_a_wildcard_or_deletes(path):
    for kind in ("ClusterRole", "Role"):
        for role in rendering.of_kind(kind, path.read_text()):
            words = {word for right in granted(role) for word in right}
            assert not words & {
                "*",
                "delete",
                "deletecollection",
                "pods/exec",
                "escalate",
                "impersonate",
                "bind",
            }
