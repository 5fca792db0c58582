"""Deleting a Job: what becomes of its pods and of what it owns, by each propagation policy."""

from devcluster.conformance import manifests
from devcluster.conformance.connection import JSON
from devcluster.conformance.manifests import NAME, over, running, version
from devcluster.conformance.scenario import scenario
from devcluster.conformance.scenarios.job_ends import GENTLE
from devcluster.conformance.scene import Scene


async def finished(s: Scene) -> JSON:
    """A Job that has ended."""
    await s.create("jobs", manifests.job(s.image))
    return await s.until("jobs", NAME, over)


@scenario(
    {
        "answer": [
            200,
            "Status",
            "Success",
            {"name": "it", "group": "batch", "kind": "jobs", "uid": "{uid}"},
            None,
        ],
        "before its pod": True,
        "last state": [False, None],
    }
)
async def job_deleted_in_the_background(s: Scene) -> None:
    """The Job goes at once, what it owns follows."""
    job = await finished(s)
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": NAME, "uid": job["metadata"]["uid"]}
    owned = manifests.plain("Secret") | {"metadata": {"name": NAME, "ownerReferences": [owner]}}
    await s.create("secrets", owned)
    async with (
        s.watch("jobs") as jobs,
        s.watch("pods") as pods,
        s.watch("secrets", fieldSelector=f"metadata.name={NAME}") as secrets,
    ):
        reply = await s.delete("jobs", NAME, propagationPolicy="Background")
        s.note(
            "answer",
            [
                reply.status,
                reply.object["kind"],
                reply.object.get("status"),
                reply.object.get("details"),
                reply.headers.get("Warning"),
            ],
        )
        gone = await jobs.until_gone()
        pod = await pods.until_gone()
        await secrets.until_gone()
    s.note("before its pod", version(gone) < version(pod))
    s.note("last state", ["deletionTimestamp" in gone["metadata"], gone["metadata"].get("finalizers")])


@scenario(
    {
        "answer": [200, "Job", ["foregroundDeletion"], 0],
        "after its pod": True,
    }
)
async def job_deleted_in_the_foreground(s: Scene) -> None:
    """The Job waits for its pods."""
    await finished(s)
    async with s.watch("jobs") as jobs, s.watch("pods") as pods:
        reply = await s.delete("jobs", NAME, propagationPolicy="Foreground")
        s.note(
            "answer",
            [
                reply.status,
                reply.object["kind"],
                reply.object["metadata"].get("finalizers"),
                reply.object["metadata"].get("deletionGracePeriodSeconds"),
            ],
        )
        gone = await jobs.until_gone()
        pod = await pods.until_gone()
    s.note("after its pod", version(gone) > version(pod))


@scenario(
    {
        "orphan: answer": [200, "Job", ["orphan"], None],
        "orphan: pods": [["Succeeded", None]],
        "nothing asked: answer": [
            200,
            "Job",
            ["orphan"],
            (
                '299 - "child pods are preserved by default when jobs '
                "are deleted; set propagationPolicy=Background to "
                "remove them or set propagationPolicy=Orphan to "
                'suppress this warning"'
            ),
        ],
        "nothing asked: pods": [["Succeeded", None]],
        "unknown policy": (
            '422 Invalid: DeleteOptions.meta.k8s.io "" is invalid: '
            'propagationPolicy: Unsupported value: "Sideways": supported '
            'values: "Foreground", "Background", "Orphan", "nil"'
        ),
    }
)
async def job_deleted_without_its_pods(s: Scene) -> None:
    """Its pods stay, and have no owner; that is also what happens if nothing is asked for."""
    for name, options in (("orphan", {"propagationPolicy": "Orphan"}), ("nothing asked", {})):
        await finished(s)
        async with s.watch("jobs") as jobs:
            reply = await s.delete("jobs", NAME, **options)
            s.note(
                f"{name}: answer",
                [
                    reply.status,
                    reply.object["kind"],
                    reply.object["metadata"].get("finalizers"),
                    reply.headers.get("Warning"),
                ],
            )
            await jobs.until_gone()
        pods = (await s.get("pods")).object["items"]
        s.note(
            f"{name}: pods",
            [[pod["status"]["phase"], pod["metadata"].get("ownerReferences")] for pod in pods],
        )
        for pod in pods:
            await s.delete("pods", pod["metadata"]["name"])
    s.refused("unknown policy", await s.delete("jobs", NAME, propagationPolicy="Sideways"))


@scenario(
    {
        "pods of its uid": 1,
        "the pod's end": ["Failed", ["terminated", "Error", 7], None],
        "phases": ["Pending", "Running", "Failed"],
    }
)
async def running_job_is_deleted(s: Scene) -> None:
    """Its pod ends gracefully; the label of its controller still leads to it."""
    async with s.watch("jobs") as jobs, s.watch("pods") as pods:
        job = await s.create("jobs", manifests.job(s.image, GENTLE))
        await pods.until_object(running)
        await s.delete("jobs", NAME, propagationPolicy="Background")
        await jobs.until_gone()
        selector = f"batch.kubernetes.io/controller-uid={job['metadata']['uid']}"
        s.note("pods of its uid", len((await s.get("pods", labelSelector=selector)).object["items"]))
        gone = await pods.until_gone()
    s.note(
        "the pod's end", [gone["status"]["phase"], manifests.state(gone), gone["metadata"].get("finalizers")]
    )
    phases = [pod["status"]["phase"] for pod in pods.objects]
    s.note("phases", manifests.steps(phases))


@scenario(
    {
        "events": ["ADDED", "DELETED"],
    }
)
async def owner_that_never_was(s: Scene) -> None:
    """Who names an owner that is not there is collected."""
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": NAME,
        "uid": "11111111-2222-3333-4444-555555555555",
    }
    lost = manifests.plain("ConfigMap") | {"metadata": {"name": NAME, "ownerReferences": [owner]}}
    async with s.watch("configmaps", fieldSelector=f"metadata.name={NAME}") as seen:
        await s.create("configmaps", lost)
        await seen.until_gone()
    s.note("events", [event["type"] for event in seen.seen])
