import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devcluster.real import processes
from devcluster.real.processes import Process

STAT = "7 (a) S (b) {state} 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 1000 200"
PYTHON = Path(sys.executable).name
OBEYS = "print('ready', flush=True); import time; time.sleep(60)"
IGNORES = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {OBEYS}"


@pytest.fixture
def running():
    """Starts Python programs that have said that they are ready; ends them."""
    started = []

    def start(program: str, *arguments: str) -> Process:
        popen = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE)
        started.append(popen)
        popen.stdout.readline()
        return processes.observe(popen.pid)

    yield start
    for popen in started:
        popen.kill()
        popen.communicate()


def test_a_process_is_its_pid_and_its_start_whatever_its_name():
    assert processes.parse_stat(7, STAT.format(state="R")) == Process(7, 4242)


@pytest.mark.parametrize("state", ["Z", "X"])
def test_a_process_of_which_only_the_exit_code_is_left_has_ended(state):
    assert processes.parse_stat(7, STAT.format(state=state)) is None


def test_a_running_process_is_alive_and_has_memory():
    me = processes.observe(os.getpid())

    assert me.alive
    assert me.rss > 2**20


def test_a_pid_that_was_given_to_another_process_is_not_alive_and_never_signalled(running):
    stranger = running(OBEYS)
    remembered = Process(stranger.pid, stranger.started - 1)

    assert not remembered.alive
    assert remembered.rss == 0
    assert processes.end([remembered], signal.SIGKILL, 1) == []
    assert stranger.alive


def test_a_signalled_process_is_waited_for(running):
    process = running(OBEYS)

    assert processes.end([process], signal.SIGTERM, 10) == []
    assert not process.alive


def test_a_process_that_does_not_end_in_time_is_named(running):
    stubborn, other = running(IGNORES), running(OBEYS)

    assert processes.end([stubborn, other], signal.SIGTERM, 0.1) == [stubborn]


def test_a_process_is_found_by_its_name_and_a_path_in_its_arguments(running, tmp_path):
    process = running(OBEYS, f"--config={tmp_path}/trial/config")
    running(OBEYS, f"--config={tmp_path}/trial-2/config")

    assert processes.of({PYTHON}, [tmp_path / "trial"]) == [process]


def test_somebodys_client_is_not_taken_for_a_component_because_it_reads_the_kubeconfig(running, tmp_path):
    running(OBEYS, f"--kubeconfig={tmp_path}/trial/kubeconfig")

    assert processes.of({"kubelet"}, [tmp_path / "trial"]) == []


def test_a_record_brings_the_process_back(running, tmp_path):
    process = running(OBEYS)
    processes.save(process, tmp_path / "kubelet.json")

    assert processes.load(tmp_path / "kubelet.json") == process


@pytest.mark.parametrize("content", [None, "", "{", '{"pid": 1}', "[]"])
def test_a_record_that_cannot_be_read_remembers_nobody(tmp_path, content):
    record = tmp_path / "kubelet.json"
    if content is not None:
        record.write_text(content)

    assert processes.load(record) is None
