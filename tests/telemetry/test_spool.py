import asyncio
import random
import threading
from dataclasses import replace

import pytest

from controller.core.snapshot import Policy
from controller.core.spans import tree as trees
from controller.telemetry.answers import Answer, Verdict
from controller.telemetry.spool import TraceExporter
from controller.telemetry.traces import OtlpSender
from controller.telemetry.waiting import SPAN_BYTES, Waiting
from devcluster.otlp import OtlpSink
from tests.core.spans.test_settled import over
from tests.core.spans.test_tree import OUTPUTS, RECORDED
from tests.telemetry.test_traces import TRACE, make_tree

DOWN = Answer(Verdict.UNREACHABLE, "connection refused")


class Outcomes:
    def __init__(self):
        self.accepted, self.given_up, self.seen = [], [], []
        self.changed = asyncio.Event()

    def accept(self, job_uid):
        self.accepted.append(job_uid)
        self.changed.set()

    def give_up(self, job_uid):
        self.given_up.append(job_uid)
        self.changed.set()

    def observe(self, tried):
        self.seen.append(tried)
        self.changed.set()

    @property
    def words(self):
        return [tried.outcome for tried in self.seen]

    async def until(self, true):
        async with asyncio.timeout(100_000):
            while not true():
                self.changed.clear()
                await self.changed.wait()


class FakeCollector:
    """Answers each trace as it is told to, and remembers the spans that it took."""

    def __init__(self, **answers):
        self.answers = answers
        self.down = None
        self.limit = 10**9
        self.requests = 0
        self.batches = []
        self.closed = False

    def send(self, parts):
        self.requests += 1
        said = [self.answers[f"t{tree.trace_id}"] for tree, _ in parts if f"t{tree.trace_id}" in self.answers]
        answer = self.down or next(iter(said), Answer(Verdict.ACCEPTED))
        if sum(len(spans) for _, spans in parts) > self.limit:
            answer = Answer(Verdict.TOO_LARGE)
        if answer.accepted:
            self.batches += [(tree.trace_id, tuple(span.id for span in spans)) for tree, spans in parts]
        return answer

    def shutdown(self):
        self.closed = True


class AtOnce:
    """Stands for the thread where time is virtual: it would go on while a thread is waited for."""

    async def ask(self, call):
        return call()

    def end(self):
        pass


def make_exporter(outcomes, sender, **more):
    return TraceExporter(
        sender=sender,
        accepted=outcomes.accept,
        gave_up=outcomes.give_up,
        observe=outcomes.observe,
        **{"linger_seconds": 0.0, **more},
    )


def clock():
    return asyncio.get_running_loop().time()


def in_virtual_time(outcomes, sender, **more):
    return make_exporter(outcomes, sender, thread=AtOnce(), clock=clock, **more)


async def export_until(exporter, outcomes, true):
    running = asyncio.ensure_future(exporter.run())
    try:
        await outcomes.until(true)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_trace_is_accepted_only_after_the_collector_took_it():
    outcomes = Outcomes()
    async with OtlpSink(status=400) as sink:
        exporter = make_exporter(outcomes, OtlpSender(f"{sink.url}/v1/traces", 2))
        exporter.submit("job", make_tree())
        await export_until(exporter, outcomes, lambda: outcomes.seen)
        assert (outcomes.words, outcomes.accepted, exporter.waiting) == (["failed"], [], 1)
        sink.status = 200
        await exporter.drain(5)
        assert (outcomes.accepted, exporter.waiting, len(sink.spans)) == (["job"], 0, 3)


async def test_the_root_comes_last_so_that_a_trace_with_a_root_is_whole():
    outcomes = Outcomes()
    async with OtlpSink() as sink:
        exporter = make_exporter(outcomes, OtlpSender(f"{sink.url}/v1/traces", 2))
        exporter.submit("job", make_tree(spans=1100))
        await export_until(exporter, outcomes, lambda: outcomes.accepted)
        names = [span.name for span in sink.trace(TRACE)]
    assert names[-1] == "RUN Reviewer"
    assert len(names) == len(set(names)) == 1100


async def test_large_traces_go_in_batches_and_a_retry_goes_on_where_it_failed():
    outcomes, collector = Outcomes(), FakeCollector()
    exporter = make_exporter(outcomes, collector)
    taken = collector.send

    def failing_once(parts):
        collector.down = DOWN if len(collector.batches) == 1 and not outcomes.seen else None
        return taken(parts)

    collector.send = failing_once
    exporter.submit("job", make_tree(spans=1100))
    await export_until(exporter, outcomes, lambda: "failed" in outcomes.words)
    assert outcomes.accepted == []
    await exporter.drain(5)
    assert [len(ids) for _, ids in collector.batches] == [512, 512, 76]
    assert [(tried.outcome, tried.spans) for tried in outcomes.seen] == [("failed", 1100), ("accepted", 1100)]


@pytest.mark.looptime
async def test_a_collector_that_finds_a_request_too_large_gets_smaller_ones_at_once():
    outcomes, collector = Outcomes(), FakeCollector()
    collector.limit = 100
    exporter = in_virtual_time(outcomes, collector)
    exporter.submit("job", make_tree(spans=300))
    began = clock()
    await export_until(exporter, outcomes, lambda: outcomes.accepted)
    assert clock() - began < 1
    assert sorted(i for _, ids in collector.batches for i in ids) == [f"{n:016x}" for n in range(1, 301)]


@pytest.mark.looptime
async def test_a_span_that_is_too_large_by_itself_is_given_up_with_its_trace():
    outcomes, collector = Outcomes(), FakeCollector()
    collector.limit = 0
    exporter = in_virtual_time(outcomes, collector)
    exporter.submit("job", make_tree(spans=4))
    await export_until(exporter, outcomes, lambda: outcomes.given_up)
    assert collector.requests < 200


@pytest.mark.looptime
async def test_a_trace_that_is_refused_holds_up_nobody_and_is_given_up():
    poison, good = "ba" * 16, "ab" * 16
    outcomes, collector = Outcomes(), FakeCollector(**{f"t{poison}": Answer(Verdict.REFUSED)})
    exporter = in_virtual_time(outcomes, collector, give_up_seconds=3600)
    exporter.submit("bad", make_tree(trace_id=poison))
    exporter.submit("good", make_tree(trace_id=good))
    began = clock()
    await export_until(exporter, outcomes, lambda: outcomes.given_up)
    assert (outcomes.accepted, outcomes.given_up, exporter.waiting) == (["good"], ["bad"], 0)
    assert clock() - began < 60
    assert collector.requests < 5


@pytest.mark.looptime
async def test_a_collector_that_is_down_for_hours_is_asked_once_a_minute_however_many_wait():
    outcomes, collector = Outcomes(), FakeCollector()
    collector.down = DOWN
    exporter = in_virtual_time(outcomes, collector, give_up_seconds=10 * 3600)
    jobs = {f"job-{number}": f"{number + 1:032x}" for number in range(200)}
    for job, trace_id in jobs.items():
        exporter.submit(job, make_tree(trace_id=trace_id))
    running = asyncio.ensure_future(exporter.run())
    await asyncio.sleep(5 * 3600)
    assert 290 < collector.requests < 700
    assert exporter.waiting == 200
    collector.down = None
    await outcomes.until(lambda: exporter.waiting == 0)
    running.cancel()
    assert sorted(outcomes.accepted) == sorted(jobs)
    assert len(collector.batches) == 200


@pytest.mark.looptime
async def test_a_collector_that_wants_to_be_left_alone_is():
    outcomes, collector = Outcomes(), FakeCollector()
    collector.down = Answer(Verdict.THROTTLED, wait=120.0)
    exporter = in_virtual_time(outcomes, collector)
    exporter.submit("a", make_tree(trace_id="ab" * 16))
    exporter.submit("b", make_tree(trace_id="ba" * 16))
    running = asyncio.ensure_future(exporter.run())
    await asyncio.sleep(119)
    assert collector.requests == 1
    collector.down = None
    await asyncio.sleep(2)
    running.cancel()
    assert sorted(outcomes.accepted) == ["a", "b"]


@pytest.mark.looptime
async def test_what_waits_takes_little_room_and_is_sent_as_it_was():
    outcomes, collector = Outcomes(), FakeCollector()
    collector.down = DOWN
    exporter = in_virtual_time(outcomes, collector)
    for number in range(5):
        exporter.submit(f"job-{number}", make_tree(spans=1000, trace_id=f"{number + 1:032x}"))
    assert exporter.waiting_bytes == 5 * 1000 * SPAN_BYTES
    running = asyncio.ensure_future(exporter.run())
    await asyncio.sleep(30)
    assert exporter.waiting_bytes < 5 * 1000 * SPAN_BYTES / 20
    collector.down = None
    await outcomes.until(lambda: exporter.waiting == 0)
    running.cancel()
    assert {len(ids) for _, ids in collector.batches} == {512, 488}


@pytest.mark.looptime
async def test_what_cannot_be_packed_and_what_no_sender_expects_hold_up_nobody():
    """Half of a surrogate pair: no text that can be encoded."""
    outcomes, collector = Outcomes(), FakeCollector()
    taken, odd = collector.send, make_tree(trace_id="ba" * 16)
    odd = replace(odd, resource=(("service.name", "agent\ud83d"),))

    def surprised(parts):
        if any(tree.trace_id == odd.trace_id for tree, _ in parts):
            raise UnicodeEncodeError("utf-8", "\ud83d", 0, 1, "surrogates not allowed")
        return taken(parts)

    collector.send = surprised
    collector.down = DOWN
    exporter = in_virtual_time(outcomes, collector)
    exporter.submit("good", make_tree())
    exporter.submit("odd", odd)
    running = asyncio.ensure_future(exporter.run())
    await asyncio.sleep(100)
    collector.down = None
    await outcomes.until(lambda: outcomes.given_up)
    running.cancel()
    assert (outcomes.accepted, outcomes.given_up) == (["good"], ["odd"])


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_packed_trace_of_a_recorded_run_is_the_same_trace(path):
    lines = [(42 + n / 100, line) for n, line in enumerate(path.read_bytes().splitlines())]
    tree = trees.build(*over(lines, output=OUTPUTS[path.parent.name]), Policy())
    waiting = Waiting("job", tree, len(tree.spans), since=0.0, due=0.0)
    waiting.pack()
    assert (waiting.tree, waiting.unpacked()) == (None, tree)
    assert waiting.bytes < len(tree.spans) * SPAN_BYTES / 5


def test_the_spool_is_bounded_and_a_job_waits_once():
    outcomes = Outcomes()
    exporter = make_exporter(outcomes, FakeCollector(), capacity_bytes=6 * SPAN_BYTES)
    assert [exporter.submit(uid, make_tree(3)) for uid in ("a", "b", "a", "c")] == [True, True, True, False]
    assert (exporter.waiting, exporter.waiting_spans, outcomes.words) == (2, 6, ["full"])


@pytest.mark.looptime
async def test_spans_that_were_left_out_are_counted_once():
    outcomes, collector = Outcomes(), FakeCollector()
    collector.answers[f"t{TRACE}"] = Answer(Verdict.ACCEPTED, "too old", rejected=2)
    exporter = in_virtual_time(outcomes, collector)
    exporter.submit("job", make_tree(spans=600))
    await export_until(exporter, outcomes, lambda: outcomes.accepted)
    assert [(tried.outcome, tried.rejected) for tried in outcomes.seen] == [("accepted", 4)]


def several(*sizes):
    return {f"job-{n}": make_tree(size, f"{n + 1:032x}") for n, size in enumerate(sizes)}


@pytest.mark.looptime
async def test_small_traces_that_come_within_a_second_share_a_request_and_each_is_whole():
    outcomes, collector = Outcomes(), FakeCollector()
    exporter = in_virtual_time(outcomes, collector, linger_seconds=1.0)
    running, made, began = asyncio.ensure_future(exporter.run()), several(3, 600, 100, 5), clock()
    for job_uid, tree in made.items():
        exporter.submit(job_uid, tree)
        await asyncio.sleep(0.2)
    await outcomes.until(lambda: exporter.waiting == 0)
    running.cancel()
    assert clock() - began == pytest.approx(1.2)
    assert collector.requests == 3, "one for the three small ones, two for the large one"
    assert sorted(outcomes.accepted) == sorted(made)
    for tree in made.values():
        sent = [i for of, ids in collector.batches if of == tree.trace_id for i in ids]
        assert sent == [*(span.id for span in tree.spans[1:]), tree.spans[0].id]


@pytest.mark.looptime
async def test_no_request_is_shared_beyond_what_one_may_hold():
    outcomes, collector = Outcomes(), FakeCollector()
    exporter = in_virtual_time(outcomes, collector)
    for job_uid, tree in several(*[100] * 12).items():
        exporter.submit(job_uid, tree)
    await export_until(exporter, outcomes, lambda: exporter.waiting == 0)
    assert collector.requests == 3


@pytest.mark.looptime
async def test_of_those_that_shared_a_refused_request_only_the_one_that_is_not_wanted_is_given_up():
    outcomes, collector = Outcomes(), FakeCollector()
    exporter = in_virtual_time(outcomes, collector)
    exporter.submit("first", make_tree(trace_id="fe" * 16))
    await export_until(exporter, outcomes, lambda: outcomes.accepted)
    made = several(3, 3, 3)
    collector.answers[f"t{made['job-1'].trace_id}"] = Answer(Verdict.REFUSED, "400 no")
    for job_uid, tree in made.items():
        exporter.submit(job_uid, tree)
    await export_until(exporter, outcomes, lambda: exporter.waiting == 0)
    assert sorted(outcomes.accepted) == ["first", "job-0", "job-2"]
    assert outcomes.given_up == ["job-1"]
    assert outcomes.words.count("failed") == 2, "of those that only came along nothing is said"


@pytest.mark.looptime
async def test_a_collector_in_trouble_is_told_of_once_however_many_shared_the_request():
    outcomes, collector = Outcomes(), FakeCollector()
    exporter = in_virtual_time(outcomes, collector)
    collector.down = DOWN
    for job_uid, tree in several(3, 3, 3).items():
        exporter.submit(job_uid, tree)
    await export_until(exporter, outcomes, lambda: outcomes.seen)
    assert outcomes.words == ["failed"]
    collector.down = None
    await export_until(exporter, outcomes, lambda: exporter.waiting == 0)
    assert sorted(outcomes.accepted) == ["job-0", "job-1", "job-2"]


@pytest.mark.looptime
@pytest.mark.parametrize("seed", range(30))
async def test_whatever_the_collector_says_each_span_is_taken_once_and_a_root_only_after_all_others(seed):
    dice, outcomes, collector = random.Random(seed), Outcomes(), FakeCollector()
    moods = [None, None, DOWN, Answer(Verdict.UNAUTHORIZED), Answer(Verdict.UNAVAILABLE, wait=5)]
    taken = collector.send

    def moody(parts):
        collector.down, collector.limit = dice.choice(moods), dice.choice([100, 300, 10**9])
        return taken(parts)

    collector.send = moody
    exporter = in_virtual_time(outcomes, collector, give_up_seconds=1e6)
    sizes = dice.choices([1, 3, 200, 700], k=dice.choice([2, 8]))
    trees = {f"{n + 1:032x}": make_tree(size, f"{n + 1:032x}") for n, size in enumerate(sizes)}
    for trace_id, tree in trees.items():
        exporter.submit(trace_id, tree)
    await export_until(exporter, outcomes, lambda: exporter.waiting == 0)
    assert sorted(outcomes.accepted) == sorted(trees)
    for trace_id, tree in trees.items():
        ids = [i for of, batch in collector.batches if of == trace_id for i in batch]
        assert ids == [*(span.id for span in tree.spans[1:]), tree.spans[0].id]


@pytest.mark.looptime
async def test_a_collector_that_refuses_everything_may_not_be_one_and_is_asked_until_traces_are_too_old():
    outcomes, collector = Outcomes(), FakeCollector()
    collector.down = Answer(Verdict.REFUSED)
    exporter = in_virtual_time(outcomes, collector, give_up_seconds=3600)
    exporter.submit("job", make_tree())
    began = clock()
    await export_until(exporter, outcomes, lambda: outcomes.given_up)
    assert 3600 <= clock() - began < 3662
    # Backoff: fast at first, then about once a minute.
    assert 60 < outcomes.words.count("failed") < 140


def make_part(first, last, trace_id=TRACE):
    """Spans of the tree that `make_tree(1000)` is, without its root."""
    tree = make_tree(spans=1000, trace_id=trace_id)
    return replace(tree, spans=tree.spans[first:last])


def make_rest(told):
    """What is left of it."""
    tree = make_tree(spans=1000)
    return replace(tree, spans=(tree.spans[0], *tree.spans[told:]))


def ids_taken(collector):
    return [int(i, 16) for _, ids in collector.batches for i in ids]


@pytest.mark.looptime
async def test_spans_of_a_run_that_goes_on_come_first_and_its_root_last():
    outcomes, collector = Outcomes(), FakeCollector()
    exporter = in_virtual_time(outcomes, collector)
    running = asyncio.ensure_future(exporter.run())
    assert exporter.tell("job", make_part(1, 300))
    await outcomes.until(lambda: exporter.waiting == 0)
    assert outcomes.accepted == [], "a part is no trace"
    assert exporter.tell("job", make_part(300, 900))
    assert exporter.submit("job", make_rest(900))
    await outcomes.until(lambda: outcomes.accepted)
    running.cancel()
    assert ids_taken(collector) == [*range(2, 1001), 1]


@pytest.mark.looptime
async def test_one_part_of_a_run_waits_and_its_end_waits_behind_it():
    outcomes, collector = Outcomes(), FakeCollector()
    collector.down = DOWN
    exporter = in_virtual_time(outcomes, collector, give_up_seconds=5 * 3600)
    running = asyncio.ensure_future(exporter.run())
    assert exporter.tell("job", make_part(1, 10))
    await asyncio.sleep(10 * 3600)
    assert not exporter.tell("job", make_part(10, 20))
    assert exporter.submit("job", make_rest(10))
    assert not exporter.tell("job", make_part(10, 20))
    await asyncio.sleep(3600)
    assert (exporter.waiting, outcomes.given_up) == (2, []), "a part is not too old before its end is"
    collector.down = None
    await outcomes.until(lambda: outcomes.accepted)
    running.cancel()
    assert ids_taken(collector) == [*range(2, 1001), 1]


@pytest.mark.looptime
async def test_a_trace_of_which_a_part_was_refused_is_never_called_accepted():
    outcomes, collector = Outcomes(), FakeCollector()
    exporter = in_virtual_time(outcomes, collector)
    running = asyncio.ensure_future(exporter.run())
    exporter.submit("other", make_tree(trace_id="ab" * 16))
    await outcomes.until(lambda: outcomes.accepted)
    collector.answers[f"t{TRACE}"] = Answer(Verdict.REFUSED)
    exporter.tell("job", make_part(1, 10))
    await outcomes.until(lambda: "failed" in outcomes.words)
    exporter.submit("another", make_tree(trace_id="ba" * 16))
    await outcomes.until(lambda: "gave_up" in outcomes.words)
    collector.answers.clear()
    exporter.submit("job", make_rest(10))
    await outcomes.until(lambda: outcomes.given_up)
    running.cancel()
    assert (outcomes.accepted, outcomes.given_up) == (["other", "another"], ["job"])
    assert outcomes.words.count("accepted") == 2


@pytest.mark.looptime
async def test_a_collector_that_begins_to_refuse_everything_loses_no_trace_before_its_time():
    outcomes, collector = Outcomes(), FakeCollector()
    exporter = in_virtual_time(outcomes, collector, give_up_seconds=3600)
    running = asyncio.ensure_future(exporter.run())
    exporter.submit("before", make_tree(trace_id="fe" * 16))
    await outcomes.until(lambda: outcomes.accepted)
    collector.down = Answer(Verdict.REFUSED, "400 Client sent an HTTP request to an HTTPS server")
    made = several(3, 3, 3)
    for job_uid, tree in made.items():
        exporter.submit(job_uid, tree)
    await asyncio.sleep(3000)
    assert (exporter.waiting, outcomes.given_up) == (3, [])
    collector.down = None
    await outcomes.until(lambda: exporter.waiting == 0)
    running.cancel()
    assert sorted(outcomes.accepted) == ["before", *sorted(made)]


@pytest.mark.looptime
async def test_spans_that_were_left_out_before_a_failure_are_told_once():
    outcomes, collector = Outcomes(), FakeCollector()
    exporter = in_virtual_time(outcomes, collector)
    taken, answers = collector.send, [Answer(Verdict.ACCEPTED, rejected=5), DOWN, DOWN]

    def one_after_the_other(parts):
        said = taken(parts)
        return answers.pop(0) if answers else said

    collector.send = one_after_the_other
    exporter.submit("job", make_tree(spans=900))
    await export_until(exporter, outcomes, lambda: outcomes.accepted)
    assert [tried.rejected for tried in outcomes.seen] == [0, 0, 5]


@pytest.mark.looptime
async def test_a_part_that_goes_with_its_end_leaves_nothing_behind():
    outcomes, collector = Outcomes(), FakeCollector()
    collector.down = DOWN
    exporter = in_virtual_time(outcomes, collector, give_up_seconds=60)
    exporter.tell("job", make_part(1, 10))
    exporter.submit("job", make_rest(10))
    await export_until(exporter, outcomes, lambda: outcomes.given_up)
    assert (exporter.waiting, exporter.waiting_bytes) == (0, 0)


@pytest.mark.looptime
async def test_a_trace_that_finds_no_room_for_too_long_is_given_up_as_if_it_had_waited_inside():
    outcomes, collector = Outcomes(), FakeCollector()
    collector.down = DOWN
    exporter = in_virtual_time(outcomes, collector, capacity_bytes=SPAN_BYTES, give_up_seconds=3600)
    running = asyncio.ensure_future(exporter.run())
    exporter.tell("big", make_part(1, 1000))
    taken = []
    for _ in range(721):
        taken.append(exporter.submit("job", make_tree(trace_id="ab" * 16)))
        await asyncio.sleep(5)
    running.cancel()
    assert taken == [False] * 720 + [True]
    assert outcomes.given_up == ["job"]


@pytest.mark.looptime
async def test_draining_is_bounded_and_takes_no_more():
    outcomes, collector = Outcomes(), FakeCollector()
    exporter = in_virtual_time(outcomes, collector)
    collector.down = DOWN
    exporter.submit("a", make_tree(trace_id="ab" * 16))
    exporter.submit("b", make_tree(trace_id="ba" * 16))
    await exporter.drain(5)
    assert (exporter.waiting, collector.closed, outcomes.words) == (2, True, ["failed"])
    assert exporter.submit("c", make_tree()) is False
    await asyncio.wait_for(exporter.run(), 1)


class Hanging:
    def __init__(self):
        self.release = threading.Event()

    def send(self, _parts):
        self.release.wait(10)
        return DOWN

    def shutdown(self):
        pass


class Closing(Hanging):
    """Takes the first request when it is closed, and then makes none, as the SDK's exporter does."""

    def __init__(self):
        super().__init__()
        self.asked, self.requests = threading.Event(), 0

    def send(self, _parts):
        self.requests += 1
        self.asked.set()
        self.release.wait(10)
        return Answer(Verdict.ACCEPTED if self.requests == 1 else Verdict.UNENCODABLE)

    def shutdown(self):
        self.release.set()


async def test_a_trace_that_is_half_sent_when_the_process_ends_is_neither_accepted_nor_given_up():
    outcomes, sender = Outcomes(), Closing()
    exporter = make_exporter(outcomes, sender)
    exporter.submit("job", make_tree(spans=900))
    running = asyncio.ensure_future(exporter.run())
    await asyncio.to_thread(sender.asked.wait, 10)
    await exporter.drain(0.05)
    async with asyncio.timeout(10):
        await running
    assert sender.requests == 2
    assert (outcomes.accepted, outcomes.given_up, outcomes.seen, exporter.waiting) == ([], [], [], 1)


async def test_a_collector_that_hangs_does_not_hold_up_the_end_of_the_process():
    before = set(threading.enumerate())
    sender = Hanging()
    exporter = make_exporter(Outcomes(), sender)
    exporter.submit("uid", make_tree())
    await exporter.drain(0.05)
    (left,) = set(threading.enumerate()) - before
    assert left.daemon
    sender.release.set()
