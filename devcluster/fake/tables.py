"""Columns and cells of the server-side tables behind `kubectl get`.

Owns: what is shown of each kind. Never: how it is encoded.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from devcluster.fake import clock
from devcluster.fake.resources import JSON, Resource

Cells = Callable[[JSON], list[Any]]
Columns = list[tuple[str, str, int]]  # name, type, priority


def columns(resource: Resource) -> list[JSON]:
    """The column definitions of a kind."""
    return [
        {
            "name": name,
            "type": kind,
            "format": "name" if name == "Name" else "",
            "description": name,
            "priority": level,
        }
        for name, kind, level in _TABLES.get(resource.plural, _DEFAULT)[0]
    ]


def cells(resource: Resource, obj: JSON) -> list[Any]:
    """One row."""
    return _TABLES.get(resource.plural, _DEFAULT)[1](obj)


def age(since: str | None) -> str:
    """A duration from then to now as kubectl writes it."""
    if not since:
        return "<unknown>"
    return duration(clock.system() - clock.parse(since))


def duration(span: timedelta) -> str:  # noqa: PLR0911 - a ladder of ranges, one line each
    """`5s`, `3m12s`, `4h5m`, `2d3h`, `400d`."""
    seconds = max(int(span.total_seconds()), 0)
    if seconds < 120:
        return f"{seconds}s"
    if seconds < 600:
        return _two(seconds, 60, "m", "s")
    if seconds < 3 * 3600:
        return f"{seconds // 60}m"
    if seconds < 8 * 3600:
        return _two(seconds // 60, 60, "h", "m")
    if seconds < 48 * 3600:
        return f"{seconds // 3600}h"
    if seconds < 8 * 86400:
        return _two(seconds // 3600, 24, "d", "h")
    return f"{seconds // 86400}d"


def _two(amount: int, base: int, large: str, small: str) -> str:
    rest = amount % base
    return f"{amount // base}{large}{rest}{small}" if rest else f"{amount // base}{large}"


def _plain(obj: JSON) -> list[Any]:
    return [obj["metadata"]["name"], age(obj["metadata"]["creationTimestamp"])]


def _job(job: JSON) -> list[Any]:
    spec, status = job["spec"], job.get("status", {})
    start, end = status.get("startTime"), status.get("completionTime")
    ran = ""
    if start:
        ran = duration(clock.parse(end) - clock.parse(start)) if end else age(start)
    images = [c.get("image", "") for c in spec["template"]["spec"]["containers"]]
    names = [c["name"] for c in spec["template"]["spec"]["containers"]]
    selector = ",".join(f"{k}={v}" for k, v in spec.get("selector", {}).get("matchLabels", {}).items())
    completions = f"{status.get('succeeded', 0)}/{spec.get('completions', 1)}"
    old = age(job["metadata"]["creationTimestamp"])
    shown = [job["metadata"]["name"], _job_state(job), completions, ran, old]
    return [*shown, ",".join(names), ",".join(images), selector]


def _job_state(job: JSON) -> str:
    true = [c["type"] for c in job.get("status", {}).get("conditions") or [] if c.get("status") == "True"]
    for kind in ("Complete", "Failed"):
        if kind in true:
            return kind
    if job["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for kind in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if kind in true:
            return kind
    return "Running"


def _pod(pod: JSON) -> list[Any]:
    spec, status = pod["spec"], pod.get("status", {})
    listed = status.get("containerStatuses") or []
    ready = sum(1 for container in listed if container.get("ready"))
    restarts = sum(container.get("restartCount", 0) for container in listed)
    return [
        pod["metadata"]["name"], f"{ready}/{len(spec['containers'])}", _pod_state(pod), str(restarts),
        age(pod["metadata"]["creationTimestamp"]), status.get("podIP", "<none>"),
        spec.get("nodeName", "<none>"), "<none>", "<none>",
    ]  # fmt: skip


def _pod_state(pod: JSON) -> str:
    status = pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for position, container in enumerate(status.get("initContainerStatuses") or []):
        state = container.get("state", {})
        if "terminated" in state and state["terminated"].get("exitCode") == 0:
            continue
        if container.get("started") and "running" in state:
            continue
        reason = next((part.get("reason") for part in state.values() if part.get("reason")), None)
        total = len(pod["spec"].get("initContainers") or [])
        return f"Init:{reason}" if reason and reason != "PodInitializing" else f"Init:{position}/{total}"
    for container in status.get("containerStatuses") or []:
        for kind in ("waiting", "terminated"):
            reason = container.get("state", {}).get(kind, {}).get("reason")
            if reason:
                return str(reason)
    return str(status.get("reason") or status.get("phase", "Unknown"))


def _event(event: JSON) -> list[Any]:
    involved = event.get("involvedObject", {})
    series = event.get("series") or {}
    seen = event.get("lastTimestamp") or series.get("lastObservedTime") or event.get("eventTime")
    first = event.get("firstTimestamp") or event.get("eventTime")
    source = event.get("source", {}).get("component") or event.get("reportingComponent", "")
    count = event.get("count") or series.get("count") or 1
    return [
        age(seen), event.get("type", ""), event.get("reason", ""),
        f"{involved.get('kind', '').lower()}/{involved.get('name', '')}", involved.get("fieldPath", ""),
        source, event.get("message", "").strip(), age(first), count, event["metadata"]["name"],
    ]  # fmt: skip


def _node(node: JSON) -> list[Any]:
    info = node.get("status", {}).get("nodeInfo", {})
    return [
        node["metadata"]["name"], "Ready", "<none>", age(node["metadata"]["creationTimestamp"]),
        info.get("kubeletVersion", ""),
    ]  # fmt: skip


def _data(obj: JSON) -> list[Any]:
    return [obj["metadata"]["name"], len(obj.get("data") or {}), age(obj["metadata"]["creationTimestamp"])]


def _secret(obj: JSON) -> list[Any]:
    name, count, old = _data(obj)
    return [name, obj.get("type", ""), count, old]


def _lease(lease: JSON) -> list[Any]:
    name, old = _plain(lease)
    return [name, lease.get("spec", {}).get("holderIdentity", ""), old]


def _namespace(namespace: JSON) -> list[Any]:
    name, old = _plain(namespace)
    return [name, namespace.get("status", {}).get("phase", ""), old]


def _texts(*names: str, wide: bool = False) -> Columns:
    return [(name, "string", int(wide)) for name in names]


_NAME, _AGE = ("Name", "string", 0), ("Age", "string", 0)
_DEFAULT: tuple[Columns, Cells] = ([_NAME, _AGE], _plain)
_TABLES: dict[str, tuple[Columns, Cells]] = {
    "jobs": (
        [
            _NAME,
            *_texts("Status", "Completions", "Duration"),
            _AGE,
            *_texts("Containers", "Images", "Selector", wide=True),
        ],
        _job,
    ),
    "pods": (
        [
            _NAME,
            *_texts("Ready", "Status", "Restarts"),
            _AGE,
            *_texts("IP", "Node", "Nominated Node", "Readiness Gates", wide=True),
        ],
        _pod,
    ),
    "events": (
        [
            *_texts("Last Seen", "Type", "Reason", "Object"),
            *_texts("Subobject", "Source", wide=True),
            *_texts("Message"),
            *_texts("First Seen", wide=True),
            ("Count", "integer", 1),
            *_texts("Name", wide=True),
        ],
        _event,
    ),
    "nodes": (
        [_NAME, ("Status", "string", 0), ("Roles", "string", 0), _AGE, ("Version", "string", 0)],
        _node,
    ),
    "secrets": ([_NAME, ("Type", "string", 0), ("Data", "string", 0), _AGE], _secret),
    "configmaps": ([_NAME, ("Data", "string", 0), _AGE], _data),
    "leases": ([_NAME, ("Holder", "string", 0), _AGE], _lease),
    "namespaces": ([_NAME, ("Status", "string", 0), _AGE], _namespace),
}
