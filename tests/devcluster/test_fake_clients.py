"""Real clients against the fake: kubectl, kr8s, and the command line that serves it."""

import asyncio
import json
import os
import signal
import sys
from contextlib import aclosing, asynccontextmanager

import kr8s
import pytest
from kr8s.asyncio.objects import Job, Pod

from devcluster import cli
from devcluster.fake import guard
from tests import kubectl as installed
from tests.devcluster.fake_api import conditions, finished, make_job, pod_when

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*Supported versions for kr8s:UserWarning"
)  # it knows up to 1.35
needs_kubectl = installed.needs_kubectl(27)
"""Older ones ask for schemas in OpenAPI v2 before they create anything; the fake serves none."""
FAILS = "\n(failed)"


@pytest.fixture
def kubectl(cluster, tmp_path):
    """Runs kubectl; its output, marked if it failed."""
    path = cluster.write_kubeconfig(tmp_path / "kubeconfig")
    environment = os.environ | {"KUBECONFIG": str(path), "HOME": str(tmp_path)}

    async def run(*arguments, manifest=None):
        process = await asyncio.create_subprocess_exec(
            "kubectl", *arguments, env=environment, stdin=-1, stdout=-1, stderr=-2
        )
        output, _ = await process.communicate(json.dumps(manifest).encode() if manifest else None)
        return output.decode() + (FAILS if process.returncode else "")

    return run


@needs_kubectl
async def test_kubectl_creates_shows_and_deletes_a_job(cluster, kubectl):
    assert (
        await kubectl("create", "-f", "-", manifest=make_job(script="echo hello"))
        == "job.batch/run created\n"
    )
    await finished(cluster)
    name, state, completions, *_ = (await kubectl("get", "jobs", "--no-headers")).split()
    assert (name, state, completions) == ("run", "Complete", "1/1")
    assert "Completed" in await kubectl("get", "pods")
    assert await kubectl("logs", "-f", "job/run") == "hello\n"
    assert "SuccessfulCreate" in await kubectl("get", "events")
    assert 'job.batch "run" deleted' in await kubectl("delete", "job", "run")
    assert cluster.get("jobs", "default", "run") is None
    await cluster.wait(lambda: not cluster.list("pods"))


@needs_kubectl
async def test_kubectl_describe_shows_events_of_both_versions(cluster, kubectl):
    cluster.create("jobs", make_job(suspend=True))
    uid = cluster.get("jobs", "default", "run")["metadata"]["uid"]
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "admitted", "namespace": "default"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "regarding": {"kind": "Job", "namespace": "default", "name": "run", "uid": uid},
        "note": "was admitted",
        "reason": "Admitted",
        "action": "Admit",
        "type": "Normal",
        "reportingController": "runherd",
        "reportingInstance": "runherd-0",
    }
    assert "created" in await kubectl("create", "-f", "-", manifest=event)
    await cluster.wait(lambda: "Suspended" in conditions(cluster.get("jobs", "default", "run")))
    shown = await kubectl("describe", "job", "run")
    assert "was admitted" in shown
    assert "runherd" in shown
    assert "Job suspended" in shown


@needs_kubectl
async def test_kubectl_applies_patches_annotates_and_labels(cluster, kubectl):
    manifest = make_job(suspend=True)
    assert "created" in await kubectl("apply", "-f", "-", manifest=manifest)
    manifest["metadata"]["labels"] = {"a": "b"}
    manifest["spec"]["activeDeadlineSeconds"] = 60
    assert "configured" in await kubectl("apply", "-f", "-", manifest=manifest)
    assert "unchanged" in await kubectl("apply", "-f", "-", manifest=manifest)
    assert "annotated" in await kubectl("annotate", "job", "run", "x=1")
    assert "labeled" in await kubectl("label", "job", "run", "y=2")
    job = cluster.get("jobs", "default", "run")
    assert job["metadata"]["labels"] == {"a": "b", "y": "2"}
    assert job["metadata"]["annotations"]["x"] == "1"
    assert job["spec"]["activeDeadlineSeconds"] == 60
    for kind, patch in (
        ("merge", '{"spec":{"suspend":false}}'),
        ("json", '[{"op":"replace","path":"/spec/suspend","value":true}]'),
        ("strategic", '{"spec":{"suspend":false}}'),
    ):
        assert "patched" in await kubectl("patch", "job", "run", "--type", kind, "-p", patch)
    assert "condition met" in await kubectl("wait", "--for=condition=complete", "job/run", "--timeout=10s")


@needs_kubectl
async def test_kubectl_reports_refusals(cluster, kubectl):
    cluster.create("jobs", make_job(suspend=True))
    output = await kubectl("patch", "job", "run", "-p", '{"spec":{"completions":3}}')
    assert output.endswith(FAILS)
    assert "field is immutable" in output
    assert "NotFound" in await kubectl("get", "job", "none")


@asynccontextmanager
async def connected(kubeconfig):
    """A kr8s client, and no open connection afterwards."""
    client = await kr8s.asyncio.api(kubeconfig=str(kubeconfig))
    try:
        yield client
    finally:
        await client._session.aclose()


@pytest.fixture
async def api(cluster, tmp_path):
    """A kr8s client."""
    async with connected(cluster.write_kubeconfig(tmp_path / "kubeconfig")) as client:
        yield client


async def test_kr8s_creates_lists_gets_patches_and_deletes(cluster, api):
    job = await Job(make_job(suspend=True), api=api)
    await job.create()
    listed = [item async for item in api.get("jobs")]
    assert [item.name for item in listed] == ["run"]
    await job.patch({"metadata": {"annotations": {"a": "1"}}})
    assert cluster.get("jobs", "default", "run")["metadata"]["annotations"] == {"a": "1"}
    await job.refresh()
    assert job.annotations["a"] == "1"
    with pytest.raises(kr8s.NotFoundError):
        await Job.get("none", namespace="default", api=api)
    await job.delete(propagation_policy="Background")
    assert cluster.get("jobs", "default", "run") is None


async def test_kr8s_lists_over_pages(cluster, api):
    for n in range(120):
        cluster.create("jobs", make_job(f"run-{n:03}", suspend=True))
    assert len([job async for job in api.get("jobs")]) == 120


async def test_kr8s_watches(cluster, api):
    seen, begun = [], asyncio.Event()

    async def watch():
        async with aclosing(api.watch("jobs")) as events:
            async for event, job in events:
                seen.append((event, job.name))
                begun.set()
                if event == "DELETED":
                    return

    watching = asyncio.create_task(watch())
    cluster.create("jobs", make_job(suspend=True))
    await begun.wait()
    cluster.delete("jobs", "default", "run")
    await asyncio.wait_for(watching, 5)
    assert (seen[0], seen[-1]) == (("ADDED", "run"), ("DELETED", "run"))


async def test_kr8s_reads_logs(cluster, api):
    cluster.create("jobs", make_job(script="echo one; echo two"))
    await finished(cluster)
    (listed,) = [pod async for pod in api.get("pods")]
    pod = await Pod.get(listed.name, namespace="default", api=api)
    assert [line async for line in pod.logs()] == ["one", "two"]
    assert [line async for line in pod.logs(follow=True, tail_lines=1)] == ["two"]


async def served(tmp_path, *arguments):
    ready = tmp_path / "ready"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "devcluster", "fake", "up", "--ready-file", str(ready)),
        *("--kubeconfig", str(tmp_path / "kubeconfig"), *arguments),
        stdout=asyncio.subprocess.PIPE,
    )
    printed = ""
    while "Ctrl-C" not in printed:
        printed += (await process.stdout.readline()).decode()
    return process, printed


async def test_the_command_serves_and_ends_on_a_signal(tmp_path):
    process, printed = await served(tmp_path, "--faults", '{"latency_ms": 1}')
    assert "export KUBECONFIG=" in printed
    async with connected(tmp_path / "kubeconfig") as api:
        assert [job async for job in api.get("jobs")] == []
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_no_agent_survives_a_cluster_that_is_killed(tmp_path):
    process, _ = await served(tmp_path)
    async with connected(tmp_path / "kubeconfig") as api:
        job = await Job(make_job(script="echo $$$$; exec sleep 3456"), api=api)
        await job.create()
        async with aclosing(api.watch("pods")) as events:
            async for _, pod in events:
                if pod.status.phase == "Running":
                    break
        async with aclosing(pod.logs(follow=True)) as lines:
            session = int(await anext(lines))
    process.kill()
    await process.wait()
    await asyncio.wait_for(gone(session), 5)
    assert not list(guard.members(session))


async def gone(pid):
    """Until a process that is not our child has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, ended.set)
    await ended.wait()
    asyncio.get_running_loop().remove_reader(descriptor)
    os.close(descriptor)


@pytest.mark.parametrize("arguments", [["--help"], ["fake", "--help"], ["fake", "up", "--help"]])
def test_help_has_examples(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 0
    assert "examples:" in capsys.readouterr().out


def test_unknown_fault_switches_are_refused_by_the_command(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["fake", "up", "--faults", '{"none": 1}'])
    assert ended.value.code == 2
    assert "fault switches are" in capsys.readouterr().err


async def test_pods_of_a_running_job_are_found_by_their_owner(cluster, api):
    cluster.create("jobs", make_job(script="sleep 30", pod={"terminationGracePeriodSeconds": 0}))
    pod = await pod_when(cluster, lambda pod: pod["status"]["phase"] == "Running")
    uid = pod["metadata"]["ownerReferences"][0]["uid"]
    selector = {"batch.kubernetes.io/controller-uid": uid}
    assert [item.name async for item in api.get("pods", label_selector=selector)] == [pod["metadata"]["name"]]
