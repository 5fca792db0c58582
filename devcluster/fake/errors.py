"""What the API server answers when it refuses: every `Status` failure, by the reason a client switches on.

Owns: codes, reasons and message texts of failures. Never decides when to refuse.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from devcluster.fake.resources import Resource

JSON = dict[str, Any]
LOCK_LOST = "the object has been modified; please apply your changes to the latest version and try again"


class ApiError(Exception):
    """A refusal as a `Status` object, raised anywhere below the HTTP layer."""

    def __init__(self, code: int, reason: str, message: str, details: JSON | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.metadata: JSON = {}
        self.headers: Mapping[str, str] = {}

    def status(self) -> JSON:
        """The body of the answer."""
        body: JSON = {"kind": "Status", "apiVersion": "v1", "metadata": self.metadata, "status": "Failure"}
        body |= {"message": self.message, "reason": self.reason, "code": self.code}
        if self.details:
            body["details"] = self.details
        return {key: value for key, value in body.items() if value != ""}


class Undecodable(Exception):  # noqa: N818 - named by what it means
    """A value that has not the type of its field; how that is told depends on how it came."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One field's fault inside a 422."""

    field: str
    reason: str
    message: str


@dataclass
class FieldErrors:
    """Collects the causes of one validation, so that all are reported together."""

    causes: list[Cause] = field(default_factory=list)

    def invalid(self, path: str, value: Any, why: str) -> None:
        """The value is not acceptable."""
        if isinstance(value, dict):
            self.invalid_object(path, value, why)
            return
        shown = f'"{value}"' if isinstance(value, str) else value
        self.causes.append(Cause(path, "FieldValueInvalid", f"Invalid value: {shown}: {why}"))

    def invalid_object(self, path: str, value: JSON, why: str) -> None:
        """The object is not acceptable."""
        shown = json.dumps(value, sort_keys=True, separators=(",", ":"))
        self.causes.append(Cause(path, "FieldValueInvalid", f"Invalid value: {shown}: {why}"))

    def required(self, path: str, why: str = "") -> None:
        """The value is missing."""
        self.causes.append(Cause(path, "FieldValueRequired", f"Required value: {why}".removesuffix(": ")))

    def forbidden(self, path: str, why: str) -> None:
        """The value may not be set here."""
        self.causes.append(Cause(path, "FieldValueForbidden", f"Forbidden: {why}"))

    def too_long(self, path: str, limit: int) -> None:
        """The value is longer than the limit in bytes."""
        text = f"Too long: may not be more than {limit} bytes"
        self.causes.append(Cause(path, "FieldValueTooLong", text))

    def unsupported(self, path: str, value: str, supported: Sequence[str]) -> None:
        """The value is none of a list."""
        known = ", ".join(f'"{item}"' for item in supported)
        text = f'Unsupported value: "{value}": supported values: {known}'
        self.causes.append(Cause(path, "FieldValueNotSupported", text))

    def raise_if_any(self, resource: Resource, name: str) -> None:
        """Refuse with 422 when something was found."""
        if self.causes:
            group = "" if resource.kind == "Event" else resource.group  # of both versions
            raise invalid(group, resource.kind, name, self.causes)


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """422 Invalid."""
    texts = list(dict.fromkeys(f"{cause.field or '[]'}: {cause.message}" for cause in causes))
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    qualified = f"{kind}.{group}" if group else kind
    details: JSON = {"name": name, "group": group, "kind": kind}
    details["causes"] = [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes]
    return ApiError(422, "Invalid", f'{qualified} "{name}" is invalid: {listed}', _trim(details))


def not_found(resource: Resource, name: str) -> ApiError:
    """404 for an object."""
    details = _trim({"name": name, "group": resource.group, "kind": resource.plural})
    return ApiError(404, "NotFound", f'{resource.qualified} "{name}" not found', details)


def no_such_path() -> ApiError:
    """404 for an address that serves nothing."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(resource: Resource, name: str) -> ApiError:
    """409 AlreadyExists."""
    details = _trim({"name": name, "group": resource.group, "kind": resource.plural})
    return ApiError(409, "AlreadyExists", f'{resource.qualified} "{name}" already exists', details)


def conflict(resource: Resource, name: str, why: str = LOCK_LOST) -> ApiError:
    """409 Conflict."""
    details = _trim({"name": name, "group": resource.group, "kind": resource.plural})
    text = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return ApiError(409, "Conflict", text, details)


def record_conflict(resource: Resource, name: str, why: str) -> ApiError:
    """409 of a delete whose preconditions do not hold; it names the kind, not the resource."""
    qualified = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details = _trim({"name": name, "group": resource.group, "kind": resource.kind})
    text = f'Operation cannot be fulfilled on {qualified} "{name}": {why}'
    return ApiError(409, "Conflict", text, details)


def forbidden(resource: Resource, name: str, why: str) -> ApiError:
    """403 Forbidden."""
    details = _trim({"name": name, "group": resource.group, "kind": resource.plural})
    return ApiError(403, "Forbidden", f'{resource.qualified} "{name}" is forbidden: {why}', details)


def bad_request(message: str) -> ApiError:
    """400 BadRequest."""
    return ApiError(400, "BadRequest", message)


def unprocessable() -> ApiError:
    """422 of a patch document that cannot be applied; a real server does not say why either."""
    return ApiError(422, "Invalid", "the server rejected our request due to an error in our request")


def undecodable_patch(why: str) -> ApiError:
    """422 of a patch whose result is no valid object."""
    return invalid("", "", "", [Cause("patch", "FieldValueInvalid", f"Invalid value: {why}")])


def undecodable(kind: str, why: str) -> ApiError:
    """400 of a body that is no object of its kind."""
    return bad_request(f'{kind} in version "v1" cannot be handled as a {kind}: {why}')


def unrecognized(kind: str, why: str) -> ApiError:
    """400 of a body that is no object at all."""
    must = f"the object provided is unrecognized (must be of type {kind}): " if kind else ""
    return bad_request(f"{must}couldn't get version/kind; json parse error: {why}")


def no_number(field_name: str, text: str) -> str:
    """How a version that is no number is told."""
    why = f'strconv.ParseUint: parsing "{text}": invalid syntax'
    return f'{field_name}: Invalid value: "{text}": {why}'


def no_int(text: str) -> str:
    """How a query parameter that is no number is told."""
    return f'strconv.ParseInt: parsing "{text}": invalid syntax'


def no_time(text: str, layout: str) -> str:
    """How a time that is none is told."""
    return f'parsing time "{text}" as "{layout}": cannot parse "{text}" as "2006"'


def expired(message: str) -> ApiError:
    """410 Expired."""
    return ApiError(410, "Expired", message)


def too_old(asked: int, oldest: int) -> ApiError:
    """410 of a watch whose version is compacted."""
    return expired(f"too old resource version: {asked} ({oldest})")


def version_too_large(asked: int, current: int) -> ApiError:
    """504 of a read that asks for a version the server has not seen."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    details: JSON = {"causes": [cause], "retryAfterSeconds": 1}
    text = f"Timeout: Too large resource version: {asked}, current: {current}"
    error = ApiError(504, "Timeout", text, details)
    error.headers = {"Retry-After": "1"}
    return error


def too_large(limit: int) -> ApiError:
    """413 of a body that is too long."""
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def storage_too_large() -> ApiError:
    """500 of an object that etcd refuses."""
    return ApiError(500, "", "etcdserver: request is too large")


def method_not_allowed() -> ApiError:
    """405."""
    return ApiError(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {}
    )


def unsupported_media_type(given: str, accepted: Sequence[str]) -> ApiError:
    """415."""
    known = ", ".join(accepted)
    text = "415: Unsupported Media Type"
    if accepted:
        text = f"the body of the request was in an unknown format - accepted media types include: {known}"
    return ApiError(415, "UnsupportedMediaType", text, {"given": given} if given else None)


def not_acceptable() -> ApiError:
    """406."""
    known = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    return ApiError(406, "NotAcceptable", f"406: Not Acceptable\n\nAvailable representations: {known}")


def not_modelled(what: str) -> ApiError:
    """501: a real cluster may do this, this one does not pretend to."""
    return ApiError(501, "NotImplemented", f"the fake cluster does not model {what}")


def _trim(details: JSON) -> JSON:
    return {key: value for key, value in details.items() if value != ""}
