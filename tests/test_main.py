"""`python -m controller` as a process: exit codes, what it says, and that it ends when it is told to."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest

from controller import VERSION, __main__
from controller.settings import Settings
from devcluster.fake import FakeCluster

SECONDS = 30.0


def environ(**settings):
    """Ours, without settings and without a way to a cluster."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RUNHERD_", "OTEL_", "KUBE"))
    }
    return kept | {"RUNHERD_PROBE_PORT": "0", "HOME": "/nonexistent"} | settings


def run(*arguments, **settings):
    return subprocess.run(
        [sys.executable, "-m", "controller", *arguments],
        env=environ(**settings),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@asynccontextmanager
async def controller(kubeconfig, **settings):
    """A running one, with what it has said so far on stderr to be read line by line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "controller",
        env=environ(KUBECONFIG=str(kubeconfig), **settings),
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def said(process, words):
    """All lines up to the first with these words."""
    lines = []
    async with asyncio.timeout(SECONDS):
        while not lines or words not in lines[-1]:
            line = await process.stderr.readline()
            assert line, f"it ended without saying {words!r}: {lines}"
            lines.append(line.decode())
    return lines


@pytest.fixture
async def cluster():
    async with FakeCluster(kubelet=False, job_controller=False) as fake:
        yield fake


@pytest.fixture
def kubeconfig(cluster, tmp_path):
    return cluster.write_kubeconfig(tmp_path / "kubeconfig")


@pytest.fixture
def main(monkeypatch, capsys):
    """Called with arguments that end it before it begins: its exit code, and what it printed."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["runherd-controller", *arguments])
        with pytest.raises(SystemExit) as ended:
            __main__.main()
        return ended.value.code, capsys.readouterr().out

    return call


def test_the_version_is_told(main):
    assert main("--version") == (0, f"{VERSION}\n")


def test_help_shows_examples_that_are_true_to_the_settings(main):
    code, told = main("--help")
    assert code == 0
    assert "python -m controller" in told
    named = {word.partition("=")[0] for word in told.split() if word.startswith("RUNHERD_")}
    assert named
    assert named <= {f"RUNHERD_{name.upper()}" for name in Settings.model_fields} | {"RUNHERD_CONFIG"}


def test_an_argument_is_refused(main):
    assert main("--workers=3")[0] == 2


def test_wrong_settings_end_it_with_2_and_are_named():
    found = run(RUNHERD_WORKERS="0", RUNHERD_LOG_LEVEL="loud")
    assert found.returncode == 2
    assert "RUNHERD_WORKERS" in found.stderr
    assert "RUNHERD_LOG_LEVEL" in found.stderr
    assert "Traceback" not in found.stderr


def test_no_cluster_ends_it_with_1_and_says_what_to_set(tmp_path):
    found = run(KUBECONFIG=str(tmp_path / "nothing"))
    assert found.returncode == 1
    assert "KUBECONFIG" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_kubeconfig_that_is_none_ends_it_with_1(tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text("clusters: [")
    found = run(KUBECONFIG=str(path))
    assert found.returncode == 1
    assert "Traceback" not in found.stderr


async def test_a_port_that_is_taken_ends_it_with_1_and_names_the_setting(kubeconfig):
    with socket.create_server(("", 0)) as taken:
        port = str(taken.getsockname()[1])
        async with controller(kubeconfig, RUNHERD_PROBE_PORT=port) as process:
            async with asyncio.timeout(SECONDS):
                _, told = await process.communicate()
    assert process.returncode == 1
    assert b"RUNHERD_PROBE_PORT" in told
    assert b"Traceback" not in told


async def test_a_lease_that_is_refused_ends_it_with_1_and_says_what_is_missing(kubeconfig):
    async with controller(kubeconfig, RUNHERD_LEASE_NAMESPACE="nowhere") as process:
        async with asyncio.timeout(SECONDS):
            _, told = await process.communicate()
    assert process.returncode == 1
    assert b"leases" in told
    assert b"Traceback" not in told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_0_and_frees_the_lease(cluster, kubeconfig, number):
    async with controller(kubeconfig) as process:
        await said(process, "leading")
        process.send_signal(number)
        async with asyncio.timeout(10):
            assert await process.wait() == 0
    assert cluster.get("leases", "default", "runherd")["spec"]["holderIdentity"] == ""


async def test_a_signal_ends_it_while_the_cluster_is_out_of_reach(kubeconfig, tmp_path):
    path = tmp_path / "elsewhere"
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    text = kubeconfig.read_text()
    server = next(line for line in text.splitlines() if "server:" in line)
    path.write_text(text.replace(server, f"{server.partition('server:')[0]}server: http://127.0.0.1:{port}"))
    async with controller(path) as process:
        await said(process, "probes")
        process.terminate()
        async with asyncio.timeout(10):
            assert await process.wait() == 0


async def test_a_standby_ends_at_once_whatever_there_is_to_do(cluster, kubeconfig):
    container = {"name": "claude", "image": "x"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    metadata = {"namespace": "default", "name": "run", "labels": {"paperclip.io/agent-id": "a"}}
    cluster.create("jobs", {"metadata": metadata, "spec": {"suspend": True, "template": template}})
    async with controller(kubeconfig) as first:
        await said(first, "leading")
        async with controller(kubeconfig) as second:
            await said(second, "standing by")
            second.terminate()
            async with asyncio.timeout(5):
                assert await second.wait() == 0


async def test_what_is_said_is_one_json_object_a_line_where_there_is_no_terminal(kubeconfig):
    async with controller(kubeconfig, RUNHERD_LOG_LEVEL="DEBUG") as process:
        lines = await said(process, "leading")
    found = [json.loads(line) for line in lines]
    assert all({"time", "level", "message"} <= line.keys() for line in found)
    assert any("tracing is off" in line["message"] for line in found)


async def test_people_may_have_it_in_words(kubeconfig):
    async with controller(kubeconfig, RUNHERD_LOG_FORMAT="human") as process:
        lines = await said(process, "leading")
    assert not any(line.startswith("{") for line in lines)


@pytest.mark.parametrize("form", ["json", "human"])
def test_no_line_of_the_log_has_a_credential_whoever_wrote_it(form):
    says = (
        "from loguru import logger; from controller import __main__, settings\n"
        f"__main__.set_up_logging(settings.Settings(log_format={form!r}))\n"
        "try: raise ValueError('password=Zq7Lm2Xk9')\n"
        "except ValueError: logger.exception('got a {}', 'Bearer Zq7Lm2Xk9Rt4')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", says],
        env=environ(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    assert "Zq7Lm2" not in done.stderr
    assert done.stderr.count("[redacted]") >= 2
