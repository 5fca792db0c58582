"""Logs: which part is given, when a follow ends, and the words for a log that cannot be had."""

import asyncio

from devcluster.conformance import manifests
from devcluster.conformance.connection import JSON
from devcluster.conformance.manifests import NAME, ended, running, state
from devcluster.conformance.scenario import scenario
from devcluster.conformance.scene import Scene
from devcluster.conformance.watching import PATIENCE

FIVE = "for n in 1 2 3 4 5; do echo line $n; done"
LONG = 16 * 1024


async def ended_pod(s: Scene, script: str, **fields: object) -> JSON:
    """A pod that has ended."""
    await s.create("pods", manifests.pod(s.image, script, **fields))
    return await s.until("pods", NAME, ended)


def moment(line: str) -> str:
    """A line's timestamp."""
    return line.partition(" ")[0]


@scenario(
    {
        "whole": [200, "text/plain", "line 1\nline 2\nline 3\nline 4\nline 5\n"],
        "[('tailLines', '2')]": "line 4\nline 5\n",
        "[('tailLines', '0')]": "",
        "[('limitBytes', '10')]": "line 1\nlin",
        "[('limitBytes', '9'), ('tailLines', '2')]": "line 4\nli",
        "follow of what has ended": "line 5\n",
        "sinceSeconds": 5,
        "sinceSeconds of one": 200,
    }
)
async def parts_of_a_log(s: Scene) -> None:
    """All of it, its tail, so many bytes."""
    await ended_pod(s, FIVE)
    reply = await s.log(NAME)
    s.note("whole", [reply.status, reply.headers.get("Content-Type"), reply.body])
    for query in (
        {"tailLines": "2"},
        {"tailLines": "0"},
        {"limitBytes": "10"},
        {"limitBytes": "9", "tailLines": "2"},
    ):
        s.note(str(sorted(query.items())), (await s.log(NAME, **query)).body)
    s.note("follow of what has ended", (await s.log(NAME, follow="true", tailLines="1")).body)
    s.note("sinceSeconds", (await s.log(NAME, sinceSeconds="600")).body.count("\n"))
    s.note(
        "sinceSeconds of one",
        (await s.answered(lambda: s.log(NAME, sinceSeconds="1"), lambda reply: not reply.body)).status,
    )


@scenario(
    {
        "form": [[30, "Z", "one"], [30, "Z", "two"], [30, "Z", "three"]],
        "they rise": True,
        "since the line's own": True,
        "since its whole second": True,
        "since a fraction later": True,
        "since the future": "",
        "since the past": 3,
    }
)
async def timestamps_of_a_log(s: Scene) -> None:
    """Nanoseconds in front of each line; a read from a moment on begins with that second."""
    await ended_pod(s, "echo one; sleep 2; echo two; sleep 0.2; echo three")
    lines = (await s.log(NAME, timestamps="true")).body.splitlines()
    s.note("form", [[len(moment(line)), moment(line)[-1], line.partition(" ")[2]] for line in lines])
    s.note("they rise", sorted(map(moment, lines)) == list(map(moment, lines)))
    second = moment(lines[1])[:19]
    for name, since in (
        ("the line's own", moment(lines[1])),
        ("its whole second", second + "Z"),
        ("a fraction later", second + ".999999999Z"),
    ):
        body = (await s.log(NAME, sinceTime=since)).body
        s.note(f"since {name}", body.startswith("two") or body.splitlines()[:1])
    s.note("since the future", (await s.log(NAME, sinceTime="2999-01-01T00:00:00Z")).body)
    s.note("since the past", (await s.log(NAME, sinceTime="2001-01-01T00:00:00Z")).body.count("\n"))


@scenario(
    {
        "lines": [0, 3, 5, 16389],
        "timestamps": [2, 2, 2, 2],
        "long line with a timestamp": 31,
        "tail of pieces": 16400,
        "no output": [200, "text/plain", ""],
    }
)
async def shapes_of_lines(s: Scene) -> None:
    """Long lines, a last line without an end, both outputs, empty lines, no output at all."""
    await ended_pod(
        s, f"head -c {LONG + 5} /dev/zero | tr '\\0' x; echo; echo; echo error >&2; sleep 1; printf end"
    )
    body = (await s.log(NAME)).body
    s.note("lines", sorted([len(line) for line in body.split("\n")]))
    stamped = (await s.log(NAME, timestamps="true")).body
    s.note("timestamps", [len(line.split(" ")) for line in sorted(stamped.split("\n"), key=len)])
    s.note("long line with a timestamp", max(len(line) for line in stamped.split("\n")) - LONG - 5)
    s.note("tail of pieces", len((await s.log(NAME, tailLines="5")).body))
    await s.create("pods", manifests.pod(s.image) | {"metadata": {"name": "silent"}})
    await s.until("pods", "silent", ended)
    reply = await s.log("silent")
    s.note("no output", [reply.status, reply.headers.get("Content-Type"), reply.body])


@scenario(
    {
        "answer": [200, "text/plain"],
        "first line": ["one\n", "running"],
        "rest": "two\n",
        "the container has ended": ["terminated", "Error", 3],
    }
)
async def follow_of_a_running_container(s: Scene) -> None:
    """It gives what is there, then what comes, and ends with the container."""
    await s.create("pods", manifests.pod(s.image, "echo one; sleep 2; echo two; exit 3"))
    await s.until("pods", NAME, running)
    async with asyncio.timeout(PATIENCE), s.follow(NAME) as response:
        s.note("answer", [response.status, response.headers.get("Content-Type")])
        first = await response.content.readline()
        pod = await s.read("pods", NAME)
        s.note("first line", [first.decode(), state(pod)[0]])
        s.note("rest", (await response.content.read()).decode())
    s.note("the container has ended", terminated_soon(await s.until("pods", NAME, ended)))


def terminated_soon(pod: JSON) -> list[object]:
    """How it ended."""
    return state(pod)


@scenario(
    {
        "lines": ["one\n", "last\n"],
        "then": 404,
    }
)
async def follow_of_a_deleted_pod(s: Scene) -> None:
    """It gives the last words, and ends with the container."""
    await s.create("pods", manifests.pod(s.image, "trap 'echo last; exit 7' TERM; echo one; sleep 60 & wait"))
    await s.until("pods", NAME, running)
    async with asyncio.timeout(PATIENCE), s.follow(NAME) as response:
        first = await response.content.readline()
        await s.delete("pods", NAME)
        s.note("lines", [first.decode(), (await response.content.read()).decode()])
    reply = await s.answered(lambda: s.log(NAME), lambda reply: reply.status != 200)
    s.note("then", reply.status)


@scenario(
    {
        "not named": (
            "400 BadRequest: a container name must be specified for pod it, choose "
            "one of: [init side main other]"
        ),
        "unknown": "400 BadRequest: container none is not valid for pod it",
        "main": "main\n",
        "other": "other\n",
        "init": "init\n",
        "side": "side\n",
        "previous": '400 BadRequest: previous terminated container "main" in pod "it" not found',
    }
)
async def containers_of_a_log(s: Scene) -> None:
    """Which container is meant has to be said, if there are several."""
    side = manifests.container(s.image, "echo side; exec sleep 60", name="side", restartPolicy="Always")
    init = manifests.container(s.image, "echo init", name="init")
    both = [
        manifests.container(s.image, "echo main"),
        manifests.container(s.image, "echo other", name="other"),
    ]
    await ended_pod(s, "", containers=both, initContainers=[init, side])
    s.refused("not named", await s.log(NAME))
    s.refused("unknown", await s.log(NAME, container="none"))
    for name in ("main", "other", "init", "side"):
        s.note(name, (await s.log(NAME, container=name)).body)
    s.refused("previous", await s.log(NAME, container="main", previous="true"))


@scenario(
    {
        "container": ('400 BadRequest: container "main" in pod "it" is waiting to start: PodInitializing'),
        "follow": ('400 BadRequest: container "main" in pod "it" is waiting to start: PodInitializing'),
        "next init container": (
            '400 BadRequest: container "second" in pod "it" is waiting to start: PodInitializing'
        ),
        "previous of it": ('400 BadRequest: previous terminated container "main" in pod "it" not found'),
    }
)
async def log_of_a_waiting_container(s: Scene) -> None:
    """While the init container runs, the container has no log."""
    init = manifests.container(s.image, "sleep 60", name="first")
    last = manifests.container(s.image, "sleep 60", name="second")
    await s.create("pods", manifests.pod(s.image, initContainers=[init, last]))
    await s.until("pods", NAME, lambda pod: state(pod, "first")[0] == "running")
    s.refused("container", await s.log(NAME))
    s.refused("follow", await s.log(NAME, follow="true"))
    s.refused("next init container", await s.log(NAME, container="second"))
    s.refused("previous of it", await s.log(NAME, previous="true"))


@scenario(
    {
        "both sinces": (
            '422 Invalid: PodLogOptions "it" is invalid: []: Forbidden: at most '
            "one of `sinceTime` or `sinceSeconds` may be specified"
        ),
        "no seconds": (
            '422 Invalid: PodLogOptions "it" is invalid: sinceSeconds: Invalid '
            "value: 0: must be greater than 0"
        ),
        "negative tail": (
            '422 Invalid: PodLogOptions "it" is invalid: tailLines: Invalid '
            "value: -1: must be greater than or equal to 0"
        ),
        "no bytes": (
            '422 Invalid: PodLogOptions "it" is invalid: limitBytes: Invalid value: 0: must be greater than 0'
        ),
        "tail of words": '400 BadRequest: strconv.ParseInt: parsing "many": invalid syntax',
        "no time": (
            '400 BadRequest: parsing time "yesterday" as "{time}07:00": cannot parse "yesterday" as "2006"'
        ),
        "follow of words": "200 'line 1\\nline 2\\nline 3\\nline 4\\nline 5\\n'",
    }
)
async def log_options_refused(s: Scene) -> None:
    """Options that contradict each other, or are none."""
    await ended_pod(s, FIVE)
    cases = {
        "both sinces": {"sinceSeconds": "1", "sinceTime": "2026-01-01T00:00:00Z"},
        "no seconds": {"sinceSeconds": "0"},
        "negative tail": {"tailLines": "-1"},
        "no bytes": {"limitBytes": "0"},
        "tail of words": {"tailLines": "many"},
        "no time": {"sinceTime": "yesterday"},
        "follow of words": {"follow": "maybe"},
    }
    for name, query in cases.items():
        s.refused(name, await s.log(NAME, **query))


@scenario(
    {
        "ended": "words\n",
        "gone": '404 NotFound: pods "it" not found',
        "follow": '404 NotFound: pods "it" not found',
    }
)
async def log_after_the_end(s: Scene) -> None:
    """It can be read while the pod is there, and not any more when that is gone."""
    await ended_pod(s, "echo words")
    s.note("ended", (await s.log(NAME)).body)
    async with s.watch("pods") as pods:
        await s.delete("pods", NAME)
        await pods.until_gone()
    s.refused("gone", await s.log(NAME))
    s.refused("follow", await s.log(NAME, follow="true"))
