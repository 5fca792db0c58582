"""Who leads: one Lease, by the rule that nobody's clock but our own counts.

    somebody's record changed ──15 s without a change──▶ others may take it
    our last renewal began ──10 s without another──▶ we stop

Owns the Lease object and `held()`. A renewal counts from when it was begun and every request has a timeout,
so we stop at least five seconds before anybody else starts. A lease does not fence: what is written under it
must still carry uid and version. It never stops anybody's work: `keep` raises, and its caller ends.
"""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from controller.kube import errors
from controller.kube.api import LEASES, Kube, micro_time

JITTER: Final = 0.2
VERBS: Final = "get, create and update on leases.coordination.k8s.io"


class LeaseLost(Exception):  # noqa: N818 — named by what it means
    """We do not lead any more."""


class Lease:
    """One candidate. `observe` is told acquired, renewed, lost, released, contested and failed."""

    def __init__(  # noqa: PLR0913 — which lease, and the times that make it safe
        self,
        kube: Kube,
        namespace: str,
        name: str,
        identity: str,
        *,
        clock: Callable[[], float],
        rng: random.Random,
        duration: float = 15.0,
        renew_deadline: float = 10.0,
        retry: float = 2.0,
        observe: Callable[[str], None],
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        if not duration > renew_deadline > retry * (1 + JITTER):
            raise ValueError("a lease needs duration > renew deadline > 1.2 retries")
        self._kube = kube
        self._namespace, self._name, self._identity = namespace, name, identity
        self._clock, self._wall, self._rng = clock, wall, rng
        self._duration, self._deadline, self._retry = duration, renew_deadline, retry
        self._observe = observe
        self._record: dict[str, Any] = {}
        """The newest we know of."""
        self._changed_at = clock()
        self._renewed_at: float | None = None
        self._not_before = clock()

    def held(self) -> bool:
        """Do we lead, as far as our own clock can promise?"""
        return self._remaining() > 0

    async def wait_acquired(self) -> None:
        """Waits until we lead. Refused says what is missing."""
        while True:
            began = self._clock()
            if await self._attempt(self._acquired):
                self._renewed_at = began
                self._observe("acquired")
                return
            await asyncio.sleep(self._pause())

    async def keep(self) -> None:
        """Renews, and only ever ends with LeaseLost: another leads, or nobody let us renew in time."""
        while self.held():
            await asyncio.sleep(max(min(self._pause(), self._remaining()), 0.001))
            began = self._clock()
            if self.held() and await self._attempt(self._renewed):
                self._renewed_at = began
                self._observe("renewed")
        self._lose(f"not renewed for {self._deadline:g} s")

    async def release(self) -> None:
        """Gives the lease up, if we lead, so that the next need not wait. A failure only makes them wait."""
        if not self.held():
            return
        self._renewed_at = None
        try:
            await self._look()  # a renewal may have been cancelled after it was sent
            if self._spec().get("holderIdentity") == self._identity:
                await self._write({"holderIdentity": "", "leaseDurationSeconds": 1})
        except errors.KubeError:
            self._observe("failed")
        else:
            self._observe("released")

    def _remaining(self) -> float:
        return 0.0 if self._renewed_at is None else self._renewed_at + self._deadline - self._clock()

    def _pause(self) -> float:
        usual = self._retry * (1 + self._rng.uniform(0, JITTER))
        return max(usual, self._not_before - self._clock())

    def _lose(self, why: str) -> None:
        self._renewed_at = None
        self._observe("lost")
        raise LeaseLost(why)

    async def _attempt(self, step: Callable[[], Awaitable[bool]]) -> bool:
        """One try. What may pass is waited for; what won't is raised while we don't lead."""
        try:
            return await step()
        except (errors.Conflict, errors.AlreadyExists):
            self._observe("contested")
        except errors.Throttled as e:
            self._not_before = self._clock() + e.after
            self._observe("failed")
        except (errors.Refused, errors.NotFound) as e:
            self._observe("failed")
            if self._renewed_at is None:
                raise errors.Refused(self._needs(e), e.code, getattr(e, "reason", "NotFound")) from e
        except errors.KubeError:
            self._observe("failed")
        return False

    def _needs(self, error: errors.KubeError) -> str:
        where = f"{self._namespace}/{self._name}"
        return f"the lease {where} can't be had: namespace and {VERBS} are needed there ({error})"

    async def _acquired(self) -> bool:
        """Takes the lease if it is free."""
        try:
            await self._look()
        except errors.NotFound:
            await self._create()
            return True
        holder = self._spec().get("holderIdentity") or ""
        if holder not in ("", self._identity) and not self._expired():
            return False
        await self._write(self._claim(taken=holder != self._identity))
        return True

    async def _renewed(self) -> bool:
        """Writes the lease anew. A conflict may be our own write whose answer was lost: looked into."""
        try:
            await self._write(self._claim(taken=False))
        except (errors.Conflict, errors.NotFound):
            if await self._acquired_again():
                return True
            self._lose(f"{self._spec().get('holderIdentity')!r} leads")
        return True

    async def _acquired_again(self) -> bool:
        try:
            await self._look()
        except errors.NotFound:  # deleted by somebody; whoever creates it first leads
            await self._create()
            return True
        if self._spec().get("holderIdentity") != self._identity:
            return False
        await self._write(self._claim(taken=False))
        return True

    def _expired(self) -> bool:
        """Has the record not changed for as long as its holder said?"""
        said = self._spec().get("leaseDurationSeconds")
        seconds = said if isinstance(said, int) else self._duration
        return self._clock() - self._changed_at >= seconds

    def _spec(self) -> dict[str, Any]:
        return self._record.get("spec") or {}

    def _claim(self, *, taken: bool) -> dict[str, Any]:
        now = micro_time(self._wall())
        claim: dict[str, Any] = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": math.ceil(self._duration),
            "renewTime": now,
        }
        if taken:
            transitions = self._spec().get("leaseTransitions") or 0
            claim |= {"acquireTime": now, "leaseTransitions": transitions + 1}
        return claim

    # Requests. Each has its own timeout: a call that hangs must not eat the deadline.

    async def _look(self) -> None:
        before = self._version()
        self._record = await self._timed(self._kube.get(LEASES, self._namespace, self._name))
        if self._version() != before:
            self._changed_at = self._clock()

    async def _create(self) -> None:
        lease = {
            "apiVersion": LEASES.group_version,
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": self._claim(taken=True) | {"leaseTransitions": 0},
        }
        body = msgspec.json.encode(lease)
        self._record = await self._timed(self._kube.create(LEASES, self._namespace, body))

    async def _write(self, spec: dict[str, Any]) -> None:
        """The whole object as it was, with this in its spec; a Conflict if it is not any more as it was."""
        body = msgspec.json.encode(self._record | {"spec": self._spec() | spec})
        self._record = await self._timed(self._kube.replace(LEASES, self._namespace, self._name, body))

    def _version(self) -> str:
        return str((self._record.get("metadata") or {}).get("resourceVersion", ""))

    async def _timed(self, call: Awaitable[bytes]) -> dict[str, Any]:
        limit = min(self._retry, self._remaining()) if self._renewed_at is not None else self._retry
        try:
            async with asyncio.timeout(limit):
                return msgspec.json.decode(await call, type=dict[str, Any])
        except (TimeoutError, msgspec.DecodeError) as e:
            raise errors.Unavailable(f"the lease did not answer properly within {limit:.3g} s") from e
