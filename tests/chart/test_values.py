"""Values, their schema, the README and what the chart says of itself agree. Needs no Helm."""

import ast
import re
import tomllib

import pytest
import yaml

from controller import VERSION, app
from controller.engine.parts import STALE_AFTER_SECONDS
from controller.telemetry.metrics import Metrics
from tests.chart import readme, rendering
from tests.chart.rendering import CHART

VALUES = CHART / "values.yaml"
FREE = {
    "podSecurityContext",
    "securityContext",
    "affinity",
    "resources.requests",
    "resources.limits",
    "global",
}
"""Parts of a pod: Kubernetes knows their fields, and which they are depends on its version."""
TEMPLATES = sorted(path for path in CHART.rglob("templates/**/*") if path.is_file())
each_template = pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(CHART)))


def closed(schema, at=""):
    """Every object of the schema that has named fields, with its key."""
    definitions = rendering.schema()["definitions"]
    schema = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if "properties" in schema:
        yield at, schema
    for name, below in schema.get("properties", {}).items():
        yield from closed(below, f"{at}.{name}".strip("."))
    if "items" in schema:
        yield from closed(schema["items"], f"{at}[]")


def free(schema, at=""):
    """Every object of the schema whose fields may be anything."""
    for key, found in closed(schema, at):
        for name, below in found["properties"].items():
            if below == {"type": "object"}:
                yield f"{key}.{name}".strip(".")


def maps(values, at=""):
    """Every map among the values, with its key."""
    yield at, values
    for name, below in values.items():
        if isinstance(below, dict):
            yield from maps(below, f"{at}.{name}".strip("."))


def test_a_value_cannot_be_taken_away_by_saying_null():
    """Helm drops a key that is null before it looks at the schema: templates would see nothing at all."""
    schemas = dict(closed(rendering.schema()))
    for key, values in maps(rendering.values()):
        if key in schemas:
            needed = {name for name, value in values.items() if not isinstance(value, dict)}
            assert needed <= set(schemas[key].get("required", ())), key


def test_the_readme_has_the_values_as_they_are():
    assert readme.filled(readme.README.read_text(), VALUES.read_text()) == readme.README.read_text(), (
        "run: python -m tests.chart.readme"
    )


def test_every_value_is_documented_once():
    keys = [value.key for value in readme.documented(VALUES.read_text())]
    assert readme.undocumented(VALUES.read_text()) == []
    assert len(keys) == len(set(keys)) > 80


def test_a_meaning_is_a_sentence():
    meanings = [value.meaning for value in readme.documented(VALUES.read_text())]
    assert [meaning for meaning in meanings if not re.match(r"[A-Z`].*\.$", meaning)] == []


def test_the_schema_knows_every_value_and_no_other():
    schemas = dict(closed(rendering.schema()))
    for key, found in maps(rendering.values()):
        if key in schemas:
            assert set(found) == set(schemas[key]["properties"]) - {"global", "claims"}, key
        else:
            known = FREE | {"grafanaDashboard.labels"}
            assert not found or any(key == free or key.startswith(f"{free}.") for free in known), key


def test_the_schema_refuses_what_it_does_not_know():
    found = dict(closed(rendering.schema()))
    assert len(found) > 20
    assert [key for key, schema in found.items() if schema.get("additionalProperties") is not False] == []
    assert set(free(rendering.schema())) <= FREE | {"extraEnv[].valueFrom"}


@each_template
def test_a_template_gives_the_same_bytes_each_time(path):
    assert not re.search(r"\b(rand\w+|now|uuidv4|gen\w*C\w+|derivePassword|lookup|shuffle)\b", bare(path))


def bare(path):
    """Only what is between braces, without comments and text."""
    actions = re.findall(r"\{\{(?!-? */\*)(.*?)\}\}", path.read_text(), re.DOTALL)
    return " ".join(re.sub(r'"(\\.|[^"])*"', "", action) for action in actions)


def test_the_charts_version_is_the_controllers():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((rendering.ROOT / "pyproject.toml").read_text())["project"]
    assert chart["version"] == chart["appVersion"] == VERSION == project["version"]


def test_a_stop_has_the_time_that_the_controller_takes():
    needed = app.DRAIN_SECONDS + app._RELEASE_SECONDS
    assert rendering.schema()["properties"]["terminationGracePeriodSeconds"]["minimum"] >= needed
    assert rendering.values()["terminationGracePeriodSeconds"] >= needed + 5


def measured():
    """Every series that the controller has."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    return {
        family.name + suffix for family in Metrics().registry.collect() for suffix in suffixes[family.type]
    }


@pytest.mark.parametrize("name", ["templates/_alerts.tpl", "files/dashboard.json"])
def test_what_is_watched_is_measured(name):
    asked = set(re.findall(r"\b(?:runherd|process)_[a-z_]+\b", (CHART / name).read_text()))
    assert len(asked) >= 8
    assert asked <= measured()


def test_alerts_are_named_in_the_schema():
    alerts = re.findall(r"alert: (\w+)", (CHART / "templates/_alerts.tpl").read_text())
    listed = rendering.schema()["properties"]["prometheusRule"]["properties"]["disabled"]["items"]["enum"]
    assert alerts == listed


def test_a_watch_alerts_when_the_controller_stops_to_believe_it():
    expression = re.search(
        r"watch_staleness_seconds.* > (\d+)", (CHART / "templates/_alerts.tpl").read_text()
    )
    assert float(expression[1]) == STALE_AFTER_SECONDS


def test_the_test_pods_program_needs_nothing_but_python_and_no_variable_of_kubernetes():
    source = (CHART / "files/ready.py").read_text()
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).partition(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported <= {"json", "os", "ssl", "sys", "time", "urllib", "pathlib"}
    assert "$(" not in source


@pytest.mark.parametrize("path", rendering.CASES, ids=rendering.case)
def test_a_case_says_what_it_is_about(path):
    assert re.match(r"# [A-Z].*\.\n", path.read_text())


def test_every_link_of_the_readme_leads_somewhere():
    targets = re.findall(r"\]\((?!https?:)([^)#\s]+)", readme.README.read_text())
    assert [target for target in targets if not (CHART / target).exists()] == []
