"""The command `python -m devcluster.messages`: serves until a signal."""

import argparse
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from devcluster.messages.scenarios import PREFIX, SCENARIOS
from devcluster.messages.server import Server

_NAMES = "\n".join(f"  {name:<12}{scenario.about}" for name, scenario in SCENARIOS.items())
DESCRIPTION = f"""A small stand-in of the Messages API. The API key names the scenario that a run goes
through: {PREFIX}NAME or {PREFIX}NAME-NUMBER.

{_NAMES}"""
EXAMPLES = f"""examples:
  python -m devcluster.messages --port 8080

then, in another terminal:
  export ANTHROPIC_BASE_URL=http://127.0.0.1:8080 ANTHROPIC_API_KEY={PREFIX}tools
  claude -p "Do it." --output-format stream-json --verbose
  curl http://127.0.0.1:8080/requests          what was asked
"""


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = argparse.ArgumentParser(
        prog="python -m devcluster.messages",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    made.add_argument("--port", type=int, default=8080, help="0: a free one (default: %(default)s)")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; the exit code."""
    given = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    try:
        with Server(given.host, given.port) as server:
            print(f"listening on {server.url}", flush=True)
            server.serve_forever(poll_interval=0.1)
    except OSError as error:
        where = f"{given.host}:{given.port}"
        print(f"Can't listen on {where}: {error.strerror}. Choose another --host or --port.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _end(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM as Ctrl-C: process 1 of a container has no other way to end."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
