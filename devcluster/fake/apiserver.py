"""The API server's HTTP face: every request in, every answer out, with the faults in between.

Owns: dispatch by verb, headers, status codes of success, the count of requests.
Never: decides what a write does (`registry.py`) or what a watcher sees (`watch.py`).
"""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import ClientConnectionError, web

from devcluster.fake import (
    deletion,
    discovery,
    errors,
    faults,
    lists,
    log_requests,
    patches,
    representation,
    requests,
    watch,
)
from devcluster.fake.errors import ApiError
from devcluster.fake.faults import Faults
from devcluster.fake.log_storage import LogStorage
from devcluster.fake.registry import Call, Registry
from devcluster.fake.requests import JSON_TYPE, Address
from devcluster.fake.resources import JSON
from devcluster.fake.storage import Stored
from devcluster.fake.streams import Streams

Handler = Callable[[web.BaseRequest, Address, str], Awaitable[web.StreamResponse]]
ORPHAN_WARNING = (
    '299 - "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background '
    'to remove them or set propagationPolicy=Orphan to suppress this warning"'
)
HEALTH = ("/healthz", "/readyz", "/livez")


@dataclass(frozen=True, slots=True)
class Parts:
    """What the API server serves from."""

    registry: Registry
    logs: LogStorage
    faults: Faults
    streams: Streams
    bookmark_every: float = 60.0


class ApiServer:
    """Answers requests; `count` says how many of which kind got which code."""

    def __init__(self, parts: Parts) -> None:
        self._registry = parts.registry
        self._storage = parts.registry.storage
        self._logs = parts.logs
        self._faults = parts.faults
        self._streams = parts.streams
        self._bookmark_every = parts.bookmark_every
        self.count: Counter[tuple[str, str, int]] = Counter()
        self._verbs: dict[str, Handler] = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }

    def application(self) -> web.Application:
        """The application for aiohttp to serve."""
        app = web.Application(client_max_size=2**40)  # the limit is enforced with Kubernetes' own answer
        app.router.add_route("*", "/devcluster/{action}", self._switch)
        app.router.add_route("*", "/{path:.*}", self.handle)
        return app

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        where = requests.address(request.path)
        if where is None:
            return self._plain(request)
        verb = ""
        try:
            verb = requests.verb_of(request, where)
            await self._suffer(verb, where.kind)
            answer = await self._verbs[verb](request, where, verb)
        except ApiError as refusal:
            answer = _refused(refusal)
        self._tally(verb or request.method.lower(), where, answer.status)
        if answer.status < 400 and self._faults.loses_answer(verb, where.resource.plural):
            _abort(request)
        return answer

    def _tally(self, verb: str, where: Address, status: int) -> None:
        if verb != "watch" and not (where.subresource == "log" and status == 200):  # counted when they begin
            self.count[verb, where.kind, status] += 1

    async def _suffer(self, verb: str, kind: str) -> None:
        """Latency and refusals of the fault switches."""
        plural = kind.partition("/")[0]
        if self._faults.latency_ms > 0 and plural not in self._faults.exempt:
            await asyncio.sleep(self._faults.latency_ms / 1000)
        refusal = self._faults.refusal(verb, kind)
        if refusal is not None:
            raise _fault(refusal)

    def _plain(self, request: web.Request) -> web.Response:
        if request.path in HEALTH or request.path.startswith(tuple(f"{path}/" for path in HEALTH)):
            return web.Response(text="ok")
        found = discovery.document(request.path)
        if found is None and requests.below_a_group(request.path):
            return _refused(errors.no_such_path())
        if found is None:
            return web.Response(status=404, text="404 page not found\n")
        return web.json_response(body=representation.encode(found))

    async def _get(self, request: web.BaseRequest, where: Address, verb: str) -> web.StreamResponse:
        call = requests.call_of(request, where, verb)
        if where.subresource == "log":
            return await self._log(request, call)
        form = requests.form(request)
        version = request.query.get("resourceVersion", "")
        if version.isdigit():
            await lists.wait_for_version(self._storage, int(version))
        return _object(self._registry.get(call), call, form)

    async def _list(self, request: web.BaseRequest, where: Address, verb: str) -> web.StreamResponse:
        del verb
        options, form = requests.list_options(request, where), requests.form(request)
        requests.check_list(options)
        if options.version.isdigit():
            await lists.wait_for_version(self._storage, int(options.version))
        return _json(representation.listing(where.resource, lists.page(self._storage, options), form))

    async def _create(self, request: web.BaseRequest, where: Address, verb: str) -> web.StreamResponse:
        call, form = requests.call_of(request, where, verb), requests.form(request)
        requests.require_json(request)
        stored = self._registry.create(call, await requests.document(request, kind=where.resource.kind))
        return _object(stored, call, form, 201)

    async def _update(self, request: web.BaseRequest, where: Address, verb: str) -> web.StreamResponse:
        call, form = requests.call_of(request, where, verb), requests.form(request)
        requests.require_json(request)
        document = await requests.document(request, kind=where.resource.kind)
        self._race(verb, call)
        stored, created = self._registry.update(call, document)
        return _object(stored, call, form, 201 if created else 200)

    async def _patch(self, request: web.BaseRequest, where: Address, verb: str) -> web.StreamResponse:
        call, form = requests.call_of(request, where, verb), requests.form(request)
        if request.content_type == patches.APPLY:
            raise errors.not_modelled("server-side apply")
        document = await requests.document(request)
        self._race(verb, call)
        return _object(self._registry.patch(call, request.content_type, document), call, form)

    def _race(self, verb: str, call: Call) -> None:
        if self._faults.conflicts(verb, call.resource.plural):
            raise errors.conflict(call.resource, call.name)

    async def _delete(self, request: web.BaseRequest, where: Address, verb: str) -> web.StreamResponse:
        call, form = requests.call_of(request, where, verb), requests.form(request)
        options = requests.delete_options(request, await requests.document(request, optional=True))
        deletion.check_policy(options)
        if options.get("dryRun"):
            call = dataclasses.replace(call, dry_run=True)
        stored, gone = self._registry.delete(call, options)
        answer = (
            _object(stored, call, form)
            if not gone or where.resource.returns_deleted
            else _deleted(stored, call)
        )
        if where.resource.plural == "jobs" and not {"propagationPolicy", "orphanDependents"} & set(options):
            answer.headers["Warning"] = ORPHAN_WARNING
        return answer

    async def _delete_collection(
        self, request: web.BaseRequest, where: Address, verb: str
    ) -> web.StreamResponse:
        options = requests.delete_options(request, await requests.document(request, optional=True))
        call = requests.call_of(request, where, verb)
        listing = lists.page(self._storage, requests.list_options(request, where))
        for stored in listing.items:
            metadata = stored.object["metadata"]
            target = (metadata.get("namespace", ""), metadata["name"])
            self._registry.delete(_aimed(call, *target), options)
        return _json(representation.listing(where.resource, listing, requests.form(request)))

    async def _watch(self, request: web.BaseRequest, where: Address, verb: str) -> web.StreamResponse:
        options = requests.watch_options(request, where, self._bookmark_every)
        watch.check(options, gate=self._faults.watch_list)
        self._check_age(options.what.version)
        self.count[verb, where.kind, 200] += 1
        response = web.StreamResponse(headers={"Content-Type": JSON_TYPE})
        with self._streams.open(faults.WATCHES, where.resource.plural, request) as stream:
            try:
                await response.prepare(request)
                feed = watch.Feed(self._storage, options, stream)
                await watch.serve(response, feed, stream, options.timeout)
            except (ConnectionError, ClientConnectionError):
                pass  # the watcher has gone, which is its right
        return response

    def _check_age(self, version: str) -> None:
        if self._faults.gone_over_http and version.isdigit() and 0 < int(version) < self._storage.oldest:
            raise errors.too_old(int(version), self._storage.oldest)

    async def _log(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        wanted = log_requests.options(request.query, call.name, self._registry.now())
        pod = self._registry.get(call).object
        key = log_requests.log_key(pod, wanted)
        if key is None:
            return web.Response(status=204)
        if told := log_requests.lost(pod, key, self._logs):
            return web.Response(body=told.encode(), headers={"Content-Type": "text/plain"})
        self.count["get", "pods/log", 200] += 1
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        with self._streams.open(faults.LOGS, "pods/log", request) as stream:
            try:
                await response.prepare(request)
                await log_requests.serve(response, self._logs, key, wanted, stream)
            except (ConnectionError, ClientConnectionError):
                pass  # the reader has gone, which is its right
        return response

    async def _switch(self, request: web.Request) -> web.StreamResponse:
        """The fault switches over HTTP, and one-shot faults."""
        action = request.match_info["action"]
        if action == "faults" and request.method == "PUT":
            try:
                self._faults.replace(faults.from_json(await request.read()))
            except (ValueError, msgspec.MsgspecError) as error:
                return _refused(errors.bad_request(str(error)))
        elif request.method == "POST" and action in _ACTIONS:
            _ACTIONS[action](self)
        elif action != "faults" or request.method != "GET":
            return _refused(errors.no_such_path())
        return _json(representation.encode(self._faults.to_json()))

    def compact(self) -> None:
        """Forget all history."""
        self._storage.compact()

    def end_streams(self, how: str, kind: str) -> None:
        """End what is open now."""
        self._streams.end_all(how, kind)


_ACTIONS: dict[str, Callable[[ApiServer], None]] = {
    "compact": ApiServer.compact,
    "close-watches": lambda server: server.end_streams("close", faults.WATCHES),
    "cut-watches": lambda server: server.end_streams("cut", faults.WATCHES),
    "cut-logs": lambda server: server.end_streams("cut", faults.LOGS),
}


def _aimed(call: Call, namespace: str, name: str) -> Call:
    return dataclasses.replace(call, namespace=namespace, name=name, verb="delete")


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type=JSON_TYPE)


def _object(stored: Stored, call: Call, form: str, status: int = 200) -> web.Response:
    return _json(representation.whole(call.resource, stored, form), status)


def _deleted(stored: Stored, call: Call) -> web.Response:
    details: JSON = {"name": call.name, "kind": call.resource.plural, "uid": stored.object["metadata"]["uid"]}
    if call.resource.group:
        details["group"] = call.resource.group
    body: Any = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }
    return _json(representation.encode(body))


def _refused(refusal: ApiError) -> web.Response:
    if refusal.reason == "TooManyRequests":
        return web.Response(
            status=429, text="Too many requests, please try again later.", headers=refusal.headers
        )
    answer = _json(representation.encode(refusal.status()), refusal.code)
    answer.headers.update(refusal.headers)
    return answer


def _fault(refusal: faults.Refusal) -> ApiError:
    reason = {429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout"}
    error = ApiError(refusal.status, reason.get(refusal.status, ""), "a fault that was asked for")
    if refusal.retry_after is not None:
        error.headers = {"Retry-After": str(refusal.retry_after)}
    return error


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
