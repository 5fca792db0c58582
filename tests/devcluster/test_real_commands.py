import dataclasses
import json
import os

import pytest

from devcluster.cli import main
from devcluster.real import cluster, commands, status
from devcluster.real.errors import ClusterError
from devcluster.real.status import Component, Status

COMPONENTS = (
    Component("etcd", 12, alive=True, rss=3 * 2**20),
    Component("kubelet", None, alive=False, rss=0),
)
SEEN = Status(
    "trial",
    COMPONENTS,
    node_ready=True,
    server="https://10.94.0.2",
    host_address="10.94.0.1",
    pod_subnet="10.244.0.0/23",
    uptime=61.5,
)


@pytest.fixture
def absent():
    """The name of a cluster that is not on this machine."""
    return f"absent-{os.getpid()}"


def test_a_status_says_what_a_person_needs_to_reach_the_cluster():
    text = "\n".join(status.lines(SEEN))

    assert "node ready, up for 62 s, 3 MiB in all" in text
    assert "https://10.94.0.2" in text
    assert "pid 12" in text
    assert "not running" in text


def test_a_cluster_is_up_only_when_every_part_of_it_works():
    whole = dataclasses.replace(SEEN, components=COMPONENTS[:1])

    assert whole.up
    assert not SEEN.up
    assert not dataclasses.replace(whole, node_ready=None).up


def test_a_status_is_json_for_programs(monkeypatch, capsys):
    monkeypatch.setattr(cluster.RealCluster, "status", lambda _: SEEN)

    assert main(["real", "status", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["components"][1]["alive"] is False


@pytest.mark.parametrize("verb", ["status", "kubeconfig"])
def test_a_cluster_that_is_not_up_is_an_error_that_says_how_to_start_it(verb, absent, capsys):
    assert main(["real", verb, "--name", absent]) == 1
    assert f"up --name {absent}` starts it" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["up"], ["down"], ["load", "x.tar"], ["restart", "kubelet"]])
def test_whoever_is_not_root_is_told_so(words, absent, capsys, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert main(["real", *words, "--name", absent]) == 1
    assert "this needs root" in capsys.readouterr().err


def test_a_bad_name_is_refused(capsys):
    assert main(["real", "status", "--name", "../etc"]) == 1
    assert "is no name for a cluster" in capsys.readouterr().err


def test_a_component_that_there_is_not_is_refused_with_those_there_are(capsys):
    with pytest.raises(SystemExit):
        main(["real", "restart", "kube-proxy"])
    assert "kube-scheduler" in capsys.readouterr().err


def test_an_interrupted_command_says_what_to_do(monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster.RealCluster, "up", interrupt)

    assert main(["real", "up", "--name", "trial"]) == commands.INTERRUPTED
    assert "`python -m devcluster real down --name trial` removes what there is" in capsys.readouterr().err


def test_an_error_has_no_traceback(monkeypatch, capsys):
    def fail(*_):
        raise ClusterError("the disk is full")

    monkeypatch.setattr(cluster.RealCluster, "up", fail)

    assert main(["real", "up"]) == 1
    assert capsys.readouterr().err == "error: the disk is full\n"


def test_after_up_one_knows_how_to_use_it(monkeypatch, capsys):
    monkeypatch.setattr(cluster.RealCluster, "up", lambda *_: None)

    assert main(["real", "up"]) == 0
    assert "export KUBECONFIG=/var/lib/devcluster/runherd/kubeconfig" in capsys.readouterr().out
