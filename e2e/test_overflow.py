"""Results that are too big for their annotation, and Jobs whose annotations others have filled."""

import hashlib
import json

import pytest

from controller.core.contract import ANNOTATIONS_MAX, TERMINAL, Status
from e2e.runs import make_run

SESSION = '"session_id":"5e55"'
INIT = f'{{"type":"system","subtype":"init",{SESSION},"model":"opus"}}'
RESULT = f'{{"type":"result","subtype":"success","is_error":false,{SESSION},"result":"%s"}}\\n'
NUMBERS = 36_000
SAYS_MUCH = f"echo '{INIT}'; printf '{RESULT}' \"$(seq -s ' ' 1 {NUMBERS})\""
"""A result of 200 KB, told by busybox."""


def kept(stage, name):
    return next(
        (c for c in stage.api.list("configmaps", stage.namespace) if c["metadata"]["name"] == name), None
    )


def test_the_whole_of_a_big_result_is_found_verified_and_goes_with_its_job(stage):
    stage.submit(make_run("big", SAYS_MUCH))
    stage.published("big")
    assert stage.standing("big") == "Succeeded/Completed"
    found, name = stage.result("big"), stage.said("big", Status.RESULT_REF).removeprefix("configmap/")
    assert name == f"run-{stage.uid('big')}"
    whole = kept(stage, name)["data"]["result.json"]
    assert len(whole) > 200_000
    assert hashlib.sha256(whole.encode()).hexdigest() == found["sha256"]
    assert json.loads(whole)["summary"].split() == [str(n) for n in range(1, NUMBERS + 1)]
    assert json.loads(whole)["summary"].startswith(found["summary"])
    assert found["truncated"] == ["resultJson", "summary"]
    stage.delete("big")
    stage.until(lambda: kept(stage, name) is None)


@pytest.mark.parametrize("free", [0, 100, 1000])
def test_a_run_goes_its_way_on_a_job_that_others_have_filled(stage, free):
    job = make_run(f"full-{free}", SAYS_MUCH)
    job["metadata"]["annotations"] = {"other": "x" * (ANNOTATIONS_MAX - len("other") - free)}
    stage.submit(job)
    name = job["metadata"]["name"]
    stage.until(lambda: (stage.job(name) or {}).get("status", {}).get("succeeded"))
    stage.until(lambda: "AnnotationsFull" in stage.events(name))
    if free < 1000:
        assert stage.said(name, Status.RESULT) == ""
        assert stage.said(name) not in TERMINAL, "a terminal phase waits with its result"
        stage.api.patch("jobs", stage.namespace, name, {"metadata": {"annotations": {"other": None}}})
    stage.ends(name)
    assert stage.standing(name) == "Succeeded/Completed"
    assert stage.result(name)["phase"] == "Succeeded"
