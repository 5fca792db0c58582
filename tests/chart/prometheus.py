"""A real Prometheus, from Debian's package: scrapes on loopback, evaluates rules, answers queries.

Owns its process. Nothing is installed on this machine.
"""

import asyncio
import json
import socket
import subprocess
from contextlib import asynccontextmanager

import aiohttp
import yaml

from devcluster import cache
from devcluster.images import debian
from devcluster.images.running import ImageError

SCRAPED_EVERY = "1s"


def _print(line):
    print(line, flush=True)  # noqa: T201 — fetching takes seconds


def program(name):
    """Path of `prometheus` or `promtool`, fetched first if it is missing."""
    try:
        (package,) = debian.needed(("prometheus",), (), _print)
    except ImageError:
        debian.update(_print)
        (package,) = debian.needed(("prometheus",), (), _print)

    def make(draft):
        draft.mkdir()
        debian.unpack((package,), draft, _print)

    return cache.made(f"prometheus-{package.version.replace('/', '_')}", make) / "usr/bin" / name


def promtool(*arguments, given=""):
    """Its exit code, and what it said on both streams."""
    done = subprocess.run(
        [program("promtool"), *map(str, arguments)],
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


class Prometheus:
    """One that runs."""

    def __init__(self, url):
        self.url = url

    async def get(self, path, **params):
        async with aiohttp.request("GET", f"{self.url}/api/v1/{path}", params=params) as reply:
            found = json.loads(await reply.text())
        assert found["status"] == "success", (params, found)
        return found["data"]

    async def query(self, expr):
        """What an expression gives now: (labels, value) of each series."""
        found = await self.get("query", query=expr)
        return [(series["metric"], float(series["value"][1])) for series in found["result"]]

    async def until(self, expr, seconds=60):
        """The first answer that is not empty."""
        async with asyncio.timeout(seconds):
            while not (found := await self.query(expr)):  # noqa: ASYNC110 — it is another process
                await asyncio.sleep(0.2)
        return found


@asynccontextmanager
async def scraping(folder, target, labels, rules=None, way=None):
    """A Prometheus that scrapes `target` (host:port), with these labels; `rules`: groups to evaluate.

    `way`: how the target is reached, as in a scrape config, if not by plain HTTP at /metrics.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules or {"groups": []}))
    config = {
        "global": {"scrape_interval": SCRAPED_EVERY, "evaluation_interval": SCRAPED_EVERY},
        "rule_files": [str(folder / "rules.yaml")],
        "scrape_configs": [
            {"job_name": "runherd", "static_configs": [{"targets": [target], "labels": labels}]} | (way or {})
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program("prometheus"),
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'series'}",
            f"--web.listen-address={address}",
            stdout=log,
            stderr=log,
        )
    try:
        made = Prometheus(f"http://{address}")
        await _ready(made, process, folder / "prometheus.log")
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ready(made, process, log):
    async with asyncio.timeout(60):
        while True:
            assert process.returncode is None, log.read_text()
            try:
                async with aiohttp.request("GET", f"{made.url}/-/ready") as reply:
                    if reply.status == 200:
                        return
            except aiohttp.ClientError:
                pass  # it does not listen yet
            await asyncio.sleep(0.1)
