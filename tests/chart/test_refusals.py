"""Wrong values are refused before anything is installed, in words that say what to do."""

import pytest

from tests.chart import rendering

pytestmark = pytest.mark.chart

TYPOS = {
    "a value that there is not": ({"replica": 2}, "replica"),
    "a setting that there is not": ({"config": {"agentConcurency": 2}}, "agentConcurency"),
    "a setting that belongs elsewhere": ({"config": {"watchNamespaces": ["a"]}}, "watchNamespaces"),
    "a part that there is not": ({"image": {"name": "x"}}, "name"),
    "a probe's field that there is not": ({"livenessProbe": {"path": "/x"}}, "path"),
    "a variable's field that there is not": ({"extraEnv": [{"name": "A", "vale": "b"}]}, "vale"),
}
WRONG = {
    "a word that is none of the known": ({"config": {"traceMode": "on"}}, "'end', 'live', 'off'"),
    "YAML's off where a word is wanted": ("config: {traceMode: off}", "config/traceMode"),
    "a level in lower case": ({"config": {"logLevel": "info"}}, "'DEBUG', 'INFO', 'WARNING', 'ERROR'"),
    "less than the least": ({"config": {"heartbeatSeconds": 4}}, "config/heartbeatSeconds"),
    "more than the most": ({"config": {"agentConcurrency": 1001}}, "config/agentConcurrency"),
    "any free port": ({"config": {"probePort": 0}}, "config/probePort"),
    "half a worker": ({"config": {"workers": 1.5}}, "config/workers"),
    "a number as text": ({"config": {"workers": "8"}}, "config/workers"),
    "a domain that is none": ({"config": {"labelDomain": "Paperclip.io"}}, "config/labelDomain"),
    "a selector of two lines": ({"config": {"selector": "a\nb"}}, "config/selector"),
    "one namespace twice": ({"watchNamespaces": ["a", "a"]}, "watchNamespaces"),
    "a namespace as text": ({"watchNamespaces": "a"}, "watchNamespaces"),
    "a namespace that is none": ({"watchNamespaces": ["A_b"]}, "watchNamespaces/0"),
    "a digest cut short": ({"image": {"digest": "sha256:0123"}}, "image/digest"),
    "a digest in the repository": ({"image": {"repository": "a@sha256:0"}}, "image/repository"),
    "a collector without a scheme": ({"tracing": {"endpoint": "collector:4318"}}, "tracing/endpoint"),
    "less time for a stop than it takes": (
        {"terminationGracePeriodSeconds": 5},
        "terminationGracePeriodSeconds",
    ),
    "a switch without a position": ("config: {leaderElection: null}", "leaderElection"),
    "ports that are none": ("networkPolicy: {apiServerPorts: null}", "apiServerPorts"),
    "a stop without time": ("terminationGracePeriodSeconds: null", "terminationGracePeriodSeconds"),
    "no word on replicas": ("replicas: null", "replicas"),
    "accounts that are nobody's": ("policy: {admitters: null}", "admitters"),
    "an alert that there is not": ({"prometheusRule": {"disabled": ["Absent"]}}, "prometheusRule/disabled"),
}
FIX = {
    "two controllers without a Lease": (
        {"replicas": 2, "config": {"leaderElection": False}},
        "replicas is 2 and config.leaderElection is off",
        "Set config.leaderElection to true, or replicas to 1",
    ),
    "an account of nobody's": (
        {"serviceAccount": {"create": False}},
        "default account would get the controller's rights",
        "Name an account in serviceAccount.name",
    ),
    "a secret for a collector that is not there": (
        {"tracing": {"headers": {"existingSecret": "key"}}},
        "tracing.endpoint is empty",
        "Set tracing.endpoint",
    ),
    "a setting among the variables": (
        {"extraEnv": [{"name": "RUNHERD_WORKERS", "value": "9"}]},
        "extraEnv sets RUNHERD_WORKERS",
        "remove it from extraEnv",
    ),
    "a variable of the tracing twice": (
        {
            "tracing": {"endpoint": "http://c:4318"},
            "extraEnv": [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://d:4318"}],
        },
        "so do the values below tracing",
        "Remove it from extraEnv",
    ),
    "a variable twice": (
        {"extraEnv": [{"name": "TZ", "value": "UTC"}, {"name": "TZ", "value": "CET"}]},
        "extraEnv has TZ twice",
        "Remove one",
    ),
    "a budget from both sides": (
        {"replicas": 2, "podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": 1}},
        "both set",
        "Clear the other",
    ),
}
TAKEN = {
    "one controller without a Lease": {"config": {"leaderElection": False}},
    "two controllers with a Lease": {"replicas": 2},
    "no controller for a while": {"replicas": 0},
    "no traces": {"config": {"traceMode": "off"}},
    "the chart as a part of another": {"global": {"imageRegistry": "x"}},
}


@pytest.mark.parametrize(("given", "named"), TYPOS.values(), ids=TYPOS)
def test_a_typo_is_refused(given, named, checked):
    said = rendering.refusal(given)
    assert "additional properties" in said
    assert f"'{named}' not allowed" in said
    checked("refusals", typos=1)


@pytest.mark.parametrize(("given", "named"), WRONG.values(), ids=WRONG)
def test_a_wrong_value_is_refused(given, named, checked):
    said = rendering.refusal(given)
    assert "schema" in said
    assert named in said
    checked("refusals", wrong=1)


@pytest.mark.parametrize(("given", "why", "remedy"), FIX.values(), ids=FIX)
def test_what_does_not_fit_together_is_refused_and_mended(given, why, remedy, checked):
    said = rendering.refusal(given)
    assert why in said
    assert remedy in said
    checked("refusals", unfitting=1)


@pytest.mark.parametrize("given", TAKEN.values(), ids=TAKEN)
def test_what_is_unusual_but_right_is_taken(given, checked):
    assert rendering.refusal(given) == ""
    checked("refusals", unusual_but_taken=1)
