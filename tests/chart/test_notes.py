"""What Helm says after an installation: how to see it work, and what to beware of."""

import json
import re

import pytest
import yaml

from controller.core.contract import Keys
from controller.core.model import Job
from controller.core.parse import Parser
from tests.chart import rendering

pytestmark = pytest.mark.chart

WARNED = {
    "no roles": ({"rbac": {"create": False}}, "rbac.create is off"),
    "some namespaces": ({"watchNamespaces": ["agents", "ci"]}, "other namespaces than agents, ci"),
    "no Lease": ({"config": {"leaderElection": False}}, "no other controller"),
    "no controller": ({"replicas": 0}, "replicas is 0"),
    "Secrets": ({"ownSecrets": True}, "may patch Secrets"),
    "no policy": ({"policy": {"enabled": False}}, "policy.enabled is off"),
    "an image of nobody's": ({}, "image.repository"),
}


def manifest(given=""):
    """The run that one is told to submit."""
    found = re.search(r"<<'RUN'\n(.*?)\nRUN\n", rendering.notes(given), re.DOTALL)
    return yaml.safe_load(found[1])


@pytest.mark.parametrize("domain", ["paperclip.io", "agents.example.com"])
def test_the_run_to_paste_is_one_that_the_controller_takes(domain):
    job = manifest({"config": {"labelDomain": domain}})
    job["metadata"] |= {"uid": "u-1", "namespace": "default", "resourceVersion": "1"}
    job["metadata"] |= {"creationTimestamp": "2026-01-01T00:00:00Z"}
    found = Parser(Keys(domain)).job(json.dumps(job).encode())
    assert isinstance(found, Job)
    assert found.oddities == ()
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"] == job["spec"]["template"]["metadata"]["labels"]


def test_the_run_to_paste_may_run_where_pods_are_restricted():
    spec = manifest()["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_run_goes_where_runs_are_looked_after():
    assert "kubectl -n agents apply" in rendering.notes({"watchNamespaces": ["agents", "ci"]})
    assert "kubectl -n default apply" in rendering.notes()


def test_phase_and_result_are_read_from_the_domain_that_is_set():
    said = rendering.notes({"config": {"labelDomain": "agents.example.com"}})
    assert r"annotations.status\.agents\.example\.com/result" in said
    assert "paperclip" not in said


def test_it_says_where_traces_go():
    assert "Its trace goes to http://c:4318" in rendering.notes({"tracing": {"endpoint": "http://c:4318"}})
    assert "Traces are off: set tracing.endpoint" in rendering.notes()
    both = {"tracing": {"endpoint": "http://c:4318"}, "config": {"traceMode": "off"}}
    assert "Traces are off: config.traceMode is off" in rendering.notes(both)


@pytest.mark.parametrize(("given", "words"), WARNED.values(), ids=WARNED)
def test_it_warns_of(given, words):
    assert words in rendering.notes(given).partition("Please note:")[2]


def test_there_is_nothing_to_warn_of_where_all_is_as_it_should_be():
    given = {"image": {"repository": "registry.example.com/runherd"}, "ownSecrets": False}
    assert "Please note" not in rendering.notes(given)


def test_helm_test_is_mentioned_only_if_it_is_there():
    assert "helm -n runherd-system test herd" in rendering.notes()
    assert "test herd" not in rendering.notes({"test": {"enabled": False}})
