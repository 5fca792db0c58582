"""What a tenant with every right on Jobs can't do to a run, and what it still can (contract §7)."""

import copy
import json
import subprocess

import pytest

from devcluster import programs
from e2e.apiserver import MERGE, Refused, path
from e2e.policy_stage import BY_POLICY, IDS, PolicyStage

JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
TARGET = "target"

# Bodies say DOMAIN where the stage's own is meant.


def notes(**said):
    return {"metadata": {"annotations": {f"status.DOMAIN/{name}": value for name, value in said.items()}}}


def label(name, value):
    return {"metadata": {"labels": {f"DOMAIN/{name}": value}}}


def raw_id(name, value):
    return {"metadata": {"annotations": {f"DOMAIN/{name}": value}}}


def pod_label(name, value):
    return {"spec": {"template": label(name, value)}}


def removal(where):
    return [{"op": "remove", "path": where}]


ONLY_THE_CONTROLLER = "only the controller writes status."
FIXED = "the ids of a run are fixed when its Job is created"
WAITS = "only the controller starts a run that waits"
FORGERIES = {
    "a phase": (MERGE, notes(phase="Succeeded"), "status.DOMAIN/phase"),
    "a result": (STRATEGIC, notes(result='{"exitCode":0}'), "status.DOMAIN/result"),
    "a key that nobody has written": (MERGE, notes(anything="x"), "status.DOMAIN/anything"),
    "no phase": (MERGE, notes(phase=None), "status.DOMAIN/phase"),
    "no phase, by its path": (
        JSON_PATCH,
        removal("/metadata/annotations/status.DOMAIN~1phase"),
        "status.DOMAIN/phase",
    ),
    "no annotations": (MERGE, {"metadata": {"annotations": None}}, "status.DOMAIN/phase"),
    "a label": (MERGE, {"metadata": {"labels": {"status.DOMAIN/phase": "x"}}}, "label status.DOMAIN/phase"),
    "two keys": (MERGE, notes(phase="Failed", stop="{}"), "status.DOMAIN/stop"),
}
RELABELS = {
    **{f"another {name}": (MERGE, label(name, "x"), f"label DOMAIN/{name}") for name in IDS},
    **{f"another raw {name}": (MERGE, raw_id(name, "x"), f"annotation DOMAIN/{name}") for name in IDS},
    **{f"no {name}": (MERGE, label(name, None), f"label DOMAIN/{name}") for name in IDS[:-1]},
    **{f"no raw {name}": (MERGE, raw_id(name, None), f"annotation DOMAIN/{name}") for name in IDS[:-1]},
    **{
        f"another {name} of its pods": (MERGE, pod_label(name, "x"), f"pod template label DOMAIN/{name}")
        for name in IDS
    },
    "no label by which it is known": (
        JSON_PATCH,
        removal("/metadata/labels/DOMAIN~1agent-id"),
        "label DOMAIN/agent-id",
    ),
}
STARTS = {
    "not suspended": (MERGE, {"spec": {"suspend": False}}),
    "no word of suspension": (MERGE, {"spec": {"suspend": None}}),
    "no word of suspension, by its path": (JSON_PATCH, removal("/spec/suspend")),
    "not suspended, among others": (STRATEGIC, {"spec": {"suspend": False, "activeDeadlineSeconds": 9}}),
}
LONG_AGO = "2026-01-01T00:00:00Z"
# The API server itself refuses statuses that can't be; these can.
OUTCOMES = {
    "complete": ("SuccessCriteriaMet", "Complete", {"completionTime": LONG_AGO, "succeeded": 1}),
    "failed": ("FailureTarget", "Failed", {"failed": 1}),
    "about to fail": ("FailureTarget", "Example", {}),
    "not suspended": ("Example", "Example2", {}),
}


def outcome(before, last, counts):
    conditions = [{"type": kind, "status": "True", "reason": "Forged"} for kind in (before, last)]
    return {"status": {"conditions": conditions, "startTime": LONG_AGO} | counts}


OWN_CHANGES = {
    "a request to cancel": {"metadata": {"annotations": {"DOMAIN/cancel-requested": "no longer needed"}}},
    "an acknowledgement": {"metadata": {"annotations": {"DOMAIN/acknowledged": "true"}}},
    "a wish to keep it": {"metadata": {"annotations": {"DOMAIN/retain": "true"}}},
    "an annotation of another": {"metadata": {"annotations": {"example.com/note": "x"}}},
    "a label of another": {"metadata": {"labels": {"example.com/team": "x"}}},
    "a label of another for its pods": {"spec": {"template": {"metadata": {"labels": {"team": "x"}}}}},
    "its time to live": {"spec": {"ttlSecondsAfterFinished": 3600}},
    "its deadline": {"spec": {"activeDeadlineSeconds": 3600}},
    "a finalizer": {"metadata": {"finalizers": ["example.com/hold"]}},
    "nothing": {},
}


def cases(table):
    return pytest.mark.parametrize("case", table.values(), ids=table)


@pytest.fixture(scope="module")
def policy_stage(kubeconfig, tmp_path_factory):
    """A run that waits is there, and the controller has written on it."""
    with PolicyStage(kubeconfig, tmp_path_factory.mktemp("policy")) as stage:
        stage.submit(TARGET)
        stage.note(TARGET, phase="Queued", reason="AgentBusy", result="{}")
        yield stage


def no_run(stage, name):
    """A Job without an agent. It needs some label, or it would get its pods'."""
    job = stage.run(name)
    job["metadata"]["labels"] = {"app": name}
    return job


def refusal(stage, call):
    """Why the policy has refused it, and the target is what it was."""
    before = stage.job(TARGET)
    with pytest.raises(Refused) as refused:
        call()
    assert refused.value.code == 403
    assert BY_POLICY in refused.value.message
    assert stage.job(TARGET) == before
    return refused.value.message


def refused_patch(stage, media, body, subresource="", **params):
    where = path("jobs", stage.namespace, TARGET, subresource)
    return refusal(stage, lambda: stage.tenant.call("PATCH", where, stage.in_domain(body), media, **params))


@cases(FORGERIES)
@pytest.mark.parametrize("subresource", ["", "status"])
def test_a_tenant_cannot_say_what_the_controller_says(policy_stage, case, subresource):
    media, body, named = case
    said = refused_patch(policy_stage, media, body, subresource)
    assert ONLY_THE_CONTROLLER in said
    assert policy_stage.in_domain(named) in said


@cases(RELABELS)
def test_a_tenant_cannot_change_what_a_run_is(policy_stage, case):
    media, body, named = case
    said = refused_patch(policy_stage, media, body)
    assert FIXED in said
    assert policy_stage.in_domain(named) in said


def test_a_run_that_lost_its_label_in_the_same_patch_is_guarded_too(policy_stage):
    body = {"metadata": label("agent-id", None)["metadata"] | notes(phase="Succeeded")["metadata"]}
    assert ONLY_THE_CONTROLLER in refused_patch(policy_stage, MERGE, body)


@cases(STARTS)
def test_a_tenant_cannot_start_a_run_that_waits(policy_stage, case):
    assert WAITS in refused_patch(policy_stage, *case)


@cases(OUTCOMES)
def test_a_tenant_cannot_say_how_a_job_ended(policy_stage, case):
    said = refused_patch(policy_stage, MERGE, outcome(*case), "status")
    assert "only the Job controller writes the status" in said


def test_a_tenant_cannot_replace_a_run_by_one_without_the_controllers_words(policy_stage):
    body = policy_stage.job(TARGET)
    body["metadata"]["annotations"] = policy_stage.run(TARGET)["metadata"]["annotations"]
    where = path("jobs", policy_stage.namespace, TARGET)
    said = refusal(policy_stage, lambda: policy_stage.tenant.call("PUT", where, body))
    assert policy_stage.status("phase") in said


def test_a_tenant_cannot_force_a_field_away_from_the_controller(policy_stage):
    body = {"apiVersion": "batch/v1", "kind": "Job", **notes(phase="Failed")}
    said = refused_patch(policy_stage, APPLY, body, fieldManager="tenant", force="true")
    assert ONLY_THE_CONTROLLER in said


@pytest.mark.parametrize("kind", ["annotations", "labels"])
def test_a_run_cannot_be_born_with_the_controllers_words(policy_stage, kind):
    forged = policy_stage.run("born")
    forged["metadata"][kind][policy_stage.status("phase")] = "Succeeded"
    said = refusal(policy_stage, lambda: policy_stage.tenant.create("jobs", policy_stage.namespace, forged))
    assert "out of the manifest of a new Job" in said
    assert policy_stage.job("born") is None


def test_a_job_cannot_become_a_run_later(policy_stage):
    plain = no_run(policy_stage, "plain")
    plain["metadata"]["annotations"] = {policy_stage.status("phase"): "Succeeded"}
    policy_stage.tenant.create("jobs", policy_stage.namespace, plain)
    body = policy_stage.in_domain(label("agent-id", "x"))
    with pytest.raises(Refused, match=FIXED):
        policy_stage.tenant.patch("jobs", policy_stage.namespace, "plain", body)


@pytest.mark.parametrize("started", [False, True])
def test_a_run_that_was_closed_takes_no_place_again(policy_stage, started):
    name = f"closed-{started}".lower()
    policy_stage.submit(name)
    policy_stage.note(name, phase="Attached")
    closing = {"spec": {"parallelism": 0} | ({"suspend": False} if started else {})}
    policy_stage.controller.patch("jobs", policy_stage.namespace, name, closing)
    for parallelism in (1, None):  # nothing said means 1
        opening = {"spec": {"parallelism": parallelism}}
        with pytest.raises(Refused, match="takes no place again"):
            policy_stage.tenant.patch("jobs", policy_stage.namespace, name, opening)
    assert policy_stage.job(name)["spec"]["parallelism"] == 0


@cases(OWN_CHANGES)
def test_what_is_the_tenants_own_stays_so(policy_stage, case):
    body = policy_stage.in_domain(case)
    policy_stage.submit("own")
    policy_stage.note("own", phase="Queued")
    patched = policy_stage.tenant.patch("jobs", policy_stage.namespace, "own", body)
    assert contains(patched, body)
    policy_stage.admin.patch("jobs", policy_stage.namespace, "own", {"metadata": {"finalizers": None}})
    policy_stage.tenant.delete("jobs", policy_stage.namespace, "own")
    policy_stage.until(lambda: policy_stage.job("own") is None)


def contains(whole, part):
    if isinstance(part, dict):
        return all(key in whole and contains(whole[key], value) for key, value in part.items())
    return whole == part


def test_a_tenant_applies_its_manifest_again_and_again(policy_stage):
    manifest = policy_stage.run("applied")
    for team in ("red", "blue"):
        changed = copy.deepcopy(manifest)
        changed["metadata"]["annotations"]["example.com/team"] = team
        for way in ([], ["--server-side", "--force-conflicts"]):
            kubectl_apply(policy_stage, changed, *way)
        policy_stage.note("applied", phase="Queued")
    found = policy_stage.job("applied")["metadata"]["annotations"]
    assert found["example.com/team"] == "blue"
    assert found[policy_stage.status("phase")] == "Queued"


def kubectl_apply(stage, manifest, *way):
    command = [programs.path("kubectl"), "--kubeconfig", stage.tenant.kubeconfig, "-n", stage.namespace]
    subprocess.run([*command, "apply", *way, "-f", "-"], input=json.dumps(manifest), text=True, check=True)


def test_a_tenant_may_stop_a_run_but_not_start_it_again(policy_stage):
    policy_stage.submit("paused", suspend=False)
    for suspend in (True, True):
        policy_stage.tenant.patch("jobs", policy_stage.namespace, "paused", {"spec": {"suspend": suspend}})
    with pytest.raises(Refused, match=WAITS):
        policy_stage.tenant.patch("jobs", policy_stage.namespace, "paused", {"spec": {"suspend": False}})


def test_a_job_that_is_no_run_is_nobodys_business(policy_stage):
    policy_stage.tenant.create("jobs", policy_stage.namespace, no_run(policy_stage, "foreign"))
    for body in (notes(phase="x"), {"spec": {"suspend": False}}, label("run-id", "x")):
        policy_stage.tenant.patch("jobs", policy_stage.namespace, "foreign", policy_stage.in_domain(body))
    status = {"status": {"conditions": [{"type": "Example", "status": "True"}]}}
    assert policy_stage.tenant.patch("jobs", policy_stage.namespace, "foreign", status, "status")


def test_annotations_as_big_as_they_may_be_hinder_nobody(policy_stage):
    policy_stage.submit("big")
    policy_stage.note("big", phase="Queued", result="x" * 250_000)
    cancel = policy_stage.in_domain(OWN_CHANGES["a request to cancel"])
    assert policy_stage.tenant.patch("jobs", policy_stage.namespace, "big", cancel)
    forged = policy_stage.in_domain(notes(result="x" * 249_999 + "y"))
    with pytest.raises(Refused, match=ONLY_THE_CONTROLLER):
        policy_stage.tenant.patch("jobs", policy_stage.namespace, "big", forged)


def test_a_run_cannot_be_given_more_pods_than_its_one(policy_stage):
    more = {"spec": {"parallelism": 2}}
    with pytest.raises(Refused, match="a run is one pod"):
        policy_stage.tenant.patch("jobs", policy_stage.namespace, TARGET, more)
    indexed = policy_stage.run("indexed")
    indexed["spec"] |= {"completionMode": "Indexed", "parallelism": 1, "completions": 1, "suspend": False}
    policy_stage.tenant.create("jobs", policy_stage.namespace, indexed)
    with pytest.raises(Refused, match="a run is one pod"):
        policy_stage.tenant.patch(
            "jobs", policy_stage.namespace, "indexed", {"spec": {"parallelism": 5, "completions": 5}}
        )
    policy_stage.tenant.delete("jobs", policy_stage.namespace, "indexed")


def test_more_keys_than_can_be_walked_through_are_refused_but_block_nothing_else(policy_stage):
    many = policy_stage.run("many")
    many["metadata"]["annotations"] |= {f"example.com/{number}": "" for number in range(5000)}
    with pytest.raises(Refused, match="more than 500"):
        policy_stage.tenant.create("jobs", policy_stage.namespace, many)
    policy_stage.admin.create("jobs", policy_stage.namespace, many)  # as from before the policy
    changes = {"metadata": {"finalizers": ["example.com/hold"]}, "spec": {"activeDeadlineSeconds": 3600}}
    policy_stage.tenant.patch("jobs", policy_stage.namespace, "many", changes)
    policy_stage.tenant.patch("jobs", policy_stage.namespace, "many", {"metadata": {"finalizers": None}})
    policy_stage.tenant.delete("jobs", policy_stage.namespace, "many")
    policy_stage.until(lambda: policy_stage.job("many") is None)
