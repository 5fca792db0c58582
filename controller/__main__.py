"""`python -m controller`: settings, logging, run the app, exit code.

Exit codes: 0 after SIGTERM or SIGINT, 1 when something ended the controller, 2 for wrong settings.
"""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any, Final

from loguru import logger

from controller import VERSION, app, settings
from controller.core import redaction
from controller.kube import errors
from controller.kube.lease import LeaseLost

_HUMAN: Final = "<green>{time:HH:mm:ss.SSS}</green> <level>{level: <7}</level> {message}"

_HELP: Final = """\
The runherd controller. It takes no arguments: every setting is an environment variable.

examples:
  KUBECONFIG=~/.kube/config python -m controller
  RUNHERD_WATCH_NAMESPACES=agents,ci RUNHERD_LOG_LEVEL=debug python -m controller
  OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 python -m controller
  RUNHERD_CONFIG=runherd.yaml python -m controller
"""


class _ToLoguru(logging.Handler):
    """Messages of libraries go the same way as ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """One message."""
        level = record.levelname if record.levelname in ("DEBUG", "INFO", "WARNING") else "ERROR"
        logger.opt(exception=record.exc_info).log(level, "{}: {}", record.name, record.getMessage())


def _to_json(message: Any) -> None:
    """One object a line, with the few fields that a log store wants."""
    record = message.record
    line = {
        "time": record["time"].astimezone().isoformat(timespec="milliseconds"),
        "level": record["level"].name.lower(),
        "module": record["name"],
        "message": record["message"],
    }
    if record["exception"] is not None:
        line["exception"] = redaction.hidden(str(message).partition("\n")[2].strip())
    sys.stderr.write(json.dumps(line, ensure_ascii=False) + "\n")


def _to_terminal(message: Any) -> None:
    """The same with its colours, if there are any."""
    sys.stderr.write(redaction.hidden(str(message)))


def _without_secrets(record: Any) -> None:
    """Whatever a server or a library says: what looks like a credential is told to nobody."""
    record["message"] = redaction.hidden(record["message"])


def set_up_logging(chosen: settings.Settings) -> None:
    """Human lines on a terminal, JSON elsewhere, unless the setting says which."""
    human = chosen.log_format == "human" or (chosen.log_format == "auto" and sys.stderr.isatty())
    logger.remove()
    logger.configure(patcher=_without_secrets)
    if human:
        logger.add(
            _to_terminal,
            level=chosen.log_level,
            format=_HUMAN,
            colorize=sys.stderr.isatty(),
            diagnose=False,
            backtrace=False,
        )
    else:
        logger.add(_to_json, level=chosen.log_level, format="{message}", diagnose=False, backtrace=False)
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.WARNING, force=True)


def main() -> None:
    """The entry point of the image and of the script `runherd-controller`."""
    parser = argparse.ArgumentParser(
        prog="runherd-controller", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=VERSION)
    parser.parse_args()
    try:
        chosen = settings.load()
    except settings.WrongSettings as error:
        sys.stderr.write(f"runherd can't start, these settings are wrong:\n{error}\n")
        sys.exit(2)
    set_up_logging(chosen)
    sys.exit(_run(chosen))


def _run(chosen: settings.Settings) -> int:
    try:
        asyncio.run(app.run(chosen))
    except errors.KubeError as error:
        logger.error("{}", error)
        return 1
    except OSError as error:
        logger.error("can't listen on the port of RUNHERD_PROBE_PORT: {}", error)
        return 1
    except BaseExceptionGroup as group:
        for cause in _causes(group):
            foreseen = isinstance(cause, (errors.KubeError, LeaseLost))
            told = logger if foreseen else logger.opt(exception=cause)
            told.error("ended by {}: {}", type(cause).__name__, cause)
        return 1
    return 0


def _causes(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """What the tasks died of, however deep in groups."""
    for cause in group.exceptions:
        if isinstance(cause, BaseExceptionGroup):
            yield from _causes(cause)
        else:
            yield cause


if __name__ == "__main__":
    main()
