"""The chart's `config` and the controller's settings are the same things with the same limits."""

import re

import pytest

from controller.core.contract import DEFAULT_DOMAIN
from controller.settings import Settings
from tests.chart import readme, rendering

ELSEWHERE = {"watch_namespaces": "watchNamespaces", "own_secrets": "ownSecrets"}
"""Values that drive the roles too, and so are not the controller's alone."""
DEFAULTS = {"lease_name": "", "lease_namespace": ""}
"""Filled in from the release."""
LIMITS = {"probe_port": {"minimum": 1}, "lease_name": {"pattern": "^$|"}}
"""A pod's port must be known beforehand; an empty lease name is the release's."""
MEANINGS = {"trace_mode", "lease_name", "lease_namespace", "probe_port"}
"""Told in other words, because the defaults differ or YAML has a trap."""
BOUNDS = ("type", "minimum", "maximum", "minLength", "maxLength", "pattern", "enum")

SETTINGS = Settings.model_json_schema()["properties"]
each_setting = pytest.mark.parametrize("name", [name for name in SETTINGS if name not in ELSEWHERE])


def camel(name):
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def resolved(field):
    schema = rendering.schema()
    reference = field.get("$ref", "").removeprefix("#/definitions/")
    return schema["definitions"][reference] if reference else field


def wanted(name):
    """The limits that the schema of values should have."""
    limits = {key: SETTINGS[name][key] for key in BOUNDS if key in SETTINGS[name]}
    for key, other in LIMITS.get(name, {}).items():
        limits[key] = other + limits[key] if key == "pattern" else other
    return limits


def test_every_setting_has_a_value_and_every_value_a_setting():
    names = {camel(name) for name in SETTINGS if name not in ELSEWHERE}
    assert set(rendering.values()["config"]) == names
    assert set(rendering.schema()["properties"]["config"]["properties"]) == names
    assert set(ELSEWHERE.values()) <= set(rendering.values())


@each_setting
def test_the_default_is_the_settings(name):
    assert rendering.values()["config"][camel(name)] == DEFAULTS.get(name, SETTINGS[name]["default"])


@each_setting
def test_the_limits_are_the_settings(name):
    found = resolved(rendering.schema()["properties"]["config"]["properties"][camel(name)])
    own = {"lease_namespace": ("maxLength", "pattern"), "selector": ("pattern",)}.get(name, ())
    assert {key: found[key] for key in BOUNDS if key in found and key not in own} == wanted(name)


@each_setting
def test_the_meaning_is_told_in_the_same_words(name):
    told = {
        value.key: value.meaning for value in readme.documented((rendering.CHART / "values.yaml").read_text())
    }
    same = told[f"config.{camel(name)}"] == SETTINGS[name]["description"]
    assert same is (name not in MEANINGS)


def test_the_domain_is_the_contracts():
    assert rendering.values()["config"]["labelDomain"] == DEFAULT_DOMAIN
