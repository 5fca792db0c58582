"""Credentials are hidden wherever they stand, and what is none stays."""

import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.core import redaction
from controller.core.contract import clip
from tests.core.agents.agent_transcript import RECORDED

WORD = "Zq7Lm2Xk9Rt4Vb8Nc3Hd6Wf1"
"""So much of what is secret may not be read anywhere."""
BODY = "\n".join(f"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC{n:013}" for n in range(20))
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n{WORD}==\n-----END RSA PRIVATE KEY-----"
SHAPES = [
    f"sk-ant-api03-{WORD}-AA",
    f"sk-proj-{WORD}",
    f"sk_live_{WORD}",
    f"ghp_{WORD}{WORD}",
    f"github_pat_11ABC_{WORD}",
    f"glpat-{WORD}",
    f"xoxb-123-{WORD}",
    f"https://hooks.slack.com/services/T000/B000/{WORD}",
    f"AIzaSy{WORD}{WORD}",
    f"ya29.{WORD}",
    f"npm_{WORD}{WORD}",
    f"pypi-AgEIcHlwaS5vcmc{WORD}{WORD}",
    f"hf_{WORD}{WORD}",
    f"hvs.{WORD}",
    f"SG.{WORD}.{WORD}",
    f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx{WORD}.{WORD}",
    f"id%3DeyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx{WORD}.{WORD}",
    f"it is\\neyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx{WORD}.{WORD}",
    f"gsk_{WORD}{WORD}",
    f"xai-{WORD}{WORD}",
    f"nvapi-{WORD}-{WORD}",
    f"r8_{WORD}{WORD}",
    f"xoxc-123-{WORD}",
    f"xoxd-{WORD}%2B{WORD}",
    f"AGE-SECRET-KEY-1{WORD.upper()}{WORD.upper()}",
    f"ATATT3xFfGF0{WORD}={WORD}",
    f"shpat_{WORD}{WORD}",
    f"lin_api_{WORD}{WORD}",
    f"tskey-auth-{WORD}-{WORD}",
    f"https://discord.com/api/webhooks/1234567890/{WORD}_{WORD}",
    PEM,
    PEM.replace("\n", "\\n"),
    PEM.replace("\n", "\r\n").replace("RSA ", ""),
]
NAMED = [
    f"password={WORD}",
    f"PASSWORD: '{WORD} and more'",
    f"export DB_PASSWORD={WORD}",
    f"ANTHROPIC_API_KEY={WORD}",
    f"aws_secret_access_key = {WORD}",
    f'{{"client_secret": "{WORD}"}}',
    f'{{\\"access_token\\": \\"{WORD}\\"}}',
    f"token => {WORD}",
    f"Server=db;User Id=sa;Pwd={WORD};",
    f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={WORD}==",
    f"Authorization: Bearer {WORD}",
    f"authorization: Basic {WORD}=",
    f"Proxy-Authorization: Digest {WORD}",
    f"'Authorization': 'ApiKey {WORD}'",
    f"-H 'X-Api-Key: {WORD}'",
    f"Cookie: session={WORD}; other={WORD}",
    f"got a Bearer {WORD}",
    f"curl -u me:{WORD} https://x",
    f"mysql --password {WORD} -e x",
    f"run --api-token '{WORD}'",
    f"postgres://me:{WORD}@db:5432/x",
    f"redis://:{WORD}@cache",
    f"https://{WORD}@sentry.example/1",
    f"https://x.example/blob?sv=1&sig={WORD}%3D",
    f"refresh_token=1//0g{WORD}",
    f"token: 12-{WORD}",
    f"DB_PASS={WORD}",
    f"SMTP_PASS: {WORD}",
    f'{{"pass": "{WORD}"}}',
    f'{{\\"pass\\": \\"{WORD}\\"}}',
    f"user=me pass={WORD}",
    f"run --db-pass {WORD}",
    f'{{"auths": {{"https://x": {{"auth":"{WORD}=="}}}}}}',
    f"//registry.example/:_auth={WORD}=",
    f"password=ab,{WORD}",
    f"password=x;{WORD}",
    f"password=abcd,{WORD}",
    f"""password="it's {WORD}" """,
    f"password='say \"{WORD}\"'",
    f'"password": "a\\"{WORD}"',
    f'"password": "a\\b{WORD}"',
    f'{{\\"password\\": \\"a\\\\\\"{WORD}\\"}}',
    f"""{{\\"password\\": \\"it's {WORD}\\"}}""",
    f"postgres://u:p@ss/{WORD}@h",
    f"postgres://u:{WORD}/{WORD}@h",
]
PLAIN = [
    "commit 5f2d1c8e9a7b3f4d6e8c0a1b2d3f4e5a6b7c8d9e0f by somebody",
    "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "input_tokens: 4096, max_tokens=8192, token: 12",
    "The key is under the mat, and the secret of success is work",
    "task-based sk-learn-compatible-estimator disk-usage-of-all-things-2024",
    "Basic authentication is used. Bearer certificates are old.",
    "password: null, token=undefined, api_key: none",
    "see https://example.com/path:with@sign and http://127.0.0.1:8080/x",
    "PWD=/workspace primary_key: id, cache-key=abc foreign_key = users.id",
    "The agent works: 3 turns, 4 tool calls.",
    "toolu_01A09q90qw90lq917835lq9 msg_fb56e08200000001 req_95ba397000000054",
    "lib/python3.12/site-packages/keyring/backends/secretservice.py",
    'the password is required; token count: 512. (max token: 4096) {"token": 12} token=7&x=y token: 3/8',
    "authorization: server message: insufficient_scope",
    "--- PASS: TestFoo (0.00s), pass: 12, pass=12 fail=0, two-pass: the first, compass=north bypass: yes",
    '"auth": "none-at-all" "auth": "serviceAccount" oauth: required_by_server',
    "docker://registry:5000/app@sha256:1 http://[::1]:80/@scope npm http://localhost:4873/@scope/pkg",
    "r8_short gsk_ xai-like nvapi-call shpat_x lin_api_key tskey-x discord.com/api/webhooks",
]


@pytest.mark.parametrize("path", sorted(RECORDED.glob("*.jsonl")), ids=lambda path: path.stem)
def test_a_recorded_result_has_no_credential_and_stays_as_it_is_byte_for_byte(path):
    results = [line for line in path.read_text().splitlines() if '"type":"result"' in line]
    assert [redaction.hidden_json(line) for line in results] == results


@pytest.mark.parametrize("text", [*SHAPES, *NAMED])
def test_a_credential_is_hidden(text):
    for around in (text, f"before {text} after", f"one\n{text}\ntwo", f"\t{text}"):
        shown = redaction.hidden(around)
        assert WORD not in shown
        assert redaction.HIDDEN in shown
        assert "MIIEvQ" not in shown


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_none_stays(text):
    assert redaction.hidden(text) == text


@pytest.mark.parametrize("text", [*SHAPES, *NAMED, *PLAIN])
def test_hiding_twice_changes_nothing(text):
    shown = redaction.hidden(text)
    assert redaction.hidden(shown) == shown


def test_what_stands_before_and_after_stays():
    text = f"one\ncurl -H 'Authorization: Bearer {WORD}' https://x.example # two\nthree"
    assert redaction.hidden(text) == text.replace(WORD, redaction.HIDDEN)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(f"it is\n{PEM}\nand on", "it is\n[redacted]\nand on", id="whole"),
        pytest.param(f"it is\n{PEM[:700]}", "it is\n[redacted]", id="without its end"),
        pytest.param(f"{PEM[500:]}\nand on", "[redacted]\nand on", id="without its beginning"),
        pytest.param(
            f"so it is\n{PEM[100:]}\n{PEM}\nand on", "so it is\n[redacted]\n[redacted]\nand on", id="two"
        ),
        pytest.param(
            "a BEGIN PRIVATE KEY line, and text", "a BEGIN PRIVATE KEY line, and text", id="only named"
        ),
    ],
)
def test_a_private_key_is_hidden_line_by_line(text, shown):
    assert redaction.hidden(text) == shown


def test_a_message_is_without_credentials_before_it_is_cut():
    assert clip(f"It said: {'x' * 990} password={WORD}").endswith("password=[redacted]")
    assert WORD[:6] not in clip(f"{'x' * 1000} password={WORD}")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
    | st.sampled_from([*NAMED, *SHAPES, *PLAIN]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_a_document_stays_one_and_only_its_secrets_change(value, indent, escaped):
    text = json.dumps(value, indent=indent, ensure_ascii=escaped)
    shown = redaction.hidden_json(text)
    assert WORD not in shown
    json.loads(shown)
    if not any(hint in text for hint in (WORD, "MII")):
        assert redaction.hidden(text) != text or shown == text


def test_a_value_is_known_by_its_key():
    text = '{"api_key" : "a b","n":{"clientSecret":"hush","token":["y"],"tokens":"z","token":1},"x" : 1e400}'
    want = (
        text.replace("a b", redaction.HIDDEN).replace('"hush"', '"[redacted]"').replace('"y"', '"[redacted]"')
    )
    assert redaction.hidden_json(text) == want


STARTS = ["sk-", "eyJ", "key ", "password=", "--", "://", "bearer ", "basic ", "a.", "aaaa", "A" * 70]
MARKERS = ["-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"]
PIECES = st.sampled_from([*SHAPES, *NAMED, *STARTS, *MARKERS, *"\"'\\- \n:@ßİ"])


WORDS = st.lists(
    st.sampled_from([*SHAPES, "toolu_", "sk", "-", "key", "token", "A" * 20])
    | st.from_regex(r"[\w-]{1,30}", fullmatch=True),
    min_size=1,
    max_size=4,
).map("".join)


@given(WORDS)
def test_a_word_that_stands_alone_is_seen_as_it_is_among_others(word):
    assert redaction.hidden(word) == redaction.hidden(f" {word}")[1:]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, min_size=1, max_size=6).map("".join))
def test_a_long_text_takes_its_length_and_no_more(piece):
    text = piece * (60_000 // len(piece) + 1)
    began = time.process_time()
    redaction.hidden(text)
    assert time.process_time() - began < 3


@given(st.lists(PIECES | st.text(max_size=5), max_size=8).map("".join))
def test_no_text_makes_it_fail(text):
    redaction.hidden(text)
