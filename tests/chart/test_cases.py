"""Each case of `ci/` is linted, rendered twice, and known to Kubernetes field by field."""

import json

import pytest
import yaml

from tests.chart import rendering, schemas

pytestmark = pytest.mark.chart

FOREIGN = "PodMonitor,PrometheusRule"
"""Kinds of the Prometheus Operator: no schema of Kubernetes'."""
each_case = pytest.mark.parametrize("path", rendering.CASES, ids=rendering.case)


@each_case
def test_helm_has_nothing_to_say_against_it(path, checked):
    code, said = rendering.run("helm", "lint", "--strict", str(rendering.CHART), "-f", str(path))
    assert code == 0, said
    assert "WARNING" not in said
    checked(rendering.case(path), linted=1)


@each_case
def test_kubernetes_knows_every_kind_and_field(path, checked):
    arguments = (
        "-strict",
        "-output",
        "json",
        "-summary",
        "-skip",
        FOREIGN,
        "-schema-location",
        schemas.location(),
    )
    code, said = rendering.run("kubeconform", *arguments, "-", given=rendering.text(path.read_text()))
    assert code == 0, said
    summary = json.loads(said)["summary"]
    assert summary["valid"] > 0
    assert summary["invalid"] == summary["errors"] == 0
    foreign = [o for o in rendering.objects(path.read_text()) if o["kind"] in FOREIGN.split(",")]
    assert summary["skipped"] == len(foreign)
    checked(rendering.case(path), valid=summary["valid"], foreign=summary["skipped"])


def test_a_field_that_kubernetes_does_not_know_would_be_found(checked):
    broken = rendering.text().replace("enableServiceLinks:", "enableServiceLink:")
    code, said = rendering.run(
        "kubeconform", "-strict", "-schema-location", schemas.location(), "-", given=broken
    )
    assert code == 1
    assert "enableServiceLink" in said
    checked("a wrong field", refused=1)


@each_case
def test_the_same_values_give_the_same_bytes(path):
    code, again = rendering.run(
        "helm",
        "template",
        rendering.RELEASE,
        str(rendering.CHART),
        "-n",
        rendering.NAMESPACE,
        "-f",
        str(path),
    )
    assert code == 0
    assert again == rendering.text(path.read_text())


@each_case
def test_no_object_is_there_twice(path):
    names = [
        (o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"])
        for o in rendering.objects(path.read_text())
    ]
    assert len(names) == len(set(names)) >= 2


@each_case
def test_every_object_of_ours_has_the_usual_labels(path):
    usual = {
        "app.kubernetes.io/name",
        "app.kubernetes.io/instance",
        "app.kubernetes.io/managed-by",
        "helm.sh/chart",
    }
    given = yaml.safe_load(path.read_text()) or {}
    extra = len(given.get("extraObjects", []))
    bare = [
        o["metadata"]["name"]
        for o in rendering.objects(path.read_text())
        if not usual | set(given.get("commonLabels", {})) <= set(o["metadata"].get("labels", {}))
    ]
    assert len(bare) == extra
