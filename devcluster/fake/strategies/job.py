"""The Job's defaults, what may change in its spec, and which Jobs this cluster does not model.

Owns: Job rules of the API server. The Job controller is elsewhere (`jobs.py`).
"""

from datetime import datetime
from typing import Any

from typing_extensions import override

from devcluster.fake import errors
from devcluster.fake.errors import FieldErrors
from devcluster.fake.resources import JSON
from devcluster.fake.strategies import job_status, metadata, pod_template
from devcluster.fake.strategies.plain import Strategy

TRACKING_FINALIZER = "batch.kubernetes.io/job-tracking"
CONTROLLER_UID, JOB_NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"
LEGACY_UID, LEGACY_NAME = "controller-uid", "job-name"
DEFAULTS: JSON = {
    "parallelism": 1,
    "completions": 1,
    "backoffLimit": 6,
    "manualSelector": False,
    "completionMode": "NonIndexed",
    "suspend": False,
    "podReplacementPolicy": "TerminatingOrFailed",
}
UNMODELLED = ("podFailurePolicy", "successPolicy", "backoffLimitPerIndex", "maxFailedIndexes", "managedBy")
IMMUTABLE = ("completions", "selector", "completionMode", "manualSelector")
COUNTS = ("parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished")


class JobStrategy(Strategy):
    """Jobs with one completion; spec and status are written apart."""

    has_generation = True
    has_status = True
    orphans_by_default = True

    @override
    def prepare_create(self, obj: JSON, now: datetime) -> None:
        del now
        spec = obj.setdefault("spec", {})
        _refuse_unmodelled(spec)
        if "parallelism" in spec and "completions" not in spec:
            raise errors.not_modelled("Jobs with parallelism and without completions (work queues)")
        for key, value in DEFAULTS.items():
            if spec.get(key) is None:
                spec[key] = value
        template = spec.setdefault("template", {})
        pod_template.apply_defaults(template.setdefault("spec", {}))
        shared = not obj["metadata"].get("labels") and template.get("metadata", {}).get("labels")
        _generate_selector(obj)
        if shared:
            obj["metadata"]["labels"] = dict(template["metadata"]["labels"])
        obj["status"] = {}

    @override
    def validate(self, obj: JSON, found: FieldErrors) -> None:
        spec = obj["spec"]
        before = len(found.causes)
        _validate_types(spec, found)
        if len(found.causes) > before:
            return
        template = spec["template"]
        labels = template.get("metadata", {}).get("labels", {})
        metadata.validate_labels(labels, "spec.template.labels", found)
        annotations = template.get("metadata", {}).get("annotations", {})
        metadata.validate_annotations(annotations, "spec.template.annotations", found)
        pod_template.validate(template["spec"], "spec.template.spec", found)
        if template["spec"].get("restartPolicy") not in ("OnFailure", "Never"):
            found.required("spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
        _validate_generated(obj, labels, found)

    @override
    def prepare_update(self, new: JSON, old: JSON, subresource: str) -> None:
        super().prepare_update(new, old, subresource)
        spec = new.setdefault("spec", {})
        _refuse_unmodelled(spec)
        for key, value in DEFAULTS.items():
            if spec.get(key) is None:
                spec[key] = value
        pod_template.apply_defaults(spec.setdefault("template", {}).setdefault("spec", {}))

    @override
    def validate_update(self, new: JSON, old: JSON, found: FieldErrors) -> None:
        after, before = new["spec"], old["spec"]
        for key in IMMUTABLE:
            if after.get(key) != before.get(key):
                found.invalid(f"spec.{key}", after.get(key), "field is immutable")
        held = before.get("suspend") and not old.get("status", {}).get("startTime")
        after_template, before_template = after["template"], before["template"]
        if held:
            before_template = pod_template.with_mutable_parts_of(before_template, after_template)
        if after_template != before_template:
            where = "spec.template.spec" if before.get("suspend") else "spec.template"
            found.invalid(where, "(the pod template)", "field is immutable")

    @override
    def validate_status(self, new: JSON, old: JSON, found: FieldErrors) -> None:
        job_status.validate(new, old, found)


def _generate_selector(job: JSON) -> None:
    uid, name = job["metadata"]["uid"], job["metadata"].get("name", "")
    job["spec"]["selector"] = {"matchLabels": {CONTROLLER_UID: uid}}
    labels = job["spec"]["template"].setdefault("metadata", {}).setdefault("labels", {})
    labels |= {CONTROLLER_UID: uid, JOB_NAME: name, LEGACY_UID: uid, LEGACY_NAME: name}


def _validate_generated(job: JSON, labels: JSON, found: FieldErrors) -> None:
    """The labels and the selector that tie pods to this very Job."""
    uid, name = job["metadata"]["uid"], job["metadata"].get("name", "")
    wanted = {LEGACY_UID: uid, LEGACY_NAME: name, CONTROLLER_UID: uid, JOB_NAME: name}
    for key, value in wanted.items():
        if labels.get(key) != value:
            where = f"spec.template.metadata.labels[{key}]"
            found.invalid_object(where, labels, f"must be '{value}'")
    selector = job["spec"]["selector"]
    if selector != {"matchLabels": {CONTROLLER_UID: uid}}:
        found.invalid_object("spec.selector", selector, "`selector` not auto-generated")
    if not selector.get("matchLabels", {}).items() <= labels.items():
        found.invalid_object(
            "spec.template.metadata.labels", labels, "`selector` does not match template `labels`"
        )


def _mistyped(key: str, value: Any, wanted: str) -> errors.Undecodable:
    kind = metadata.go_kind(value)
    return errors.Undecodable(
        f"json: cannot unmarshal {kind} into Go struct field JobSpec.spec.{key} of type {wanted}"
    )


def _refuse_unmodelled(spec: JSON) -> None:
    for field in UNMODELLED:
        if spec.get(field) is not None:
            raise errors.not_modelled(f"a Job's spec.{field}")
    if spec.get("completionMode") == "Indexed":
        raise errors.not_modelled("indexed Jobs")
    if spec.get("manualSelector"):
        raise errors.not_modelled("Jobs with manualSelector")


def _validate_types(spec: JSON, found: FieldErrors) -> None:
    for key in COUNTS:
        value = spec.get(key)
        if value is None:
            continue
        if not _is_int(value):
            raise _mistyped(key, value, "int64" if key == "activeDeadlineSeconds" else "int32")
        if value < 0:
            found.invalid(f"spec.{key}", value, "must be greater than or equal to 0")
    for key in ("suspend", "manualSelector"):
        if not isinstance(spec.get(key), bool):
            raise _mistyped(key, spec.get(key), "bool")
    if spec["podReplacementPolicy"] not in ("Failed", "TerminatingOrFailed"):
        found.unsupported(
            "spec.podReplacementPolicy", spec["podReplacementPolicy"], ("Failed", "TerminatingOrFailed")
        )


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
