import pytest

from controller.core import admission, contending
from controller.core.contract import Phase, Reason
from controller.core.snapshot import Capacity, Contender, Policy
from tests.core.builders import (
    POLICY,
    at,
    make_ids,
    make_job,
    make_run,
    make_snapshot,
    make_waiting,
    uid_of,
)

COMPANY = Policy(company_concurrency=2)
CLUSTER = Policy(cluster_concurrency=3)
BOTH = Policy(company_concurrency=2, cluster_concurrency=3)


def waits(name="waits", company="c-1", **changes):
    return make_run(make_waiting(name, ids=make_ids(run=f"r-{name}", company=company), **changes))


def full(running=3, company=2, granted=()):
    return Capacity(frozenset(map(uid_of, granted)), running, {"c-1": company, "": company})


def verdicts(seen, policy):
    found = admission.decide(seen, policy)
    return {run.job.name: found[run.job.uid] for run in seen.runs if run.job.uid in found}


@pytest.mark.parametrize(
    ("capacity", "policy", "reason", "words"),
    [
        pytest.param(full(), COMPANY, Reason.COMPANY_LIMIT, "2 of 2 runs of company c-1", id="the company"),
        pytest.param(full(), CLUSTER, Reason.CLUSTER_LIMIT, "3 of 3 runs of the whole", id="the cluster"),
        pytest.param(full(), BOTH, Reason.COMPANY_LIMIT, "company c-1", id="both: the nearer one is told"),
        pytest.param(full(company=1), BOTH, Reason.CLUSTER_LIMIT, "3 of 3", id="room in the company only"),
        pytest.param(
            None, CLUSTER, Reason.CLUSTER_LIMIT, "", id="nothing is known of the limits: not started"
        ),
    ],
)
def test_a_run_that_a_limit_holds_back_says_which_and_how_many_run(capacity, policy, reason, words):
    verdict = verdicts(make_snapshot(waits(), capacity=capacity), policy)["waits"]
    assert (verdict.phase, verdict.reason) == (Phase.QUEUED, reason)
    assert words in verdict.message


def test_runs_without_a_company_are_one_company():
    verdict = verdicts(make_snapshot(waits(company=""), capacity=full()), COMPANY)["waits"]
    assert "2 of 2 runs without a company" in verdict.message


def test_a_run_whose_turn_it_is_starts_whatever_the_counts_say():
    seen = make_snapshot(waits(), capacity=full(granted=["waits"]))
    assert verdicts(seen, BOTH)["waits"].phase is Phase.STARTING


def test_a_turn_does_not_make_a_place_in_the_slot():
    seen = make_snapshot(make_run(), waits(), capacity=full(granted=["waits"]))
    assert verdicts(seen, BOTH)["waits"].reason is Reason.AGENT_BUSY


def test_a_run_of_another_company_passes_the_one_whose_company_is_full():
    runs = [waits("old"), waits("new", "c-2", created=9), waits("last", "c-2", created=10)]
    found = verdicts(make_snapshot(*runs, capacity=full(granted=["new"])), COMPANY)
    assert found["new"].phase is Phase.STARTING
    assert found["old"].reason is found["last"].reason is Reason.AGENT_BUSY, "its place is taken now"


def test_of_many_that_wait_in_a_slot_only_the_first_is_told_of_the_limit():
    runs = [waits(f"run-{n}", created=n) for n in range(4)]
    found = verdicts(make_snapshot(*runs, capacity=full()), COMPANY)
    assert [verdict.reason for verdict in found.values()] == [Reason.COMPANY_LIMIT] + [Reason.AGENT_BUSY] * 3


def test_without_limits_nothing_changes():
    assert verdicts(make_snapshot(waits()), POLICY)["waits"].phase is Phase.STARTING


def names(seen, policy=POLICY):
    return [one.name for one in contending.contenders(seen, policy)]


@pytest.mark.parametrize(
    ("seen", "policy", "want"),
    [
        pytest.param(make_snapshot(waits("b"), waits("a")), POLICY, ["a"], id="one for one place"),
        pytest.param(
            make_snapshot(waits("b"), waits("a")),
            Policy(agent_concurrency=2, cluster_concurrency=1),
            ["a", "b"],
            id="two for two",
        ),
        pytest.param(
            make_snapshot(waits("a"), waits("b"), waits("c", "c-2", created=5)),
            POLICY,
            ["a", "c"],
            id="of each company",
        ),
        pytest.param(make_snapshot(make_run(), waits("a")), POLICY, [], id="none for a slot that is full"),
        pytest.param(
            make_snapshot(waits("a"), waits("b", created=1), refused=frozenset({uid_of("a")})),
            POLICY,
            ["b"],
            id="not one whose start was refused",
        ),
        pytest.param(
            make_snapshot(make_run(make_job("x", over="Complete", run="r")), waits("a", parallelism=0)),
            POLICY,
            [],
            id="not one that is no run",
        ),
    ],
)
def test_who_of_a_slot_competes_with_other_slots(seen, policy, want):
    assert names(seen, policy) == want


def test_a_contender_is_known_by_age_name_and_company():
    (found,) = contending.contenders(make_snapshot(waits("a", created=3)), CLUSTER)
    assert found == Contender(at(3), "a", uid_of("a"), "c-1")
