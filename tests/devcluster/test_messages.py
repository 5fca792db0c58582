"""The stand-in of the Messages API over HTTP: what a client that knows the API gets from it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from devcluster.messages.scenarios import SCENARIOS, SUBTASK
from devcluster.messages.server import BODY_MAX, Server

ROOT = Path(__file__).resolve().parents[2]
PROMPT = {"role": "user", "content": "Do it."}


@contextmanager
def serving(**limits):
    with Server("127.0.0.1", 0, **limits) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def server():
    with serving() as made:
        yield made


class Client:
    """One connection, used again and again."""

    def __init__(self, connection):
        self.connection = connection

    def ask(self, method, path, body=b"", **headers):
        """(status, headers, content); headers are named with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, body, named)
        reply = self.connection.getresponse()
        return reply.status, reply.headers, reply.read()

    def message(self, scenario, *messages, session="s", **more):
        """(status, document) of a request for a message that is no stream."""
        body = {"model": "m-1", "max_tokens": 10, "messages": list(messages) or [PROMPT]} | more
        named = {"x_api_key": f"scenario-{scenario}", "x_claude_code_session_id": session}
        status, _, content = self.ask("POST", "/v1/messages?beta=true", json.dumps(body).encode(), **named)
        return status, json.loads(content)

    def stream(self, scenario, *messages):
        """The events of a stream."""
        body = {"model": "m-1", "stream": True, "messages": list(messages) or [PROMPT]}
        self.connection.request(
            "POST", "/v1/messages", json.dumps(body), {"X-Api-Key": f"scenario-{scenario}"}
        )
        reply = self.connection.getresponse()
        assert (reply.status, reply.headers["Transfer-Encoding"]) == (200, "chunked")
        assert reply.headers["Content-Type"].startswith("text/event-stream")
        return [event_of(part) for part in reply.read().decode().split("\n\n") if part]

    def asked(self):
        return json.loads(self.ask("GET", "/requests")[2])


@contextmanager
def calling(server):
    with closing(http.client.HTTPConnection(*server.server_address, timeout=10)) as connection:
        yield Client(connection)


@pytest.fixture
def client(server):
    with calling(server) as made:
        yield made


def event_of(part):
    name, content = part.split("\n")
    event = json.loads(content.removeprefix("data: "))
    assert name == f"event: {event['type']}"
    return event


def assembled(events):
    """The message of a stream, put together as a client does it."""
    message, parts = {}, {}
    for event in events:
        match event:
            case {"type": "message_start"}:
                message = event["message"]
            case {"type": "content_block_start", "index": index}:
                message["content"].insert(index, event["content_block"])
                parts[index] = ""
            case {"type": "content_block_delta", "index": index, "delta": delta}:
                parts[index] += delta.get("text", "") + delta.get("partial_json", "")
            case {"type": "message_delta"}:
                message |= event["delta"] | {"usage": message["usage"] | event["usage"]}
    for index, block in enumerate(message["content"]):
        whole = parts[index] if block["type"] == "text" else json.loads(parts[index])
        block.update({"text" if block["type"] == "text" else "input": whole})
    return message


def conversation(*replies):
    """The messages of a request after these replies, each answered with its tools' results, or a word."""
    messages = [PROMPT]
    for reply in replies:
        used = [block for block in reply["content"] if block["type"] == "tool_use"]
        results = [{"type": "tool_result", "tool_use_id": block["id"], "content": "ok"} for block in used]
        messages += [{"role": "assistant", "content": reply["content"]}]
        messages += [{"role": "user", "content": results or "Go on."}]
    return messages


def test_a_stream_says_the_same_as_an_answer_that_is_none(client):
    _, whole = client.message("tools")
    streamed = assembled(client.stream("tools"))
    assert streamed["id"] != whole["id"]
    for message in (streamed, whole):
        del message["id"]
        message["content"] = [{**block, "id": ""} for block in message["content"]]
    assert streamed == whole
    assert whole["stop_reason"] == "tool_use"
    assert whole["content"][1]["input"]["command"] == "echo hello"


def test_ids_are_unique_and_content_is_not(client):
    messages = [client.message("tools")[1] for _ in range(3)]
    assert len({message["id"] for message in messages}) == 3
    assert len({message["content"][1]["id"] for message in messages}) == 3
    assert len({message["content"][0]["text"] for message in messages}) == 1
    assert len({json.dumps(message["usage"]) for message in messages}) == 1


def test_what_was_said_before_decides_the_step(client):
    replies = []
    for _ in range(4):
        _, message = client.message("tools", *conversation(*replies))
        replies.append(message)
    assert [message["stop_reason"] for message in replies] == ["tool_use", "tool_use", "end_turn", "end_turn"]
    read = [message["usage"]["cache_read_input_tokens"] for message in replies]
    assert read == sorted(set(read)), "the cache grows with the conversation"


def test_a_subagent_is_known_by_its_prompt_and_has_steps_of_its_own(client):
    _, main = client.message("subagent")
    (agent,) = (block for block in main["content"] if block["type"] == "tool_use")
    assert agent["name"] == "Agent"
    reminder = {"type": "text", "text": "<system-reminder>of the agent's program</system-reminder>"}
    task = {"role": "user", "content": [reminder, {"type": "text", "text": agent["input"]["prompt"]}]}
    _, sub = client.message("subagent", task)
    assert [block["name"] for block in sub["content"]] == ["Bash"]
    _, end = client.message("subagent", *conversation(main))
    assert [block["type"] for block in end["content"]] == ["text"]
    assert [record["subagent"] for record in client.asked()["messages"]] == [False, True, False]


def test_a_prompt_that_only_mentions_a_subtask_is_none(client):
    _, message = client.message("subagent", {"role": "user", "content": f"Explain {SUBTASK}."})
    assert any(block.get("name") == "Agent" for block in message["content"])


def test_max_turns_never_comes_to_an_end(client):
    replies = []
    for _ in range(5):
        _, message = client.message("max-turns", *conversation(*replies))
        replies.append(message)
    assert {message["stop_reason"] for message in replies} == {"tool_use"}


def test_an_overloaded_api_recovers_and_each_run_has_its_own_count(client):
    first = [client.message("overloaded-2", session="a") for _ in range(3)]
    assert [status for status, _ in first] == [529, 529, 200]
    assert first[0][1] == {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert client.message("overloaded-2", session="b")[0] == 529
    assert [client.message("overloaded", session="a")[0] for _ in range(2)] == [529, 200]


@pytest.mark.parametrize(
    ("scenario", "status", "kind"),
    [
        ("api-error", 500, "api_error"),
        ("auth", 401, "authentication_error"),
        ("credit", 400, "invalid_request_error"),
        ("quota", 429, "rate_limit_error"),
        ("storm", 529, "overloaded_error"),
        ("no-model", 404, "not_found_error"),
    ],
)
def test_some_errors_last(client, scenario, status, kind):
    for _ in range(2):
        answer = client.message(scenario, stream=True)
        assert (answer[0], answer[1]["error"]["type"]) == (status, kind)


def test_a_refusal_of_the_model_is_told_as_why_it_stops(client):
    assert client.message("refusal")[1]["stop_reason"] == "refusal"
    assert client.message("success")[1]["stop_reason"] == "end_turn"


def test_a_limit_that_is_used_up_says_until_when(client):
    body = json.dumps({"messages": [PROMPT]}).encode()
    _, headers, _ = client.ask("POST", "/v1/messages", body, Authorization="Bearer scenario-quota")
    assert headers["Anthropic-Ratelimit-Unified-Status"] == "rejected"
    assert headers["Anthropic-Ratelimit-Unified-Representative-Claim"] == "five_hour"
    assert int(headers["Anthropic-Ratelimit-Unified-Reset"]) > 0


@pytest.mark.parametrize("key", ["scenario-nowhere", "sk-ant-something", "", "scenario-tools-x"])
def test_a_key_that_names_no_scenario_is_told_which_there_are(client, key):
    body = json.dumps({"messages": [PROMPT]}).encode()
    status, _, content = client.ask("POST", "/v1/messages", body, x_api_key=key)
    assert status == 400
    assert all(name in json.loads(content)["error"]["message"] for name in SCENARIOS)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"messages": 3}', b'{"messages": null}', b"[" * 100_000]
)
def test_a_body_that_is_no_request_is_refused(client, body):
    status, _, content = client.ask("POST", "/v1/messages", body, x_api_key="scenario-tools")
    assert (status, json.loads(content)["error"]["type"]) == (400, "invalid_request_error")
    assert client.message("success")[0] == 200, "the connection is still good"


@pytest.mark.parametrize(
    "odd", [{"tools": 3}, {"messages": [3, {}, {"role": "user", "content": 3}]}, {"model": None}]
)
def test_odd_parts_of_a_request_are_passed_over(client, odd):
    assert client.message("success", **odd)[0] == 200


def test_a_body_without_a_measure_or_beyond_it_is_refused(server):
    announced = {("Transfer-Encoding", "chunked"): 411, ("Content-Length", str(BODY_MAX + 1)): 413}
    for header, status in announced.items():
        with calling(server) as refused:  # the body itself is never sent: the server hangs up before it
            refused.connection.putrequest("POST", "/v1/messages")
            refused.connection.putheader(*header)
            refused.connection.endheaders()
            assert refused.connection.getresponse().status == status


def test_tokens_can_be_counted(client):
    body = json.dumps({"messages": [PROMPT]}).encode()
    status, _, content = client.ask("POST", "/v1/messages/count_tokens", body)
    assert status == 200
    assert json.loads(content)["input_tokens"] > 0


def test_what_else_is_asked_is_not_there_and_is_remembered(client):
    assert client.ask("HEAD", "/")[0] == 200
    assert client.ask("GET", "/healthz")[0] == 200
    assert client.ask("GET", "/v1/models")[0] == 404
    assert client.ask("POST", "/api/event_logging/batch", b"{}")[0] == 404
    others = [(other["method"], other["path"], other["status"]) for other in client.asked()["others"]]
    assert others == [
        ("HEAD", "/", 200),
        ("GET", "/v1/models", 404),
        ("POST", "/api/event_logging/batch", 404),
    ]


def test_what_was_asked_can_be_looked_at(client):
    client.message("tools", tools=[{"name": "Bash"}, {"name": "Agent"}], session="run-1")
    (record,) = client.asked()["messages"]
    assert record == {
        "scenario": "tools",
        "session": "run-1",
        "model": "m-1",
        "stream": False,
        "subagent": False,
        "messages": 1,
        "turns": 0,
        "tools": ["Bash", "Agent"],
        "status": 200,
    }


def test_a_client_that_leaves_in_mid_answer_does_not_hurt_the_next_one(server, client, capfd):
    body = b'{"messages": [{"role": "assistant"}], "stream": true}'
    head = (
        f"POST /v1/messages HTTP/1.1\r\nX-Api-Key: scenario-slow-3000\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(server.server_address, timeout=10) as leaving:
        leaving.sendall(head.encode() + body)
        assert leaving.recv(100)
    assert client.message("success")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_connection_too_many_is_closed():
    with serving(connections=1) as server, calling(server) as client, calling(server) as another:
        assert client.message("success")[0] == 200
        with pytest.raises(ConnectionError):
            another.message("success")
        assert client.message("success")[0] == 200


def test_the_command_needs_nothing_but_the_standard_library(tmp_path):
    """As in its image: only these files, no site packages. It ends by SIGTERM, also as process 1."""
    (tmp_path / "devcluster").mkdir()
    (tmp_path / "devcluster" / "messages").symlink_to(ROOT / "devcluster" / "messages")
    command = [sys.executable, "-S", "-m", "devcluster.messages", "--port", "0"]
    bare = {"PATH": os.defpath, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(command, cwd=tmp_path, env=bare, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("listening on http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_port_that_is_taken_is_told_without_a_traceback(server):
    _, port = server.server_address
    command = [sys.executable, "-m", "devcluster.messages", "--port", str(port)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Can't listen on 127.0.0.1:{port}: Address already in use. Choose")
    assert "Traceback" not in done.stderr
