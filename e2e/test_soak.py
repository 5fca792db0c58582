"""Two hundred agents at work, while whatever reads their logs is killed again and again."""

import contextlib
import random
import threading
import time

import pytest

from controller.core.contract import TERMINAL
from e2e.conftest import told
from e2e.installation import values
from e2e.runs import make_run

COUNT = 200
BURSTS, BURST = 24, 5
LINES = BURSTS * BURST
PAD = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
SCRIPT = f"""
pad={PAD} i=0
while [ $i -lt {LINES} ]; do
  i=$((i + 1)); printf '%d %s\\n' $i "${{pad:0:$((i % {len(PAD)}))}}"
  [ $((i % {BURST})) -ne 0 ] || sleep 2.5
done
"""
"""Lines of many lengths, so that one that is lost and one that is repeated don't make up for each other."""
SIZE = sum(len(f"{number} {PAD[: number % len(PAD)]}") for number in range(1, LINES + 1))
SMALL = {"resources": {"requests": {"cpu": "2m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}}}
QUIET = 8.0
"""Seconds between two kills."""


@pytest.fixture
def patient(installation, collector):
    """The installation, with time for so many pods to start on one node."""
    usual = values(collector.url)
    installation.install(usual | {"config": usual["config"] | {"startTimeoutSeconds": 600}})
    yield installation
    installation.install(usual)


def test_two_hundred_runs_lose_and_repeat_no_line_while_their_followers_are_killed(stage, machine, patient):
    runs = {f"soak-{number:03}": 3 if number % 10 == 9 else 0 for number in range(COUNT)}
    submit(stage, runs)
    began = time.monotonic()
    stage.until(lambda: sum(stage.said(name) != "" for name in runs) > COUNT / 2, 120)
    kills = trouble(machine, patient, lambda: not all(stage.said(name) in TERMINAL for name in runs))
    stage.published(*runs, seconds=240)
    told(f"{COUNT} runs over after {time.monotonic() - began:.0f} s, with {kills}")
    wrong = {name: found for name, code in runs.items() if (found := amiss(stage, name, code))}
    assert wrong == {}
    assert len(kills) >= 3


def submit(stage, runs):
    """All at once, as far as this machine can."""
    jobs = [
        make_run(name, f"{SCRIPT}exit {code}", adapter="script_k8s", container=SMALL, pod={"volumes": []})
        for name, code in runs.items()
    ]
    for job in jobs:
        for container in job["spec"]["template"]["spec"]["containers"]:
            del container["volumeMounts"]
    threads = [threading.Thread(target=stage.submit, args=jobs[start::8]) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def trouble(machine, installation, goes_on):
    """Kills what a log comes through, one after the other and in any order, while there are logs."""
    rng = random.Random()
    done = []
    while goes_on() and len(done) < 6:
        what = rng.choice(["kube-apiserver", "kubelet", "controller"])
        if what == "controller":
            for pod in installation.pods():
                with contextlib.suppress(FileNotFoundError):
                    installation.kill(pod, grace=0)
        else:
            machine.restart(what, "--kill")
        done.append(what)
        time.sleep(QUIET)
    return done


def amiss(stage, name, code):
    """What a run's result says that is not so; empty if nothing."""
    result = stage.result(name)
    log = result.get("log", {})
    found = {
        "phase": (stage.said(name), "Failed" if code else "Succeeded"),
        "exit code": (result.get("exitCode"), code),
        "state": (log.get("state"), "complete"),
        "lines": (log.get("lines"), LINES),
        "bytes": (log.get("bytes"), SIZE),
        "last line": (result.get("summary", "").rpartition("\n")[2].split(" ")[0], str(LINES)),
    }
    return {what: seen for what, seen in found.items() if seen[0] != seen[1]}
