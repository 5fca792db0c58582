"""`runherd trace`, against what the controller has sent of the same run."""

import asyncio
import json
import sys

from controller.core.contract import Phase
from tests.program import runs
from tests.program.runs import make_run, replay
from tests.program.stage import ROOT


async def call(world, *arguments):
    """Its exit code, and what it said on both streams."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "controller.cli",
        *arguments,
        cwd=ROOT,
        env=world.environ(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_a_run_that_is_over_is_shown_as_it_was_sent(world):
    world.submit(make_run("one", replay(runs.SUBAGENT)), make_run("two", "exit 3", agent="a-2"))
    await world.lead()
    await world.published("one", "two")
    for name in ("one", "two"):
        code, out, err = await call(world, "trace", name, "--json")
        assert (code, err) == (0, "")
        shown = {span["id"]: span for span in json.loads(out)["spans"]}
        sent = {span.span_id: span for span in world.spans(name)}
        assert shown.keys() == sent.keys()
        for key, span in sent.items():
            seen = shown[key]
            assert (seen["name"], seen["parent"]) == (span.name, span.parent_id)
            assert (seen["startUnixNano"], seen["endUnixNano"]) == (span.start_ns, span.end_ns)
            assert seen["attributes"] == dict(span.attributes)
            assert (seen["error"] is not None) == (span.status_code == "ERROR")


async def test_a_run_is_found_by_each_of_its_names_and_drawn(world):
    world.submit(make_run("one", replay(runs.SUBAGENT)))
    await world.lead()
    await world.published("one")
    uid = world.uid("one")
    drawn = [await call(world, "trace", name) for name in ("one", "r-one", uid, uid.replace("-", ""))]
    assert {code for code, _, _ in drawn} == {0}
    (text,) = {out for _, out, _ in drawn}
    assert "Succeeded/Completed" in text
    assert "execute_tool Agent" in text


async def test_a_run_is_written_as_a_page(world, tmp_path):
    world.submit(make_run("one", replay(runs.SUBAGENT)))
    await world.lead()
    await world.published("one")
    file = tmp_path / "one.html"
    code, out, err = await call(world, "trace", "one", "--html", str(file))
    assert (code, out, err) == (0, "", f"wrote {file}: open it in a browser\n")
    text = file.read_text()
    assert all(f'id="s-{span.span_id}"' in text for span in world.spans("one"))
    assert (await call(world, "trace", "one", "--html", "-"))[1].startswith("<!DOCTYPE html>")
    code, out, err = await call(world, "trace", "one", "--html", str(tmp_path / "none" / "one.html"))
    assert (code, out) == (1, "")
    assert "can't write the page" in err
    assert "Traceback" not in err


async def test_a_run_that_is_not_over_is_shown_as_far_as_it_is_known_and_no_failure(world):
    world.submit(make_run("one", replay(runs.SUBAGENT, seconds=0.5)))
    await world.lead()
    await world.phase("one", Phase.RUNNING, Phase.FINISHING)
    code, out, _ = await call(world, "trace", "one", "--json")
    said = json.loads(out)
    assert (code, said["live"]) == (0, True)
    assert {"queued", "attempt 1"} <= {span["name"] for span in said["spans"]}
    assert [span["name"] for span in said["spans"] if span["error"] is not None] == []
    assert "is not over" in (await call(world, "trace", "one"))[1]


async def test_what_cannot_be_shown_is_said_in_words(world):
    world.submit(
        make_run("one", "true"), make_run("two", "true", agent="a-2", labels={"paperclip.io/run-id": "r-one"})
    )
    code, out, err = await call(world, "trace", "none")
    assert (code, out) == (1, "")
    assert "No Job with the label paperclip.io/agent-id is 'none'" in err
    code, _, err = await call(world, "trace", "r-one")
    assert code == 1
    assert "is 2 Jobs in any namespace" in err
    code, _, err = await call(world, "trace", "one", "-n", "elsewhere")
    assert (code, "in namespace elsewhere" in err) == (1, True)
    assert "Traceback" not in err
