"""The examples for hosts do what docs/hosts.md says: its commands are pasted, what is seen is compared."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from tests.kubectl import needs_kubectl
from tests.program.runs import ROOT

DOCUMENT = ROOT / "docs" / "hosts.md"
OLDEST_KUBECTL = 28
"""From then on `kubectl wait` waits for any value, as the document does for a result."""
LINKED = ("controller", "devcluster", "examples")
BLOCK_SECONDS = 180
ENDED = "-- the block has ended --"


@dataclass(frozen=True)
class Block:
    """Commands of the document, and what it says is seen of them."""

    line: int
    commands: str
    seen: str

    @property
    def stays(self):
        """It is for a terminal of its own: what it starts runs until Ctrl-C."""
        return "python -m" in self.commands


def blocks():
    text = DOCUMENT.read_text()
    found = re.finditer(r"^```sh\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", text, re.MULTILINE | re.DOTALL)
    return [Block(text.count("\n", 0, b.start()) + 2, b[1], b[2] or "") for b in found]


def is_as_said(seen, said):
    """Line by line; an ellipsis stands for any text, and columns may be of any width."""
    patterns = [".*".join(re.escape(part) for part in squeezed(line).split("…")) for line in lines(said)]
    found = [squeezed(line) for line in lines(seen)]
    return len(found) == len(patterns) and all(map(re.fullmatch, patterns, found))


def lines(text):
    return text.strip("\n").split("\n")


def squeezed(line):
    return " ".join(line.split())


class Terminal:
    """A shell that blocks are pasted into, one after the other."""

    def __init__(self, shell, folder):
        self._shell = shell
        self._folder = folder

    async def paste(self, block):
        """What is seen of it."""
        script = self._folder / f"line-{block.line}.sh"
        script.write_text(block.commands)
        self._shell.stdin.write(f". '{script}' </dev/null\necho '{ENDED}'\n".encode())
        await self._shell.stdin.drain()
        seen = []
        async with asyncio.timeout(BLOCK_SECONDS):
            while (line := (await self._shell.stdout.readline()).decode().rstrip("\n")) != ENDED:
                assert line or not self._shell.stdout.at_eof(), "the shell has ended"
                seen.append(line)
        return "\n".join(seen)


def environment(folder):
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return kept | {"HOME": str(folder)}


@asynccontextmanager
async def staying(block, folder):
    """What the block starts; it has said something, and still runs when it is ended."""
    output = folder / f"line-{block.line}.txt"
    with output.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", block.commands),
            cwd=folder,
            env=environment(folder),
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        async with asyncio.timeout(60):
            while not output.stat().st_size:  # noqa: ASYNC110 — it is another process
                await asyncio.sleep(0.05)
        yield
        assert process.returncode is None, output.read_text()
        assert "exception" not in output.read_text()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGTERM)
        await process.wait()


@asynccontextmanager
async def terminal(folder):
    shell = await asyncio.create_subprocess_exec(
        *("bash", "--noprofile", "--norc"),
        cwd=folder,
        env=environment(folder),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield Terminal(shell, folder)
    finally:
        if shell.returncode is None:
            os.killpg(shell.pid, signal.SIGKILL)
        await shell.wait()


@pytest.fixture
def folder(tmp_path):
    """Looks like the root of the repository, and may be written to."""
    for name in LINKED:
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


@pytest.mark.slow
@needs_kubectl(OLDEST_KUBECTL)
async def test_what_is_pasted_does_what_the_document_says(folder):
    cluster, controller, *pasted = blocks()
    async with staying(cluster, folder), staying(controller, folder), terminal(folder) as shell:
        for block in pasted:
            seen = await shell.paste(block)
            assert is_as_said(seen, block.seen), f"line {block.line} of {DOCUMENT.name}, seen was:\n{seen}"


def test_the_first_two_blocks_stay_and_all_but_the_functions_say_what_is_seen():
    cluster, controller, functions, *examples = blocks()
    assert [block.stays for block in (cluster, controller, functions, *examples)] == [
        *(True, True),
        *(False for _ in (functions, *examples)),
    ]
    assert [block.line for block in examples if not block.seen] == []


def test_every_section_has_an_example():
    sections = DOCUMENT.read_text().split("\n## ")[1:]
    assert [section.split("\n")[0] for section in sections if "```sh\n" not in section] == []


@pytest.mark.parametrize("block", blocks(), ids=lambda block: f"line {block.line}")
def test_every_block_is_one_for_bash(block):
    checked = subprocess.run(["bash", "-n"], input=block.commands.encode(), capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("seen", "said", "same"),
    [
        ("a  b", "a b", True),
        ("job-x7 is there\n", "job-… is there\n", True),
        ("a\nb", "a", False),
        ("a", "a\nb", False),
        ("a.c", "a.c", True),
        ("abc", "a.c", False),
        ("", "", True),
        ("error", "", False),
    ],
)
def test_what_is_seen_is_compared_line_by_line(seen, said, same):
    assert is_as_said(seen, said) is same
