"""From an HTTP request to what it asks for: verb, resource, namespace, name, options.

Owns: the address scheme, query parameters and bodies. Never: carries anything out.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from devcluster.fake import errors, selectors
from devcluster.fake.lists import ListOptions
from devcluster.fake.registry import Call
from devcluster.fake.representation import TABLE, form_of
from devcluster.fake.resources import BY_PATH, GROUP_VERSIONS, JSON, NAMESPACE, Resource
from devcluster.fake.watch import WatchOptions

BODY_LIMIT = 3 * 2**20
JSON_TYPE = "application/json"
BODY_TYPES = (JSON_TYPE, "application/yaml", "application/vnd.kubernetes.protobuf")  # as a real server says
_WITH_NAME = {"GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_WITHOUT_NAME = {"GET": "list", "HEAD": "list", "POST": "create", "DELETE": "deletecollection"}
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Address:
    """What a path names."""

    resource: Resource
    namespace: str | None
    name: str = ""
    subresource: str = ""

    @property
    def kind(self) -> str:
        """`jobs` or `pods/log`, as requests are counted."""
        return f"{self.resource.plural}/{self.subresource}" if self.subresource else self.resource.plural


def address(path: str) -> Address | None:
    """The resource that a path names, or None."""
    match path.strip("/").split("/"):
        case ["api", "v1", *rest]:
            return _address("", "v1", rest)
        case ["apis", group, version, *rest]:
            return _address(group, version, rest)
    return None


def below_a_group(path: str) -> bool:
    """Whether a path lies below a group and version that are served; else it is nobody's."""
    match path.strip("/").split("/"):
        case ["api", "v1", _, *_]:
            return True
        case ["apis", group, version, _, *_]:
            return (group, version) in GROUP_VERSIONS
    return False


def _address(group: str, version: str, rest: list[str]) -> Address | None:
    if not rest:
        return None
    if rest[0] == "namespaces" and (len(rest) < 3 or rest[2] in NAMESPACE.subresources):
        return _named(BY_PATH.get((group, version, "namespaces")), None, rest[1:])
    if rest[0] == "namespaces":
        return _named(BY_PATH.get((group, version, rest[2])), rest[1], rest[3:])
    resource = BY_PATH.get((group, version, rest[0]))
    if resource is not None and resource.namespaced and len(rest) > 1:
        return None
    return _named(resource, None, rest[1:])


def _named(resource: Resource | None, namespace: str | None, rest: list[str]) -> Address | None:
    if resource is None or len(rest) > 2:
        return None
    name, subresource = (*rest, "", "")[:2]
    return Address(resource, namespace, name, subresource)


def verb_of(request: web.BaseRequest, where: Address) -> str:
    """The Kubernetes verb of a request; 405 if there is none."""
    verbs = _WITH_NAME if where.name else _WITHOUT_NAME
    verb = verbs.get(request.method)
    if verb == "list" and flag(request, "watch"):
        verb = "watch"
    if verb is None or verb not in where.resource.verbs:
        raise errors.method_not_allowed()
    if where.resource.namespaced and where.namespace is None and verb == "create":
        raise errors.method_not_allowed()
    if where.subresource:
        _check_subresource(where, verb)
    return verb


def _check_subresource(where: Address, verb: str) -> None:
    if where.subresource not in where.resource.subresources:
        raise errors.not_modelled(f"the subresource {where.kind}")
    if where.subresource == "log" and verb != "get":
        raise errors.method_not_allowed()
    if verb == "delete":
        raise errors.method_not_allowed()


def call_of(request: web.BaseRequest, where: Address, verb: str) -> Call:
    """The call on one object."""
    dry_run = request.query.get("dryRun", "")
    if dry_run not in ("", "All"):
        found = errors.FieldErrors()
        text = f'Unsupported value: ["{dry_run}"]: supported values: "All"'
        found.causes.append(errors.Cause("dryRun", "FieldValueNotSupported", text))
        kind = {"create": "CreateOptions", "delete": "DeleteOptions", "patch": "PatchOptions"}.get(verb)
        raise errors.invalid("meta.k8s.io", kind or "UpdateOptions", "", found.causes)
    actor = request.headers.get("User-Agent", "")
    return Call(
        where.resource, where.namespace or "", where.name, where.subresource, actor, verb, bool(dry_run)
    )


def list_options(request: web.BaseRequest, where: Address) -> ListOptions:
    """The options of a list or watch."""
    query = request.query
    selector = selectors.parse(query.get("labelSelector", ""), query.get("fieldSelector", ""), where.resource)
    version, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
    options = ListOptions(
        where.resource, where.namespace, selector, int(_number(query.get("limit")) or 0),
        query.get("continue", ""), version, match, "sendInitialEvents" in query,
    )  # fmt: skip
    if "shardSelector" in query:
        raise errors.not_modelled("shardSelector")
    return options


def check_list(options: ListOptions) -> None:
    """422 for versions that no list understands."""
    found = errors.FieldErrors()
    if options.version and not options.version.isdigit():
        where = errors.no_number("resourceVersion", options.version)
        raise errors.bad_request(f"invalid resource version: {where}")
    if options.match == "Exact" and options.version == "0":
        why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        found.forbidden("resourceVersionMatch", why)
    if options.match and not options.version:
        why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        found.forbidden("resourceVersionMatch", why)
    if options.match not in ("", "Exact", "NotOlderThan"):
        found.unsupported("resourceVersionMatch", options.match, ("Exact", "NotOlderThan", ""))
    if options.initial:
        found.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")
    if options.token and options.version not in ("", "0"):
        raise errors.bad_request("specifying resource version is not allowed when using continue")
    if found.causes:
        raise errors.invalid("meta.k8s.io", "ListOptions", "", found.causes)


def watch_options(request: web.BaseRequest, where: Address, bookmark_every: float) -> WatchOptions:
    """The options of a watch."""
    query = request.query
    initial = flag(request, "sendInitialEvents") if "sendInitialEvents" in query else None
    return WatchOptions(
        list_options(request, where),
        form_of(request.headers.get("Accept", "")),
        flag(request, "allowWatchBookmarks"),
        _number(query.get("timeoutSeconds")),
        initial,
        bookmark_every,
    )


def form(request: web.BaseRequest) -> str:
    """The form the answer shall have."""
    wanted = form_of(request.headers.get("Accept", ""))
    if wanted == TABLE and request.query.get("includeObject", "Metadata") != "Metadata":
        raise errors.not_modelled("tables with includeObject other than Metadata")
    return wanted


def flag(request: web.BaseRequest, name: str) -> bool:
    """A boolean query parameter."""
    return request.query.get(name, "").lower() in ("1", "true", "t")


def _number(text: str | None) -> float | None:
    if not text:
        return None
    try:
        return float(int(text))
    except ValueError:
        raise errors.bad_request(errors.no_int(text)) from None


async def body(request: web.BaseRequest) -> bytes:
    """The body; 413 beyond the limit."""
    if (request.content_length or 0) > BODY_LIMIT:
        raise errors.too_large(BODY_LIMIT)
    data = await request.read()
    if len(data) > BODY_LIMIT:
        raise errors.too_large(BODY_LIMIT)
    return data


async def document(request: web.BaseRequest, *, kind: str = "", optional: bool = False) -> Any:
    """A JSON body of any JSON content type; 400 if it is none."""
    data = await body(request)
    if optional and not data:
        return {}
    try:
        return _decode(data)
    except msgspec.DecodeError as error:
        raise errors.unrecognized(kind, str(error)) from None


def require_json(request: web.BaseRequest) -> None:
    """415 for bodies in other formats (protobuf, YAML)."""
    if request.can_read_body and request.content_type not in (JSON_TYPE, "application/octet-stream"):
        raise errors.unsupported_media_type(request.content_type, BODY_TYPES)


def delete_options(request: web.BaseRequest, given: Any) -> JSON:
    """DeleteOptions from body and query."""
    options: JSON = dict(given) if isinstance(given, dict) else {}
    if "propagationPolicy" in request.query:
        options.setdefault("propagationPolicy", request.query["propagationPolicy"])
    grace = _number(request.query.get("gracePeriodSeconds"))
    if grace is not None:
        options.setdefault("gracePeriodSeconds", int(grace))
    if "orphanDependents" in request.query:
        options.setdefault("orphanDependents", flag(request, "orphanDependents"))
    return options
