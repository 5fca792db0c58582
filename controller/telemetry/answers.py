"""What a collector's answer to an export means: whose fault it is, and what somebody can do about it. Pure.

Never: sends anything, or waits. The meaning of HTTP codes is OTLP's ("OTLP/HTTP Response", "Failures").
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

WAIT_MOST_SECONDS: Final = 300.0
"""However long a collector asks to be left alone."""
_SAID_MAX: Final = 200
"""Characters of its own words that are told."""


class Verdict(StrEnum):
    """How one request ended, for metrics and people."""

    ACCEPTED = "accepted"
    UNREACHABLE = "unreachable"
    """No connection, or it broke."""
    TIMEOUT = "timeout"
    TLS = "tls"
    UNAUTHORIZED = "unauthorized"
    MISDIRECTED = "misdirected"
    """Something answers there that is no OTLP receiver."""
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    TOO_LARGE = "too_large"
    REFUSED = "refused"
    """It does not want this request, now or later."""
    UNENCODABLE = "unencodable"
    """It was never sent: it can't be put into OTLP."""


ABOUT_ITSELF: Final = frozenset({Verdict.TOO_LARGE, Verdict.REFUSED, Verdict.UNENCODABLE})
"""They are about one request; all others are about the collector, and the next trace would fare the same."""

ADVICE: Final = {
    Verdict.UNREACHABLE: "See that it runs, and that its address and network policies are right.",
    Verdict.TIMEOUT: "See why it is slow; OTEL_EXPORTER_OTLP_TIMEOUT is how long it is waited for.",
    Verdict.TLS: "Its certificate has to be one that OTEL_EXPORTER_OTLP_CERTIFICATE vouches for.",
    Verdict.UNAUTHORIZED: "Set its credentials in OTEL_EXPORTER_OTLP_HEADERS.",
    Verdict.MISDIRECTED: "OTEL_EXPORTER_OTLP_ENDPOINT has to be an OTLP/HTTP receiver: usually port 4318, "
    "without /v1/traces.",
    Verdict.THROTTLED: "It takes less than it is given: raise its limits.",
    Verdict.UNAVAILABLE: "See its log.",
    Verdict.TOO_LARGE: "Raise the size of requests that it takes.",
    Verdict.REFUSED: "See its log for what it does not like.",
    Verdict.UNENCODABLE: "This is a mistake of runherd: please report it.",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request."""

    verdict: Verdict
    said: str = ""
    """In the collector's words, or the network's."""
    wait: float = 0.0
    """Seconds for which it wants to be left alone."""
    rejected: int = 0
    """Spans of an accepted request that it did not take, and does not want again (OTLP's partial success)."""

    @property
    def accepted(self) -> bool:
        """Nothing of it has to be sent again."""
        return self.verdict is Verdict.ACCEPTED


def of_status(code: int, *, page: bool, said: str = "", wait: float = 0.0, rejected: int = 0) -> Answer:
    """An HTTP answer. `page`: its body is made for people. `wait`: its Retry-After, in seconds."""
    said = said if not page else "a page for people"
    words = " ".join(f"{code} {said}".split())[:_SAID_MAX]
    bounded = min(wait, WAIT_MOST_SECONDS) if math.isfinite(wait) and wait > 0 else 0.0
    verdict = _verdict(code)
    if verdict is Verdict.ACCEPTED and page:
        return Answer(Verdict.MISDIRECTED, words)
    return Answer(verdict, words, bounded, rejected if verdict is Verdict.ACCEPTED else 0)


_OF_CODE: Final = {
    401: Verdict.UNAUTHORIZED,
    403: Verdict.UNAUTHORIZED,
    404: Verdict.MISDIRECTED,
    405: Verdict.MISDIRECTED,
    407: Verdict.UNAUTHORIZED,
    408: Verdict.TIMEOUT,
    413: Verdict.TOO_LARGE,
    415: Verdict.MISDIRECTED,
    429: Verdict.THROTTLED,
}
_OF_CLASS: Final = {2: Verdict.ACCEPTED, 3: Verdict.MISDIRECTED, 4: Verdict.REFUSED}


def _verdict(code: int) -> Verdict:
    return _OF_CODE.get(code) or _OF_CLASS.get(code // 100, Verdict.UNAVAILABLE)
