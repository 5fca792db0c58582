"""The JSON of one Job and one Pod in each of their states, all fields but managedFields, with placeholders.

Owns what stands in them. `objects` fills in whose they are.
"""

import json
from typing import Any, Final

from controller.core.contract import JOB_UID_LABEL, Keys, Status

JSON = dict[str, Any]
KEYS: Final = Keys()
NAMESPACE: Final = "agents"
SESSION: Final = "5e551011-7a1c-4b7e-9d55-0000@RUN@"
MODEL: Final = "claude-opus-5-5"
IMAGE: Final = "registry.example/agents/claude:2.4.1"
GIT: Final = "registry.example/agents/git:1.9"
PROXY: Final = "registry.example/agents/proxy:0.8"

_JOB_UID: Final = "7d3a0b52-4c1e-4f6a-8b21-0000@RUN@"
_POD_UID: Final = "c19f6e04-91d7-4a53-b0c8-0000@RUN@"


def stamp(second: int) -> str:
    """So many seconds after the run was submitted."""
    return f"@HOUR@:{second // 60:02d}:{second % 60:02d}Z"


def _labels() -> JSON:
    return {
        KEYS.agent_id: "agent-@RUN@",
        KEYS.run_id: "run-20261122-@RUN@",
        KEYS.adapter_type: "claude_k8s",
        KEYS.task_id: "task-@RUN@",
        KEYS.company_id: "company-17",
        "app.kubernetes.io/managed-by": "paperclip",
    }


def job(phase: str, *, ended: bool) -> JSON:
    labels = _labels() | {JOB_UID_LABEL: _JOB_UID, "batch.kubernetes.io/job-name": "agent-run-@RUN@"}
    return {
        "kind": "Job",
        "apiVersion": "batch/v1",
        "metadata": {
            "name": "agent-run-@RUN@",
            "namespace": NAMESPACE,
            "uid": _JOB_UID,
            "resourceVersion": "@VERSION@",
            "generation": 2,
            "creationTimestamp": stamp(0),
            "labels": labels,
            "annotations": _asked() | (_told(phase) if phase else {}),
        },
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "activeDeadlineSeconds": 7200,
            "selector": {"matchLabels": {JOB_UID_LABEL: _JOB_UID}},
            "template": {"metadata": {"creationTimestamp": None, "labels": labels}, "spec": _pod_spec()},
            "completionMode": "NonIndexed",
            "suspend": not phase,
            "podReplacementPolicy": "TerminatingOrFailed",
        },
        "status": _job_status(phase, ended=ended),
    }


def _asked() -> JSON:
    return {
        KEYS.agent_name: "Reviewer of pull requests",
        KEYS.run_id: "run-20261122-@RUN@",
        KEYS.traceparent: "00-0af7651916cd43dd8448eb21@RUN@-b7ad6b7169203331-01",
    }


def _told(phase: str) -> JSON:
    told = {
        Status.SCHEMA: "1",
        Status.PHASE: phase,
        Status.REASON: "Admitted" if phase == "Starting" else "AgentWorking",
        Status.MESSAGE: "The run has been started." if phase == "Starting" else "The agent is at work.",
        Status.SINCE: stamp(2),
        Status.TRACE_ID: _JOB_UID.replace("-", ""),
        Status.OBSERVED_AT: stamp(70),
        Status.HEARTBEAT_SECONDS: "60",
    }
    if phase == "Running":
        told |= {
            Status.POD: f"agent-run-@RUN@-x7k2p/{_POD_UID}",
            Status.SESSION_ID: SESSION,
            Status.MODEL: MODEL,
            Status.LAST_OUTPUT_AT: stamp(69),
            Status.PROGRESS: '{"turns":14,"toolCalls":23,"inputTokens":412903,"lines":61}',
            Status.FACTS: json.dumps({"attempts": [_attempt()]}, separators=(",", ":")),
        }
    return {KEYS.status(name): value for name, value in told.items()}


def _attempt() -> JSON:
    ran = [{"name": "workspace", "init": True, "started": stamp(4), "finished": stamp(6), "exit": 0}]
    return {
        "pod": "agent-run-@RUN@-x7k2p",
        "uid": _POD_UID,
        "created": stamp(3),
        "node": "node-@NODE@",
        "scheduled": stamp(3),
        "phase": "Running",
        "containers": [*ran, {"name": "claude", "started": stamp(8)}],
    }


def _job_status(phase: str, *, ended: bool) -> JSON:
    if not phase:
        said = [_condition("Suspended", 0, reason="JobSuspended", message="Job suspended")]
        return {"conditions": said, "uncountedTerminatedPods": {}, "ready": 0, "terminating": 0}
    said = [_condition("Suspended", 2, "False", "JobResumed", "Job resumed")]
    status: JSON = {
        "conditions": said,
        "startTime": stamp(2),
        "uncountedTerminatedPods": {},
        "terminating": 0,
    }
    if not ended:
        return status | {"active": 1, "ready": int(phase == "Running")}
    for kind in ("SuccessCriteriaMet", "Complete"):
        said.append(
            _condition(kind, 620, "True", "CompletionsReached", "Reached expected number of succeeded pods")
        )
    return status | {"completionTime": stamp(620), "succeeded": 1, "ready": 0}


def _condition(kind: str, second: int, status: str = "True", reason: str = "", message: str = "") -> JSON:
    said = {"type": kind, "status": status, "lastProbeTime": None, "lastTransitionTime": stamp(second)}
    return said | ({"reason": reason, "message": message} if reason else {})


def pod(state: str) -> JSON:
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": "agent-run-@RUN@",
        "uid": _JOB_UID,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    labels = _labels() | {JOB_UID_LABEL: _JOB_UID, "batch.kubernetes.io/job-name": "agent-run-@RUN@"}
    placed = {} if state == "pending" else {"nodeName": "node-@NODE@"}
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": "agent-run-@RUN@-x7k2p",
            "generateName": "agent-run-@RUN@-",
            "namespace": NAMESPACE,
            "uid": _POD_UID,
            "resourceVersion": "@VERSION@",
            "creationTimestamp": stamp(3),
            "labels": labels,
            "ownerReferences": [owner],
            "finalizers": ["batch.kubernetes.io/job-tracking"],
        },
        "spec": _pod_spec() | placed,
        "status": _pod_status(state),
    }


def _pod_spec() -> JSON:
    return {
        "volumes": [{"name": "workspace", "persistentVolumeClaim": {"claimName": "agent-@RUN@"}}],
        "initContainers": [_container("workspace", GIT)],
        "containers": [_container("claude", IMAGE) | _agents(), _container("egress", PROXY)],
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "agent",
        "schedulerName": "default-scheduler",
    }


def _container(name: str, image: str) -> JSON:
    return {
        "name": name,
        "image": image,
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "terminationMessagePath": "/dev/termination-log",
        "imagePullPolicy": "IfNotPresent",
    }


def _agents() -> JSON:
    return {
        "env": [{"name": "RUN_ID", "value": "run-20261122-@RUN@"}, {"name": "HOME", "value": "/workspace"}],
        "volumeMounts": [{"name": "workspace", "mountPath": "/workspace"}],
    }


def _pod_status(state: str) -> JSON:
    if state == "pending":
        return {"phase": "Pending", "qosClass": "Burstable"}
    up = state == "running"
    kinds = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    ready = ("True", "True", str(up), str(up), "True")
    return {
        "phase": {"creating": "Pending", "running": "Running", "succeeded": "Succeeded"}[state],
        "conditions": [_condition(kind, 5, status) for kind, status in zip(kinds, ready, strict=True)],
        "hostIP": "10.0.0.7",
        "podIP": "10.1.4.19",
        "startTime": stamp(3),
        "initContainerStatuses": [_status("workspace", GIT, "succeeded", 6)],
        "containerStatuses": [
            _status("claude", IMAGE, state, 618),
            _status("egress", PROXY, state, 619),
        ],
        "qosClass": "Burstable",
    }


def _status(name: str, image: str, state: str, ended: int) -> JSON:
    ran = {"exitCode": 0, "reason": "Completed", "startedAt": stamp(4), "finishedAt": stamp(ended)}
    states: JSON = {
        "creating": {"waiting": {"reason": "PodInitializing"}},
        "running": {"running": {"startedAt": stamp(8)}},
        "succeeded": {"terminated": ran | {"containerID": f"containerd://{'4c' * 30}"}},
    }
    return {
        "name": name,
        "state": states[state],
        "lastState": {},
        "ready": state == "running",
        "restartCount": 0,
        "image": image,
        "imageID": f"sha256:{'9e' * 32}",
        "containerID": f"containerd://{'4c' * 30}",
        "started": state == "running",
    }
