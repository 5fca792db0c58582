"""What a controller sees of the model's API server: stands for `kube.api.Kube`, with late and lost calls.

A request that was sent arrives, whatever becomes of its sender: as in a real network, a write may take effect
after its client has given up, has been stopped, or has died.
"""

import asyncio

import msgspec

from controller.core.contract import JOB_UID_LABEL
from controller.kube import answers, errors
from controller.kube.api import Page
from devcluster.fake import patches, selectors
from devcluster.fake.errors import ApiError
from devcluster.fake.registry import Call
from devcluster.fake.resources import BY_PATH
from tests.model.streams import Stream
from tests.model.trouble import WRITES, raised
from tests.program.oracle import ACTOR

GIVE_UP_SECONDS = 30.0
"""The transport's own patience with a call that is not answered."""


def fake_of(resource):
    """The cluster's own name of a resource."""
    group, _, version = resource.group_version.rpartition("/")
    return BY_PATH[group, version, resource.plural]


class Api:
    """The server as one program reaches it."""

    def __init__(self, world, program):
        self._world, self._program = world, program

    # ── Calls ────────────────────────────────────────────────────────────────────────────────────

    async def get(self, resource, namespace, name):
        call = Call(fake_of(resource), namespace, name, actor=ACTOR, verb="get")
        return (await self._ask(call, lambda: self._world.cluster.registry.get(call))).json()

    async def create(self, resource, namespace, body):
        call = Call(fake_of(resource), namespace, actor=ACTOR, verb="create")
        document = msgspec.json.decode(body)
        registry = self._world.cluster.registry
        return (await self._ask(call, lambda: registry.create(call, document), document)).json()

    async def patch(self, resource, namespace, name, body, media=patches.MERGE):
        return (await self._patch(resource, namespace, name, body, media)).json()

    async def patch_metadata(self, resource, namespace, name, body, media=patches.MERGE):
        """The same, answered with the metadata alone."""
        stored = await self._patch(resource, namespace, name, body, media)
        metadata = stored.object["metadata"]
        return msgspec.json.encode({"kind": "PartialObjectMetadata", "metadata": metadata})

    async def _patch(self, resource, namespace, name, body, media):
        call = Call(fake_of(resource), namespace, name, actor=ACTOR, verb="patch")
        document = msgspec.json.decode(body)
        registry = self._world.cluster.registry
        return await self._ask(call, lambda: registry.patch(call, media, document), document)

    async def page(self, resource, *, namespace="", selector="", field_selector="", limit=500, token=""):
        """One page is enough here. A list of the watches may show an old version, right after a start."""
        del limit, token
        call = Call(fake_of(resource), namespace, actor=ACTOR, verb="list")
        storage = self._world.cluster.storage
        chosen = selectors.parse(selector, field_selector, call.resource)
        consistent = selector.startswith(JOB_UID_LABEL) or bool(field_selector)

        def listed():
            at = storage.version if consistent else self._program.list_version(storage.version)
            found = storage.sorted_at(call.resource, namespace or None, at)
            raws = [msgspec.Raw(s.json()) for _, s in found if chosen.matches(call.resource, s.object)]
            return Page(tuple(raws), str(at), "")

        page = await self._ask(call, listed)
        if not consistent:
            self._program.listed(call.resource.plural, page)
        return page

    async def watch(self, resource, *, namespace="", selector="", version, timeout_seconds):
        call = Call(fake_of(resource), namespace, actor=ACTOR, verb="watch")
        await self._ask(call, lambda: self._world.cluster.storage.since(int(version)))
        chosen = selectors.parse(selector, "", call.resource)
        stream = Stream(self._world, self._program, call.resource.plural, chosen, int(version))
        batches = stream.batches(timeout_seconds)
        try:
            async for batch in batches:
                yield batch
        finally:
            await batches.aclose()

    # ── The way there and back ───────────────────────────────────────────────────────────────────

    async def _ask(self, call, effect, document=None):
        program, world = self._program, self._world
        sender = program.sender(call, document)
        world.watchman.sent(sender)
        if call.verb in WRITES:
            await program.gate()
        fate = world.trouble.fate_of(call.verb, call.resource.plural)
        answer = asyncio.get_running_loop().create_future()
        world.agenda.after(world.latency / 2, self._arrive, call, effect, fate, answer, sender)
        return await answer

    def _arrive(self, call, effect, fate, answer, sender):
        done = self._take_effect(call, effect, sender) if fate.arrives else None
        result = raised(fate, f"{call.verb} {call.resource.plural}") if fate.error else done
        wait = self._world.latency / 2 if fate.answered else GIVE_UP_SECONDS
        self._world.agenda.after(wait, self._answer, call, answer, result, sender)

    def _take_effect(self, call, effect, sender):
        self._world.watchman.sender = sender
        try:
            stored = effect()
        except ApiError as error:
            body = msgspec.json.encode(error.status())
            return answers.failure(error.code, error.headers, body, f"{call.verb} {call.resource.plural}")
        finally:
            self._world.watchman.sender = None
        if call.verb in WRITES:
            self._program.has_written(call)
        return stored

    def _answer(self, call, answer, result, sender):
        if answer.done() or answer.get_loop().is_closed():
            return
        if isinstance(result, errors.KubeError):
            self._world.watchman.answered(call, sender, result)
            answer.set_exception(result)
        else:
            self._world.watchman.answered(call, sender, None)
            answer.set_result(result)
