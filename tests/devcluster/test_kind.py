"""The cluster of kind: its calls as values, and its commands on a machine that only seems to have Docker."""

import argparse
import json
import os
from pathlib import Path

import pytest
import yaml

from devcluster.kind import KindError, Programs, calls, cluster, commands, config
from devcluster.real import configs
from devcluster.real.addresses import Addresses
from devcluster.real.layout import Layout
from tests.devcluster.kind_machine import Machine, files

ON_NODE = ("docker", "exec", "trial-control-plane")
KUBECTL = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (calls.engine(), ("docker", "version", "--format", "{{.Server.Version}}")),
        (calls.clusters(), ("kind", "get", "clusters")),
        (
            calls.create("trial", Path("/c.yaml"), Path("/k")),
            (
                "kind",
                "create",
                "cluster",
                "--name=trial",
                "--config=/c.yaml",
                "--kubeconfig=/k",
                "--wait=180s",
            ),
        ),
        (calls.delete("trial", Path("/k")), ("kind", "delete", "cluster", "--name=trial", "--kubeconfig=/k")),
        (calls.kubeconfig("trial"), ("kind", "get", "kubeconfig", "--name=trial")),
        (calls.load("trial", Path("/i.tar")), ("kind", "load", "image-archive", "--name=trial", "/i.tar")),
        (
            calls.node_state("trial"),
            ("docker", "inspect", "--format", "{{.State.Status}}", "trial-control-plane"),
        ),
        (calls.ready("trial"), (*ON_NODE, *KUBECTL, "--request-timeout=5s", "get", "--raw", "/readyz")),
        (
            calls.node_ready("trial", 30),
            (
                *ON_NODE,
                *KUBECTL,
                "wait",
                "--for=condition=Ready",
                "node/trial-control-plane",
                "--timeout=30s",
            ),
        ),
        (
            calls.process("trial", "kubelet"),
            (*ON_NODE, "systemctl", "show", "--property=MainPID", "--value", "kubelet"),
        ),
        (
            calls.process("trial", "kube-apiserver"),
            (*ON_NODE, "pgrep", "--oldest", "--exact", "kube-apiserver"),
        ),
        (
            calls.process("trial", "kube-controller-manager"),  # the kernel keeps 15 letters of it
            (*ON_NODE, "pgrep", "--oldest", "--exact", "kube-controller"),
        ),
        (calls.restart_unit("trial", "kubelet"), (*ON_NODE, "systemctl", "restart", "kubelet")),
        (calls.signal("trial", 11, kill=False), (*ON_NODE, "kill", "-TERM", "11")),
        (calls.signal("trial", 11, kill=True), (*ON_NODE, "kill", "-KILL", "11")),
    ],
)
def test_a_call_is(call, words):
    assert call == words


def test_the_node_is_pinned_by_digest_and_its_kubelet_set_up_for_tests():
    held = yaml.safe_load(config.text("trial"))
    (node,) = held["nodes"]
    (patch,) = map(yaml.safe_load, held["kubeadmConfigPatches"])

    assert held["name"] == "trial"
    assert node["image"].startswith("kindest/node:v1.36.")
    assert "@sha256:" in node["image"]
    assert (patch.pop("apiVersion"), patch.pop("kind")) == (
        "kubelet.config.k8s.io/v1beta1",
        "KubeletConfiguration",
    )
    assert {"maxPods", "crashLoopBackOff", "containerLogMaxSize", "containerLogMaxFiles"} < patch.keys()
    assert patch.items() <= configs.kubelet(Layout("trial"), Addresses(0)).items()  # as `devcluster real`


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "BETWEEN_LOOKS", 0.01)
    return Machine(tmp_path)


@pytest.fixture
def kind(machine, tmp_path, capsys):
    """Runs `devcluster kind …`: its exit code, stdout and stderr."""

    def run(*words):
        top = argparse.ArgumentParser()
        commands.add_commands(top.add_subparsers(), lambda _: machine.programs, tmp_path / "home")
        given = top.parse_args(["kind", *words])
        code = given.run(given)
        return code, *capsys.readouterr()

    return run


def test_up_makes_the_cluster_we_describe_and_says_where_its_kubeconfig_is(kind, machine, tmp_path):
    code, said, progress = kind("up", "--name", "trial")

    kubeconfig = tmp_path / "home/trial/kubeconfig"
    assert code == 0
    assert machine.clusters() == ["trial"]
    assert (machine.state / "used-config.yaml").read_text() == config.text("trial")
    assert kubeconfig.read_text() == "kubeconfig of trial\n"
    assert f"export KUBECONFIG={kubeconfig}" in said
    assert "Ensuring node image" in progress


def test_up_refuses_a_cluster_that_is_up(kind, machine):
    kind("up")
    code, _, said = kind("up")

    assert code == 1
    assert "runherd is up already" in said
    assert machine.clusters() == ["runherd"]


def test_a_name_that_kind_would_not_take_is_refused(kind, machine):
    code, _, said = kind("up", "--name", "../Trial")

    assert code == 1
    assert "'../Trial' is no name for a cluster" in said
    assert machine.clusters() == []


def test_up_passes_on_why_kind_failed(kind, machine):
    machine.has("no-space")
    code, _, said = kind("up")

    assert code == 1
    assert "no space left" in said
    assert "kind create cluster --name=runherd" in said


def test_up_fails_when_the_node_is_not_ready_in_time(kind, machine):
    machine.has("not-ready")
    code, _, said = kind("up")

    assert code == 1
    assert "timed out waiting" in said


def test_down_leaves_neither_cluster_nor_files(kind, machine, tmp_path):
    kind("up", "--name", "trial")
    kind("up", "--name", "other")
    code, _, _ = kind("down", "--name", "trial")

    assert code == 0
    assert machine.clusters() == ["other"]
    assert files(tmp_path / "home") == ["other"]


def test_down_of_nothing_is_no_error(kind):
    assert kind("down")[0] == 0


def test_status_is_read_by_people_and_programs(kind, tmp_path):
    kind("up")
    code, said, _ = kind("status", "--json")

    kubeconfig = str(tmp_path / "home/runherd/kubeconfig")
    assert code == 0
    assert json.loads(said) == {
        "name": "runherd",
        "node": "running",
        "node_ready": True,
        "host_address": "172.18.0.1",  # the IPv4 one of its two
        "kubeconfig": kubeconfig,
    }
    code, said, _ = kind("status")
    assert code == 0
    assert "node ready" in said
    assert kubeconfig in said


def test_a_stopped_node_is_not_ready(kind, machine):
    kind("up")
    (machine.state / "clusters/runherd").write_text("exited\n")
    code, said, _ = kind("status")

    assert code == 1
    assert "node not ready, its container is exited" in said


@pytest.mark.parametrize("words", [("status",), ("kubeconfig",), ("load", "x.tar"), ("restart", "etcd")])
def test_what_needs_a_cluster_says_how_to_get_one(kind, words):
    code, _, said = kind(*words)

    assert code == 1
    assert said.endswith("error: runherd is not up; `python -m devcluster kind up` starts it\n")


def test_load_of_no_file_says_so(kind):
    kind("up")
    code, _, said = kind("load", "missing.tar")

    assert code == 1
    assert "there is no file missing.tar" in said


def test_kubeconfig_is_asked_of_kind_and_kept_from_others(kind, tmp_path):
    kind("up")
    kubeconfig = tmp_path / "home/runherd/kubeconfig"
    kubeconfig.unlink()
    code, said, _ = kind("kubeconfig")

    assert (code, said) == (0, f"{kubeconfig}\n")
    assert kubeconfig.read_text().startswith("kubeconfig of runherd")
    assert kubeconfig.stat().st_mode & 0o777 == 0o600


def test_load_puts_a_tar_and_images_of_ours_on_the_node(kind, machine, tmp_path, monkeypatch):
    ours, theirs = tmp_path / "ours.tar", tmp_path / "theirs.tar"
    ours.write_text("ours ")
    theirs.write_text("theirs ")
    monkeypatch.setattr(commands.images, "archive", lambda name, _: {"controller": ours}[name])
    kind("up")
    code, _, _ = kind("load", str(theirs), "controller")

    assert code == 0
    assert (machine.state / "images-of-runherd").read_text() == "theirs ours "


@pytest.mark.parametrize(
    ("words", "process", "how"),
    [
        (("kubelet",), "kubelet", "restarted"),
        (("kubelet", "--kill"), "kubelet", "-KILL"),
        (("kube-apiserver",), "kube-apiserver", "-TERM"),
        (("kube-apiserver", "--kill"), "kube-apiserver", "-KILL"),
        (("kube-controller-manager", "--kill"), "kube-controller", "-KILL"),
    ],
)
def test_restart_ends_one_process_and_waits_for_its_successor(kind, machine, words, process, how):
    kind("up")
    before = machine.pid(process)
    code, _, _ = kind("restart", *words)

    assert code == 0
    assert machine.ended(process) == how
    assert machine.pid(process) != before
    assert files(machine.state / "ended") == [process]


def test_restart_of_what_does_not_run_says_so(kind, machine):
    kind("up")
    (machine.state / "pids/etcd").unlink()
    code, _, said = kind("restart", "etcd")

    assert code == 1
    assert "etcd does not run" in said


def test_restart_gives_up_on_what_does_not_come_back(kind, machine, monkeypatch):
    monkeypatch.setattr(cluster, "RESTART_SECONDS", 0.0)
    kind("up")
    code, _, said = kind("restart", "etcd", "--kill")

    assert code == 1
    assert "for etcd to start again" in said
    assert "journalctl" in said


def test_without_docker_it_says_what_to_use_instead(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(KindError, match="docker is not on PATH") as refused:
        Programs.found(lambda _: None)
    assert "devcluster real up" in str(refused.value)


def test_without_an_engine_it_repeats_what_docker_says(machine, monkeypatch):
    machine.has("no-engine")
    monkeypatch.setenv("PATH", str(machine.path))

    with pytest.raises(KindError, match=r"does not answer: Cannot connect to the Docker daemon"):
        Programs.found(lambda _: None)


def test_docker_is_taken_from_the_path_and_kind_is_our_own(machine, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(machine.path), prepend=os.pathsep)
    monkeypatch.setattr("devcluster.programs.path", lambda name, _: tmp_path / "built" / name)

    found = Programs.found(lambda _: None)

    assert found == Programs(machine.path / "docker", tmp_path / "built/kind")
