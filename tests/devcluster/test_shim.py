"""kind's command line over our own clusters, and pytest-kind upon it."""

import asyncio
import os
import subprocess
import sys

import pytest
import yaml
from pytest_kind import KindCluster

from devcluster.kind import config
from devcluster.shim import backing
from devcluster.shim.commands import ShimError, run
from tests.devcluster import shim_script
from tests.devcluster.kind_machine import Machine


def kubeconfig(*names, current=None):
    """A kubeconfig in YAML with an entry of each kind for each name."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": names[-1] if current is None else current,
            "clusters": [{"name": n, "cluster": {"server": "https://10.94.0.2"}} for n in names],
            "users": [{"name": n, "user": {"token": "secret"}} for n in names],
            "contexts": [{"name": n, "context": {"cluster": n, "user": n}} for n in names],
        }
    )


@pytest.fixture
def state(tmp_path):
    """Where the clusters of the stand-in are."""
    (tmp_path / "clusters").mkdir()
    (tmp_path / "clusters/offer").write_text(kubeconfig("NAME"))
    return tmp_path / "clusters"


@pytest.fixture
def kind(state, capsys):
    """Runs the shim: its exit code, stdout and stderr."""

    def call(*words):
        try:
            code = run(words, shim_script.clusters(state))
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return call


def contexts(path):
    return [entry["name"] for entry in yaml.safe_load(path.read_text())["contexts"]]


def test_what_was_created_is_listed_until_it_is_deleted(kind):
    assert kind("get", "clusters") == (0, "", "No kind clusters found.\n")

    assert kind("create", "cluster", "--name=one")[0] == 0
    assert kind("create", "cluster", "--name", "two", "--wait", "60s")[0] == 0
    assert kind("get", "clusters")[:2] == (0, "one\ntwo\n")

    assert kind("delete", "cluster", "-n", "one")[0] == 0
    assert kind("get", "clusters")[:2] == (0, "two\n")


def test_progress_goes_to_stderr(kind):
    code, answered, progress = kind("create", "cluster", "--name=one")

    assert (code, answered) == (0, "")
    assert "starting one" in progress


def test_create_writes_the_kubeconfig_for_its_owner_only(kind, tmp_path):
    path = tmp_path / "new/kubeconfig"
    kind("create", "cluster", "--name=one", f"--kubeconfig={path}")

    assert yaml.safe_load(path.read_text()) == yaml.safe_load(kubeconfig("one"))
    assert path.stat().st_mode & 0o777 == 0o600


def test_other_clusters_in_the_kubeconfig_stay(kind, tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text(kubeconfig("work", "one", current="work"))

    kind("create", "cluster", "--name=one", f"--kubeconfig={path}")
    assert contexts(path) == ["work", "one"]
    assert yaml.safe_load(path.read_text())["current-context"] == "one"

    kind("delete", "cluster", "--name=one", f"--kubeconfig={path}")
    assert yaml.safe_load(path.read_text()) == yaml.safe_load(kubeconfig("work", current=""))


def test_a_kubeconfig_that_holds_nothing_else_goes_with_its_cluster(kind, tmp_path):
    path = tmp_path / "kubeconfig"
    path.touch()  # pytest-kind does
    kind("create", "cluster", "--name=one", f"--kubeconfig={path}")
    kind("delete", "cluster", "--name=one", f"--kubeconfig={path}")

    assert not path.exists()


def test_the_clusters_own_kubeconfig_may_be_named(kind, state):
    path = state / "one/kubeconfig"
    assert kind("create", "cluster", "--name=one", f"--kubeconfig={path}")[0] == 0
    assert contexts(path) == ["one"]
    assert kind("delete", "cluster", "--name=one", f"--kubeconfig={path}")[0] == 0
    assert not path.exists()


def test_create_refuses_a_name_that_is_up(kind):
    kind("create", "cluster", "--name=one")
    code, _, said = kind("create", "cluster", "--name=one")

    assert code == 1
    assert 'there is a cluster with the name "one" already' in said


def test_what_has_no_effect_is_said(kind):
    code, _, said = kind("create", "cluster", "--name=one", "--image=kindest/node:v1.30.0", "--config=c.yaml")

    assert code == 0
    assert "--image is not used" in said
    assert "--config is not used" in said


def test_deleting_what_is_not_there_succeeds(kind):
    assert kind("delete", "cluster", "--name=one", "--kubeconfig=/nowhere/kubeconfig")[0] == 0


def test_the_kubeconfig_is_printed(kind):
    kind("create", "cluster", "--name=one")
    code, answered, _ = kind("get", "kubeconfig", "--name=one")

    assert code == 0
    assert yaml.safe_load(answered) == yaml.safe_load(kubeconfig("one"))


def test_images_are_loaded_by_reference_and_from_tars(kind, state, tmp_path):
    (tmp_path / "theirs.tar").write_text("theirs")
    kind("create", "cluster", "--name=one")

    assert kind("load", "docker-image", "--name", "one", "localhost/ours:dev")[0] == 0
    assert kind("load", "image-archive", str(tmp_path / "theirs.tar"), "--name=one")[0] == 0
    assert (state / "one/images").read_text() == "ours\ntheirs\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("load", "docker-image", "--name=one", "nginx:latest"), "no image nginx:latest"),
        (("load", "image-archive", "--name=one", "missing.tar"), "no file missing.tar"),
        (("load", "image-archive", "--name=two", "missing.tar"), 'no nodes found for cluster "two"'),
        (("get", "kubeconfig", "--name=two"), 'no nodes found for cluster "two"'),
        (("create", "cluster", "--name=one", "--retain"), "unrecognized arguments: --retain"),
        (("create", "cluster", "--na=one"), "unrecognized arguments: --na=one"),
        (("export", "logs"), "invalid choice: 'export'"),
        (("get", "nodes"), "invalid choice: 'nodes'"),
        (("get",), "required"),
        ((), "required"),
    ],
)
def test_what_cannot_be_done_is_said_with_exit_code_1(kind, words, complaint):
    kind("create", "cluster", "--name=one")
    code, answered, said = kind(*words)

    assert (code, answered) == (1, "")
    assert complaint in said


def test_an_image_that_is_not_ours_is_refused_with_those_that_are():
    with pytest.raises(ShimError, match=r"nginx:1 is no image of ours \(.*localhost/runherd:dev"):
        backing.archive("nginx:1", print)


def test_an_image_is_known_by_each_of_its_names(monkeypatch, tmp_path):
    monkeypatch.setattr(backing.images, "archive", lambda name, _: tmp_path / name)

    assert backing.archive("localhost/runherd:dev", print).name == "controller"
    assert backing.archive("docker.io/library/busybox:1.36", print).name == "busybox"


def test_version_and_help_answer(kind):
    assert kind("version")[1].startswith("kind v")
    assert "examples:" in kind("--help")[1]


NEEDS_A_CLUSTER = """
def test_one(kind_cluster):
    assert kind_cluster.kubectl("version") == "asked with kubeconfig\\n"
    assert kind_cluster.api.url == "https://10.94.0.2"
    kind_cluster.load_docker_image("localhost/ours:dev")
"""


@pytest.fixture
def session(tmp_path, state):
    """Runs pytest with pytest-kind in a folder of its own, warnings being errors; what it prints."""
    (tmp_path / "test_one.py").write_text(NEEDS_A_CLUSTER)
    kubectl = tmp_path / "kubectl"
    kubectl.write_text('#!/bin/sh\ntest -s "$KUBECONFIG" && echo asked with kubeconfig\n')
    kubectl.chmod(0o755)
    programs = (f"--kind-bin={shim_script.script(tmp_path, state)}", f"--kind-kubectl-bin={kubectl}")

    def run_session(*options):
        words = (sys.executable, "-m", "pytest", "-Werror", "-ppytest_kind.plugin", "-pno:cacheprovider")
        done = subprocess.run(
            [*words, *programs, *options, "test_one.py"],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run_session


def test_pytest_kind_creates_uses_and_deletes_our_cluster(session, state, tmp_path):
    said = session("--cluster-name=fixture")

    assert "1 passed" in said
    assert not (state / "fixture").exists()
    assert list((tmp_path / ".pytest-kind/fixture").iterdir()) == []  # nothing was downloaded


def test_pytest_kind_finds_our_cluster_and_keeps_it(session, kind, state):
    kind("create", "cluster", "--name=kept")
    session("--cluster-name=kept", "--keep-cluster", f"--kubeconfig={state}/kept/kubeconfig")

    assert (state / "kept/images").read_text() == "ours\n"


async def test_pytest_kinds_client_talks_to_the_cluster_that_the_shim_made(
    cluster, state, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    cluster.write_kubeconfig(state / "offer")
    made = KindCluster("served", kind_path=shim_script.script(tmp_path, state))

    await asyncio.to_thread(made.create)
    with made.api.session:
        nodes = await asyncio.to_thread(lambda: made.api.get(url="nodes").json()["items"])
    await asyncio.to_thread(made.delete)

    assert [node["metadata"]["name"] for node in nodes] == ["fake-node"]
    assert not made.kubeconfig_path.exists()


def test_with_docker_the_cluster_is_made_by_kind_with_our_node(tmp_path, monkeypatch, capsys):
    machine = Machine(tmp_path)
    monkeypatch.setenv("PATH", str(machine.path))
    monkeypatch.setattr("devcluster.programs.path", lambda name, _: machine.path / name)
    clusters = backing.in_docker(tmp_path / "home")

    assert run(["create", "cluster", "--name=trial"], clusters) == 0
    assert run(["get", "clusters"], clusters) == 0
    assert capsys.readouterr().out == "trial\n"
    assert (machine.state / "used-config.yaml").read_text() == config.text("trial")


def test_the_script_for_kind_bin_speaks_kind_from_any_folder(tmp_path):
    script = shim_script.REPOSITORY / "e2e/kind"
    done = subprocess.run([script, "version"], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert done.stdout.startswith("kind v")
