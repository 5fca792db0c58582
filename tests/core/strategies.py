"""Snapshots of every kind that hypothesis may think of: the likely, the odd and the impossible."""

from dataclasses import replace

from hypothesis import strategies as st

from controller.core import admission, cursor, facts
from controller.core.contract import SECOND, TERMINAL, Phase, Reason, Status
from controller.core.model import (
    Condition,
    Container,
    ContainerSpec,
    Ids,
    Job,
    Now,
    Owned,
    Pod,
    PodEvent,
    RunState,
    Wishes,
)
from controller.core.reconcile import reconcile
from controller.core.snapshot import (
    Answer,
    Asked,
    Attempt,
    Capacity,
    Export,
    Facts,
    Ghost,
    Heard,
    Ownership,
    Policy,
    Run,
    Snapshot,
)
from controller.core.transcript import AttemptLog, LogState, Place
from tests.core.builders import (
    NAMESPACE,
    SLOT,
    at,
    make_claim,
    make_condition,
    make_job,
    make_seen,
    make_waiting,
    running,
    stamp,
    uid_of,
)

NOW = Now(at(100), 1000.0)

_DEEP = '{"x":' + "[" * 3000 + "]" * 3000 + "}"
_TIMES = st.sampled_from([None, at(0), at(1), at(40), at(90.75), at(99), at(100), 0, at(7200)])

_IDS = st.sampled_from(
    [Ids("a-1", "r-%", "claude_k8s")] * 6
    + [
        Ids("a-1", "r-same", "claude_k8s", "t-1", "s-1", "c-1"),
        Ids("a-1", "r-%", "claude_k8s", "t-1", "s-1"),
        Ids("a-1", "r-%", "claude_k8s", "t-1", raw=(("task", "t/-1"),)),
        Ids("a-1", "r-%", "claude_k8s", "t-2", "s-2", raw=(("session", "s-2"),)),
        Ids("a-1", "r-same", "claude_k8s", raw=(("run", "r/-same"),)),
        Ids("a-1", "r-same", "claude_k8s", raw=(("run", "r-same"),)),
        Ids("", "r-%", "claude_k8s"),
        Ids("a-1", "", "claude_k8s"),
        Ids("a-1", "r-%", ""),
    ]
)
_WISHES = st.sampled_from(
    [Wishes(output="claude-stream-json")] * 3
    + [
        Wishes(output="text"),
        Wishes(output="claude-stream-json", agent_container="other", on_conflict="fail", reattach=True),
        Wishes(output="text", cancel_requested="enough", acknowledged=True),
        Wishes(output="claude-stream-json", cancel_requested="enough"),
        Wishes(output="claude-stream-json", acknowledged=True),
        Wishes(output="claude-stream-json", retain=True),
        Wishes(output="claude-stream-json", reattach=True),
        Wishes(output="text", on_conflict="fail"),
        Wishes(output="text", cancel_requested="enough", reattach=True, on_conflict="queue"),
        Wishes(output="text", traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ]
)
_JOB_ENDS = st.sampled_from(
    [()] * 5
    + [
        (make_condition("Complete"),),
        (make_condition("SuccessCriteriaMet"),),
        (make_condition("Failed", "BackoffLimitExceeded"),),
        (make_condition("Failed", "DeadlineExceeded"),),
        (make_condition("FailureTarget", "DeadlineExceeded"),),
        (make_condition("FailureTarget", "x"), make_condition("Failed", "x"), make_condition("Complete")),
        (make_condition("Failed", "x", status="False"), Condition("Suspended", "True", "", "", None)),
    ]
)
_SPECS = st.sampled_from(
    [(ContainerSpec("claude", "i:1"),)] * 3
    + [
        (),
        (ContainerSpec("other", "i:1"), ContainerSpec("claude", "i:2")),
        (
            ContainerSpec("mesh", "i:1", init=True, sidecar=True),
            ContainerSpec("setup", "i:1", init=True),
            ContainerSpec("claude", "i:1"),
        ),
    ]
)
_AGENTS = st.sampled_from(
    [
        running(),
        running(started_at=at(99)),
        Container("claude", state=RunState.RUNNING),
        Container("claude", state=RunState.WAITING, reason="ContainerCreating"),
        Container("claude", state=RunState.WAITING, reason="PodInitializing"),
        Container("claude", state=RunState.WAITING, reason="ImagePullBackOff", message="no such image"),
        Container("claude", state=RunState.WAITING, reason="ErrImageNeverPull"),
        Container("claude", state=RunState.WAITING, reason="CrashLoopBackOff", restarts=2),
        Container("claude", state=RunState.WAITING, reason="☃" * 40, started_at=at(3), exit_code=3),
        Container("claude", state=RunState.TERMINATED, exit_code=0, started_at=at(40), finished_at=at(90)),
        Container("claude", state=RunState.TERMINATED, exit_code=1, started_at=at(40), finished_at=at(90.5)),
        Container(
            "claude",
            state=RunState.TERMINATED,
            reason="OOMKilled",
            exit_code=137,
            started_at=at(41),
            finished_at=at(92),
        ),
        Container("claude", state=RunState.TERMINATED, reason="ContainerStatusUnknown", exit_code=137),
        Container(
            "claude",
            state=RunState.TERMINATED,
            reason="StartError",
            exit_code=128,
            started_at=0,
            finished_at=at(41),
        ),
        Container("claude"),
    ]
)
_OTHERS = st.lists(
    st.sampled_from(
        [
            Container("mesh", init=True, state=RunState.RUNNING, started_at=at(33)),
            Container("setup", init=True, state=RunState.RUNNING, started_at=at(34)),
            Container(
                "setup",
                init=True,
                state=RunState.TERMINATED,
                exit_code=2,
                started_at=at(34),
                finished_at=at(35),
            ),
            Container("setup", init=True, state=RunState.WAITING, reason="InvalidImageName"),
            running("other"),
        ]
        + [running(f"{'long-name-' * 5}{n}", started_at=at(n)) for n in range(3)]
    ),
    max_size=3,
    unique_by=lambda c: c.name,
)
_SEEN = st.sampled_from(
    [
        make_seen(),
        make_seen(lines=0, bytes=0, last_at=None, first_at=None, session_id="", model="", assistant_lines=0),
        make_seen(claim=make_claim(), turn_open=False),
        make_seen(claim=make_claim(), turn_open=False, tasks_live=1),
        make_seen(claim=make_claim(), turn_open=True, session_id="other", model="ü" * 256),
        make_seen(claim=make_claim("error_max_turns"), turn_open=False),
        make_seen(claim=make_claim("error_during_execution", text="☃" * 20_000), turn_open=False),
        make_seen(assistant_error="rate_limit", limited_until=10**40, retrying="rate_limit"),
        make_seen(odd_lines=12, assistant_lines=0, tail="oops " * 5000),
    ]
)


def _gone(count):
    """Facts of so many pods that nobody sees any more."""
    ended = running(state=RunState.TERMINATED, exit_code=1, finished_at=at(60))
    return facts.encode(
        Facts(
            tuple(
                Attempt(f"gone-{n}", uid_of(f"gone-{n}"), at(n), "node-1", at(n), "Failed", "", (ended,))
                for n in range(count)
            )
        )
    )


_TEXT_OF = {
    Status.REASON: st.sampled_from([*Reason, "Odd"]),
    Status.SINCE: st.sampled_from([stamp(50), "yesterday", ""]),
    Status.MESSAGE: st.sampled_from(["", " ", "word", "ü" * 700, "line\nline\x00\t"]),
    Status.OBSERVED_AT: st.sampled_from([stamp(99), stamp(50), stamp(-500), stamp(3700), "never"]),
    Status.STOP: st.sampled_from(
        [
            f'{{"reason":"{Reason.IMAGE_PULL_FAILED}","at":"{stamp(89)}"}}',
            f'{{"reason":"{Reason.START_TIMEOUT}","at":"{stamp(95)}"}}',
            f'{{"reason":"{Reason.CANCELLED_BY_HOST}","at":"{stamp(95)}","ended":"{uid_of("run-0-0")}"}}',
            '{"reason":"Nonsense"}',
            "[]",
            "nothing",
            _DEEP,
        ]
    ),
    Status.FACTS: st.sampled_from(
        [
            "seen",
            "seen, and some left out",
            _gone(1),
            _gone(30),
            '{"attempts":[{"created":"yesterday","containers":[{}]}],"leftOut":-1}',
            "[1]",
            _DEEP,
        ]
    ),
    Status.LOG_CURSOR: st.sampled_from(
        ["of a pod", "of a pod, with a claim", "of nobody", '{"v":1,"pod":7}', "", _DEEP]
    ),
    Status.TRACE_EXPORTED: st.just(stamp(98)),
    Status.SESSION_ID: st.sampled_from(["5e55", "older"]),
    Status.RESULT: st.just("…"),
    Status.HEARTBEAT_SECONDS: st.sampled_from(["60", "60", "129", "1", "", "soon", "9" * 5000]),
    Status.HOST_TTL: st.sampled_from(["300", "0", "999999", "-1", "soon", "٣"]),
    Status.TTL_SET: st.sampled_from(["86400", "0", "300", "soon"]),
    Status.ATTACHED_TO: st.sampled_from(
        [f"{name}/{uid_of(name)}" for name in ("run-0", "run-1", "over-0", "lost-0", "elsewhere")]
        + ["nobody", "/", "run-0/"]
    ),
    Status.ATTACHED_PHASE: st.sampled_from(["Running", "Odd"]),
    Status.RUN_HISTORY: st.sampled_from(
        [
            f'[{{"runId":"r-same","from":"{stamp(1)}"}}]',
            '[{"runId":"r/-same","raw":true,"to":"x"},{"runId":"r-run-1"}]',
            "[" + ",".join(f'{{"runId":"r-old-{n}"}}' for n in range(25)) + "]",
            '{"runId":1}',
            _DEEP,
        ]
    ),
    Status.DECISION: st.sampled_from(
        [
            '{"decision":"reattach","run":{"runId":"r-run-0"}}',
            '{"decision":"reattach","run":{"runId":"r-run-1","taskId":"t-1"},"other":{},"at":"2026-11-22T12:00:10Z"}',
            '{"decision":"admit","run":{"runId":"r-same"},"trace":"zero"}',
            '{"decision":"duplicate","run":{"runId":7}}',
            _DEEP,
        ]
    ),
}
"""Values of our annotations, the well formed and the others."""


def _facts_of(text, pods):
    if not text.startswith("seen"):
        return text
    seen = facts.gather(Run(Job(NAMESPACE, "", "", "", 0, SLOT, Ids()), pods))
    return facts.encode(replace(seen, left_out=3 if "left out" in text else 0))


def _cursor_of(text, pods):
    if not text.startswith("of "):
        return text
    pod = "nobody" if "nobody" in text or not pods else pods[0].uid
    seen = make_seen(lines=6, claim=make_claim() if "claim" in text else None)
    return cursor.encode(
        AttemptLog(pod, LogState.READING, seen, place=Place(at(42), at(60), 1, 0, at(60), ""))
    )


_FITTING = ((Status.LOG_CURSOR, _cursor_of), (Status.FACTS, _facts_of))
"""Values that must fit to the pods that are there."""
_SECRET, _PROMPT = Owned("Secret", "run-secret"), Owned("ConfigMap", "run-prompt")
_OWNED = st.sampled_from([(), (), (), (_SECRET,), (_PROMPT,), (_SECRET, _PROMPT)])
_ANSWERS = st.sampled_from(
    [None, None]
    + [Asked(kind, NOW.mono, tries) for kind in Ownership for tries in (1, 5)]
    + [Asked(kind, NOW.mono - 700, 9) for kind in Ownership]
)
_LABELS = st.sampled_from(
    [None, None, Ids(), Ids("a-1", "r-other", "claude_k8s"), Ids("a-2", "", "other_k8s", "t-9")]
)
_EITHER = st.booleans()
_ONE_IN_FIVE = st.integers(0, 4)
_ONE_IN_TEN = st.integers(0, 9)
_POD_CONDITIONS = st.sampled_from(
    [
        (make_condition("PodScheduled", seconds=32),),
        (make_condition("PodScheduled", "Unschedulable", status="False", message="☃" * 900),),
        (make_condition("DisruptionTarget", "PreemptionByScheduler"),),
        (),
    ]
)
_POD_BIRTHS = st.sampled_from([at(0), at(31), at(31.5), at(60)])
_POD_DELETED = st.sampled_from([None, None, at(80)])
_NODES = st.sampled_from(["node-1", "node-1", ""])
_POD_PHASES = st.sampled_from(["Running", "Pending", "Succeeded", "Failed", "Unknown", ""])
_POD_REASONS = st.sampled_from(["", "", "Evicted", "☃" * 500])
_PLACES = st.sampled_from([None, Place(at(42), at(88), 1, 0, at(88), "0f" * 8)])
_LOG_STATES = st.sampled_from([*LogState, LogState.READING])
_READ_AT = st.sampled_from([None, 0.0, 999.0, 1000.0])
_JOB_BIRTHS = st.sampled_from([at(0), at(0), at(5), at(5.5)])
_JOB_DELETED = st.sampled_from([None, None, None, at(90)])
_PARALLELISM = st.sampled_from([1, 1, 1, 1, 0, 2])
_COMPLETIONS = st.sampled_from([1, 1, 1, 1, None])
_BACKOFF = st.sampled_from([0, 0, 6])
_DEADLINES = st.sampled_from([None, 0, 1, 3600])
_TTLS = st.sampled_from([None, None, None, 0, 300, 86400])
_QUEUES = st.sampled_from(["", "", "", "gpus"])
_FAILED = st.sampled_from([0, 0, 1, 7])
_SUCCEEDED = st.sampled_from([0, 0, 1])
_ACTIVE = st.sampled_from([0, 0, 1])
_POD_COUNTS = st.sampled_from([0, 1, 1, 2, 3])
_EXPORTS = st.sampled_from(Export)
_RUN_COUNTS = st.sampled_from([1, 1, 2, 3, 4])
_STRAY_COUNTS = st.sampled_from([0, 0, 1, 2])
# Small integers and first choices come more often than others: what should be rare is neither.
_GHOSTS = st.sampled_from([(), (), (Ghost(NAMESPACE, "lost-0", uid_of("lost-0")),)])
_SETTLED = st.sampled_from(
    [
        (),
        (make_job("over-0", phase="Succeeded", over="Complete", result=True, run="r-same"),),
        (make_waiting("over-0", phase="Rejected", result=True, run="r-same"),),
    ]
)
_ANSWERED = st.sampled_from([f"run-{n}" for n in range(4)] + ["over-0", "lost-0", "elsewhere"])
_UNLABELLED = st.sampled_from([(), (), (uid_of("run-0"),), (uid_of("run-1-0"),)])
_HEARD = st.builds(
    Heard,
    st.lists(
        st.builds(
            PodEvent,
            st.sampled_from(
                [
                    "Pulling",
                    "Pulled",
                    "FailedMount",
                    "FailedCreatePodSandBox",
                    "FailedCreate",
                    "Unhealthy",
                    "☃",
                ]
            ),
            st.sampled_from(
                [
                    "",
                    "☃" * 170,
                    'MountVolume.SetUp failed for volume "v" : secret "s" not found',
                    'Successfully pulled image "i:1" in 62.5s (1m3s including waiting). Image size: 7 bytes',
                ]
            ),
            st.sampled_from(["", "claude", "setup"]),
            _EITHER,
            _TIMES,
            _TIMES,
        ),
        max_size=5,
    ).map(tuple),
    st.sampled_from([0.0, NOW.mono, 1e9]),
    st.sampled_from([1, 2]),
    _EITHER,
    _EITHER,
)
_RESULTS = st.sampled_from(
    [
        "",
        '{"runId":"r","jobUid":"j","phase":"Failed","reason":"NoResult","errorMessage":"none"}',
        '{"runId":"r","jobUid":"j","phase":"Succeeded","reason":"Completed","sha256":"5","truncated":["summary"]}',
        '{"phase":3}',
        _DEEP,
    ]
)
_AGES = st.sampled_from([None, 0.0, 1.5, 4.0, 6.0, 301.0, 601.0])
_LIMITS = st.sampled_from([1, 1, 2])
_UNSCHEDULABLE = st.sampled_from([0, 300, 3600])
_STALLS = st.sampled_from([0, 300, 600])
_SILENT_AFTER = st.sampled_from([1, 300, 3600])
_ACKNOWLEDGED = st.sampled_from([0, 300, 300])
_WIDER_LIMITS = st.sampled_from([0, 0, 0, 2])
_TURNS = st.sets(st.sampled_from([uid_of(f"run-{n}") for n in range(4)])).map(frozenset)
_CAPACITIES = st.builds(Capacity, _TURNS, st.integers(0, 3), st.just({"": 1, "c-1": 2}))
_ON_CONFLICT = st.sampled_from(["queue", "queue", "fail"])
_TRACE_MODES = st.sampled_from(["end", "live"])
_ASKED = st.sampled_from([0.0, 999.0, 1000.0])
_HEAP = st.sets(st.sampled_from(sorted(_TEXT_OF)), max_size=6)
_LIVE_PHASES = [Phase.QUEUED, Phase.STARTING, Phase.RUNNING, Phase.FINISHING, Phase.ATTACHED]
_ANY_PHASE = st.sampled_from([None, *Phase])
_LIVE_PHASE = st.sampled_from(_LIVE_PHASES)
_PHASE = st.sampled_from(sorted(TERMINAL) + _LIVE_PHASES)
_KIND = st.sampled_from(["none", "likely", "likely", "heap"])


@st.composite
def statuses(draw, pods, *, over):
    """Our own annotations on a Job: none, likely ones, or a heap."""
    kind = draw(_KIND)
    if kind == "none":
        return {}
    if kind == "heap":
        phase = draw(_ANY_PHASE)
        own = {} if phase is None else {Status.PHASE: phase}
        own |= {name: draw(_TEXT_OF[name]) for name in sorted(draw(_HEAP))}
    else:
        phase = draw(_PHASE if over else _LIVE_PHASE)
        own = {Status.PHASE: phase, Status.REASON: draw(_TEXT_OF[Status.REASON]), Status.SINCE: stamp(50)}
        if phase is Phase.ATTACHED:
            own |= {name: draw(_TEXT_OF[name]) for name in (Status.ATTACHED_TO, Status.DECISION)}
        if phase in TERMINAL:
            own[Status.RESULT] = "…"
        elif phase is not Phase.QUEUED:
            own[Status.OBSERVED_AT] = draw(_TEXT_OF[Status.OBSERVED_AT])
        if draw(_EITHER):
            own |= {name: draw(_TEXT_OF[name]) for name in (Status.FACTS, Status.LOG_CURSOR)}
    return own | {name: text_of(own[name], pods) for name, text_of in _FITTING if name in own}


@st.composite
def pods(draw, job, number):
    """One pod of the Job of that name, or of none."""
    name = f"{job}-{number}"
    conditions = draw(_POD_CONDITIONS)
    return Pod(
        namespace=NAMESPACE,
        name=name,
        uid=uid_of(name),
        version="3",
        created_at=draw(_POD_BIRTHS),
        slot=SLOT,
        job_uid="" if number < 0 and not draw(_ONE_IN_FIVE) else uid_of(job),
        labels=draw(_LABELS),
        deleted_at=draw(_POD_DELETED),
        node=draw(_NODES),
        phase=draw(_POD_PHASES),
        reason=draw(_POD_REASONS),
        conditions=conditions,
        specs=draw(_SPECS),
        containers=(*draw(_OTHERS), draw(_AGENTS)) if draw(_ONE_IN_FIVE) else (),
    )


@st.composite
def logs(draw, pod):
    state = draw(_LOG_STATES)
    return AttemptLog(
        pod,
        state,
        draw(_SEEN),
        streaming=True,
        final=draw(_EITHER),
        urgent=draw(_EITHER),
        place=draw(_PLACES),
        works=draw(_EITHER),
        read_at=draw(_READ_AT),
    )


@st.composite
def jobs(draw, name, of=()):
    """A Job of that name whose pods are `of`."""
    ids = draw(_IDS)
    conditions = draw(_JOB_ENDS)
    suspended = draw(_EITHER)
    return Job(
        namespace=NAMESPACE,
        name=name,
        uid=uid_of(name),
        version="7",
        created_at=draw(_JOB_BIRTHS),
        slot=SLOT,
        ids=replace(ids, run=ids.run.replace("%", name)),
        wishes=draw(_WISHES),
        status=draw(statuses(of, over=bool(conditions))),
        deleted_at=draw(_JOB_DELETED),
        suspended=suspended,
        parallelism=draw(_PARALLELISM),
        completions=draw(_COMPLETIONS),
        backoff_limit=draw(_BACKOFF),
        deadline_seconds=draw(_DEADLINES),
        ttl_seconds=draw(_TTLS),
        external_queue=draw(_QUEUES),
        specs=draw(_SPECS),
        owned=draw(_OWNED),
        active=draw(_ACTIVE),
        conditions=conditions,
        started_at=draw(_TIMES) if not suspended or draw(_EITHER) else None,
        failed=draw(_FAILED),
        succeeded=draw(_SUCCEEDED),
    )


@st.composite
def runs(draw, name):
    own = tuple(draw(pods(name, number)) for number in range(draw(_POD_COUNTS)))
    known = [pod.uid for pod in own] + [uid_of("gone-0")]
    read = [draw(logs(uid)) for uid in known if draw(_EITHER)]
    read_at = draw(st.sampled_from([None, 0.0, 1e9]))
    job = draw(jobs(name, own))
    answers = {owned: answer for owned in job.owned if (answer := draw(_ANSWERS)) is not None}
    rested = draw(_ONE_IN_FIVE) == 3
    gone = tuple(draw(pods(f"{name}-gone", 0)) for _ in range(draw(_ONE_IN_TEN) == 7))
    gone = tuple(replace(pod, job_uid=job.uid) for pod in gone)
    heard = {uid: draw(_HEARD) for uid in (*known, job.uid) if draw(_ONE_IN_FIVE) == 3}
    return Run(job, own, gone, tuple(read), draw(_EXPORTS), read_at, answers, rested, heard=heard)


@st.composite
def answers(draw, names):
    """What the API server has said of some Jobs."""
    found = {}
    for name in draw(st.sets(names, max_size=2)):
        job = draw(jobs(name)) if draw(_EITHER) else None
        found[uid_of(name)] = Answer(draw(_ASKED), job, draw(_RESULTS) if job else "")
    return found


@st.composite
def policies(draw):
    return Policy(
        agent_concurrency=draw(_LIMITS),
        company_concurrency=draw(_WIDER_LIMITS),
        cluster_concurrency=draw(_WIDER_LIMITS),
        tracing=draw(_EITHER),
        trace_mode=draw(_TRACE_MODES),
        own_secrets=draw(_EITHER),
        on_conflict=draw(_ON_CONFLICT),
        unschedulable_timeout_seconds=draw(_UNSCHEDULABLE),
        stall_stop_seconds=draw(_STALLS),
        silent_after_seconds=draw(_SILENT_AFTER),
        acknowledged_retention_seconds=draw(_ACKNOWLEDGED),
    )


def _calm(run):
    """Nothing of a run that waits has ever run, pods, logs and Events are read, all objects asked for."""
    answers = {owned: replace(run.owned.get(owned, _ADOPTED), at=NOW.mono) for owned in run.job.owned}
    run = replace(run, owned=answers)
    if not admission.is_waiting(run.job):
        about = (run.job.uid, *(pod.uid for pod in run.pods))
        heard = {uid: replace(run.heard.get(uid, Heard((), 0)), at=1e9, tries=2) for uid in about}
        logs = tuple(replace(log, read_at=1e9) for log in run.logs)
        return replace(run, pods_read_at=1e9, logs=logs, heard=heard)
    status = {name: text for name, text in run.job.status.items() if name != Status.FACTS}
    return Run(replace(run.job, status=status, active=0), export=run.export, owned=answers)


_ADOPTED = Asked(Ownership.ADOPTED, NOW.mono)
_WAITING = {
    name: st.sampled_from(
        [
            make_waiting(name),
            make_waiting(name, run="r-same"),
            make_waiting(name, created=5),
            make_waiting(name, owned=(_SECRET,)),
            make_waiting(name, created=5, wishes=Wishes(reattach=True, on_conflict="fail")),
        ]
    )
    for name in ("run-0", "run-1", "run-2", "run-3")
}
"""A crowd of healthy runs that wait: too rare among all others to try the limits of a slot."""


@st.composite
def snapshots(draw, *, calm=False):
    """What may be known of a slot. `calm`: nothing in doubt, stale, lost or stray; no pods before a start."""
    names = [f"run-{n}" for n in range(draw(_RUN_COUNTS))]
    crowded = draw(_ONE_IN_FIVE) == 3
    own = tuple(Run(draw(_WAITING[name])) if crowded else draw(runs(name)) for name in names)
    own = tuple(map(_calm, own)) if calm else own
    seen = Snapshot(SLOT, own, fresh=True)
    if not calm:
        seen = replace(
            seen,
            strays=tuple(draw(pods(f"lost-{n}", -1)) for n in range(0 if crowded else draw(_STRAY_COUNTS))),
            ghosts=tuple(draw(_GHOSTS)),
            vanished=(draw(runs("lost-1")),) if draw(_ONE_IN_TEN) == 7 else (),
            doubts=tuple(uid_of(name) for name in names if draw(_ONE_IN_TEN) == 7),
            settled=draw(_SETTLED),
            answers=draw(answers(_ANSWERED)),
            labels_refused=frozenset(draw(_UNLABELLED)),
            fresh=draw(_ONE_IN_TEN) != 7,
        )
    if draw(_EITHER):
        seen = replace(seen, capacity=draw(_CAPACITIES))
    marks = reconcile(seen, NOW, Policy(tracing=True)).marks
    held = {mark: age for mark in marks if (age := draw(_AGES)) is not None}
    if calm:
        held |= {mark: 0 for mark in marks if mark.startswith("released:")}
    return replace(seen, since={mark: NOW.mono - age for mark, age in held.items()})


def instants():
    """Nanoseconds since the epoch that RFC 3339 can say: the years 1 to 9999."""
    return st.integers(-62_135_596_800 * SECOND, 253_402_300_799 * SECOND + SECOND - 1)
