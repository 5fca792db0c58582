"""The kubelet and the scheduler: what becomes of a pod, by its statuses and its processes."""

import asyncio
import base64
import os
import select

import pytest

from devcluster.fake import guard
from tests.devcluster.fake_api import finished, make_job, make_pod, pod_when


def state(pod, part="containerStatuses"):
    """The first container's state: its kind and its content."""
    (item,) = pod["status"][part][0]["state"].items()
    return item


def ended(pod):
    return pod["status"]["phase"] in ("Succeeded", "Failed")


def waits(reason, part="containerStatuses"):
    def look(pod):
        return part in pod["status"] and state(pod, part)[1].get("reason") == reason

    return look


def log(cluster, pod, container="agent", restart=0):
    found = cluster.logs.find((pod["metadata"]["uid"], container, restart))
    reader = found.reader(lambda: None)
    try:
        return b"\n".join(record.split(b" ", 3)[3] for record in reader.records()).decode()
    finally:
        reader.close()


def events(cluster):
    return [e["reason"] for e in cluster.list("events") if e["involvedObject"]["kind"] == "Pod"]


def ends(pid):
    """Whether a process is gone, or goes by itself: killed, it may take a moment."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 5)[0])
    finally:
        os.close(descriptor)


async def run(cluster, **pod):
    """A pod that has ended."""
    cluster.create("pods", make_pod(**{"restartPolicy": "Never"} | pod))
    return await pod_when(cluster, ended)


async def test_a_pod_that_succeeds(cluster):
    pod = await run(cluster, script="echo hello")
    status = pod["status"]
    assert status["phase"] == "Succeeded"
    kind, end = state(pod)
    assert (kind, end["exitCode"], end["reason"]) == ("terminated", 0, "Completed")
    assert end["containerID"].startswith("containerd://")
    assert {"startTime", "podIP", "hostIP"} <= set(status)
    true = {c["type"]: c["status"] for c in status["conditions"]}
    assert true["PodScheduled"] == "True"
    assert true["Initialized"] == "True"
    assert true["Ready"] == "False"
    assert pod["spec"]["nodeName"] == "fake-node"
    assert log(cluster, pod) == "hello"
    assert {"Scheduled", "Pulled", "Created", "Started"} <= set(events(cluster))


async def test_a_pod_is_seen_on_its_way(cluster):
    await run(cluster)
    phases, last = [], None
    for write in cluster.history:
        if write.kind == "Pod":
            kinds = [next(iter(s["state"])) for s in write.object["status"].get("containerStatuses", [])]
            last, seen = (write.object["status"]["phase"], kinds), last
            if last != seen:
                phases.append(last)
    assert phases == [
        ("Pending", []),
        ("Pending", ["waiting"]),
        ("Running", ["running"]),
        ("Succeeded", ["terminated"]),
    ]


@pytest.mark.parametrize(
    ("script", "code", "reason"),
    [("exit 3", 3, "Error"), ("kill -9 $$$$", 137, "Error"), ("kill -15 $$$$", 143, "Error")],
)
async def test_exit_codes(cluster, script, code, reason):
    pod = await run(cluster, script=script)
    assert pod["status"]["phase"] == "Failed"
    assert (state(pod)[1]["exitCode"], state(pod)[1]["reason"]) == (code, reason)


async def test_a_command_that_does_not_exist_is_a_start_error(cluster):
    pod = make_pod()
    pod["spec"]["containers"][0]["command"] = ["no-such-program"]
    cluster.create("pods", pod)
    pod = await pod_when(cluster, ended)
    assert (state(pod)[1]["reason"], state(pod)[1]["exitCode"]) == ("StartError", 128)


async def test_a_container_without_a_command_is_a_start_error(cluster):
    pod = make_pod()
    del pod["spec"]["containers"][0]["command"]
    cluster.create("pods", pod)
    pod = await pod_when(cluster, ended)
    assert state(pod)[1]["reason"] == "StartError"
    assert "no command" in state(pod)[1]["message"]


async def test_a_pod_that_fits_nowhere_is_unschedulable_until_it_fits(cluster):
    cluster.create("pods", make_pod(nodeSelector={"gpu": "yes"}))
    pod = await pod_when(cluster, lambda pod: pod["status"].get("conditions"))
    (condition,) = pod["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == (
        "PodScheduled",
        "False",
        "Unschedulable",
    )
    assert "didn't match Pod's node affinity/selector" in condition["message"]
    cluster.patch("nodes", "", "fake-node", {"metadata": {"labels": {"gpu": "yes"}}})
    await pod_when(cluster, ended)


async def test_a_request_too_big_is_unschedulable(cluster):
    pod = make_pod()
    pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1000"}}
    cluster.create("pods", pod)
    pod = await pod_when(cluster, lambda pod: pod["status"].get("conditions"))
    assert "Insufficient cpu" in pod["status"]["conditions"][0]["message"]


def image(name, policy="IfNotPresent"):
    pod = make_pod()
    pod["spec"]["containers"][0] |= {"image": name, "imagePullPolicy": policy}
    return pod


@pytest.mark.parametrize(
    ("name", "policy", "reasons"),
    [
        ("registry.invalid/agent:1", "IfNotPresent", ["ErrImagePull", "ImagePullBackOff"]),
        ("127.0.0.1:1/agent:1", "IfNotPresent", ["ErrImagePull", "ImagePullBackOff"]),
        ("NOT//valid", "IfNotPresent", ["InvalidImageName"]),
        ("localhost/agent:1", "Never", ["ErrImageNeverPull"]),
    ],
)
async def test_images_that_cannot_be_had(cluster, name, policy, reasons):
    cluster.create("pods", image(name, policy))
    for reason in reasons:
        await cluster.wait(
            lambda reason=reason: any(
                waits(reason)(write.object) for write in cluster.history if write.kind == "Pod"
            )
        )
    assert "Failed" in events(cluster) or "ErrImageNeverPull" in events(cluster)


async def test_an_image_on_the_node_need_not_be_pulled(cluster):
    cluster.kubelet.images.present.add("localhost/agent:1")
    cluster.create("pods", image("localhost/agent:1", "Never"))
    assert (await pod_when(cluster, ended))["status"]["phase"] == "Succeeded"


async def test_a_missing_reference_is_a_config_error_until_it_is_there(cluster):
    pod = make_pod(script='printf "%s" "$TOKEN"')
    reference = {"secretKeyRef": {"name": "s", "key": "token"}}
    pod["spec"]["containers"][0]["env"] = [{"name": "TOKEN", "valueFrom": reference}]
    cluster.create("pods", pod)
    waiting = await pod_when(cluster, waits("CreateContainerConfigError"))
    assert state(waiting)[1]["message"] == 'secret "s" not found'
    cluster.create("secrets", {"metadata": {"name": "s"}, "data": {"token": base64.b64encode(b"x").decode()}})
    pod = await pod_when(cluster, ended)
    assert log(cluster, pod) == "x"


async def test_a_container_has_its_declared_environment_and_no_other(cluster, monkeypatch):
    monkeypatch.setenv("OF_THE_TEST", "leaked")
    cluster.create("configmaps", {"metadata": {"name": "c"}, "data": {"ONE": "1", "TWO": "2"}})
    pod = make_pod(
        script='echo "$NAME $UID_ $LABEL $(A) $B ${ONE}${P_TWO} ${OF_THE_TEST-none}"; pwd; echo $HOME'
    )
    pod["metadata"]["labels"] = {"d.io/run-id": "r1"}
    container = pod["spec"]["containers"][0]
    container["env"] = [
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "UID_", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['d.io/run-id']"}}},
        {"name": "A", "value": "a"},
        {"name": "B", "value": "$(A)b $$(A) $(NONE)"},
        {"name": "ONE", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "ONE"}}},
    ]
    container["envFrom"] = [{"prefix": "P_", "configMapRef": {"name": "c"}}]
    cluster.create("pods", pod)
    pod = await pod_when(cluster, ended)
    first, folder, home = log(cluster, pod).splitlines()
    assert first == f"pod {pod['metadata']['uid']} r1 a ab $(A) $(NONE) 12 none"
    assert folder == home


async def test_init_containers_run_in_order_and_share_an_empty_dir(cluster):
    mount = [{"name": "work", "mountPath": "/shared"}]
    pod = make_pod(script="cat /shared/prompt")
    pod["spec"]["volumes"] = [{"name": "work", "emptyDir": {}}]
    pod["spec"]["containers"][0]["volumeMounts"] = mount
    pod["spec"]["initContainers"] = [
        {
            "name": n,
            "image": "busybox:1",
            "command": ["sh", "-c", f"echo {n} >> /shared/prompt"],
            "volumeMounts": mount,
        }
        for n in ("one", "two")
    ]
    cluster.create("pods", pod)
    pod = await pod_when(cluster, ended)
    assert log(cluster, pod) == "one\ntwo"


async def test_a_secret_volume_is_a_folder_of_files(cluster):
    cluster.create("secrets", {"metadata": {"name": "s"}, "stringData": {"prompt.txt": "do it"}})
    pod = make_pod(script="cat $PROMPT")
    pod["spec"]["volumes"] = [{"name": "prompt", "secret": {"secretName": "s"}}]
    container = pod["spec"]["containers"][0]
    container["volumeMounts"] = [{"name": "prompt", "mountPath": "/etc/prompt"}]
    container["env"] = [{"name": "PROMPT", "value": "/etc/prompt/prompt.txt"}]
    cluster.create("pods", pod)
    assert log(cluster, await pod_when(cluster, ended)) == "do it"


async def test_a_failed_init_container_fails_the_pod(cluster):
    init = {"name": "init", "image": "busybox:1", "command": ["sh", "-c", "exit 4"]}
    pod = await run(cluster, initContainers=[init])
    assert pod["status"]["phase"] == "Failed"
    assert state(pod, "initContainerStatuses")[1]["exitCode"] == 4
    assert state(pod) == ("waiting", {"reason": "PodInitializing"})


async def test_a_native_sidecar_runs_beside_and_ends_after(cluster):
    command = ["sh", "-c", "trap 'exit 143' TERM; sleep 60 & wait"]
    sidecar = {"name": "side", "image": "busybox:1", "restartPolicy": "Always", "command": command}
    cluster.create("pods", make_pod(script="sleep 0.1", initContainers=[sidecar]))
    running = await pod_when(cluster, lambda pod: pod["status"]["phase"] == "Running")
    assert state(running, "initContainerStatuses")[0] == "running"
    pod = await pod_when(cluster, ended)
    assert pod["status"]["phase"] == "Succeeded"
    assert state(pod, "initContainerStatuses")[1]["exitCode"] == 143


async def test_a_crashing_container_is_restarted_with_backoff(cluster):
    cluster.create("pods", make_pod(script="exit 1", restartPolicy="OnFailure"))
    pod = await pod_when(cluster, waits("CrashLoopBackOff"))
    status = pod["status"]["containerStatuses"][0]
    assert pod["status"]["phase"] == "Running"
    assert (status["restartCount"], status["lastState"]["terminated"]["exitCode"]) == (1, 1)
    await pod_when(cluster, lambda pod: pod["status"]["containerStatuses"][0]["restartCount"] >= 2)


async def test_memory_beyond_the_limit_is_the_end(cluster):
    pod = make_pod(script="python3 -c 'x = bytearray(300_000_000); import time; time.sleep(30)'")
    pod["spec"]["containers"][0]["resources"] = {"limits": {"memory": "100Mi"}}
    cluster.create("pods", pod)
    pod = await pod_when(cluster, ended)
    assert (state(pod)[1]["reason"], state(pod)[1]["exitCode"]) == ("OOMKilled", 137)


async def test_a_deleted_pod_is_asked_then_killed(cluster):
    script = "trap 'echo asked' TERM; echo $$; while :; do sleep 0.05; done"
    cluster.create("jobs", make_job(script=script, pod={"terminationGracePeriodSeconds": 1}))
    pod = await pod_when(cluster, lambda pod: pod["status"]["phase"] == "Running")
    meta = pod["metadata"]
    written = asyncio.Event()
    reader = cluster.logs.log((meta["uid"], "agent", 0)).reader(written.set)
    while not reader.records():  # from here on it has its handler
        await asyncio.wait_for(written.wait(), 5)
        written.clear()
    cluster.patch("pods", "default", meta["name"], {"metadata": {"finalizers": ["example.com/hold"]}})
    cluster.delete("pods", "default", meta["name"])
    pod = await pod_when(cluster, ended)
    assert pod["metadata"]["deletionTimestamp"]
    assert state(pod)[1]["exitCode"] == 137
    assert any(line.endswith(b"asked") for line in reader.records())
    reader.close()
    assert "Killing" in events(cluster)


async def test_a_signal_that_is_not_handled_does_not_end_the_first_process(cluster):
    pod = make_pod(script="exec sleep 60", terminationGracePeriodSeconds=1)
    cluster.create("pods", pod | {"metadata": pod["metadata"] | {"finalizers": ["example.com/hold"]}})
    await pod_when(cluster, lambda pod: pod["status"]["phase"] == "Running")
    cluster.delete("pods", "default", "pod")
    assert state(await pod_when(cluster, ended))[1]["exitCode"] == 137


async def test_what_a_container_leaves_behind_ends_with_it(cluster):
    pod = await run(cluster, script="sleep 1234 & echo $!")
    assert ends(int(log(cluster, pod)))


async def test_a_termination_message_is_taken_from_its_file_or_the_log(cluster):
    pod = await run(cluster, script="echo because > /dev/termination-log; exit 1")
    assert state(pod)[1]["message"] == "because\n"
    cluster.delete("pods", "default", "pod", gracePeriodSeconds=0)
    other = make_pod("other", "echo from the log; exit 1")
    other["spec"]["containers"][0]["terminationMessagePolicy"] = "FallbackToLogsOnError"
    cluster.create("pods", other)
    pod = await pod_when(cluster, lambda p: p["metadata"]["name"] == "other" and ended(p))
    assert state(pod)[1]["message"].strip() == "from the log"


async def test_a_paused_kubelet_reports_nothing_until_it_is_resumed(cluster):
    cluster.create("jobs", make_job(script="sleep 0.1"))
    await pod_when(cluster, lambda pod: pod["status"]["phase"] == "Running")
    cluster.faults.pause("kubelet")
    (pod,) = cluster.list("pods")
    process = next(iter(cluster.kubelet._processes._running.values()))[0]
    await process.ended
    assert cluster.list("pods")[0]["status"] == pod["status"]
    cluster.faults.resume()
    await finished(cluster)


async def test_nothing_runs_after_the_cluster_has_gone(cluster):
    cluster.create("pods", make_pod(script="sleep 4321 & exec sleep 4321"))
    await pod_when(cluster, lambda pod: pod["status"]["phase"] == "Running")
    pids = list(cluster.kubelet._processes._running)
    await cluster.__aexit__(None, None, None)
    assert pids
    assert not [member for pid in pids for member in guard.members(pid)]
