"""Who we are to the API server: its address, our certificate, our token. Renewed in place.

kr8s reads kubeconfig, service account and login programs. This adds what it lacks: a token file is read
again each minute, keys that it wrote into temporary files are removed, one renewal serves all connections
and none of them is closed for it. It opens no connection and decides nothing about a refused request.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from controller.kube import errors

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_SECONDS: Final = 60.0
"""How old a token read from a file may get."""
RENEW_SECONDS: Final = 10.0
"""At most one renewal after 401 in this time: a renewal may run a login program."""


class Credentials:
    """Address, TLS and bearer token of one cluster."""

    def __init__(self, auth: Any, clock: Callable[[], float]) -> None:
        self.auth = auth  # kr8s' KubeAuth, whose module is private
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token_file: Path | None = None
        self._read_at = clock()
        self._renewed_at: float | None = None
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.namespace = ""

    async def load(self) -> None:
        """Finds the cluster. Raises Refused if there is none to be found."""
        try:
            await self._authenticate()
        except Exception as e:  # kr8s promises no classes for all that can be wrong with a kubeconfig
            raise errors.Refused(
                "no cluster to talk to: set KUBECONFIG to a readable kubeconfig, or run in a pod with a"
                f" service account ({type(e).__name__}: {e})",
                0,
                "NoConfiguration",
            ) from e

    async def _authenticate(self) -> None:
        try:
            await self.auth.reauthenticate()
            if self.auth.server.startswith("https:"):
                await self._load_tls()
        finally:
            self._remove_key_files()
        self._find_token_file()

    async def _load_tls(self) -> None:
        if self._renewed_at is None:
            made = await self.auth.ssl_context()
            # True: nothing was configured. Then the system's authorities count, as for kubectl.
            self.tls = ssl.create_default_context() if made is True else made
        elif self.auth.client_cert_file and self.auth.client_key_file:
            # Into the same context: connections made from now on use it, open streams live on.
            self.tls.load_cert_chain(str(self.auth.client_cert_file), str(self.auth.client_key_file))

    def _remove_key_files(self) -> None:
        """Inline keys are in the TLS context now; kr8s wrote each into a temporary file and forgot it."""
        user, cluster = self._configured()
        if "client-key-data" in user:
            _unlink(self.auth.client_key_file)
        if "client-certificate-data" in user:
            _unlink(self.auth.client_cert_file)
        if "certificate-authority-data" in cluster:
            _unlink(self.auth.server_ca_file)

    def _configured(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """User and cluster of the kubeconfig, empty without one."""
        config = getattr(self.auth, "kubeconfig", None)
        if config is None or not self.auth.active_context:
            return {}, {}
        context = config.get_context(self.auth.active_context)
        return config.get_user(context["user"]), config.get_cluster(context["cluster"])

    def _find_token_file(self) -> None:
        user, _ = self._configured()
        if str(self.auth.server_ca_file) == str(SERVICE_ACCOUNT / "ca.crt"):
            self._token_file = SERVICE_ACCOUNT / "token"
            self.namespace = (SERVICE_ACCOUNT / "namespace").read_text().strip()
        elif "tokenFile" in user and "token" not in user:
            self._token_file = Path(user["tokenFile"])
            self.auth.token = self._token_file.read_text().strip()
        self._read_at = self._clock()

    @property
    def server(self) -> str:
        """The API server's URL."""
        return str(self.auth.server)

    @property
    def proxy(self) -> str | None:
        """The kubeconfig's `proxy-url`."""
        return self.auth.proxy  # type: ignore[no-any-return]  # kr8s' KubeAuth is Any here

    def bearer(self) -> str:
        """The Authorization header, empty without a token. A token file is read again each minute."""
        if self._token_file and self._clock() - self._read_at > TOKEN_SECONDS:
            self._read_at = self._clock()
            with contextlib.suppress(OSError):  # being replaced: the token at hand is good for minutes yet
                self.auth.token = self._token_file.read_text()
        return f"Bearer {self.auth.token.strip()}" if self.auth.token else ""

    async def renew(self, used: str) -> bool:
        """After a 401 with `used`: is it worth to try again? Many callers, one renewal."""
        async with self._lock:
            if self.bearer() != used:
                return True
            now = self._clock()
            if self._renewed_at is not None and now - self._renewed_at < RENEW_SECONDS:
                return False
            self._renewed_at = now
            try:
                await self._authenticate()
            except Exception as e:  # as above; a login program may have failed, too
                raise errors.Unavailable(f"401, and new credentials can't be had: {e}", 401) from e
            return True


def _unlink(path: Any) -> None:
    if path:
        Path(str(path)).unlink(missing_ok=True)
