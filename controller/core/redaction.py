"""Values that look like credentials, hidden in whatever somebody else will read.

Owns the patterns. A value is known by its shape (a key with a prefix, a token of three parts, a private key)
or by what stands before it (a name like `password=`, a header, an option, a URL). Hashes and ids have no such
shape and stay. What looks like nothing can't be known: this is a net, no proof.

Time is linear in the length of the text, whatever the text: each pattern begins with a word that is searched
for at the speed of memory, gaps are bounded, and loops give nothing back.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

HIDDEN: Final = "[redacted]"

_KEYS: Final = ("api", "access", "account", "auth", "encryption", "master", "private", "secret", "shared")
_BEFORE_KEY: Final = "|".join(f"(?<={kind}{joint}key)" for kind in _KEYS for joint in ("", "_", "-", " "))
_NAMES: Final[Mapping[str, str]] = {
    "key": f"(?:{_BEFORE_KEY})",
    "token": "",
    "secret": "",
    "passw": "(?:or)?d",
    "passphrase": "",
    "credential": "s?",
    "pwd": "(?<=[_; ]pwd)",
    "pass": (
        r"""(?:(?<=_pass)|(?<=["'`]pass)(?=\\{0,3}["'`])"""
        r"""|(?<=-pass)(?=[=\s])|(?<![^\s"'`,;&?(]pass)(?==))"""
    ),
}
"""What a value is called: a word in lower case, and what else has to be there."""
_QUOTED: Final = (
    r"""(["'`])((?:\\.|(?!\1)[^\\\n])++)(?=\1)"""
    r"""|(\\{1,3})(["'`])((?:(?!\3\4)\\++.|(?!\4)[^\\\n])++)(?=\3\4)"""
    r"""|\\{0,3}["'`]([^"'`\n\\]++)"""
)
"""Up to the same quote again; where there is none, up to any. The last group that takes part is the value."""
_MORE: Final = r"""[,;][^\s"',;`=:]{2,}+(?![=:])"""
_BARE: Final = (
    r"(?!(?:null|none|true|false|undefined)\b)"
    rf"""([^\s"',;`]{{3,}}+(?:{_MORE})*+|[^\s"',;`]{{1,2}}(?:{_MORE})++)"""
)
"""Up to a comma or semicolon, unless what follows that is neither a blank nor a name with a value."""
_COUNT: Final = r"""\d{1,6}(?:[./]\d{1,6})?[km]?[.)\]}%:!?<>|*]*+(?:[\s"',;`&\\]|\Z)"""
_COUNTED: Final = ("token", "pass")
"""So many tokens are no token, and so many tests that pass no password."""
_IS: Final = r"""\\{0,3}["'`]?[ \t]{0,4}(?:=>|[=:])[ \t]{0,4}"""


def _named(word: str, more: str) -> re.Pattern[str]:
    count = f"(?!{_COUNT})" if word in _COUNTED else ""
    return re.compile(f"{word}{more}{_IS}(?:{_QUOTED}|{count}{_BARE})")


_SETTINGS: Final = tuple((word, _named(word, more)) for word, more in _NAMES.items())
"""`password=…`, `"api_key": "…"`."""
_OPTIONS: Final = tuple(
    (word, re.compile(rf"""{word}{more}["']?[ \t]{{1,4}}["']?(?![-"'])([^\s"']{{3,}})"""))
    for word, more in _NAMES.items()
)
"""`--password …`: what they find counts if the word before it begins with a hyphen."""
_CONTEXTS: Final = tuple(
    (word, re.compile(word + more))
    for word, more in (
        ("://", r"""[^\s:/@]{0,128}:([^\s/'"]{1,256})(?=@)"""),
        ("://", r"""[^\s:/@\[]{0,128}+:(?!//|\d{1,5}[/?#])(?=[^\s?#'"@]{1,256}+@)([^\s?#'"]{1,256})(?=@)"""),
        ("://", r"([\w-]{20,256})(?=@)"),
        (
            "authorization",
            _IS + r"""\\{0,3}["']?(?:bearer|basic|digest|token|apikey)[ \t]{1,4}([^\s"'\\][^\n"'\\]*+)""",
        ),
        (
            "authorization",
            _IS + r"""\\{0,3}["']?(?=[^\s"'\\\d_~+/=-]{0,512}+[\d_~+/=-])([^\s"'\\][^\n"'\\]*+)""",
        ),
        ("cookie", r"""["']?[ \t]{0,4}:[ \t]{0,4}["']?([^\s"'\\][^\n"'\\]*+)"""),
        ("bearer ", r""" {0,3}(?=[^\s'"]{0,512}?(?:[\d_~+/=-]|\.\w))([^\s'"]{6,})"""),
        ("basic ", r""" {0,3}(?=[a-z+/]{0,512}+[\d=])([a-z0-9+/]{6,}={0,2})"""),
        (" -u", r"""[ =]?["']?[^\s:"']{1,128}:([^\s"']{1,256})"""),
        (" --user", r"""[ =]["']?[^\s:"']{1,128}:([^\s"']{1,256})"""),
        ("sig=", r"(?<=[?&]sig=)([^\s&\"']{8,})"),
        ("signature=", r"(?<=-signature=)([^\s&\"']{8,})"),
    )
)
"""In lower case, as all of the above: URLs, headers, credentials of a command."""
_NEW_WORD: Final = r"(?:(?<![\w-]eyJ)|(?<=\\[nrt]eyJ)|(?<=%[0-9A-Fa-f]{2}eyJ))"
"""Escapes end in what looks like a letter of the word that follows."""
_SHAPES: Final = tuple(
    (prefix, re.compile(f"({re.escape(prefix)}{more})"))
    for prefix, more in (
        ("sk-ant-", r"[\w-]{8,}"),
        ("sk-", r"(?<![A-Za-z0-9]sk-)(?=[A-Za-z_-]{0,64}+\d)[\w-]{16,}"),
        *((f"{kind}_{mode}_", r"\w{10,}") for kind in ("sk", "rk", "pk") for mode in ("live", "test")),
        ("whsec_", r"\w{16,}"),
        ("npm_", r"(?<![A-Za-z0-9]npm_)\w{30,}"),
        ("hf_", r"(?<![A-Za-z0-9]hf_)\w{30,}"),
        *((f"gh{kind}_", r"[A-Za-z0-9]{20,}") for kind in "oprsu"),
        ("github_pat_", r"\w{20,}"),
        *((f"gl{kind}-", r"[\w-]{16,}") for kind in ("pat", "dt", "rt", "ptt", "oas", "cbt")),
        ("xox", r"[a-eoprs]-[\w%-]{10,}"),
        ("xapp-", r"[\w-]{10,}"),
        ("hooks.slack.com/services/", r"[\w/]{8,}"),
        *((f"{site}.com/api/webhooks/", r"[\w/-]{8,}") for site in ("discord", "discordapp")),
        *((prefix, r"[0-9A-Z]{16}") for prefix in ("AKIA", "ASIA")),
        ("AIza", r"[\w-]{30,}"),
        ("ya29.", r"[\w-]{20,}"),
        ("GOCSPX-", r"[\w-]{20,}"),
        ("eyJ", rf"{_NEW_WORD}[\w-]{{8,512}}+\.[\w-]{{8,}}(?:\.[\w-]*)?"),
        ("hvs.", r"[\w-]{20,}"),
        ("SG.", r"(?<!\wSG\.)[\w-]{16,64}+\.[\w-]{16,}"),
        ("pypi-", r"[\w-]{40,}"),
        ("dckr_pat_", r"[\w-]{20,}"),
        ("dop_v1_", r"\w{40,}"),
        ("gsk_", r"(?<![A-Za-z0-9]gsk_)[A-Za-z0-9]{20,}"),
        ("xai-", r"(?<![A-Za-z0-9]xai-)[A-Za-z0-9]{20,}"),
        ("nvapi-", r"[\w-]{20,}"),
        ("r8_", r"(?<![A-Za-z0-9]r8_)[A-Za-z0-9]{30,}"),
        ("AGE-SECRET-KEY-1", r"[0-9A-Z]{20,}"),
        ("ATATT3", r"[\w=-]{20,}"),
        *((f"shp{kind}_", r"\w{20,}") for kind in ("at", "ca", "pa", "ss")),
        ("lin_api_", r"\w{20,}"),
        ("tskey-", r"(?<![A-Za-z0-9]tskey-)(?=[A-Za-z_-]{0,64}+\d)[\w-]{16,}"),
    )
)
"""What shows by itself that it is one."""
_WORD: Final = re.compile(r"[\w-]{1,256}+", re.ASCII)
"""Nothing that has a name or a place before it, only a shape."""
_BEGINNINGS: Final = re.compile("|".join(sorted({re.escape(prefix[:4]) for prefix, _ in _SHAPES})))
"""Where a shape may begin. Most words are ids, and have none."""
_BASIC: Final = r"(?=[A-Za-z0-9+/]{0,512}?(?:[0-9+=]|[A-Z]{2}))[A-Za-z0-9+/]{12,}+={0,2}"
"""A name and a password in base64: `"auth"` of Docker, `_auth` of npm."""
_BASICS: Final = (
    (
        "auth",
        re.compile(
            rf"""auth(?:(?<=_auth)|(?<=["']auth)(?=\\{{0,3}}["'])){_IS}\\{{0,3}}["']?({_BASIC})(?![\w-])"""
        ),
    ),
)

_END: Final = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_BLOCK: Final = re.compile(
    r"""
    -----BEGIN\ [A-Z0-9\ ]{0,40}PRIVATE\ KEY(?:\ BLOCK)?-----
    (?: \s | \\{1,4}[nrt] | [A-Za-z0-9+/=]{16,} | (?:Proc-Type|DEK-Info|Version|Comment):[^\n\\]{0,200}
      | [A-Za-z0-9+/=]{1,15} (?= \s{0,4} (?:\\{1,4}[nrt])? \s{0,4} (?:-----|\Z) ) )*+
    (?: -----END\ [A-Z0-9\ ]{0,40}PRIVATE\ KEY(?:\ BLOCK)?----- )?
    """,
    re.VERBOSE,
)
_BODY: Final = re.compile(r"\s*[A-Za-z0-9+/=]{40,}\s*")
_LAST: Final = re.compile(r"\s*[A-Za-z0-9+/=]*\s*")

_EXEC: Final = 'exec: "'
_COMMAND: Final = re.compile(r'exec: "((?:[^"\\\s]|\\.)*+\s(?:[^"\\]|\\.)*+)"')

_SAID: Final = re.compile(r'("[^"\\]*+(?:\\.[^"\\]*+)*+")(\s*:)?', re.DOTALL)
_SECRET_NAME: Final = re.compile(
    "|".join(["authorization$", "cookie$", *(f"{word}{more}$" for word, more in _NAMES.items())])
)
_LOWER: Final = {ord(big): big.lower() for big in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_OPTION_MAX: Final = 40


def hidden(text: str) -> str:
    """`text` with HIDDEN in place of every value that looks like a credential."""
    if _WORD.fullmatch(text) and not _BEGINNINGS.search(text):
        return text
    text = without_keys(text)
    parts: list[str] = []
    at = 0
    for start, end in sorted(_values(text)):
        if end > at:
            parts += (text[at:start], HIDDEN) if start >= at else ()
            at = end
    return "".join((*parts, text[at:])) if at else text


def without_keys(text: str) -> str:
    """`text` without private keys, also one of which the beginning or the end is missing."""
    if "PRIVATE KEY" not in text:
        return text
    *before, after = _END.split(_BLOCK.sub(HIDDEN, text))
    return "".join(f"{_without_rest(part)}{HIDDEN}" for part in before) + after


def without_command(text: str) -> str:
    """What a container runtime says of a program, without one that is a whole command line.

    A command that was written as one string holds what its words hold, a prompt too.
    """
    for command in {found[1] for found in _COMMAND.finditer(text)} if _EXEC in text else ():
        text = text.replace(command, HIDDEN)
    return text


def hidden_json(text: str) -> str:
    """The same inside the strings of a valid JSON document. All else stays as it is, byte for byte."""
    secret = False  # the value that comes next is one by its key

    def told(found: re.Match[str]) -> str:
        nonlocal secret
        literal, colon = found[1], found[2] or ""
        said = msgspec.json.decode(literal)
        shown = HIDDEN if secret and said and not colon else hidden(said)
        secret = bool(colon) and _SECRET_NAME.search(_lowered(said)) is not None
        return (literal if shown == said else msgspec.json.encode(shown).decode()) + colon

    return _SAID.sub(told, text)


def _lowered(text: str) -> str:
    """In lower case, every character in its place."""
    lower = text.lower()
    return lower if len(lower) == len(text) else text.translate(_LOWER)


def _values(text: str) -> Iterator[tuple[int, int]]:
    """Where the values are; some perhaps twice, or one in another."""
    lower = _lowered(text)
    for where, patterns in ((text, _SHAPES), (text, _BASICS), (lower, _CONTEXTS), (lower, _SETTINGS)):
        for word, pattern in patterns:
            if word in where:
                yield from (found.span(found.lastindex or 0) for found in pattern.finditer(where))
    for word, pattern in _OPTIONS:
        if word in lower:
            found_all = pattern.finditer(lower)
            yield from (found.span(1) for found in found_all if _is_option(lower, found.start()))


def _is_option(lower: str, at: int) -> bool:
    """The word that the name at `at` ends begins with a hyphen."""
    before = lower[max(0, at - _OPTION_MAX) : at]
    words = before.split() if "-" in before else []
    return bool(words) and not before[-1:].isspace() and words[-1].lstrip("\"'[(`").startswith("-")


def _without_rest(before: str) -> str:
    """What came before the end of a key, without the lines of that key."""
    lines = before.split("\n")
    if lines[-1].strip():
        return before.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\\")
    lines.pop()
    short = 1  # the last line of a key
    while lines and (_BODY.fullmatch(lines[-1]) or (short and _LAST.fullmatch(lines[-1]))):
        lines.pop()
        short = 0
    if len(lines) == 1 and not short and _LAST.fullmatch(lines[0]):
        lines.pop()  # the text begins in the middle of a line
    return "".join(f"{line}\n" for line in lines)
