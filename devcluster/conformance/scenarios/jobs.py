"""The life of a Job that ends by itself: pods, counts, conditions, what is written onto the pods."""

from devcluster.conformance import manifests
from devcluster.conformance.connection import JSON
from devcluster.conformance.manifests import NAME, conditions_told, over, version
from devcluster.conformance.scenario import scenario
from devcluster.conformance.scene import Scene
from devcluster.conformance.watching import Watching

COUNTS = ("active", "ready", "terminating", "succeeded", "failed")


def counts(job: JSON) -> JSON:
    """The counters of a Job's status, as far as they are there."""
    return {name: job["status"][name] for name in COUNTS if name in job["status"]}


async def events_about(s: Scene, kind: str = "Job", *, last: str) -> list[str]:
    """The reasons of the Events about objects of a kind, once the last has come; each once, in order.

    Without trouble over volumes, unless it is the last: a busy kubelet says FailedMount of the pod's own
    token and certificates when it does not have them yet, and has them a moment later.
    """
    async with s.watch("events") as seen:
        await seen.until_object(lambda event: event["reason"] == last)
    listed = (await s.get("events")).object["items"]
    told = {event["metadata"]["name"]: event for event in listed if event["involvedObject"]["kind"] == kind}
    in_time = sorted(
        told, key=lambda name: int(name.rpartition(".")[2], 16)
    )  # nanoseconds, as all recorders do
    passing = {"FailedMount"} - {last}
    reasons = dict.fromkeys(told[name]["reason"] for name in in_time)
    return [reason for reason in reasons if reason not in passing]


def verdict(jobs: Watching, kind: str) -> JSON:
    """The first state of the Job in which a condition stands."""
    return manifests.first(jobs.objects, lambda job: kind in manifests.true_conditions(job))


@scenario(
    {
        "spec": {
            "parallelism": 0,
            "completions": 1,
            "backoffLimit": 0,
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "{uid}"}},
            "manualSelector": False,
            "completionMode": "NonIndexed",
            "suspend": False,
            "podReplacementPolicy": "TerminatingOrFailed",
        },
        "labels of the template": {
            "app": "it",
            "batch.kubernetes.io/controller-uid": "{uid}",
            "batch.kubernetes.io/job-name": "it",
            "controller-uid": "{uid}",
            "job-name": "it",
        },
        "pod": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 2,
            "dnsPolicy": "ClusterFirst",
            "securityContext": {},
            "schedulerName": "default-scheduler",
        },
        "container": {
            "name": "main",
            "image": "{image}",
            "command": ["sh", "-c", "true"],
            "resources": {},
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "imagePullPolicy": "IfNotPresent",
        },
        "metadata": [
            1,
            {"app": "it"},
            ["creationTimestamp", "generation", "labels", "name", "namespace", "resourceVersion", "uid"],
        ],
        "labels of a Job without labels": {
            "app": "it",
            "batch.kubernetes.io/controller-uid": "{uid}",
            "batch.kubernetes.io/job-name": "bare",
            "controller-uid": "{uid}",
            "job-name": "bare",
        },
    }
)
async def job_defaults(s: Scene) -> None:
    """What the server adds to a Job."""
    made = await s.create("jobs", manifests.job(s.image, parallelism=0, completions=1))
    spec = dict(made["spec"])
    template = spec.pop("template")
    s.note("spec", spec)
    s.note("labels of the template", template["metadata"]["labels"])
    pod = dict(template["spec"])
    (container,) = pod.pop("containers")
    s.note("pod", pod)
    s.note("container", container)
    meta = made["metadata"]
    s.note("metadata", [meta["generation"], meta["labels"], sorted(set(meta) - {"managedFields"})])
    bare = manifests.job(s.image, parallelism=0, completions=1) | {"metadata": {"name": "bare"}}
    s.note("labels of a Job without labels", (await s.create("jobs", bare))["metadata"].get("labels"))


@scenario(
    {
        "conditions": ["SuccessCriteriaMet=True CompletionsReached", "Complete=True CompletionsReached"],
        "messages": [
            "Reached expected number of succeeded pods",
            "Reached expected number of succeeded pods",
        ],
        "fields of a condition": [
            "lastProbeTime",
            "lastTransitionTime",
            "message",
            "reason",
            "status",
            "type",
        ],
        "fields of the first status": [
            "active",
            "ready",
            "startTime",
            "terminating",
            "uncountedTerminatedPods",
        ],
        "when the criteria are met": [
            ["SuccessCriteriaMet"],
            {"ready": 0, "terminating": 0},
            {"succeeded": ["{uid}"]},
        ],
        "active before": 1,
        "when complete": [
            {"ready": 0, "terminating": 0, "succeeded": 1},
            {},
            [
                "completionTime",
                "conditions",
                "ready",
                "startTime",
                "succeeded",
                "terminating",
                "uncountedTerminatedPods",
            ],
        ],
        "the pod has ended before": True,
        "times": True,
        "events": ["SuccessfulCreate", "Completed"],
    }
)
async def job_succeeds(s: Scene) -> None:
    """Two steps to the end: the criteria are met, then it is complete."""
    async with s.watch("jobs") as jobs, s.watch("pods") as pods:
        await s.create("jobs", manifests.job(s.image, f"sleep {s.long}"))
        last = await jobs.until_object(over)
        await pods.until_object(lambda pod: manifests.ended(pod) and "finalizers" not in pod["metadata"])
    s.note("conditions", conditions_told(jobs.objects))
    s.note("messages", [c["message"] for c in last["status"]["conditions"]])
    s.note("fields of a condition", manifests.fields(last["status"]["conditions"][0]))
    s.note(
        "fields of the first status",
        manifests.fields(manifests.first(jobs.objects, lambda job: job["status"].get("startTime"))["status"]),
    )
    met = verdict(jobs, "SuccessCriteriaMet")
    s.note(
        "when the criteria are met",
        [manifests.true_conditions(met), counts(met), met["status"]["uncountedTerminatedPods"]],
    )
    s.note("active before", max(job["status"].get("active", 0) for job in jobs.objects))
    s.note(
        "when complete",
        [counts(last), last["status"]["uncountedTerminatedPods"], manifests.fields(last["status"])],
    )
    ended = manifests.first(pods.objects, manifests.ended)
    s.note("the pod has ended before", version(ended) < version(met))
    s.note("times", last["status"]["startTime"] <= last["status"]["completionTime"])
    s.note("events", await events_about(s, last="Completed"))


@scenario(
    {
        "name": [True, 8, "it-"],
        "labels": {
            "app": "it",
            "batch.kubernetes.io/controller-uid": "{uid}",
            "batch.kubernetes.io/job-name": "it",
            "controller-uid": "{uid}",
            "job-name": "it",
        },
        "label of the Job": True,
        "owner": [
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "name": "it",
                "uid": "{uid}",
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
        "finalizers": ["batch.kubernetes.io/job-tracking"],
        "metadata": [
            "creationTimestamp",
            "finalizers",
            "generateName",
            "generation",
            "labels",
            "name",
            "namespace",
            "ownerReferences",
            "resourceVersion",
            "uid",
        ],
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
        "finalizers when counted": None,
        "spec": [
            "containers",
            "dnsPolicy",
            "enableServiceLinks",
            "preemptionPolicy",
            "priority",
            "restartPolicy",
            "schedulerName",
            "securityContext",
            "serviceAccount",
            "serviceAccountName",
            "terminationGracePeriodSeconds",
            "tolerations",
        ],
        "events": ["Scheduled", "Pulled", "Created", "Started"],
    }
)
async def pods_of_a_job(s: Scene) -> None:
    """Labels, owner, finalizer and name of a Job's pod."""
    async with s.watch("pods") as pods:
        made = await s.create("jobs", manifests.job(s.image))
        first = await pods.until_object(lambda _: True)
        last = await pods.until_object(
            lambda pod: manifests.ended(pod) and "finalizers" not in pod["metadata"]
        )
    meta = first["metadata"]
    s.note("name", [meta["name"].startswith(f"{NAME}-"), len(meta["name"]), meta["generateName"]])
    s.note("labels", meta["labels"])
    s.note("label of the Job", meta["labels"]["controller-uid"] == made["metadata"]["uid"])
    s.note("owner", meta["ownerReferences"])
    s.note("finalizers", meta["finalizers"])
    s.note("metadata", sorted(set(meta) - {"managedFields"}))
    s.note("status", first["status"])
    s.note("finalizers when counted", last["metadata"].get("finalizers"))
    spec = set(first["spec"])
    s.note("spec", sorted(spec - {"volumes"}))
    s.note("events", await events_about(s, "Pod", last="Started"))


@scenario(
    {
        "conditions": ["FailureTarget=True BackoffLimitExceeded", "Failed=True BackoffLimitExceeded"],
        "messages": [
            "Job has reached the specified backoff limit",
            "Job has reached the specified backoff limit",
        ],
        "when failure is the target": [
            ["FailureTarget"],
            {"ready": 0, "terminating": 0},
            {"failed": ["{uid}"]},
        ],
        "when failed": [
            {"ready": 0, "terminating": 0, "failed": 1},
            {},
            ["conditions", "failed", "ready", "startTime", "terminating", "uncountedTerminatedPods"],
        ],
        "events": ["SuccessfulCreate", "BackoffLimitExceeded"],
    }
)
async def job_fails(s: Scene) -> None:
    """Two steps to the end: a failure is the target, then it has failed."""
    async with s.watch("jobs") as jobs:
        await s.create("jobs", manifests.job(s.image, "exit 3"))
        last = await jobs.until_object(over)
    s.note("conditions", conditions_told(jobs.objects))
    s.note("messages", [c["message"] for c in last["status"]["conditions"]])
    target = verdict(jobs, "FailureTarget")
    s.note(
        "when failure is the target",
        [manifests.true_conditions(target), counts(target), target["status"]["uncountedTerminatedPods"]],
    )
    s.note(
        "when failed",
        [counts(last), last["status"]["uncountedTerminatedPods"], manifests.fields(last["status"])],
    )
    s.note("events", await events_about(s, last="BackoffLimitExceeded"))
