"""Jobs that try again, or want more than one pod, or none."""

from devcluster.conformance import manifests
from devcluster.conformance.manifests import NAME, conditions_told, over
from devcluster.conformance.scenario import scenario
from devcluster.conformance.scenarios.jobs import counts
from devcluster.conformance.scene import Scene


@scenario(
    {
        "completions": None,
        "when complete": {"ready": 0, "terminating": 0, "succeeded": 2},
    }
)
async def job_of_any_number(s: Scene) -> None:
    """Parallelism without completions: as many pods as it takes until one succeeds."""
    async with s.watch("jobs") as jobs:
        await s.create("jobs", manifests.job(s.image, f"sleep {s.long}", parallelism=2))
        last = await jobs.until_object(over)
    s.note("completions", last["spec"].get("completions"))
    s.note("when complete", counts(last))


@scenario(
    {
        "conditions": ["FailureTarget=True BackoffLimitExceeded", "Failed=True BackoffLimitExceeded"],
        "when failed": {"ready": 0, "terminating": 0, "failed": 2},
        "pods": ["Failed", "Failed"],
        "failures": [0, 1, 2],
    }
)
async def job_tries_again(s: Scene) -> None:
    """A failed pod is replaced, up to the limit."""
    async with s.watch("jobs") as jobs:
        await s.create("jobs", manifests.job(s.image, "exit 3", backoffLimit=1))
        last = await jobs.until_object(over)
    s.note("conditions", conditions_told(jobs.objects))
    s.note("when failed", counts(last))
    pods = (await s.get("pods")).object["items"]
    s.note("pods", sorted(pod["status"]["phase"] for pod in pods))
    failed = [job["status"].get("failed", 0) for job in jobs.objects]
    s.note("failures", manifests.steps(failed))


@scenario(
    {
        "conditions": ["FailureTarget=True BackoffLimitExceeded", "Failed=True BackoffLimitExceeded"],
        "when failed": {"ready": 0, "terminating": 0, "failed": 1},
        "pods": 1,
    }
)
async def job_restarts_containers(s: Scene) -> None:
    """With restartPolicy OnFailure restarts count against the limit, and the pod is deleted in the end."""
    template = {"spec": manifests.pod_spec(s.image, "exit 3", restartPolicy="OnFailure")}
    async with s.watch("jobs") as jobs, s.watch("pods") as pods:
        await s.create("jobs", manifests.job(s.image, backoffLimit=1, template=template))
        last = await jobs.until_object(over)
        await pods.until_gone()
    s.note("conditions", conditions_told(jobs.objects))
    s.note("when failed", counts(last))
    s.note("pods", len({pod["metadata"]["uid"] for pod in pods.objects}))


@scenario(
    {
        "conditions": ["SuccessCriteriaMet=True CompletionsReached", "Complete=True CompletionsReached"],
        "when complete": {"ready": 0, "terminating": 0, "succeeded": 2},
        "active before": 2,
    }
)
async def job_of_two(s: Scene) -> None:
    """Two pods side by side, both needed."""
    async with s.watch("jobs") as jobs:
        await s.create("jobs", manifests.job(s.image, f"sleep {s.long}", completions=2, parallelism=2))
        last = await jobs.until_object(over)
    s.note("conditions", conditions_told(jobs.objects))
    s.note("when complete", counts(last))
    s.note("active before", max(job["status"].get("active", 0) for job in jobs.objects))


@scenario(
    {
        "while it runs": [{"active": 1, "ready": 1, "terminating": 0}, {}, None],
    }
)
async def job_counts_while_it_runs(s: Scene) -> None:
    """Active and ready of a Job whose pod runs."""
    async with s.watch("jobs") as jobs:
        await s.create("jobs", manifests.job(s.image, "trap 'exit 0' TERM; sleep 60 & wait"))
        seen = await jobs.until_object(lambda job: job["status"].get("ready"))
        s.note(
            "while it runs",
            [counts(seen), seen["status"]["uncountedTerminatedPods"], seen["status"].get("conditions")],
        )
        await s.delete("jobs", NAME, propagationPolicy="Background")


@scenario(
    {
        "status": [
            {"ready": 0, "terminating": 0},
            None,
            ["ready", "startTime", "terminating", "uncountedTerminatedPods"],
        ],
        "pods": [],
    }
)
async def job_without_parallelism(s: Scene) -> None:
    """A Job that may have no pods has none, and is not suspended."""
    async with s.watch("jobs") as jobs:
        await s.create("jobs", manifests.job(s.image, parallelism=0, completions=1))
        seen = await jobs.until_object(lambda job: "startTime" in job["status"])
    s.note("status", [counts(seen), seen["status"].get("conditions"), manifests.fields(seen["status"])])
    s.note("pods", (await s.get("pods")).object["items"])


@scenario(
    {
        "conditions": ["FailureTarget=True PodFailurePolicy", "Failed=True PodFailurePolicy"],
        "when failed": {"ready": 0, "terminating": 0, "failed": 1},
    }
)
async def pod_failure_policy(s: Scene) -> None:
    """A policy for exit codes fails a Job though it may try again."""
    codes = {"operator": "In", "values": [3]}
    policy = {"rules": [{"action": "FailJob", "onExitCodes": codes}]}
    async with s.watch("jobs") as jobs:
        await s.create("jobs", manifests.job(s.image, "exit 3", backoffLimit=3, podFailurePolicy=policy))
        last = await jobs.until_object(over)
    s.note("conditions", conditions_told(jobs.objects))
    s.note("when failed", counts(last))
