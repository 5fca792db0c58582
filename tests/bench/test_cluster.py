"""The parts of the bench on a real control plane that need none: what is made, what is read, what is told."""

import asyncio
import json
import subprocess
import sys

import aiohttp
import msgspec
import pytest

from bench.cluster import __main__ as command
from bench.cluster import counted, latency, node_logs, node_pods, place, runs, throughput, tracked, watching
from bench.cluster.client import Trouble
from bench.cluster.counted import Counters
from bench.cluster.course import Amount
from bench.cluster.stage import Bill, Stage, total
from bench.cluster.throughput import Round
from bench.cluster.watching import Moments
from controller.core import facts, lifecycle
from controller.core.admission import is_waiting, problem
from controller.core.contract import JOB_UID_LABEL, Keys
from controller.core.parse import Parser
from controller.core.snapshot import Run
from devcluster.real.errors import ClusterError

KEYS = Keys(runs.DOMAIN)
PARSER = Parser(KEYS)
SERVER = """\
# HELP apiserver_request_total Counter of apiserver requests.
apiserver_request_total{code="200",group="batch",resource="jobs",subresource="",verb="PATCH"} 40
apiserver_request_total{code="409",group="batch",resource="jobs",subresource="",verb="PATCH"} 2
apiserver_request_total{code="200",group="",resource="pods",subresource="status",verb="PATCH"} 9e+01
process_cpu_seconds_total 12.5
"""


def job(uid="u1", *, suspended=True, annotations=None, complete=False):
    conditions = [{"type": "Complete", "status": "True"}] if complete else []
    return {
        "metadata": {"uid": uid, "annotations": annotations or {}},
        "spec": {"suspend": suspended},
        "status": {"conditions": conditions},
    }


def event(of):
    return json.dumps({"type": "MODIFIED", "object": of}).encode()


def pod(**status):
    metadata = {"name": "p", "namespace": "n", "uid": "0a-1b", "labels": {JOB_UID_LABEL: "u1"}}
    spec = {"containers": [{"name": "claude", "image": "i"}]}
    return {"metadata": metadata, "spec": spec, "status": status}


def stored(manifest):
    """As an API server gives it back."""
    of_server = {"uid": "u1", "resourceVersion": "7", "namespace": "n", "creationTimestamp": node_pods.now()}
    spec = {"parallelism": 1, "completions": 1, **manifest["spec"]}
    return PARSER.job(
        json.dumps(
            {**manifest, "metadata": {**manifest["metadata"], **of_server}, "spec": spec, "status": {}}
        )
    )


def bill(**used):
    rest = dict.fromkeys(
        ("seconds", "controller_ms", "node_ms", "bench_ms", "server_ms", "patches", "conflicts"), 0.0
    )
    return Bill(**{"controller": Counters({}), **rest, **used})


def test_a_run_is_one_that_the_controller_would_admit():
    found = stored(runs.manifest("a"))
    assert found.oddities == ()
    assert is_waiting(found)
    assert problem(found) == ""
    assert found.slot.agent == "agent-a"


def test_a_run_that_nobody_looks_after_starts_at_once_and_has_none_of_our_labels():
    found = stored(runs.manifest("a", domain=runs.FOREIGN))
    assert not found.suspended
    assert found.slot.agent == ""


def test_runs_that_are_tracked_share_agents_and_work_on():
    made = [tracked._waiting(number) for number in range(2 * tracked.RUNS_OF_AN_AGENT)]
    assert len({each["metadata"]["labels"][KEYS.agent_id] for each in made}) == 2
    assert len({each["metadata"]["labels"][KEYS.run_id] for each in made}) == len(made)


def test_what_the_node_writes_is_read_as_a_pod_that_ran_and_ended():
    began = node_pods.now()
    seen = msgspec.convert(pod(phase="Pending"), node_pods.Pod)
    up = PARSER.pod(json.dumps(pod() | with_version(node_pods.running(seen, "10.0.0.9", began))))
    over = PARSER.pod(json.dumps(pod() | with_version(node_pods.ended(seen, began))))
    assert lifecycle.has_started(lifecycle.agent_in(up, "claude"))
    assert not up.ended
    assert over.ended
    (attempt,) = facts.gather(Run(stored(runs.manifest("a")), pods=(over,))).attempts
    assert attempt.containers[0].exit_code == 0
    assert seen.job_uid == "u1"


def with_version(patch):
    """The patched object, as far as the controller reads it."""
    return patch | {"metadata": pod()["metadata"] | {"resourceVersion": "9"}}


@pytest.mark.parametrize(
    ("of", "steps"),
    [
        (job(), {watching.CREATED}),
        (job(suspended=False), {watching.CREATED, watching.ADMITTED}),
        (
            job(suspended=False, annotations={KEYS.status("phase"): "Running"}),
            {watching.CREATED, watching.ADMITTED, watching.SAID, watching.RUNNING},
        ),
        (
            job(suspended=False, complete=True, annotations={KEYS.status("result"): "{}"}),
            {watching.CREATED, watching.ADMITTED, watching.COMPLETE, watching.RESULT},
        ),
    ],
)
def test_the_steps_of_a_run_are_seen_on_its_job(of, steps):
    moments = Moments()
    moments.see(event(of))
    assert set(moments._steps["u1"]) == steps


def test_a_step_counts_from_when_it_was_first_seen():
    moments = Moments()
    moments.take("u1", watching.COMPLETE, 1.0)
    moments.take("u1", watching.RESULT, 1.5)
    moments.take("u1", watching.RESULT, 9.0)
    moments.take("u2", watching.RESULT, 2.0)
    assert moments.milliseconds(["u1", "u2"], watching.COMPLETE, watching.RESULT) == [500.0]
    assert moments.last(["u1", "u2"], watching.RESULT) == 2.0


async def test_runs_are_waited_for_until_the_last_has_come_that_far():
    moments = Moments()
    moments.take("u1", watching.RESULT, 1.0)
    waiting = asyncio.create_task(moments.reached(["u1", "u2"], watching.RESULT, 5.0))
    await asyncio.sleep(0)
    assert not waiting.done()
    moments.take("u3", watching.RESULT, 2.0)
    await asyncio.sleep(0)
    assert not waiting.done()
    moments.take("u2", watching.RESULT, 3.0)
    await waiting


async def test_runs_that_do_not_come_are_told_with_their_number():
    with pytest.raises(Trouble, match="2 of 2 runs did not come to `admitted`"):
        await Moments().reached(["u1", "u2"], watching.ADMITTED, 0.01)


class Machine:
    """A cluster that somebody else has up, or that breaks on its way down."""

    def __init__(self, *, taken):
        self.is_there, self.taken = taken, taken

    def up(self, _told):
        if self.taken:
            raise ClusterError("is up already")
        self.is_there = True

    def down(self, _told):
        self.is_there = False
        raise ClusterError("a mount is left")

    @property
    def kubeconfig(self):
        return "kubeconfig"


def test_another_benchs_cluster_stays_up_and_is_told_of(monkeypatch):
    machine = Machine(taken=True)
    monkeypatch.setattr(place, "RealCluster", lambda _name: machine)
    with pytest.raises(Trouble, match="is up already"), place.own(print):
        pytest.fail("it is not ours")
    assert machine.is_there


def test_what_is_left_of_our_own_cluster_is_told_as_trouble(monkeypatch):
    machine = Machine(taken=False)
    monkeypatch.setattr(place, "RealCluster", lambda _name: machine)
    monkeypatch.setattr(place, "_of", lambda _cluster: None)
    with pytest.raises(Trouble, match="a mount is left"), place.own(print):
        assert machine.is_there
    assert not machine.is_there


def test_counters_are_summed_by_the_labels_that_are_asked_for():
    found = counted.read(SERVER, (counted.REQUESTS, counted.CPU))
    assert found.total(counted.REQUESTS, verb="PATCH", resource="jobs") == 42
    assert found.total(counted.REQUESTS, resource="jobs", code="409") == 2
    assert found.total(counted.CPU) == 12.5
    assert found.by(counted.REQUESTS, "resource", "code") == {"jobs 200": 40, "jobs 409": 2, "pods 200": 90}


def test_what_was_counted_before_is_taken_off():
    before, after = (counted.read(text, ("apiserver",)) for text in (SERVER, SERVER.replace("} 40", "} 45")))
    grown = after.since(before)
    assert grown.total(counted.REQUESTS) == 5
    assert counted.together([grown, grown]).total(counted.REQUESTS) == 10


def test_the_cost_of_a_run_is_without_what_the_idle_controller_takes():
    loads = [
        latency.Load(["a"] * 10, [], bill(seconds=10.0, controller_ms=150.0, patches=45.0)),
        latency.Load(["b"] * 10, [], bill(seconds=10.0, controller_ms=50.0, patches=35.0)),
    ]
    idle = bill(seconds=5.0, controller_ms=10.0)
    patches, cpu, *_ = latency.costs("now", loads, idle)
    assert patches.ours == 4.0
    assert cpu.ours == (200 - 2 * 20) / 20
    assert total([load.used for load in loads]).seconds == 20.0


def test_latencies_stand_beside_the_bare_patch_of_the_same_seconds():
    moments = Moments()
    for step, at in ((watching.CREATED, 1.0), (watching.ADMITTED, 1.01)):
        moments.take("u1", step, at)
    stage = Stage(None, "n", moments, 0, print)
    found = latency.figures(stage, "now", [latency.Load(["u1"], [5.0], bill())], aims=True)
    assert [round(figure.ours) for figure in found] == [10, 10]
    assert {figure.baseline for figure in found} == {5.0}
    assert all(figure.ok for figure in found)


def test_the_rounds_with_and_without_are_compared_by_their_means():
    (figure,) = throughput.figures([Round([], 8.0), Round([], 10.0)], [Round([], 9.0), Round([], 11.0)])
    assert figure.ratio == 0.9
    assert figure.ok


def test_everything_follows_from_the_runs_of_a_round():
    assert (Amount().steady, Amount().tracked) == (150, (1000, 5000))
    assert (Amount(1).steady, Amount(1).tracked) == (1, (3, 16))


async def read_log(session, url, **params):
    async with session.get(url, params=params, ssl=False) as answer:
        return answer.status, (await answer.text()).splitlines()


async def test_a_log_is_served_as_it_grows_and_ends_with_its_container():
    logs = node_logs.Logs()
    port = await logs.serve("127.0.0.1", node_logs.made_tls("127.0.0.1"))
    url = f"https://127.0.0.1:{port}/containerLogs/n/p/claude"
    async with aiohttp.ClientSession() as session:
        assert (await read_log(session, url))[0] == 404
        log = logs.begin("n", "p")
        log.say([b"one", b"two"])
        following = asyncio.create_task(read_log(session, url, follow="true", timestamps="true"))
        assert [line.split(" ")[1] for line in (await read_log(session, url))[1]] == ["one", "two"]
        log.say([b"three"])
        log.ended.set()
        status, lines = await following
        assert (status, [line.split(" ")[1] for line in lines]) == (200, ["one", "two", "three"])
        assert (await read_log(session, url, sinceTime="2999-01-01T00:00:00Z"))[1] == []
    await logs.close()


def test_a_kubeconfig_that_is_none_is_told_in_a_sentence(tmp_path, capsys):
    assert command.main(["--kubeconfig", str(tmp_path / "nothing")]) == 1
    told = capsys.readouterr().err
    assert "does not say how to reach a cluster" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("count", ["0", "x", "-3", "99999"])
def test_a_count_that_is_none_is_refused(count, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(["--runs", count])
    assert ended.value.code == 2
    assert "--runs" in capsys.readouterr().err


def test_the_help_has_examples():
    told = subprocess.run(
        [sys.executable, "-m", "bench.cluster", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert "examples:" in told
    assert "--kubeconfig" in told
