"""The controller's pod: its variables, its rights on the node, its probes, what can be added to it."""

import pytest

from controller.settings import PREFIX, Settings
from tests.chart import rendering

pytestmark = pytest.mark.chart

EVERYTHING = (rendering.CHART / "ci/everything-values.yaml").read_text()
VOLUMES = {"secret", "configMap", "emptyDir", "projected"}
TRACED = {
    "tracing": {
        "endpoint": "https://collector:4318",
        "headers": {"existingSecret": "keys", "key": "otlp"},
        "certificate": {"existingSecret": "authority", "key": "root.pem"},
        "clientCertificate": {"existingSecret": "own"},
    }
}


def pod(given=""):
    return rendering.only("Deployment", given)["spec"]["template"]["spec"]


def settings(given=""):
    """What the controller makes of its variables."""
    found = rendering.environment(given)
    given = {
        name.removeprefix(PREFIX).lower(): value for name, value in found.items() if name.startswith(PREFIX)
    }
    return Settings.model_validate(given, strict=False)


def test_every_setting_is_shown_in_the_pod():
    shown = {name for name in rendering.environment() if name.startswith(PREFIX)}
    assert shown == {PREFIX + name.upper() for name in Settings.model_fields}


def test_the_controller_understands_the_defaults_as_its_own():
    own = Settings.model_validate({}).model_dump()
    released = {"lease_name": rendering.NAME, "lease_namespace": rendering.NAMESPACE}
    assert settings().model_dump() == own | released


def test_the_controller_understands_what_is_set():
    found = settings(EVERYTHING)
    assert (found.workers, found.log_streams, found.trace_give_up_seconds) == (16, 2000, 604800)
    assert (found.lease_namespace, found.probe_port, found.log_level) == ("leases", 9090, "DEBUG")
    assert settings({"watchNamespaces": ["a", "b"]}).watch_namespaces == ("a", "b")
    assert settings({"config": {"leaderElection": False}}).leader_election is False
    assert settings({"config": {"traceMode": "off"}}).trace_mode == "off"


@pytest.mark.parametrize("path", rendering.CASES, ids=rendering.case)
def test_no_variable_is_there_twice(path):
    names = [entry["name"] for entry in rendering.container(path.read_text())["env"]]
    assert len(names) == len(set(names))


def test_without_a_collector_nothing_is_said_of_traces():
    assert [name for name in rendering.environment() if name.startswith("OTEL_")] == []


def test_traces_go_where_they_should():
    found = {name: value for name, value in rendering.environment(TRACED).items() if name.startswith("OTEL_")}
    mounts = {mount["name"]: mount["mountPath"] for mount in rendering.container(TRACED)["volumeMounts"]}
    volumes = {volume["name"]: volume["secret"]["secretName"] for volume in pod(TRACED)["volumes"]}
    assert found == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4318",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "10",
        "OTEL_EXPORTER_OTLP_HEADERS": {"secretKeyRef": {"name": "keys", "key": "otlp"}},
        "OTEL_EXPORTER_OTLP_CERTIFICATE": f"{mounts['collector-certificate']}/root.pem",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": f"{mounts['client-certificate']}/tls.crt",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": f"{mounts['client-certificate']}/tls.key",
    }
    assert volumes == {"collector-certificate": "authority", "client-certificate": "own"}


def restricted(spec):
    """Does a pod keep to the security standard `restricted`? What of it does not."""
    own = spec.get("securityContext", {})
    checks = {
        "host": not {"hostNetwork", "hostPID", "hostIPC"} & set(spec),
        "root": own.get("runAsNonRoot") is True and own.get("runAsUser") != 0,
        "seccomp": own.get("seccompProfile") == {"type": "RuntimeDefault"},
        "containers": all(map(is_restricted, spec["containers"])),
        "volumes": all(VOLUMES & set(volume) for volume in spec.get("volumes", [])),
    }
    return [name for name, fine in checks.items() if not fine]


def is_restricted(container):
    own = container["securityContext"]
    drops = own["capabilities"] == {"drop": ["ALL"]}
    return drops and own["allowPrivilegeEscalation"] is False and not own.get("privileged")


@pytest.mark.parametrize("path", rendering.CASES, ids=rendering.case)
def test_pods_keep_to_the_restricted_standard(path):
    pods = [
        pod(path.read_text()),
        *(o["spec"] for o in rendering.of_kind("Pod", path.read_text(), hooks=True)),
    ]
    for spec in pods:
        assert restricted(spec) == []
        assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
        assert spec["enableServiceLinks"] is False


def test_only_the_controllers_pod_gets_the_token():
    assert rendering.only("ServiceAccount")["automountServiceAccountToken"] is False
    assert pod()["automountServiceAccountToken"] is True
    assert pod()["serviceAccountName"] == rendering.only("ServiceAccount")["metadata"]["name"]


def test_one_controller_is_replaced_by_the_next_not_joined_by_it():
    spec = rendering.only("Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_memory_is_limited_and_cpu_is_not():
    resources = rendering.container()["resources"]
    assert set(resources["limits"]) == {"memory"}
    assert set(resources["requests"]) == {"cpu", "memory"}


def test_a_stale_watch_makes_it_unready_and_restarts_nothing():
    found = rendering.container()
    paths = {name: found[name]["httpGet"]["path"] for name in found if name.endswith("Probe")}
    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}


def test_probes_follow_the_port():
    found = rendering.container({"config": {"probePort": 9000}})
    assert found["ports"] == [{"name": "probes", "containerPort": 9000, "protocol": "TCP"}]
    assert found["livenessProbe"]["httpGet"]["port"] == "probes"


def test_each_probe_can_be_switched_off():
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        found = rendering.container({name: {"enabled": False}})
        assert name not in found


@pytest.mark.parametrize(
    ("image", "want"),
    [
        pytest.param({}, "localhost/runherd:0.1.0", id="the chart's version"),
        pytest.param({"tag": "edge"}, "localhost/runherd:edge", id="a tag"),
        pytest.param(
            {"tag": "edge", "digest": f"sha256:{'0' * 64}"},
            f"localhost/runherd@sha256:{'0' * 64}",
            id="a digest",
        ),
    ],
)
def test_the_image_is_named_by(image, want):
    assert rendering.container({"image": image})["image"] == want
    test = rendering.only("Pod", {"image": image}, hooks=True)
    assert test["spec"]["containers"][0]["image"] == want


def test_labels_of_the_pod_cannot_break_the_selector():
    given = {"podLabels": {"app.kubernetes.io/name": "other", "tier": "control"}}
    spec = rendering.only("Deployment", given)["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    assert labels["tier"] == "control"


def test_what_is_given_for_the_pod_is_in_it():
    spec = pod(EVERYTHING)
    found = rendering.container(EVERYTHING)
    assert spec["priorityClassName"] == "platform-critical"
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert spec["tolerations"][0]["key"] == "dedicated"
    assert spec["topologySpreadConstraints"][0]["maxSkew"] == 1
    assert {"name": "scratch", "mountPath": "/tmp"} in found["volumeMounts"]  # noqa: S108 — a path in a pod
    assert "scratch" in [volume["name"] for volume in spec["volumes"]]
    assert found["envFrom"] == [{"secretRef": {"name": "proxy-credentials"}}]
    assert rendering.environment(EVERYTHING)["TZ"] == "UTC"


def test_extra_objects_are_filled_in():
    names = {o["metadata"]["name"]: o for o in rendering.of_kind("ConfigMap", EVERYTHING)}
    assert names["herd-herder-extra"]["data"] == {"namespace": rendering.NAMESPACE}
    assert "herd-text" in names
