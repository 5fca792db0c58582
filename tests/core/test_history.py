"""Which runs a Job has served: what is written, what is read back, what is still to be added."""

import json

import pytest

from controller.core import history
from controller.core.contract import Status
from controller.core.model import Ids
from tests.core.builders import KEYS, at, make_ids, make_job, make_waiting, stamp


def serving(*ids, **changes):
    """A Job whose history tells of these runs; it is labelled with the last."""
    entries = [{"runId": run} for run in ids]
    return make_job(run=ids[-1], notes={Status.RUN_HISTORY: json.dumps(entries)}, **changes)


def attached(*ids):
    return [make_waiting(run, run=run, created=60 + n) for n, run in enumerate(ids)]


def told(text):
    return [entry["runId"] for entry in json.loads(text)]


def test_a_job_that_has_served_its_own_run_only_says_nothing():
    job = make_job(run="r-1", template_labels=((KEYS.run_id, "r-1"),))
    assert history.grown(job, [], at(100)) is None


def test_a_run_that_continues_on_it_comes_after_its_own():
    text = history.grown(make_job(run="r-1"), attached("r-2"), at(100))
    assert json.loads(text) == [
        {"runId": "r-1", "from": stamp(0), "to": stamp(100)},
        {"runId": "r-2", "from": stamp(100)},
    ]


def test_raw_ids_are_told_as_such_and_read_back():
    mine, theirs = (make_ids(run="r1", raw=(("run", raw),)) for raw in ("r/1", "r:1"))
    text = history.grown(make_job(ids=mine), [make_waiting(ids=theirs)], at(100))
    assert [entry["raw"] for entry in json.loads(text)] == [True, True]
    job = make_job(ids=theirs, notes={Status.RUN_HISTORY: text})
    assert history.serves(job, mine)
    assert not history.serves(job, make_ids(run="r1", raw=(("run", "r;1"),)))


def test_a_run_id_that_others_have_changed_is_recorded():
    job = make_job(run="theirs", template_labels=((KEYS.run_id, "r-1"),))
    assert told(history.grown(job, [], at(100))) == ["r-1", "theirs"]
    again = make_job(run="theirs", notes={Status.RUN_HISTORY: history.grown(job, [], at(100))})
    assert history.grown(again, [], at(200)) is None


def test_what_others_have_changed_comes_before_what_we_change():
    job = make_job(run="theirs", template_labels=((KEYS.run_id, "r-1"),))
    assert told(history.grown(job, attached("r-2"), at(100))) == ["r-1", "theirs", "r-2"]


@pytest.mark.parametrize(
    ("job", "run"),
    [
        pytest.param(make_job(run="r-1"), "r-1", id="its label, if nothing else is known"),
        pytest.param(
            make_job(run="now", template_labels=((KEYS.run_id, "r-1"),)), "r-1", id="its template's label"
        ),
        pytest.param(
            make_job(
                run="now",
                notes={Status.DECISION: '{"decision":"admit","run":{"runId":"r/1","raw":["run"]}}'},
                template_labels=((KEYS.run_id, "r1"),),
            ),
            "r/1",
            id="what it was admitted as",
        ),
        pytest.param(serving("r-1", "r-2"), "r-1", id="the first of its history"),
        pytest.param(
            serving("r-2", "r-1", "r-3", template_labels=((KEYS.run_id, "r-1"),)),
            "r-1",
            id="the one of its history that the template names",
        ),
        pytest.param(
            make_job(ids=make_ids(run="r1", raw=(("run", "r/1"),)), template_labels=((KEYS.run_id, "r1"),)),
            "r/1",
            id="its raw id, if that is the template's",
        ),
    ],
)
def test_the_run_that_a_job_was_submitted_with(job, run):
    assert history.submitted(job).best("run") == run


def test_a_job_whose_run_id_others_have_changed_still_serves_the_one_it_was_submitted_with():
    job = make_job(run="theirs", template_labels=((KEYS.run_id, "r-1"),))
    assert history.serves(job, make_ids(run="r-1"))
    assert history.serves(job, make_ids(run="theirs"))
    assert not history.serves(job, make_ids(run="r-2"))


def test_of_many_runs_the_last_twenty_are_kept():
    text = history.grown(make_job(run="r-0"), attached(*(f"r-{n}" for n in range(1, 30))), at(100))
    assert told(text) == [f"r-{n}" for n in range(10, 30)]


def test_a_run_whose_entry_had_to_leave_is_not_applied_again():
    all_of_them = attached(*(f"r-{n}" for n in range(30)))
    job = serving(*(f"r-{n}" for n in range(10, 30)))
    assert history.lacking(job, all_of_them) == ()
    newer = make_waiting("newer", run="newer", created=200)
    assert history.lacking(job, [*all_of_them, newer]) == (newer,)


def test_an_older_run_that_comes_late_is_applied_all_the_same():
    first, second = attached("r-2", "r-3")
    job = serving("r-1", "r-3")
    assert history.lacking(job, [first, second]) == (first,)


@pytest.mark.parametrize("text", ["", "{}", '{"runId":1}', "[" * 5000])
def test_what_is_no_history_is_none(text):
    job = make_job(run="r-1", notes={Status.RUN_HISTORY: text})
    assert history.runs(job) == ()
    assert told(history.grown(job, attached("r-2"), at(100))) == ["r-1", "r-2"]


def test_the_longest_ids_keep_a_history_within_its_bytes():
    raw = [f"{n}-" + "☃" * 250 for n in range(30)]
    runs = [make_waiting(f"w-{n}", ids=Ids(run=f"{n}", raw=(("run", text),))) for n, text in enumerate(raw)]
    text = history.grown(make_job(run="r-0"), runs, at(100))
    assert len(text.encode()) <= history.SIZE_MAX
    assert told(text)[-1] == raw[-1]
