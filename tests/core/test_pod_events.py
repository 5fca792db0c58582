"""Events as the API server sends them, as they are kept."""

from controller.core import pod_events
from controller.core.model import PodEvent
from tests.core.builders import event_json, make_event, raw


def test_an_event_says_whom_it_is_about_and_when():
    found = pod_events.read([raw(event_json("Pulling", 'Pulling image "i:1"', "claude"))])
    assert found == (make_event("Pulling", 'Pulling image "i:1"', "claude"),)
    (init,) = pod_events.read([raw(event_json("Pulled", "", "setup", init=True))])
    assert (init.container, init.init) == ("setup", True)


def test_one_that_was_written_in_the_newer_group_has_times_too():
    times = {"firstTimestamp": None, "lastTimestamp": None, "eventTime": "2026-11-22T12:00:07.250000Z"}
    (once,) = pod_events.read([raw(event_json("FailedScheduling", "0/1 nodes", **times))])
    assert once.first_at == once.last_at
    series = {"series": {"count": 3, "lastObservedTime": "2026-11-22T12:05:00.000000Z"}}
    (often,) = pod_events.read([raw(event_json("FailedScheduling", "0/1 nodes", **times, **series))])
    assert often.last_at - often.first_at == 292_750_000_000


def test_they_are_read_in_the_order_of_time_and_only_the_newest_are_kept():
    raws = [raw(event_json("Failed", f"try {n}", seconds=n)) for n in reversed(range(60))]
    found = pod_events.read(raws)
    assert [event.message for event in found] == [f"try {n}" for n in range(40, 60)]


def test_what_is_no_event_is_left_out():
    bad = [b"", b"7", b"null", b'{"reason":7}', b'{"involvedObject":{"fieldPath":[]}}', b'{"a":' * 100_000]
    assert pod_events.read([*bad, b"{}"]) == (PodEvent("", ""),)


def test_a_long_word_is_cut_and_what_looks_like_a_credential_is_hidden():
    said = "pulling https://robot:hunter2secret@registry.example.com " + "ü" * 900
    (event,) = pod_events.read([raw(event_json("Failed", said))])
    assert "hunter2secret" not in event.message
    assert len(event.message.encode()) <= 512
