from controller.core import census
from controller.core.contract import Status
from tests.core.builders import at, make_job, stamp


def test_runs_are_counted_by_phase_and_reason_once_they_have_one():
    jobs = [
        make_job("a", phase="Running", reason="AgentWorking"),
        make_job("b", phase="Running", reason="AgentWorking"),
        make_job("c", phase="Failed", reason="OOMKilled"),
        make_job("d"),
    ]
    assert census.take(jobs, at(100)).standings == {
        ("Running", "AgentWorking"): 2,
        ("Failed", "OOMKilled"): 1,
    }


def test_the_oldest_run_of_each_phase_is_known_but_of_none_that_is_over():
    jobs = [
        make_job("a", phase="Queued", reason="AgentBusy", created=10),
        make_job("b", phase="Queued", reason="AgentBusy", created=40),
        make_job("c", phase="Succeeded", reason="Completed", created=0),
        make_job("d", phase="Running", reason="AgentWorking", created=200),
    ]
    assert census.take(jobs, at(100)).oldest == {"Queued": 90.0, "Running": 0.0}


def test_the_longest_silence_is_that_of_agents_that_are_silent():
    jobs = [
        make_job("a", phase="Running", reason="AgentSilent", notes={Status.LAST_OUTPUT_AT: stamp(40)}),
        make_job("b", phase="Running", reason="AgentSilent", notes={Status.LAST_OUTPUT_AT: stamp(20)}),
        make_job("c", phase="Running", reason="AgentWorking", notes={Status.LAST_OUTPUT_AT: stamp(5)}),
        make_job("d", phase="Running", reason="AgentSilent", notes={Status.LAST_OUTPUT_AT: "soon"}),
    ]
    assert census.take(jobs, at(100)).silence == 80.0
    assert census.take(jobs[2:], at(100)).silence == 0.0


def test_models_are_those_of_runs_that_are_not_over():
    jobs = [
        make_job("a", phase="Running", reason="AgentWorking", notes={Status.MODEL: "opus"}),
        make_job("b", phase="Failed", reason="Unknown", notes={Status.MODEL: "haiku"}),
        make_job("c", phase="Starting", reason="Admitted"),
    ]
    assert census.take(jobs, at(100)).models == {"opus"}
