"""What a person sees of a run, and limits over several agents and companies, with the whole program."""

import asyncio
import shutil

import pytest

from tests.program import oracle
from tests.program.runs import API_RETRY, KEYS, SUBAGENT, make_run, replay


def of(agent, company):
    return {"agent": agent, "labels": {KEYS.company_id: company}}


async def test_the_events_of_a_run_tell_its_story_in_order(world):
    await world.lead()
    world.submit(make_run("first", replay(SUBAGENT, 0.05)))
    await world.started("first")
    world.submit(make_run("second", replay(API_RETRY)))
    await world.published("first", "second")
    await world.until(lambda: "TraceExported" in [reason for reason, _ in world.events("second")])
    story = [reason for reason, _ in world.events("second")]
    assert story == ["Queued", "Admitted", "ResultRecorded", "TraceExported"]
    notes = dict(world.events("second"))
    assert "first" in notes["Queued"]
    assert "Succeeded/Completed" in notes["ResultRecorded"]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
async def test_kubectl_describe_shows_the_story_in_order(world):
    await world.lead()
    world.submit(make_run("first", replay(SUBAGENT, 0.05)))
    await world.started("first")
    world.submit(make_run("second", replay(API_RETRY)))
    await world.published("first", "second")
    await world.until(lambda: "TraceExported" in [reason for reason, _ in world.events("second")])
    config = world.cluster.write_kubeconfig(world.folder / "for-kubectl")
    process = await asyncio.create_subprocess_exec(
        "kubectl", "--kubeconfig", str(config), "describe", "job", "second", stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    _, _, events = said.decode().partition("\nEvents:")
    ours = [line.split()[1] for line in events.splitlines() if "runherd" in line]
    assert ours == ["Queued", "Admitted", "ResultRecorded", "TraceExported"]


async def test_limits_of_company_and_cluster_hold_over_all_agents(world):
    await world.lead(
        RUNHERD_COMPANY_CONCURRENCY="2", RUNHERD_CLUSTER_CONCURRENCY="3", RUNHERD_AGENT_CONCURRENCY="2"
    )
    many = [f"many-{number}" for number in range(6)]
    few = [f"few-{number}" for number in range(2)]
    for number, name in enumerate(many):
        world.submit(make_run(name, replay(API_RETRY, 0.1), **of(f"a-{number // 2}", "c-many")))
    await world.until(lambda: [world.standing(name) for name in many].count("Queued/CompanyLimit") > 0)
    for name in few:
        world.submit(make_run(name, replay(API_RETRY, 0.1), **of(f"a-{name}", "c-few")))
    await world.until(lambda: any(world.standing(name) == "Queued/ClusterLimit" for name in (*many, *few)))
    await world.published(*many, *few)
    most, of_many = most_at_once(world)
    assert (most, of_many) == (3, 2), "and the limits are made use of"
    assert started(world, few) < started(world, many), "who has fewer runs did not wait for all of the others"
    world.check(limit=2)


def most_at_once(world):
    """The most places that were held at any time: of all runs, and of one company."""
    held, most = {}, [0, 0]
    for write in world.cluster.history:
        if write.kind not in ("Job", "Pod"):
            continue
        uid = write.uid if write.kind == "Job" else oracle.owner(write.object)
        holds = write.type != "DELETED" and (
            oracle._holds(write.object)
            if write.kind == "Job"
            else write.object["status"].get("phase") not in ("Succeeded", "Failed")
        )
        held[write.kind, write.uid] = (
            (uid, write.object["metadata"]["labels"].get(KEYS.company_id)) if holds else None
        )
        places = {place for place in held.values() if place}
        of_company = [company for _, company in places]
        most[0] = max(most[0], len(places))
        most[1] = max(most[1], max((of_company.count(company) for company in set(of_company)), default=0))
    return tuple(most)


def started(world, names):
    """The last start of any of them, as a place in the history of the cluster."""
    starts = [write for name in names for write in oracle.unsuspended(world.cluster.history, world.uid(name))]
    return max(int(write.version) for write in starts)
