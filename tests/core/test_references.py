import pytest

from controller.core.model import Owned
from controller.core.parse import Parser
from controller.core.references import OWNED_MAX
from tests.core.builders import KEYS, job_json, raw

PARSER = Parser(KEYS)


def read(*, told=None, **spec):
    """The Job `run-1` with this annotation and this pod spec in its template."""
    tree = job_json(annotations={} if told is None else {KEYS.owned: told})
    tree["spec"]["template"]["spec"] |= spec
    return PARSER.job(raw(tree))


def secret(name):
    return Owned("Secret", name)


def config_map(name):
    return Owned("ConfigMap", name)


def agent(**fields):
    return {"name": "claude", "image": "x", **fields}


def test_what_the_host_names_is_owned():
    job = read(told="secret/prompt, configmap/files.v1,,secret/prompt")
    assert job.owned == (secret("prompt"), config_map("files.v1"))
    assert job.oddities == ()


def test_what_the_host_names_rules_over_the_template():
    volumes = [{"name": "v", "secret": {"secretName": "run-1-key"}}]
    assert read(told="secret/other", volumes=volumes).owned == (secret("other"),)
    assert read(told="", volumes=volumes).owned == ()
    assert read(volumes=volumes).owned == (secret("run-1-key"),)


@pytest.mark.parametrize(
    "entry",
    [
        "pod/x",
        "secret",
        "secret/",
        "secret/UPPER",
        "secret/a b",
        "Secret/x",
        "ns/secret/x",
        f"secret/{'x' * 254}",
    ],
)
def test_an_entry_that_names_no_such_object_is_told_and_ignored(entry):
    job = read(told=f"{entry},secret/good")
    assert job.owned == (secret("good"),)
    (odd,) = job.oddities
    assert odd.where == KEYS.owned
    assert "secret/NAME" in odd.what


def test_only_so_many_objects_of_one_run_are_looked_after():
    job = read(told=",".join(f"secret/n{n}" for n in range(OWNED_MAX + 1)))
    assert len(job.owned) == OWNED_MAX
    assert [odd.where for odd in job.oddities] == [KEYS.owned]


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        pytest.param(
            {"volumes": [{"name": "v", "secret": {"secretName": "run-1-key"}}]},
            secret("run-1-key"),
            id="a volume of a secret",
        ),
        pytest.param(
            {"volumes": [{"name": "v", "configMap": {"name": "run-1-files"}}]},
            config_map("run-1-files"),
            id="a volume of a config map",
        ),
        pytest.param(
            {"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "run-1-key"}}]}}]},
            secret("run-1-key"),
            id="a part of a volume",
        ),
        pytest.param(
            {"volumes": [{"name": "v", "projected": {"sources": [{"configMap": {"name": "run-1-x"}}]}}]},
            config_map("run-1-x"),
            id="another part of a volume",
        ),
        pytest.param(
            {
                "containers": [
                    agent(
                        env=[{"name": "K", "valueFrom": {"secretKeyRef": {"name": "run-1-key", "key": "k"}}}]
                    )
                ]
            },
            secret("run-1-key"),
            id="a variable",
        ),
        pytest.param(
            {
                "containers": [
                    agent(
                        env=[{"name": "K", "valueFrom": {"configMapKeyRef": {"name": "run-1-x", "key": "k"}}}]
                    )
                ]
            },
            config_map("run-1-x"),
            id="another variable",
        ),
        pytest.param(
            {"initContainers": [agent(envFrom=[{"secretRef": {"name": "run-1-key"}}])]},
            secret("run-1-key"),
            id="all variables of an init container",
        ),
        pytest.param(
            {"containers": [agent(envFrom=[{"prefix": "X", "configMapRef": {"name": "run-1-x"}}])]},
            config_map("run-1-x"),
            id="all variables of a container",
        ),
    ],
)
def test_what_the_template_needs_and_is_named_after_the_job_is_owned(spec, want):
    assert read(**spec).owned == (want,)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"volumes": [{"name": "v", "secret": {"secretName": "shared"}}]}, id="another name"),
        pytest.param(
            {"volumes": [{"name": "v", "secret": {"secretName": "run-11-key"}}]}, id="a longer name"
        ),
        pytest.param(
            {"volumes": [{"name": "v", "secret": {"secretName": "run-1-key", "optional": True}}]},
            id="not needed for a start",
        ),
        pytest.param(
            {
                "containers": [
                    agent(env=[{"name": "P", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}, {"name": "Q"}])
                ]
            },
            id="another kind of variable",
        ),
        pytest.param({"volumes": [{"name": "v", "emptyDir": {}}], "containers": []}, id="another volume"),
        pytest.param({"volumes": None, "initContainers": None, "containers": None}, id="nothing at all"),
    ],
)
def test_nothing_else_of_the_template_is_owned(spec):
    job = read(**spec)
    assert (job.owned, job.oddities) == ((), ())
