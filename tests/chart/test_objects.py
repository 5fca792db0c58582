"""What the chart makes besides the pod and its roles."""

import json

import pytest

from tests.chart import rendering

pytestmark = pytest.mark.chart

EVERYTHING = (rendering.CHART / "ci/everything-values.yaml").read_text()
TRACED = {"networkPolicy": {"enabled": True}, "tracing": {"endpoint": "https://collector.example.com"}}


def kinds(given=""):
    return sorted({o["kind"] for o in rendering.objects(given) if "helm.sh/hook" not in str(o["metadata"])})


def test_by_default_it_makes_no_more_than_is_needed():
    assert [kind for kind in kinds() if not kind.startswith("ValidatingAdmission")] == [
        "ClusterRole",
        "ClusterRoleBinding",
        "Deployment",
        "Role",
        "RoleBinding",
        "ServiceAccount",
    ]


@pytest.mark.parametrize(
    ("given", "there"),
    [
        pytest.param({"replicas": 1}, 0, id="one controller"),
        pytest.param({"replicas": 2}, 1, id="two controllers"),
        pytest.param({"replicas": 2, "podDisruptionBudget": {"enabled": False}}, 0, id="two, switched off"),
    ],
)
def test_a_disruption_budget_is_there_for_more_than_one_controller(given, there):
    assert len(rendering.of_kind("PodDisruptionBudget", given)) == there


@pytest.mark.parametrize(
    ("budget", "want"),
    [
        ({}, {"maxUnavailable": 1}),
        ({"minAvailable": 1}, {"minAvailable": 1}),
        ({"maxUnavailable": "50%"}, {"maxUnavailable": "50%"}),
        ({"maxUnavailable": 0}, {"maxUnavailable": 0}),
        ({"minAvailable": 0}, {"minAvailable": 0}),
    ],
    ids=str,
)
def test_the_budget_is_as_asked_for(budget, want):
    spec = rendering.only("PodDisruptionBudget", {"replicas": 2, "podDisruptionBudget": budget})["spec"]
    assert want.items() <= spec.items()
    assert len({"minAvailable", "maxUnavailable"} & set(spec)) == 1


def test_a_name_that_looks_like_a_number_stays_a_name():
    labels = rendering.only("Deployment", {"nameOverride": "1"})["spec"]["selector"]["matchLabels"]
    assert labels["app.kubernetes.io/name"] == "1"


def test_a_limited_network_policy_lets_helm_test_in():
    limited = {"networkPolicy": {"enabled": True, "ingressFrom": [{"podSelector": {}}]}}
    *_, test = rendering.only("NetworkPolicy", limited)["spec"]["ingress"][0]["from"]
    wanted = test["podSelector"]["matchLabels"]
    pod = rendering.only("Pod", limited, hooks=True)
    assert wanted.items() <= pod["metadata"]["labels"].items()
    rest = rendering.only("NetworkPolicy", limited | {"test": {"enabled": False}})["spec"]["ingress"][0]
    assert rest["from"] == [{"podSelector": {}}]


def ports(rules):
    return [port["port"] for rule in rules for port in rule["ports"]]


def test_a_network_policy_lets_out_names_the_api_server_and_the_collector():
    spec = rendering.only("NetworkPolicy", TRACED)["spec"]
    assert ports(spec["egress"]) == [53, 53, 443, 6443, 443]
    assert ports(spec["ingress"]) == [8080]


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [
        ("http://c:4318", 4318),
        ("http://c/otlp", 80),
        ("https://c.example.com", 443),
        ("http://[fd00::1]:4318", 4318),
        ("http://[fd00::1]", 80),
    ],
)
def test_the_collectors_port_is_the_endpoints(endpoint, port):
    spec = rendering.only("NetworkPolicy", TRACED | {"tracing": {"endpoint": endpoint}})["spec"]
    assert ports(spec["egress"])[-1] == port


def test_a_network_policy_without_traces_has_no_collector():
    spec = rendering.only("NetworkPolicy", {"networkPolicy": {"enabled": True}})["spec"]
    assert ports(spec["egress"]) == [53, 53, 443, 6443]


def test_everything_that_selects_pods_selects_the_controllers():
    wanted = rendering.only("Deployment", EVERYTHING)["spec"]["selector"]["matchLabels"]
    assert rendering.only("Service", EVERYTHING)["spec"]["selector"] == wanted
    assert rendering.only("NetworkPolicy", EVERYTHING)["spec"]["podSelector"]["matchLabels"] == wanted
    assert rendering.only("PodMonitor", EVERYTHING)["spec"]["selector"]["matchLabels"] == wanted
    assert rendering.only("PodDisruptionBudget", EVERYTHING)["spec"]["selector"]["matchLabels"] == wanted
    test = rendering.only("Pod", EVERYTHING, hooks=True)["metadata"]["labels"]
    assert not wanted.items() <= test.items()


def test_metrics_are_scraped_at_the_probes_port():
    (endpoint,) = rendering.only("PodMonitor", EVERYTHING)["spec"]["podMetricsEndpoints"]
    (port,) = rendering.only("Service", EVERYTHING)["spec"]["ports"]
    name = rendering.container(EVERYTHING)["ports"][0]["name"]
    assert (endpoint["port"], endpoint["path"], port["targetPort"]) == (name, "/metrics", name)


def alerts(given):
    return rendering.only("PrometheusRule", given)["spec"]["groups"][0]["rules"]


def test_every_alert_says_what_it_means_and_what_to_do():
    found = alerts({"prometheusRule": {"enabled": True}})
    assert len(found) == 12
    for alert in found:
        assert set(alert["annotations"]) == {"summary", "description", "runbook"}, alert["alert"]
        assert alert["labels"]["severity"] in ("critical", "warning")
        assert f'namespace="{rendering.NAMESPACE}",pod=~"{rendering.NAME}-.*"' in alert["expr"]


def test_an_alert_can_be_left_out_and_all_can_be_labelled():
    found = alerts(EVERYTHING)
    assert len(found) == 11
    assert "RunherdSlow" not in [alert["alert"] for alert in found]
    assert all(alert["labels"]["team"] == "platform" for alert in found)


def test_the_dashboard_is_the_file():
    (dashboard,) = [
        o for o in rendering.of_kind("ConfigMap", EVERYTHING) if "runherd.json" in o.get("data", {})
    ]
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(dashboard["data"]["runherd.json"]) == json.loads(
        (rendering.CHART / "files/dashboard.json").read_text()
    )


def test_helm_test_brings_its_own_account_and_takes_all_of_it_away():
    hooks = [o for o in rendering.objects() if "helm.sh/hook" in str(o["metadata"])]
    weights = {o["kind"]: int(o["metadata"]["annotations"]["helm.sh/hook-weight"]) for o in hooks}
    assert sorted(weights, key=weights.get) == ["ServiceAccount", "Role", "RoleBinding", "Pod"]
    assert all("hook-succeeded" in o["metadata"]["annotations"]["helm.sh/hook-delete-policy"] for o in hooks)
    role = rendering.only("Role", hooks=True)
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]


def test_helm_test_runs_the_program_that_is_in_the_chart():
    (found,) = rendering.only("Pod", hooks=True)["spec"]["containers"]
    source, namespace, selector, port = found["args"]
    assert [line.rstrip() for line in source.splitlines()] == [
        line.rstrip() for line in (rendering.CHART / "files/ready.py").read_text().splitlines()
    ]
    assert (namespace, port) == (rendering.NAMESPACE, "8080")
    wanted = rendering.only("Deployment")["spec"]["selector"]["matchLabels"]
    assert dict(part.split("=") for part in selector.split(",")) == wanted
