"""The trace of a run, made once more from what is left of it: its Job and its pod's log.

Owns: how the two are read. Never: asks the controller; what it has sent must be the same, byte for byte.
"""

import json
import operator
from dataclasses import fields
from datetime import UTC, datetime, timedelta

from controller.core import facts
from controller.core.agents.fold import fold_for
from controller.core.contract import Keys, Status
from controller.core.parse import Parser
from controller.core.snapshot import Policy, Run
from controller.core.spans import tree
from controller.core.transcript import AttemptLog, LogState
from controller.telemetry import otlp
from devcluster.otlp import Span, decode_spans

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def spans(stage, name, policy):
    """By span id, as a collector decodes them. `policy`: that of the controller."""
    job = Parser(Keys()).job(json.dumps(stage.job(name)).encode())
    logs = [log_of(stage, pod, job.wishes.output) for pod in stage.pods(name)]
    run = Run(job, logs=tuple(log for log in logs if log.seen.lines))
    made = tree.build(run, facts.decode(job.status.get(Status.FACTS, "")), policy)
    return by_id(decode_spans(otlp.request([(made, made.spans)])))


def by_id(found):
    """Each id once, else it fails."""
    ids = [span.span_id for span in found]
    assert len(set(ids)) == len(ids), "no span is there twice"
    return {span.span_id: span for span in found}


def differences(stored, want):
    """What is not the same: ids that only one of them has, else (span, field, stored, wanted)."""
    if stored.keys() != want.keys():
        return [(key, (stored.get(key) or want[key]).name) for key in stored.keys() ^ want.keys()]
    return [
        (want[key].name, field.name, *both)
        for key in want
        for field in fields(Span)
        if operator.ne(*(both := (getattr(stored[key], field.name), getattr(want[key], field.name))))
    ]


def log_of(stage, pod, output):
    """The whole log of the agent's container."""
    fold = fold_for(output)
    text = stage.api.log(stage.namespace, pod["metadata"]["name"], timestamps="true")
    for line in text.removesuffix(b"\n").split(b"\n"):
        stamp, _, data = line.partition(b" ")
        fold.feed(nanoseconds(stamp.decode()), data)
    return AttemptLog(pod["metadata"]["uid"], LogState.COMPLETE, fold.seen())


def nanoseconds(stamp):
    """RFC 3339 with up to nine digits of a second -> ns since the epoch."""
    whole, _, rest = stamp.removesuffix("Z").partition(".")
    seconds = (datetime.fromisoformat(f"{whole}+00:00") - EPOCH) // timedelta(seconds=1)
    return seconds * 10**9 + int(rest.ljust(9, "0"))


POLICY = Policy(cluster_name="e2e", tracing=True)
"""That of the installation, as far as traces depend on it."""
