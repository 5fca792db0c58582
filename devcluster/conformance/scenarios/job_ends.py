"""Jobs that others end: deadlines, the time after the end, pods that are deleted, forged statuses."""

from devcluster.conformance import manifests
from devcluster.conformance.connection import JSON
from devcluster.conformance.manifests import NAME, conditions_told, over, running, version
from devcluster.conformance.scenario import scenario
from devcluster.conformance.scenarios.jobs import counts, events_about, verdict
from devcluster.conformance.scene import Scene

RETIRE: JSON = {"suspend": False, "parallelism": 0, "activeDeadlineSeconds": 1}
GENTLE = "trap 'exit 7' TERM; sleep 60 & wait"
DEAF = "trap '' TERM; while :; do sleep 1; done"


@scenario(
    {
        "conditions": [
            "Suspended=True JobSuspended",
            "Suspended=False JobResumed",
            "FailureTarget=True DeadlineExceeded",
            "Failed=True DeadlineExceeded",
        ],
        "messages": [
            "Job resumed",
            "Job was active longer than specified deadline",
            "Job was active longer than specified deadline",
        ],
        "status": [
            {"ready": 0, "terminating": 0},
            ["conditions", "ready", "startTime", "terminating", "uncountedTerminatedPods"],
        ],
        "pods": ["it"],
        "events": ["Suspended", "Resumed", "DeadlineExceeded"],
    }
)
async def held_job_is_retired(s: Scene) -> None:
    """A suspended Job ends by its deadline without ever having a pod."""
    async with s.watch("jobs") as jobs, s.watch("pods") as pods:
        await s.create("jobs", manifests.job(s.image, suspend=True))
        await jobs.until_object(lambda job: "Suspended" in manifests.true_conditions(job))
        await s.change("jobs", NAME, {"spec": RETIRE})
        last = await jobs.until_object(over)
        await s.create("pods", manifests.pod(s.image, nodeSelector={"no": "node"}))
        await pods.next()
    s.note("conditions", conditions_told(jobs.objects))
    s.note("messages", [c["message"] for c in last["status"]["conditions"]])
    s.note("status", [counts(last), manifests.fields(last["status"])])
    s.note("pods", [pod["metadata"]["name"] for pod in pods.objects])
    s.note("events", await events_about(s, last="DeadlineExceeded"))


@scenario(
    {
        "last state": [["FailureTarget", "Failed"], True, ["foregroundDeletion"]],
        "get": 404,
    }
)
async def held_job_is_collected(s: Scene) -> None:
    """The same, and Kubernetes deletes it at once."""
    async with s.watch("jobs") as jobs:
        await s.create("jobs", manifests.job(s.image, suspend=True))
        await jobs.until_object(lambda job: "Suspended" in manifests.true_conditions(job))
        await s.change("jobs", NAME, {"spec": RETIRE | {"ttlSecondsAfterFinished": 0}})
        last = await jobs.until_gone()
    s.note(
        "last state",
        [
            manifests.true_conditions(last),
            "deletionTimestamp" in last["metadata"],
            last["metadata"].get("finalizers"),
        ],
    )
    s.note("get", (await s.get("jobs", NAME)).status)


@scenario(
    {
        "conditions": ["FailureTarget=True DeadlineExceeded", "Failed=True DeadlineExceeded"],
        "status": [
            {"ready": 0, "terminating": 0},
            ["conditions", "ready", "startTime", "terminating", "uncountedTerminatedPods"],
        ],
    }
)
async def job_that_never_was_suspended_is_retired(s: Scene) -> None:
    """A Job that is created with a deadline and no place for pods."""
    async with s.watch("jobs") as jobs:
        await s.create("jobs", manifests.job(s.image, parallelism=0, completions=1, activeDeadlineSeconds=1))
        last = await jobs.until_object(over)
    s.note("conditions", conditions_told(jobs.objects))
    s.note("status", [counts(last), manifests.fields(last["status"])])


@scenario(
    {
        "conditions": ["FailureTarget=True DeadlineExceeded", "Failed=True DeadlineExceeded"],
        "messages": [
            "Job was active longer than specified deadline",
            "Job was active longer than specified deadline",
        ],
        "when failure is the target": [["FailureTarget"], {"ready": 0, "terminating": 1}],
        "when failed": {"ready": 0, "terminating": 0, "failed": 1},
        "the pod is deleted before the target is told": True,
        "the Job has failed after the container has ended": True,
        "the pod's end": ["Failed", ["terminated", "Error", 7], 0, None],
        "events": ["SuccessfulCreate", "SuccessfulDelete", "DeadlineExceeded"],
    }
)
async def deadline_of_a_running_job(s: Scene) -> None:
    """A deadline that is set later deletes the pod; the Job has failed when it is gone."""
    async with s.watch("jobs") as jobs, s.watch("pods") as pods:
        await s.create("jobs", manifests.job(s.image, GENTLE))
        await pods.until_object(running)
        await s.change("jobs", NAME, {"spec": {"activeDeadlineSeconds": 1}})
        last = await jobs.until_object(over)
        gone = await pods.until_gone()
    s.note("conditions", conditions_told(jobs.objects))
    s.note("messages", [c["message"] for c in last["status"]["conditions"]])
    target = verdict(jobs, "FailureTarget")
    s.note("when failure is the target", [manifests.true_conditions(target), counts(target)])
    s.note("when failed", counts(last))
    deleting = manifests.first(pods.objects, lambda pod: "deletionTimestamp" in pod["metadata"])
    s.note("the pod is deleted before the target is told", version(deleting) < version(target))
    s.note(
        "the Job has failed after the container has ended",
        version(manifests.first(pods.objects, manifests.terminated)) < version(last),
    )
    s.note(
        "the pod's end",
        [
            gone["status"]["phase"],
            manifests.state(gone),
            gone["metadata"]["deletionGracePeriodSeconds"],
            gone["metadata"].get("finalizers"),
        ],
    )
    s.note("events", await events_about(s, last="DeadlineExceeded"))


@scenario(
    {
        "conditions": ["FailureTarget=True DeadlineExceeded", "Failed=True DeadlineExceeded"],
        "when failed": {"ready": 0, "terminating": 0, "failed": 1},
        "the pod": ["Pending", 0],
    }
)
async def deadline_before_a_pod_runs(s: Scene) -> None:
    """The same with a pod that waits for a node."""
    template = {"spec": manifests.pod_spec(s.image, nodeSelector={"no": "node"})}
    async with s.watch("jobs") as jobs, s.watch("pods") as pods:
        await s.create("jobs", manifests.job(s.image, template=template, activeDeadlineSeconds=1))
        last = await jobs.until_object(over)
        gone = await pods.until_gone()
    s.note("conditions", conditions_told(jobs.objects))
    s.note("when failed", counts(last))
    s.note("the pod", [gone["status"]["phase"], gone["metadata"].get("deletionGracePeriodSeconds")])


@scenario(
    {
        "last state": [["SuccessCriteriaMet", "Complete"], True, ["foregroundDeletion"]],
        "the same Job": True,
        "its pod": ["Succeeded", True],
    }
)
async def time_after_the_end(s: Scene) -> None:
    """A finished Job goes when its time is over, with its pods; the time may be set later."""
    async with s.watch("jobs") as jobs, s.watch("pods") as pods:
        await s.create("jobs", manifests.job(s.image, ttlSecondsAfterFinished=600))
        last = await jobs.until_object(over)
        await s.change("jobs", NAME, {"spec": {"ttlSecondsAfterFinished": 2}})
        gone = await jobs.until_gone()
        pod = await pods.until_gone()
    s.note(
        "last state",
        [
            manifests.true_conditions(gone),
            "deletionTimestamp" in gone["metadata"],
            gone["metadata"].get("finalizers"),
        ],
    )
    s.note("the same Job", gone["metadata"]["uid"] == last["metadata"]["uid"])
    s.note("its pod", [pod["status"]["phase"], version(pod) < version(gone)])


@scenario(
    {
        "last state": [["SuccessCriteriaMet", "Complete"], {"ready": 0, "terminating": 0, "succeeded": 1}],
        "seen as complete before": True,
    }
)
async def no_time_after_the_end(s: Scene) -> None:
    """With a time of no seconds it goes at once; its end is still seen by who watches."""
    async with s.watch("jobs") as jobs:
        await s.create("jobs", manifests.job(s.image, ttlSecondsAfterFinished=0))
        gone = await jobs.until_gone()
    s.note("last state", [manifests.true_conditions(gone), counts(gone)])
    s.note("seen as complete before", any(over(event["object"]) for event in jobs.seen[:-1]))


@scenario(
    {
        "conditions": ["FailureTarget=True BackoffLimitExceeded", "Failed=True BackoffLimitExceeded"],
        "when failed": {"ready": 0, "terminating": 0, "failed": 1},
        "the pod's end": ["Failed", ["terminated", "Error", 7]],
    }
)
async def pod_of_a_job_is_deleted(s: Scene) -> None:
    """A pod that somebody deletes counts as failed."""
    async with s.watch("jobs") as jobs, s.watch("pods") as pods:
        await s.create("jobs", manifests.job(s.image, GENTLE))
        pod = await pods.until_object(running)
        await s.delete("pods", pod["metadata"]["name"])
        last = await jobs.until_object(over)
        gone = await pods.until_gone()
    s.note("conditions", conditions_told(jobs.objects))
    s.note("when failed", counts(last))
    s.note("the pod's end", [gone["status"]["phase"], manifests.state(gone)])


@scenario(
    {
        "replaced before it had ended": True,
        "failed": [1, []],
    }
)
async def pod_of_a_job_is_replaced(s: Scene) -> None:
    """With tries left, the next pod comes while the deleted one is still ending."""
    template = {"spec": manifests.pod_spec(s.image, DEAF, terminationGracePeriodSeconds=20)}
    async with s.watch("jobs") as jobs, s.watch("pods") as pods:
        await s.create("jobs", manifests.job(s.image, template=template, backoffLimit=2))
        pod = await pods.until_object(running)
        await s.delete("pods", pod["metadata"]["name"])
        second = await pods.until_object(lambda other: other["metadata"]["name"] != pod["metadata"]["name"])
        last = await jobs.until_object(lambda job: job["status"].get("failed"))
        await s.delete("jobs", NAME, propagationPolicy="Background")
        for item in (pod, second):
            await s.delete("pods", item["metadata"]["name"], gracePeriodSeconds=0)
    ends = [
        seen
        for seen in pods.objects
        if seen["metadata"]["uid"] == pod["metadata"]["uid"] and manifests.ended(seen)
    ]
    s.note("replaced before it had ended", not ends or version(second) < version(ends[0]))
    s.note("failed", [last["status"]["failed"], manifests.true_conditions(last)])


@scenario(
    {
        "complete without criteria met": [
            422,
            [
                [
                    "status.completionTime",
                    "FieldValueRequired",
                    "completionTime is required for Complete jobs",
                ],
                [
                    "status.conditions",
                    "FieldValueInvalid",
                    ("cannot set Complete=True condition without the SuccessCriteriaMet=true condition"),
                ],
                ["status.startTime", "FieldValueRequired", "startTime is required for finished job"],
            ],
        ],
        "failed without a target": [
            422,
            [
                [
                    "status.conditions",
                    "FieldValueInvalid",
                    ("cannot set Failed=True condition without the FailureTarget=true condition"),
                ],
                ["status.startTime", "FieldValueRequired", "startTime is required for finished job"],
            ],
        ],
        "both ends": [
            422,
            [
                [
                    "status.completionTime",
                    "FieldValueRequired",
                    "completionTime is required for Complete jobs",
                ],
                [
                    "status.conditions",
                    "FieldValueInvalid",
                    "cannot set Complete=True and Failed=true conditions",
                ],
                [
                    "status.conditions",
                    "FieldValueInvalid",
                    "cannot set Complete=True and FailureTarget=true conditions",
                ],
                [
                    "status.conditions",
                    "FieldValueInvalid",
                    "cannot set SuccessCriteriaMet=True and Failed=true conditions",
                ],
                [
                    "status.conditions",
                    "FieldValueInvalid",
                    ("cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"),
                ],
                ["status.startTime", "FieldValueRequired", "startTime is required for finished job"],
            ],
        ],
        "end without a start": [
            422,
            [["status.startTime", "FieldValueRequired", "startTime is required for finished job"]],
        ],
        "time of completion without an end": [
            422,
            [
                [
                    "status.completionTime",
                    "FieldValueInvalid",
                    ("cannot set completionTime when there is no Complete=True condition"),
                ]
            ],
        ],
        "negative count": [
            422,
            [
                ["status.active", "FieldValueInvalid", "must be greater than or equal to 0"],
                ["status.ready", "FieldValueInvalid", "cannot set more ready pods than active"],
            ],
        ],
        "status beside the spec": [200, None],
        "spec beside the status": [200, 1],
    }
)
async def statuses_are_checked(s: Scene) -> None:
    """A status that contradicts itself is refused, whoever writes it."""
    await s.create("jobs", manifests.job(s.image, suspend=True))
    made = await s.until("jobs", NAME, lambda job: "Suspended" in manifests.true_conditions(job))
    now = made["metadata"]["creationTimestamp"]

    def conditions(*kinds: str) -> JSON:
        times = {"lastProbeTime": now, "lastTransitionTime": now}
        return {"status": {"conditions": [{"type": kind, "status": "True"} | times for kind in kinds]}}

    cases = {
        "complete without criteria met": conditions("Complete"),
        "failed without a target": conditions("Failed"),
        "both ends": conditions("SuccessCriteriaMet", "Complete", "FailureTarget", "Failed"),
        "end without a start": conditions("FailureTarget", "Failed"),
        "time of completion without an end": {"status": {"completionTime": now}},
        "negative count": {"status": {"active": -1}},
    }
    for name, body in cases.items():
        reply = await s.patch("jobs", NAME, body, part="status")
        causes = reply.object.get("details", {}).get("causes", [])
        s.note(
            name,
            [
                reply.status,
                sorted([c["field"], c["reason"], c["message"].rpartition(": ")[2]] for c in causes),
            ],
        )
    reply = await s.patch("jobs", NAME, {"status": {"active": 5}})
    s.note("status beside the spec", [reply.status, reply.object["status"].get("active")])
    reply = await s.patch("jobs", NAME, {"spec": {"parallelism": 5}}, part="status")
    s.note("spec beside the status", [reply.status, reply.object["spec"]["parallelism"]])
