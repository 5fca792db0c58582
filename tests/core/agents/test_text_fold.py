"""The fold for the log of any program."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.agents.fold import fold_for
from controller.core.agents.text import TAIL_BYTES, TextFold


def test_lines_are_counted_and_timed(text):
    seen = text.say(b"one", b"", b"three")
    assert (seen.lines, seen.bytes, seen.first_at, seen.last_at) == (3, 8, 1, 3)
    assert (seen.odd_lines, seen.claim, seen.turn_open) == (0, None, False)


def test_the_tail_is_the_last_twenty_lines(text):
    seen = text.say(*(str(i).encode() for i in range(50)))
    assert seen.tail.split("\n") == [str(i) for i in range(30, 50)]


def test_the_tail_is_the_same_however_often_one_looks(text, transcript):
    lines = [str(i).encode() for i in range(50)]
    for line in lines[:40]:
        text.say(line)
    once = fold_for("text")
    for line in lines:
        once.feed(0, line)
    assert text.say(*lines[40:]).tail == once.seen().tail


def test_the_tail_has_a_limit(text):
    assert len(text.say(b"x " * 50_000 + b"y").tail) == TAIL_BYTES


@pytest.mark.parametrize("cut", [False, True])
def test_no_part_of_a_secret_that_is_longer_than_the_tail_is_shown(text, cut):
    secret = b"eyJ" + b"A1b2C3" * 2_000
    assert text.say(b"token: " + secret + b" is mine", cut=cut).tail == "is mine"
    assert text.say(secret, cut=cut).tail == "is mine"


@given(st.integers(0, 3 * TAIL_BYTES), st.integers(0, 40))
def test_wherever_a_line_is_cut_its_secret_is_hidden(before, after):
    secret = "sk-ant-" + "s3cr3t" * 20
    fold = TextFold()
    fold.feed(1, b"x" * before + f" key={secret} ".encode() + b"y" * after)
    assert "s3cr3t" not in fold.seen().tail


@pytest.mark.parametrize(
    ("line", "tail"),
    [
        pytest.param(b"10%\r50%\r100%", "100%", id="of a progress bar what was drawn last"),
        pytest.param(b"10%\r50%\r100%\r", "100%", id="and then went back to the start of the line"),
        pytest.param(b"done\r", "done", id="a line of Windows"),
        pytest.param(b"10%\r\x1b[2K\x1b[1Gdone", "done", id="a line that was erased and drawn again"),
        pytest.param(b"\r" * 9, "", id="nothing"),
        pytest.param(b"\x1b]0;build\x07ok", "ok", id="a window's title"),
        pytest.param(b"\x1b]8;;https://x/y\x1b\\here\x1b]8;;\x1b\\", "here", id="a link"),
        pytest.param(b"\x1b(B\x1b7ok\x1b8\x1b[?25h\x1b[38;2;1;2;3mgo\x1b[0m", "okgo", id="other escapes"),
        pytest.param(b"pass\x1b[1mword=hunter2", "password=[redacted]", id="colours hide no secret"),
        pytest.param(b"\x1b]0;build", "]0;build", id="a title without an end"),
    ],
)
def test_a_line_is_shown_as_a_terminal_would(text, line, tail):
    seen = text.say(line)
    assert (seen.tail, seen.bytes) == (tail, len(line))


def test_a_cut_line_is_told(text):
    assert text.say(b"long", cut=True).cut_lines == 1


def test_an_unknown_output_is_read_as_text():
    assert isinstance(fold_for("something-new"), TextFold)


@pytest.mark.parametrize(
    ("line", "tail"),
    [
        pytest.param(b"\x1b[31mred\x1b[0m\x07", "red", id="colours and bells are removed"),
        pytest.param(b"a\tb\xff", "a\tb�", id="what is not UTF-8 is replaced"),
        pytest.param("abc\u202edef".encode(), "abcdef", id="nothing turns the direction of writing"),
        pytest.param(b"password=hunter2 ok", "password=[redacted] ok", id="a password is hidden"),
        pytest.param(b'{"api_key": "abc123"}', '{"api_key": "[redacted]"}', id="a key in JSON is hidden"),
        pytest.param(
            b"Authorization: Bearer abc.def", "Authorization: Bearer [redacted]", id="a bearer is hidden"
        ),
        pytest.param(
            b"clone https://me:pw123@host/x", "clone https://me:[redacted]@host/x", id="a URL's is hidden"
        ),
        pytest.param(b"using sk-ant-" + b"x" * 30, "using [redacted]", id="a bare key is hidden"),
        pytest.param(b"https://host:8080/path", "https://host:8080/path", id="a port is no password"),
        pytest.param(b"12 tokens: fine", "12 tokens: fine", id="a count of tokens is no secret"),
    ],
)
def test_the_tail_is_fit_for_a_persons_eyes(text, line, tail):
    assert text.say(line).tail == tail
