"""Suspended Jobs: their condition and times, what may change meanwhile, what becomes of their pods."""

from devcluster.conformance import manifests
from devcluster.conformance.manifests import NAME, conditions_told, over, running
from devcluster.conformance.scenario import scenario
from devcluster.conformance.scenarios.job_ends import GENTLE
from devcluster.conformance.scenarios.jobs import counts, events_about
from devcluster.conformance.scene import Scene


def held(job: object) -> bool:
    """Whether a Job is told to be suspended."""
    return isinstance(job, dict) and "Suspended" in manifests.true_conditions(job)


@scenario(
    {
        "suspended": [
            {"ready": 0, "terminating": 0},
            ["conditions", "ready", "terminating", "uncountedTerminatedPods"],
        ],
        "messages": ["Job suspended"],
        "pods": [],
        "generation": 2,
        "conditions": [
            "Suspended=True JobSuspended",
            "Suspended=False JobResumed",
            "SuccessCriteriaMet=True CompletionsReached",
            "Complete=True CompletionsReached",
        ],
        "resumed": [True, "Job resumed"],
        "conditions in the end": ["Suspended", "SuccessCriteriaMet", "Complete"],
        "label of the pod": "label",
        "events": ["Suspended", "SuccessfulCreate", "Resumed", "Completed"],
    }
)
async def suspended_job_is_started(s: Scene) -> None:
    """Suspended it has no start and no pods; then it runs as any other."""
    async with s.watch("jobs") as jobs, s.watch("pods") as pods:
        await s.create("jobs", manifests.job(s.image, suspend=True))
        suspended = await jobs.until_object(held)
        s.note("suspended", [counts(suspended), manifests.fields(suspended["status"])])
        s.note("messages", [c["message"] for c in suspended["status"]["conditions"]])
        s.note("pods", [pod["metadata"]["name"] for pod in pods.objects])
        labels = {"template": {"metadata": {"labels": {"later": "label"}}}}
        changed = await s.change("jobs", NAME, {"spec": labels | {"suspend": False}})
        s.note("generation", changed["metadata"]["generation"])
        last = await jobs.until_object(over)
        pod = await pods.until_object(lambda _: True)
    s.note("conditions", conditions_told(jobs.objects))
    resumed = manifests.first(
        jobs.objects, lambda job: manifests.condition(job, "Suspended").get("status") == "False"
    )
    s.note(
        "resumed", ["startTime" in resumed["status"], manifests.condition(resumed, "Suspended")["message"]]
    )
    s.note("conditions in the end", [c["type"] for c in last["status"]["conditions"]])
    s.note("label of the pod", pod["metadata"]["labels"].get("later"))
    s.note("events", await events_about(s, last="Completed"))


@scenario(
    {
        "labels": [200, []],
        "annotations": [200, []],
        "label removed": [200, []],
        "label of the controller": [
            422,
            [[("spec.template.metadata.labels[batch.kubernetes.io/job-name]"), "must be 'it'"]],
        ],
        "node selector": [200, []],
        "tolerations": [200, []],
        "resources": [200, []],
        "command": [422, [["spec.template.spec", "field is immutable"]]],
        "grace period": [422, [["spec.template.spec", "field is immutable"]]],
        "priority": [422, [["spec.template.spec", "field is immutable"]]],
    }
)
async def changes_while_suspended(s: Scene) -> None:
    """What of the template may change before the first start."""
    await s.create("jobs", manifests.job(s.image, suspend=True))
    await s.until("jobs", NAME, held)
    pod = {"containers": [manifests.container(s.image, "exit 9")]}
    asked = {"containers": [manifests.container(s.image, resources={"requests": {"cpu": "1m"}})]}
    cases = {
        "labels": {"metadata": {"labels": {"later": "label"}}},
        "annotations": {"metadata": {"annotations": {"later": "note"}}},
        "label removed": {"metadata": {"labels": {"later": None}}},
        "label of the controller": {"metadata": {"labels": {"batch.kubernetes.io/job-name": "other"}}},
        "node selector": {"spec": {"nodeSelector": {"some": "node"}}},
        "tolerations": {"spec": {"tolerations": [{"key": "a", "operator": "Exists"}]}},
        "resources": {"spec": asked},
        "command": {"spec": pod},
        "grace period": {"spec": {"terminationGracePeriodSeconds": 5}},
        "priority": {"spec": {"priorityClassName": "none"}},
    }
    for name, template in cases.items():
        reply = await s.patch("jobs", NAME, {"spec": {"template": template}})
        causes = reply.object.get("details", {}).get("causes", [])
        s.note(name, [reply.status, [[c["field"], c["message"].rpartition(": ")[2]] for c in causes]])


@scenario(
    {
        "when told": [["conditions", "ready", "terminating", "uncountedTerminatedPods"], None],
        "when its pods are gone": {"ready": 0, "terminating": 0},
        "the pod's end": ["Failed", ["terminated", "Error", 7], None],
        "labels of the template then": 200,
        "another pod": True,
        "a new start": True,
        "conditions": ["Suspended=True JobSuspended", "Suspended=False JobResumed"],
        "events": ["SuccessfulCreate", "SuccessfulDelete", "Suspended", "Resumed"],
    }
)
async def running_job_is_suspended(s: Scene) -> None:
    """Its pods are deleted and not counted; started again it has a new pod."""
    async with s.watch("jobs") as jobs, s.watch("pods") as pods:
        await s.create("jobs", manifests.job(s.image, GENTLE))
        first = await pods.until_object(running)
        await s.change("jobs", NAME, {"spec": {"suspend": True}})
        told = await jobs.until_object(held)
        s.note("when told", [manifests.fields(told["status"]), told["status"].get("active")])
        gone = await pods.until_gone()
        quiet = await jobs.until_object(lambda job: held(job) and not job["status"].get("terminating"))
        s.note("when its pods are gone", counts(quiet))
        s.note(
            "the pod's end",
            [gone["status"]["phase"], manifests.state(gone), gone["metadata"].get("finalizers")],
        )
        labels = {"template": {"metadata": {"labels": {"later": "label"}}}}
        reply = await s.patch("jobs", NAME, {"spec": labels})
        s.note("labels of the template then", reply.status)
        await s.change("jobs", NAME, {"spec": {"suspend": False}})
        second = await pods.until_object(running)
        s.note("another pod", second["metadata"]["uid"] != first["metadata"]["uid"])
        resumed = await jobs.until_object(lambda job: job["status"].get("active"))
        s.note("a new start", resumed["status"]["startTime"] >= told["metadata"]["creationTimestamp"])
        await s.delete("jobs", NAME, propagationPolicy="Background")
    s.note("conditions", conditions_told(jobs.objects))
    s.note("events", await events_about(s, last="Resumed"))


@scenario(
    {
        "conditions": [
            "Suspended=True JobSuspended",
            "Suspended=False JobResumed",
            "FailureTarget=True DeadlineExceeded",
            "Failed=True DeadlineExceeded",
        ],
        "when failed": {"ready": 0, "terminating": 0},
        "pods": 1,
        "fields of the status": [
            "conditions",
            "ready",
            "startTime",
            "terminating",
            "uncountedTerminatedPods",
        ],
    }
)
async def started_job_that_was_suspended_is_closed(s: Scene) -> None:
    """One patch ends a Job that somebody suspended after its start: no second pod."""
    async with s.watch("jobs") as jobs, s.watch("pods") as pods:
        await s.create("jobs", manifests.job(s.image, GENTLE))
        await pods.until_object(running)
        await s.change("jobs", NAME, {"spec": {"suspend": True}})
        await jobs.until_object(held)
        await pods.until_gone()
        await s.change(
            "jobs", NAME, {"spec": {"suspend": False, "parallelism": 0, "activeDeadlineSeconds": 1}}
        )
        last = await jobs.until_object(over)
    s.note("conditions", conditions_told(jobs.objects))
    s.note("when failed", counts(last))
    s.note("pods", len({pod["metadata"]["uid"] for pod in pods.objects}))
    s.note("fields of the status", manifests.fields(last["status"]))
