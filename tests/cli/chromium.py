"""A real Chromium without a window, from Debian's packages: opens a file, and says how it came out.

Owns its process, and speaks the DevTools protocol with it on loopback. Nothing is installed on this machine.
"""

import asyncio
import itertools
import os
import re
from contextlib import asynccontextmanager

import aiohttp

from devcluster import cache
from devcluster.images import debian
from devcluster.images.running import ImageError

ROOTS = ("chromium-headless-shell", "fonts-dejavu-core")
FOLLOW = ("lib", "chromium")
NOT_OURS = {"libc6"}
"""The machine's own: the loader belongs to it."""
SECONDS = 60
SIZE = (1400, 1000)
LISTENING = re.compile(rb"DevTools listening on ws://127\.0\.0\.1:(\d+)/")


def _print(line):
    print(line, flush=True)  # noqa: T201 — fetching takes seconds


def _packages():
    return [package for package in debian.needed(ROOTS, FOLLOW, _print) if package.name not in NOT_OURS]


def installed():
    """The folder with all of it, fetched first if it is missing."""
    try:
        packages = _packages()
    except ImageError:
        debian.update(_print)
        packages = _packages()
    version = next(package.version for package in packages if package.name == ROOTS[0])

    def make(draft):
        draft.mkdir()
        debian.unpack(packages, draft, _print)

    return cache.made(f"chromium-{version.replace('/', '_')}", make)


def _command(root, profile):
    """Command and environment: its libraries and fonts are where they were unpacked."""
    (libraries,) = (root / "usr/lib").glob("*-linux-gnu")
    fonts = profile / "fonts.conf"
    folders = f"<dir>{root}/usr/share/fonts</dir><cachedir>{profile}/fonts</cachedir>"
    fonts.write_text(f"<fontconfig>{folders}</fontconfig>")
    command = [
        root / "usr/lib/chromium/chromium-headless-shell",
        *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
        f"--user-data-dir={profile}",
        f"--window-size={SIZE[0]},{SIZE[1]}",
        "--remote-debugging-port=0",
        "about:blank",
    ]
    given = {
        "LD_LIBRARY_PATH": f"{libraries}:{libraries}/pulseaudio",
        "FONTCONFIG_FILE": str(fonts),
        "HOME": str(profile),
        "PATH": os.environ["PATH"],
    }
    return command, given


@asynccontextmanager
async def chromium(folder):
    """A `Tab` of one that runs."""
    command, given = _command(await asyncio.to_thread(installed), folder)
    process = await asyncio.create_subprocess_exec(*command, env=given, stderr=asyncio.subprocess.PIPE)
    told = asyncio.create_task(_drained(process.stderr, listening := asyncio.Future()))
    try:
        async with asyncio.timeout(SECONDS):
            port = await listening
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            async with session.get("/json/list") as answer:
                tabs = await answer.json()
            address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
            async with session.ws_connect(address, max_msg_size=0) as socket:
                yield Tab(socket)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await told


async def _drained(stream, listening):
    """Reads what Chromium says to its end; `listening` becomes the port that it tells first."""
    last = b""
    async for line in stream:
        last = line
        if (found := LISTENING.search(line)) and not listening.done():
            listening.set_result(int(found[1]))
    if not listening.done():
        listening.set_exception(RuntimeError(f"Chromium ended at once: {last.decode('utf-8', 'replace')}"))


class Tab:
    """One page at a time. `complaints`: what its console was told; `fetched`: every address it asked for."""

    def __init__(self, socket):
        self._socket = socket
        self._numbers = itertools.count(1)
        self._loaded = False
        self.complaints, self.fetched = [], []

    async def open(self, address):
        """Once it has been loaded."""
        for domain in ("Page", "Log", "Runtime", "Network"):
            await self.ask(f"{domain}.enable")
        self._loaded, self.complaints, self.fetched = False, [], []
        await self.ask("Page.navigate", url=address)
        async with asyncio.timeout(SECONDS):
            while not self._loaded:
                self._note(await self._socket.receive_json())

    async def until(self, expression):
        """Once this is so."""
        look = f"const look = () => ({expression}) ? done() : requestAnimationFrame(look); look();"
        await self.value(f"new Promise(done => {{ {look} }})")

    async def value(self, expression):
        """Of an expression in JavaScript, as JSON has it; of a promise, once it is kept."""
        found = await self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def ask(self, method, **parameters):
        """One call of the protocol. What happens meanwhile is noted."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(SECONDS):
            while (told := await self._socket.receive_json()).get("id") != number:
                self._note(told)
        assert "error" not in told, (method, told)
        return told["result"]

    def _note(self, told):
        about = told["params"]
        match told["method"]:
            case "Page.loadEventFired":
                self._loaded = True
            case "Log.entryAdded":
                self.complaints.append(about["entry"]["text"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.complaints.append(str(about))
            case "Network.requestWillBeSent":
                self.fetched.append(about["request"]["url"])
