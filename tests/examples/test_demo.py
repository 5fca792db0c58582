import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest

from devcluster import programs
from examples.demo.outcome import EXPECTED
from examples.demo.submit import ROOT

COMMAND = [sys.executable, "-m", "examples.demo"]


def environment(folder, **more):
    """Nothing of the developer's own settings, and a place for files that must be empty afterwards."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"TMPDIR": str(folder)} | more


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def played(folder):
    return subprocess.run(
        [*COMMAND, "--json"], cwd=ROOT, env=environment(folder), capture_output=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def report(played):
    return json.loads(played.stdout)


def test_every_run_ends_as_expected(played, report):
    assert {run["name"]: run["problems"] for run in report["runs"]} == {name: [] for name in EXPECTED}
    assert report["ok"]
    assert (played.returncode, played.stderr) == (0, b"")


def test_the_results_are_those_of_the_agents(report):
    runs = {run["name"]: run for run in report["runs"]}
    assert runs["01-subagent"]["result"]["subagents"] == 1
    assert runs["01-subagent"]["result"]["costUsd"] > 0
    assert runs["07-image-missing"]["result"].get("exitCode") is None
    assert "Queued/AgentBusy" in runs["09-second-of-two"]["been"]
    assert "Attached/Reattached" in runs["11-continuation"]["been"]
    assert runs["11-continuation"]["result"]["usage"] == runs["10-lost-sight"]["result"]["usage"]
    assert runs["12-may-not-wait"]["been"] == ["Rejected/TaskMismatch"]
    assert len({run["traceId"] for run in runs.values()}) == len(runs)
    assert report["traces"]["spans"] > len(runs)


def test_no_file_is_left_behind(played, folder):
    assert list(folder.iterdir()) == []


@contextlib.contextmanager
def minding_interrupts():
    """A shell has what it starts in the background ignore them, and so would all that is started here."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_ends_it_and_leaves_nothing_behind(tmp_path):
    with minding_interrupts():
        demo = subprocess.Popen(
            COMMAND,
            cwd=ROOT,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    for line in demo.stdout:
        if "Running/" in line:
            break
    demo.send_signal(signal.SIGINT)
    _, said = demo.communicate(timeout=60)
    assert (demo.returncode, "Traceback" in said) == (130, False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        pytest.param({"CLUSTER": "moon"}, "CLUSTER", id="a kind of cluster that there is not"),
        pytest.param({"CLUSTER": "current", "KUBECONFIG": "/nowhere"}, "KUBECONFIG", id="no kubeconfig"),
    ],
)
def test_a_wrong_setting_is_named_without_a_traceback(environ, named, tmp_path):
    ran = subprocess.run(
        COMMAND,
        cwd=ROOT,
        env=environment(tmp_path, **environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 2
    assert named in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_traces_can_go_to_a_jaeger_that_is_started_for_them_and_ends_with_the_demo(tmp_path):
    programs.path("jaeger")
    asked = environment(tmp_path, JAEGER="1")
    played = subprocess.run(
        [*COMMAND, "--json"], cwd=ROOT, env=asked, capture_output=True, timeout=900, check=False
    )
    report = json.loads(played.stdout)
    assert {run["name"]: run["problems"] for run in report["runs"]} == {name: [] for name in EXPECTED}
    (first, *_) = report["runs"]
    assert first["traceUrl"].endswith(f"/trace/{first['traceId']}")
    assert report["traces"]["spans"] > len(EXPECTED)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(first["traceUrl"], timeout=5)  # noqa: S310 — the demo's own http address
    assert list(tmp_path.iterdir()) == []
