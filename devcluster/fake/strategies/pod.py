"""The Pod's defaults, what may change in it, and how long its deletion waits.

Owns: Pod rules of the API server. Scheduling and running are elsewhere.
"""

from datetime import datetime

from typing_extensions import override

from devcluster.fake.errors import FieldErrors
from devcluster.fake.resources import JSON
from devcluster.fake.strategies import pod_template
from devcluster.fake.strategies.plain import Grace, Strategy

ENDED = ("Succeeded", "Failed")
BINDING = "binding"
MUTABLE = ("terminationGracePeriodSeconds", "tolerations")
SPEC_RULE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
POD_DEFAULTS: JSON = {
    "enableServiceLinks": True,
    "preemptionPolicy": "PreemptLowerPriority",
    "priority": 0,
    "serviceAccount": "default",
    "serviceAccountName": "default",
}
TOLERATIONS = [
    {
        "effect": "NoExecute",
        "key": f"node.kubernetes.io/{key}",
        "operator": "Exists",
        "tolerationSeconds": 300,
    }
    for key in ("not-ready", "unreachable")
]


class PodStrategy(Strategy):
    """Pods: nearly immutable, deleted gracefully."""

    has_generation = True
    has_status = True
    graceful = True

    @override
    def prepare_create(self, obj: JSON, now: datetime) -> None:
        del now
        spec = obj.setdefault("spec", {})
        pod_template.apply_defaults(spec)
        for key, value in POD_DEFAULTS.items():
            spec.setdefault(key, value)
        known = {toleration.get("key") for toleration in spec.get("tolerations") or []}
        spec["tolerations"] = [
            *(spec.get("tolerations") or []),
            *(t for t in TOLERATIONS if t["key"] not in known),
        ]
        obj["status"] = {"phase": "Pending", "qosClass": quality(spec)}

    @override
    def validate(self, obj: JSON, found: FieldErrors) -> None:
        pod_template.validate(obj["spec"], "spec", found)

    @override
    def prepare_update(self, new: JSON, old: JSON, subresource: str) -> None:
        if subresource == BINDING:
            return
        super().prepare_update(new, old, subresource)
        if subresource == "status":
            new["metadata"].pop("ownerReferences", None)
            if "ownerReferences" in old["metadata"]:
                new["metadata"]["ownerReferences"] = old["metadata"]["ownerReferences"]

    @override
    def validate_update(self, new: JSON, old: JSON, found: FieldErrors) -> None:
        if _fixed(new["spec"]) != _fixed(old["spec"]):
            found.forbidden("spec", SPEC_RULE)

    @override
    def generation_changes(self, new: JSON, old: JSON) -> bool:
        return _fixed(new["spec"], ("nodeName",)) != _fixed(old["spec"], ("nodeName",))

    @override
    def grace(self, obj: JSON, asked: int | None) -> Grace:
        spec, status = obj["spec"], obj.get("status", {})
        period = asked if asked is not None else spec.get("terminationGracePeriodSeconds", 30)
        if not spec.get("nodeName") or status.get("phase") in ENDED:
            period = 0
        return Grace(max(period, 0))


def _fixed(spec: JSON, dropped: tuple[str, ...] = MUTABLE) -> JSON:
    fixed = {key: value for key, value in spec.items() if key not in dropped}
    for part in ("containers", "initContainers"):
        if part in fixed:
            fixed[part] = [{k: v for k, v in c.items() if k != "image"} for c in fixed[part]]
    return fixed


def quality(spec: JSON) -> str:
    """The quality of service class of a pod spec."""
    resources = [c.get("resources") or {} for c in pod_template.containers(spec)]
    if not any(r.get("limits") or r.get("requests") for r in resources):
        return "BestEffort"
    guaranteed = all(
        {"cpu", "memory"} <= set(r.get("limits") or {}) and r.get("requests") == r.get("limits")
        for r in resources
    )
    return "Guaranteed" if guaranteed else "Burstable"
