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
  [ $((i % {BURST})) -ne 0 ] && continue
  left=$(($UNTIL - $(date +%s)))
  sleep $((left > 0 ? left * {BURST} / ({LINES + BURST} - i) : 1))
done
"""
"""Lines of many lengths, so that one that is lost and one that is repeated don't make up for each other.

All end at one time, whenever they began: a machine starts two hundred only one after the other.
"""
WORK = 180
"""Seconds that the first of them is at work."""
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
    kills = trouble(stage, machine, patient, runs)
    stage.published(*runs, seconds=240)
    told(f"{COUNT} runs over after {time.monotonic() - began:.0f} s, with {kills}")
    wrong = {name: found for name, code in runs.items() if (found := amiss(stage, name, code))}
    assert wrong == {}
    assert "kubelet" in kills


def submit(stage, runs):
    """All at once, as far as this machine can."""
    work = f"UNTIL={int(time.time()) + WORK}{SCRIPT}"
    jobs = [
        make_run(name, f"{work}exit {code}", adapter="script_k8s", container=SMALL, pod={"volumes": []})
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


def trouble(stage, machine, installation, runs):
    """Kills what a log comes through, one after the other and in any order, while there are logs.

    The kubelet only when it starts nothing: a container whose start it does not finish has failed for good.
    """
    rng = random.Random()
    early, any_time = ["kube-apiserver", "controller"], ["kube-apiserver", "controller", "kubelet"]
    rng.shuffle(early)
    for what in early:
        kill(what, machine, installation)
    stage.until(lambda: all(has_started(stage, name) for name in runs), WORK)
    told(f"{len(runs)} agents have been started")
    later = ["kubelet", *rng.choices(any_time, k=3)]
    rng.shuffle(later)
    done = []
    for what in later:
        if any(stage.said(name) not in TERMINAL for name in runs):
            kill(what, machine, installation)
            done.append(what)
    return early + done


def kill(what, machine, installation):
    if what == "controller":
        for pod in installation.pods():
            with contextlib.suppress(FileNotFoundError):
                installation.kill(pod, grace=0)
    else:
        machine.restart(what, "--kill")
    time.sleep(QUIET)


def has_started(stage, name):
    """Whether its container runs, or has run."""
    states = [c["state"] for pod in stage.pods(name) for c in pod["status"].get("containerStatuses", ())]
    return any("running" in state or "terminated" in state for state in states)


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
