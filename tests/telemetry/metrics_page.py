"""docs/metrics.md: every metric, what it means and what to look at.

`python -m tests.telemetry.metrics_page` writes it anew; a test compares them. Names, labels and words come
from the code that counts.
"""

import sys
from pathlib import Path

from controller.telemetry.metrics import Metrics

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
WORDS_SHOWN = 16

HEAD = """\
# Metrics

Made from the code by `python -m tests.telemetry.metrics_page`: don't edit it.
What to do when an alert fires is in [alerts.md](alerts.md).

`/metrics` on `RUNHERD_PROBE_PORT` speaks Prometheus' text format, and OpenMetrics where that is asked for.
Besides those below there are `process_*`: CPU, memory, file descriptors, start time.

## How they count

* **Once a run.** What belongs to a run's end (outcome, times, tokens, cost, tools) is counted when the API
  server has taken in the patch that writes its result. If the answer was lost, it counts once the Job has
  been read and shows the patch. Counts and results agree: the same attempt's log, the same claim.
* **A restart** begins all counters at 0, as Prometheus expects; `rate` and `increase` see that. Runs that had
  ended before it are never counted again. Only a run whose result was written in the instant in which the
  process died is missing. Gauges are right again as soon as everything has been listed.
* **A standby** ends no runs, so its counters add nothing: sum them over pods. Its gauges of runs are the same
  as the leader's: take the maximum over pods.
* **Long runs** appear in histograms when they end. How runs stand now is in `runherd_runs` and
  `runherd_oldest_run_age_seconds`.
* **Unknown is not 0.** A run whose agent never said what it used adds nothing to tokens and cost, and 1 to
  `runherd_runs_without_usage_total`. A Job that was deleted in mid-run counts as Cancelled/JobDeleted; what
  it has used is in no number.
* **Resumed sessions.** Claude Code tells totals of the whole session. The part of earlier runs is taken off
  if this process has counted those; otherwise the series is `basis="session"`: leave it out of sums.
* **Bounded.** No label holds an id of a run, agent, session or Job, or a name that its host chose. Labels
  with a closed set of words have all their series from the start. An open label takes the first so many
  words; the others are `other`, as is a word of a closed set that is not known.
"""


def page():
    """The whole page."""
    parts = [HEAD]
    for subject, families in Metrics().families.subjects.items():
        parts.append(f"## {subject}\n")
        parts.append(
            _table("metric", "type", "unit", "labels", "meaning", "look at", rows=map(_row, families))
        )
    parts.append("## Words of labels\n")
    parts.append(_table("metric", "label", "words", rows=_words()))
    return "\n".join(parts)


def _row(family):
    named = ", ".join(f"`{label.name}`" for label in family.labels)
    return f"`{family.name}`", family.kind, family.unit, named, family.about.meaning, family.about.look


def _words():
    for families in Metrics().families.subjects.values():
        for family in families:
            for label in family.labels:
                yield f"`{family.name}`", f"`{label.name}`", _said(label)


def _said(label):
    if label.meaning and (len(label.known) > WORDS_SHOWN or label.limit):
        bound = f"; at most {label.limit}" if label.limit > len(label.known) else ""
        return label.meaning + bound
    known = ", ".join(f"`{word}`" for word in label.known)
    return f"{known}, and others, at most {label.limit}" if label.limit > len(label.known) else known


def _table(*heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"wrote {PAGE.name}\n")
