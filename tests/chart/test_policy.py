"""The admission policies say what contract §7 says, about the keys and the account of this very release.

Whether the API server does what they say is tried in `e2e/test_policy.py`.
"""

import json
import re

import pytest

from controller.core.contract import Keys
from tests.chart import rendering

pytestmark = pytest.mark.chart

POLICY = "ValidatingAdmissionPolicy"
BINDING = "ValidatingAdmissionPolicyBinding"
SECRETS = {"ownSecrets": True}
OWNED = {
    "secrets": ("data", "stringData", "type", "immutable"),
    "configmaps": ("data", "binaryData", "immutable"),
}
"""What an object of each kind consists of besides metadata."""
KEYS = Keys()
IDS = {KEYS.agent_id, KEYS.run_id, KEYS.adapter_type, KEYS.company_id, KEYS.task_id, KEYS.session_id}
ASKED = re.compile(
    r'group\("(.+?)"\)\.resource\("(.+?)"\)\s*\.namespace\(request\.namespace\)\.check\("(.+?)"\)'
)
WRONG = {
    "no account of the Job controller": ({"jobControllers": []}, "policy/jobControllers"),
    "a pattern where an account is meant": ({"admitters": ["system:*"]}, "policy/admitters"),
    "an account twice": ({"admitters": ["a", "a"]}, "policy/admitters"),
    "an account of no name": ({"admitters": [""]}, "policy/admitters"),
    "a typo": ({"requireSuspended": True}, "requireSuspended"),
}


def policy(guarded="jobs", **values):
    """The policy for Jobs, Secrets or ConfigMaps."""
    found = rendering.of_kind(POLICY, values | SECRETS)
    (one,) = [each for each in found if each["metadata"]["name"].endswith(f"-{guarded}")]
    return one["spec"]


def binding(guarded="jobs", **values):
    found = rendering.of_kind(BINDING, values)
    (one,) = [each for each in found if each["metadata"]["name"].endswith(f"-{guarded}")]
    return one["spec"]


def variable(name, **values):
    (found,) = [each["expression"] for each in policy(**values)["variables"] if each["name"] == name]
    return found


def test_runs_are_guarded_unless_it_is_switched_off():
    names = {found["metadata"]["name"] for found in rendering.of_kind(POLICY)}
    assert "runherd-system-herd-runherd-jobs" in names
    assert rendering.of_kind(POLICY, {"policy": {"enabled": False}}) == []
    assert rendering.of_kind(BINDING, {"policy": {"enabled": False}}) == []


def test_there_is_a_policy_for_each_kind_that_the_account_may_patch():
    guarded = [found["metadata"]["name"].rpartition("-")[2] for found in rendering.of_kind(POLICY, SECRETS)]
    assert sorted(guarded) == ["configmaps", "jobs", "secrets"]
    without = rendering.of_kind(POLICY, {"ownSecrets": False})
    assert sorted(found["metadata"]["name"].rpartition("-")[2] for found in without) == ["configmaps", "jobs"]


@pytest.mark.parametrize("guarded", OWNED)
def test_the_account_is_held_to_owner_references_of_what_it_may_patch(guarded):
    (condition,) = policy(guarded)["matchConditions"]
    account = f"system:serviceaccount:{rendering.NAMESPACE}:{rendering.NAME}"
    assert condition["expression"] == f"request.userInfo.username == {json.dumps(account)}"
    named = policy(guarded, serviceAccount={"create": False, "name": "mine"})
    assert ":mine" in named["matchConditions"][0]["expression"]
    (rule,) = policy(guarded)["matchConstraints"]["resourceRules"]
    assert (rule["resources"], "UPDATE" in rule["operations"]) == ([guarded], True)


@pytest.mark.parametrize(("guarded", "content"), OWNED.items())
def test_all_that_is_in_it_is_guarded(guarded, content):
    first = policy(guarded)["validations"][0]["expression"]
    fixed = re.findall(r"object\.(\S+) == oldObject\.(\S+)", first)
    assert all(new == old for new, old in fixed)
    named = {new.replace("?", "").removeprefix("metadata.") for new, _ in fixed}
    assert named == {*content, "labels", "annotations", "finalizers"}


def test_each_policy_has_a_binding_that_denies():
    policies = rendering.of_kind(POLICY, SECRETS)
    bindings = rendering.of_kind(BINDING, SECRETS)
    assert [each["spec"]["policyName"] for each in bindings] == [
        each["metadata"]["name"] for each in policies
    ]
    assert {each["spec"]["failurePolicy"] for each in policies} == {"Fail"}
    assert all(each["spec"]["validationActions"] == ["Deny"] for each in bindings)


def test_only_the_namespaces_that_are_watched_are_guarded():
    assert "matchResources" not in binding()
    selector = binding(watchNamespaces=["a", "b"])["matchResources"]
    (expression,) = selector["namespaceSelector"]["matchExpressions"]
    assert expression == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a", "b"]}


def test_a_run_is_known_by_the_label_that_the_controller_knows_it_by():
    (expression,) = policy()["matchConstraints"]["objectSelector"]["matchExpressions"]
    assert expression == {"key": KEYS.agent_id, "operator": "Exists"}


def test_the_controller_is_known_by_what_its_role_grants_it():
    ((group, resource, verb),) = ASKED.findall(policy()["matchConditions"][0]["expression"])
    rules = rendering.only("ClusterRole")["rules"]
    assert {"apiGroups": [group], "resources": [resource], "verbs": [verb]} in rules
    assert group == KEYS.status_prefix.removesuffix("/")


def test_the_ids_of_the_contract_are_fixed():
    assert set(json.loads(variable("identity"))) == IDS
    relabelled = set(json.loads(variable("identity", policy={"allowRunIdRelabel": True})))
    assert IDS - relabelled == {KEYS.run_id, KEYS.session_id}


def test_the_keys_are_those_of_the_label_domain():
    text = json.dumps(policy(config={"labelDomain": "agents.example.org"}))
    assert "status.agents.example.org/" in text
    assert KEYS.domain not in text


def test_runs_have_to_wait_only_where_that_is_asked_for():
    strict = policy(policy={"requireSuspend": True})["validations"]
    more = [each for each in strict if each not in policy()["validations"]]
    assert [each["reason"] for each in more] == ["Invalid"]
    assert "policy.requireSuspend" in more[0]["message"]


@pytest.mark.parametrize("name", ["oidc:o'neill", 'a"b', "back\\slash", "<a&b>", "größe"])
def test_the_name_of_an_account_is_text_whatever_it_consists_of(name):
    written = variable("admitter", policy={"admitters": [name]}).removeprefix("request.userInfo.username in ")
    assert json.loads(written) == [name]


@pytest.mark.parametrize("guarded", ["jobs", *OWNED])
def test_who_is_refused_reads_where_and_why_on_one_line(guarded):
    for validation in policy(guarded, policy={"requireSuspend": True})["validations"]:
        assert validation["reason"] in ("Forbidden", "Invalid")
        assert len(validation["message"]) > 40
        assert "\n" not in validation["message"] + validation.get("messageExpression", "")


@pytest.mark.parametrize(("given", "named"), WRONG.values(), ids=WRONG)
def test_a_wrong_value_is_refused(given, named):
    assert named in rendering.refusal({"policy": given})
