"""Lives of runs that are played again with a crash at each write: name -> what happens in a world.

Each is a plain function: it submits, lets time pass and meddles, and knows nothing of crashes.
"""

from controller.core.contract import KUEUE_QUEUE_LABEL, Keys
from devcluster.fake.resources import POD
from tests.model.kubelet import Script

KEYS = Keys()
QUICK = Script(works=1.0)
SLOW = Script(works=20.0)
HANGS = Script(works=3.4, lingers=10_000.0)  # so that its end and result are of one second, as in most
TASK = {KEYS.task_id: "t-1"}
REATTACH = {KEYS.reattach: "true"}


def a_success(world):
    world.submit("run", SLOW)
    world.pass_time(40)


def a_failure(world):
    world.submit("run", Script(works=3.0, code=1, says="error"))
    world.pass_time(20)


def an_exit_that_belies_the_agent(world):
    world.submit("run", Script(works=3.0, code=3))
    world.pass_time(20)


def an_agent_without_a_last_word(world):
    world.submit("run", Script(works=3.0, says="nothing"))
    world.pass_time(20)


def one_after_the_other(world):
    for name in ("run-1", "run-2", "run-3"):
        world.submit(name, QUICK)
    world.pass_time(40)


def several_agents(world):
    for name in ("a-1", "a-2", "b-1", "c-1"):
        world.submit(name, QUICK, agent=f"agent-{name[0]}")
    world.pass_time(40)


def two_jobs_of_one_run(world):
    for name in ("run-1", "run-2"):
        world.submit(name, SLOW, labels={KEYS.run_id: "r-same"})
        world.pass_time(2)
    world.pass_time(60)


def a_start_that_cannot_succeed(world):
    world.submit("run", Script(start="ErrImageNeverPull"))
    world.submit("next", QUICK)
    world.pass_time(40)


def a_start_that_takes_too_long(world):
    world.submit("run", Script(start="ImagePullBackOff"))
    world.pass_time(1400)  # a restart begins to count anew


def an_agent_that_hangs_after_its_result(world):
    world.submit("run", HANGS, labels=TASK)
    world.pass_time(8)
    world.submit("next", labels=TASK, notes=REATTACH)
    world.submit("after", QUICK, labels={KEYS.task_id: "t-2"})
    world.pass_time(1400)  # as above


def an_agent_that_hangs_after_its_failure(world):
    world.submit("run", HANGS._replace(says="error"))
    world.pass_time(1400)


def the_hosts_own_deadline(world):
    world.submit("run", Script(works=300.0), activeDeadlineSeconds=10)
    world.pass_time(40)


def a_job_that_is_no_run(world):
    world.submit("run", labels={KEYS.run_id: None})
    world.submit("next", QUICK)
    world.pass_time(20)


def submitted_running(world):
    world.submit("first", SLOW, suspend=False)
    world.submit("next", QUICK)
    world.pass_time(60)


def several_attempts(world):
    failing = Script(works=2.0, code=1, says="nothing")
    world.submit("run", failing, failing, QUICK, backoffLimit=3)
    world.pass_time(90)


def deleted_while_it_waits(world):
    world.submit("first", SLOW)
    world.submit("run", QUICK)
    world.pass_time(3)
    world.delete("run")
    world.pass_time(60)


def deleted_while_it_works(world):
    world.submit("run", SLOW)
    world.submit("next", QUICK)
    world.pass_time(8)
    world.delete("run")
    world.pass_time(60)


def deleted_and_held(world):
    world.submit("run", SLOW)
    world.pass_time(8)
    world.holds_on_to("run", ["example.org/hold"])
    world.delete("run")
    world.pass_time(60)


def a_name_used_again(world):
    world.submit("run", SLOW)
    world.pass_time(8)
    world.delete("run")
    world.pass_time(1)
    world.submit("run", Script(works=3.0, code=1, says="error"))
    world.pass_time(60)


def a_finished_name_used_again(world):
    world.submit("run", QUICK)
    world.pass_time(20)
    world.delete("run")
    world.pass_time(1)
    world.submit("run", QUICK)
    world.pass_time(30)


def suspended_from_outside(world):
    world.submit("run", SLOW)
    world.submit("next", QUICK)
    world.pass_time(8)
    world.set_spec("run", suspend=True)
    world.pass_time(60)


def in_somebody_elses_queue(world):
    world.submit("run", SLOW, labels={KUEUE_QUEUE_LABEL: "gpus"})
    world.pass_time(10)
    world.set_spec("run", suspend=False)
    world.pass_time(60)


def evicted(world):
    world.submit("run", SLOW)
    world.pass_time(8)
    for pod in world.cluster.objects(POD):
        world.kubelet.exit(pod["metadata"]["uid"], 137, "Evicted")
    world.pass_time(30)


def collected_at_once(world):
    world.submit("run", SLOW, ttlSecondsAfterFinished=0)
    world.submit("next", QUICK)
    world.pass_time(60)


def relabelled_while_it_works(world):
    world.submit("run", SLOW)
    world.pass_time(8)
    world.label("run", run_id="r-other", session_id="s-other")
    world.pass_time(60)


def out_of_sight_for_a_while(world):
    world.submit("run", SLOW)
    world.pass_time(8)
    world.label("run", agent_id=None)
    world.pass_time(5)
    world.label("run", agent_id="a-1")
    world.pass_time(60)


def a_log_that_is_read_late(world):
    world.logs_stuck = True
    world.submit("run", QUICK)
    world.pass_time(40)
    world.logs_stuck = False
    world._poke()
    world.pass_time(20)


def continued(world):
    world.submit("run", SLOW, labels=TASK)
    world.pass_time(8)
    world.submit("next", labels=TASK, notes=REATTACH)
    world.submit("third", labels=TASK, notes=REATTACH)
    world.pass_time(60)


def continued_and_deleted(world):
    world.submit("run", SLOW, labels=TASK)
    world.pass_time(8)
    world.submit("next", labels=TASK, notes=REATTACH)
    world.pass_time(3)
    world.delete("run")
    world.pass_time(90)


def submitted_again_after_its_end(world):
    world.submit("run", QUICK, labels={KEYS.run_id: "r-same"})
    world.pass_time(20)
    world.submit("again", labels={KEYS.run_id: "r-same"})
    world.pass_time(30)


def turned_away(world):
    world.submit("run", SLOW, labels=TASK)
    world.pass_time(8)
    world.submit("next", labels={KEYS.task_id: "t-2"}, notes={KEYS.on_conflict: "fail"})
    world.pass_time(60)


def cancelled_while_it_waits(world):
    world.submit("first", SLOW)
    world.submit("run", QUICK)
    world.pass_time(3)
    world.annotate("run", cancel_requested="enough")
    world.pass_time(60)


def cancelled_while_it_works(world):
    world.submit("run", SLOW)
    world.submit("next", QUICK)
    world.pass_time(8)
    world.annotate("run", cancel_requested="enough")
    world.pass_time(60)


def cancelled_by_the_run_that_continues_on_it(world):
    world.submit("run", Script(works=60.0), labels=TASK)
    world.pass_time(8)
    world.submit("next", labels=TASK, notes=REATTACH)
    world.pass_time(3)
    world.annotate("next", cancel_requested="enough")
    world.pass_time(60)


def read_and_collected(world):
    world.submit("run", QUICK)
    world.submit("no-run", labels={KEYS.run_id: None})
    world.pass_time(20)
    for name in ("run", "no-run"):
        world.annotate(name, acknowledged="yes")
    world.pass_time(900)  # a restart begins to count anew


def with_an_object_that_comes_late(world):
    world.submit("run", QUICK, notes={KEYS.owned: "secret/key"})
    world.submit("next", QUICK)
    world.pass_time(5)
    world.provide("run")
    world.pass_time(60)


SCENARIOS = {
    each.__name__: each
    for each in (
        a_success,
        a_failure,
        an_exit_that_belies_the_agent,
        an_agent_without_a_last_word,
        one_after_the_other,
        several_agents,
        two_jobs_of_one_run,
        a_start_that_cannot_succeed,
        a_start_that_takes_too_long,
        an_agent_that_hangs_after_its_result,
        an_agent_that_hangs_after_its_failure,
        the_hosts_own_deadline,
        a_job_that_is_no_run,
        submitted_running,
        several_attempts,
        deleted_while_it_waits,
        deleted_while_it_works,
        deleted_and_held,
        a_name_used_again,
        a_finished_name_used_again,
        suspended_from_outside,
        in_somebody_elses_queue,
        evicted,
        collected_at_once,
        relabelled_while_it_works,
        out_of_sight_for_a_while,
        a_log_that_is_read_late,
        continued,
        continued_and_deleted,
        submitted_again_after_its_end,
        turned_away,
        cancelled_while_it_waits,
        cancelled_while_it_works,
        cancelled_by_the_run_that_continues_on_it,
        read_and_collected,
        with_an_object_that_comes_late,
    )
}
