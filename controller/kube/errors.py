"""What can go wrong with the API server, named by what to do next.

    KubeError
    ├── NotFound        the object is gone: drop it, or look again
    ├── Conflict        somebody else wrote meanwhile: read anew and decide again
    ├── AlreadyExists   a create that has been done before: usually success
    ├── Expired         the version is too old to watch or page from: list again
    ├── Throttled       wait `after` seconds, then the same again
    ├── Unavailable     server or network: the same again with backoff; a write may have been done
    ├── Refused         this request will never be accepted (400, 403, 422 …): tell it, go on
    │   └── TooLarge    one that asks for less might be: shrink it
    └── NoLog           why a log can't be read
        ├── NotStarted  the container has no log yet
        └── LogGone     the kubelet does not have it (any more, or not yet again)
            └── PodGone the pod itself is not there: the log can't be had any more

`kube/api.py` raises them, chained to the transport's own error; only `engine/loops.py` and the retry loops
of informer and follower decide by them. Odd *content* is no error: `core/parse.py` returns a value for it.
"""


class KubeError(Exception):
    """Any failure of a call to the API server."""

    code = 0
    """HTTP status, 0 if there was none."""


class NotFound(KubeError):  # noqa: N818 — named by what it means, as HTTP does
    """404."""

    code = 404


class Conflict(KubeError):  # noqa: N818 — as above
    """409 for a write: the resourceVersion that it was based on is not the newest."""

    code = 409


class AlreadyExists(KubeError):  # noqa: N818 — as above
    """409 for a create."""

    code = 409


class Expired(KubeError):  # noqa: N818 — as above
    """410, as a status or inside a watch."""

    code = 410


class Throttled(KubeError):  # noqa: N818 — as above
    """429, or a 5xx that says when to come again. `after`: seconds."""

    code = 429

    def __init__(self, message: str, after: float) -> None:
        super().__init__(message)
        self.after = after


class Unavailable(KubeError):  # noqa: N818 — as above
    """5xx, a timeout, a broken connection, a strange answer. A write may have been applied."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class Refused(KubeError):  # noqa: N818 — as above
    """Any other 4xx. `reason` is Kubernetes' word for it (Forbidden, Invalid …)."""

    def __init__(self, message: str, code: int, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class TooLarge(Refused):
    """The object would have more annotations, or would be larger, than the API server or etcd takes."""


class NoLog(KubeError):  # noqa: N818 — as above
    """A log that can't be read."""


class NotStarted(NoLog):
    """400 for a log: the container is waiting to start."""

    code = 400


class LogGone(NoLog):
    """The kubelet says that it can't retrieve the log: final only if the container has ended."""

    code = 404


class PodGone(LogGone):
    """The API server says that there is no such pod."""
