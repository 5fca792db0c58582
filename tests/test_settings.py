"""Settings: every wrong one is told by the name of its variable, and nothing is ignored silently."""

import pytest

from controller import settings
from controller.core.snapshot import Policy
from controller.settings import Settings, WrongSettings


@pytest.fixture(autouse=True)
def environ(monkeypatch):
    """An environment without settings, to put some in."""
    for name in list(settings.environment()):
        if name.startswith("RUNHERD_"):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def config(environ, tmp_path):
    """Writes the file that RUNHERD_CONFIG names."""

    def write(text):
        path = tmp_path / "runherd.yaml"
        path.write_text(text)
        environ.setenv("RUNHERD_CONFIG", str(path))
        return path

    return write


def wrong():
    """What is told of wrong settings, one line each."""
    with pytest.raises(WrongSettings) as caught:
        settings.load()
    return str(caught.value).splitlines()


def test_nothing_has_to_be_set():
    found = settings.load()
    assert found == Settings()
    assert found.policy(tracing=False) == Policy()
    assert found.effective_selector == "paperclip.io/agent-id"


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_says_what_it_means_and_has_a_default(name):
    field = Settings.model_fields[name]
    assert not field.is_required()
    assert field.description
    assert len(field.description.split()) > 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LABEL_DOMAIN", "not a domain"),
        ("LABEL_DOMAIN", "-x.io"),
        ("LABEL_DOMAIN", ""),
        ("LABEL_DOMAIN", "x" * 200),
        ("SELECTOR", "a\nb"),
        ("AGENT_CONCURRENCY", "0"),
        ("AGENT_CONCURRENCY", "many"),
        ("AGENT_CONCURRENCY", "1.5"),
        ("HEARTBEAT_SECONDS", "4"),
        ("START_TIMEOUT_SECONDS", "0"),
        ("LOG_DRAIN_SECONDS", "-1"),
        ("LOG_STREAMS", "0"),
        ("WORKERS", "65"),
        ("TRACE_MODE", "sometimes"),
        ("TRACE_PARENT_MODE", "child"),
        ("TRACE_CONTENT", "all"),
        ("TRACE_GIVE_UP_SECONDS", "0"),
        ("TRACE_SERVICE_NAME", ""),
        ("LEADER_ELECTION", "perhaps"),
        ("LEASE_NAME", "Under_Score"),
        ("PROBE_PORT", "65536"),
        ("PROBE_PORT", "http"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_value_is_told_with_the_name_of_its_variable(environ, name, value):
    environ.setenv(f"RUNHERD_{name}", value)
    (line,) = wrong()
    assert line.startswith(f"RUNHERD_{name}: ")
    assert repr(value).lower() in line.lower()


def test_all_wrong_values_are_told_at_once(environ):
    environ.setenv("RUNHERD_WORKERS", "0")
    environ.setenv("RUNHERD_LOG_LEVEL", "loud")
    assert [line.partition(":")[0] for line in wrong()] == ["RUNHERD_WORKERS", "RUNHERD_LOG_LEVEL"]


def test_a_variable_that_there_is_not_is_refused_with_a_hint(environ):
    environ.setenv("RUNHERD_LOG_LEVLE", "debug")
    environ.setenv("RUNHERD_COLOUR", "red")
    first, second = wrong()
    assert first.startswith("RUNHERD_COLOUR: ")
    assert "RUNHERD_LOG_LEVEL?" in second


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RUNHERD_SERVICE_HOST", "10.0.0.1"),
        ("RUNHERD_SERVICE_PORT", "8080"),
        ("RUNHERD_METRICS_SERVICE_PORT_HTTP", "8080"),
        ("RUNHERD_METRICS_PORT", "tcp://10.0.0.1:8080"),
        ("RUNHERD_METRICS_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("RUNHERD_METRICS_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("RUNHERD_METRICS_PORT_8080_TCP_PROTO", "tcp"),
    ],
)
def test_what_kubernetes_itself_puts_into_a_pod_for_a_service_is_tolerated(environ, name, value):
    environ.setenv(name, value)
    assert settings.load() == Settings()


def test_a_misspelt_port_is_no_service(environ):
    environ.setenv("RUNHERD_PROBES_PORT", "9090")
    (line,) = wrong()
    assert "RUNHERD_PROBE_PORT?" in line


@pytest.mark.parametrize(
    ("given", "want"),
    [("", ()), ("agents", ("agents",)), (" agents, ci ,", ("agents", "ci"))],
    ids=["the whole cluster", "one", "several"],
)
def test_namespaces_are_separated_by_commas(environ, given, want):
    environ.setenv("RUNHERD_WATCH_NAMESPACES", given)
    assert settings.load().watch_namespaces == want


def test_levels_may_be_written_in_lower_case(environ):
    environ.setenv("RUNHERD_LOG_LEVEL", "debug")
    assert settings.load().log_level == "DEBUG"


def test_a_selector_of_ones_own_is_taken_as_it_is(environ):
    environ.setenv("RUNHERD_SELECTOR", "team=a,paperclip.io/agent-id")
    assert settings.load().effective_selector == "team=a,paperclip.io/agent-id"


def test_what_decisions_depend_on_is_passed_on(environ):
    environ.setenv("RUNHERD_LABEL_DOMAIN", "x.io")
    environ.setenv("RUNHERD_AGENT_CONCURRENCY", "2")
    environ.setenv("RUNHERD_TRACE_SERVICE_NAME", "agents")
    policy = settings.load().policy(tracing=True)
    assert (policy.domain, policy.agent_concurrency) == ("x.io", 2)
    assert (policy.service_name, policy.tracing) == ("agents", True)


# ── The file ─────────────────────────────────────────────────────────────────────────────────────


def test_a_file_gives_settings_and_the_environment_wins(config, environ):
    config("workers: 3\nheartbeat_seconds: 7\nwatch_namespaces: [agents, ci]\nleader_election: false\n")
    environ.setenv("RUNHERD_WORKERS", "4")
    found = settings.load()
    assert (found.workers, found.heartbeat_seconds, found.leader_election) == (4, 7, False)
    assert found.watch_namespaces == ("agents", "ci")


def test_a_wrong_value_of_the_file_is_told_as_such(config):
    config("workers: none\nlog_level: debug\n")
    (line,) = wrong()
    assert line.startswith("RUNHERD_WORKERS (from the file of RUNHERD_CONFIG): ")


def test_a_wrong_value_of_the_environment_is_not_blamed_on_the_file(config, environ):
    config("workers: 3\n")
    environ.setenv("RUNHERD_WORKERS", "0")
    (line,) = wrong()
    assert line.startswith("RUNHERD_WORKERS: ")


def test_an_item_of_a_list_is_told_with_its_settings_name(config):
    config("watch_namespaces: [agents, {ci: 1}]\n")
    (line,) = wrong()
    assert line.startswith("RUNHERD_WATCH_NAMESPACES")


def test_a_name_in_the_file_that_there_is_not_is_refused(config):
    path = config("worker: 3\n7: 8\n")
    lines = wrong()
    assert [line.partition(" in ")[0] for line in lines] == ["7", "worker"]
    assert all(str(path) in line for line in lines)


@pytest.mark.parametrize(
    "text",
    ["workers: [", "- workers", "workers", "\tworkers: 3", "workers: 3\n---\nworkers: 4\n", "\x00"],
    ids=["broken", "a list", "a word", "tabs", "two documents", "binary"],
)
def test_a_file_that_is_no_mapping_is_told(config, text):
    config(text)
    assert wrong()[0].startswith("RUNHERD_CONFIG: ")


def test_a_file_that_is_not_there_is_told(environ, tmp_path):
    environ.setenv("RUNHERD_CONFIG", str(tmp_path / "nothing.yaml"))
    assert wrong()[0].startswith("RUNHERD_CONFIG: ")


def test_a_file_that_is_a_folder_is_told(environ, tmp_path):
    environ.setenv("RUNHERD_CONFIG", str(tmp_path))
    assert wrong()[0].startswith("RUNHERD_CONFIG: ")


def test_an_empty_file_sets_nothing(config):
    config("# workers: 3\n")
    assert settings.load() == Settings()
