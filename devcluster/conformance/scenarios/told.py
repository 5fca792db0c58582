"""Events: two versions of one object, series, and what is refused."""

from devcluster.conformance import manifests
from devcluster.conformance.connection import JSON
from devcluster.conformance.manifests import NAME, fields
from devcluster.conformance.scenario import scenario
from devcluster.conformance.scene import Scene

TIME = "2026-01-01T00:00:00.000000Z"


def event(s: Scene, job: JSON, **others: object) -> JSON:
    """An Event of events.k8s.io about a Job."""
    regarding = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "namespace": s.namespace,
        "name": NAME,
        "uid": job["metadata"]["uid"],
    }
    return {
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "told"}, "eventTime": TIME,
        "type": "Normal", "reason": "Told", "action": "Tell", "note": "a story", "regarding": regarding,
        "reportingController": "example.com/conformance", "reportingInstance": "it-1",
    } | others  # fmt: skip


@scenario(
    {
        "as created": {
            "apiVersion": "events.k8s.io/v1",
            "eventTime": "{time}",
            "reportingController": "example.com/conformance",
            "reportingInstance": "it-1",
            "action": "Tell",
            "reason": "Told",
            "note": "a story",
            "type": "Normal",
            "deprecatedSource": {},
            "deprecatedFirstTimestamp": None,
            "deprecatedLastTimestamp": None,
        },
        "again": '409 AlreadyExists: events.events.k8s.io "told" already exists',
        "series": [200, 2],
        "in core": {
            "reason": "Told",
            "message": "a story",
            "source": {},
            "firstTimestamp": None,
            "lastTimestamp": None,
            "type": "Normal",
            "eventTime": "{time}",
            "series": {"count": 2, "lastObservedTime": "{time}"},
            "action": "Tell",
            "reportingComponent": "example.com/conformance",
            "reportingInstance": "it-1",
        },
        "is about": {
            "kind": "Job",
            "namespace": "{namespace}",
            "name": "it",
            "uid": "{uid}",
            "apiVersion": "batch/v1",
        },
        "in the new group": [
            "EventList",
            [
                [
                    "action",
                    "deprecatedFirstTimestamp",
                    "deprecatedLastTimestamp",
                    "deprecatedSource",
                    "eventTime",
                    "metadata",
                    "note",
                    "reason",
                    "regarding",
                    "reportingController",
                    "reportingInstance",
                    "series",
                    "type",
                ]
            ],
        ],
    }
)
async def events_in_both_versions(s: Scene) -> None:
    """What is written in the new group is read in the core group."""
    job = await s.create("jobs", manifests.job(s.image, parallelism=0, completions=1))
    made = await s.create("newevents", event(s, job))
    s.note("as created", {k: v for k, v in made.items() if k not in ("metadata", "regarding", "kind")})
    s.refused("again", await s.post("newevents", event(s, job)))
    series = {"series": {"count": 2, "lastObservedTime": TIME}}
    reply = await s.patch("newevents", "told", series)
    s.note("series", [reply.status, reply.object["series"]["count"]])
    query = {"fieldSelector": f"involvedObject.uid={job['metadata']['uid']},reason=Told"}
    (seen,) = (await s.get("events", **query)).object["items"]
    s.note("in core", {k: v for k, v in seen.items() if k not in ("metadata", "involvedObject")})
    s.note("is about", seen["involvedObject"])
    query = {"fieldSelector": f"regarding.uid={job['metadata']['uid']},reason=Told"}
    reply = await s.get("newevents", **query)
    s.note("in the new group", [reply.object["kind"], [fields(item) for item in reply.object["items"]]])


@scenario(
    {
        "no time": '422 Invalid: Event "fault-0" is invalid: eventTime: Required value',
        "no action": '422 Invalid: Event "fault-1" is invalid: action: Required value',
        "no reason": '422 Invalid: Event "fault-2" is invalid: reason: Required value',
        "no controller": (
            '422 Invalid: Event "fault-3" is invalid: [reportingController: '
            'Required value, reportingController: Invalid value: "": name part '
            'must be non-empty, reportingController: Invalid value: "": name '
            "part must consist of alphanumeric characters, '-', '_' or '.', and "
            "must start and end with an alphanumeric character (e.g. 'MyName',  "
            "or 'my.name',  or '123-abc', regex used for validation is "
            "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')]"
        ),
        "no instance": '422 Invalid: Event "fault-4" is invalid: reportingInstance: Required value',
        "a long instance": (
            '422 Invalid: Event "fault-5" is invalid: reportingInstance: '
            'Invalid value: "": can have at most 128 characters'
        ),
        "a long note": (
            '422 Invalid: Event "fault-6" is invalid: message: Invalid value: "": '
            "can have at most 1024 characters"
        ),
        "another type": (
            '422 Invalid: Event "fault-7" is invalid: type: Invalid value: "": has invalid value: Bad'
        ),
        "another namespace": "201 Event",
        "series of one": (
            '422 Invalid: Event "fault-9" is invalid: series.count: Invalid value: "": should be at least 2'
        ),
        "changed note": (
            '422 Invalid: Event "told" is invalid: message: Invalid value: '
            '"another story": field is immutable'
        ),
    }
)
async def events_refused(s: Scene) -> None:
    """What an Event of the new group must have."""
    job = await s.create("jobs", manifests.job(s.image, parallelism=0, completions=1))
    cases: dict[str, JSON] = {
        "no time": {"eventTime": None},
        "no action": {"action": ""},
        "no reason": {"reason": ""},
        "no controller": {"reportingController": ""},
        "no instance": {"reportingInstance": ""},
        "a long instance": {"reportingInstance": "x" * 129},
        "a long note": {"note": "x" * 1025},
        "another type": {"type": "Bad"},
        "another namespace": {
            "regarding": {"apiVersion": "batch/v1", "kind": "Job", "name": NAME, "namespace": "default"}
        },
        "series of one": {"series": {"count": 1, "lastObservedTime": TIME}},
    }
    for number, (name, fault) in enumerate(cases.items()):
        body = event(s, job, **fault) | {"metadata": {"name": f"fault-{number}"}}
        s.refused(name, await s.post("newevents", body))
    await s.create("newevents", event(s, job))
    s.refused("changed note", await s.patch("newevents", "told", {"note": "another story"}))
