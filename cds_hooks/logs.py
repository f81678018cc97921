"""The operational log: JSON lines of allow-listed fields, so that it cannot hold anything of a patient.

A field that is not in `FIELDS` is dropped before the line is written, and so is a value that is not a number, truth
value or short plain word. Clinical content is in the decision record, which is another place with other doors.
"""

import logging
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:  # loaded with the first line that is logged: commands that read the record log nothing
    from structlog.typing import EventDict, FilteringBoundLogger

FIELDS = frozenset(
    {
        "event", "level", "timestamp", "service", "hook", "status", "milliseconds", "cards", "silences", "client",
        "reason", "decision", "host", "port", "workers", "services", "models", "profile", "database", "error_type",
        "bytes", "count", "module", "function", "line", "version", "address", "pid", "trace",
    }
)  # fmt: skip
_SILENT = logging.CRITICAL + 1
_PLAIN = re.compile(r"^[A-Za-z0-9 _.,:;/()*+-]{0,120}$")


def allow_listed(_logger: Any, _method: str, event: "EventDict") -> "EventDict":
    """Only the fields of `FIELDS`, and only plain values in them."""
    return {name: value for name, value in event.items() if name in FIELDS and is_plain(value)}


def is_plain(value: object) -> bool:
    """Whether a value may stand in the log: a number, a truth value, None or a short plain word."""
    if value is None or isinstance(value, bool | int | float):
        return True
    return isinstance(value, str) and _PLAIN.match(value) is not None


class _UnfailingStream:
    """A stream whose failures stay its own: a full disk or a reader that went away must not end the calls that log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Writes, or loses the line where it cannot be written (ValueError is what a closed stream raises)."""
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        """As `write`."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def configure_logs(level: str, stream: TextIO | None = None) -> None:
    """Makes `log()` write JSON lines of at least `level` to standard error (or `stream`).

    A line that cannot be written is lost; logging never raises on account of its stream.
    """
    import structlog

    for library in ("httpx", "httpcore", "opentelemetry", "urllib3"):
        # They write addresses with their queries, and headers: patients' ids and more. That traces cannot be sent is
        # said by otlp.py.
        logging.getLogger(library).setLevel(_SILENT)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            allow_listed,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper(), logging.INFO)),
        # Not PrintLogger: it writes the line and its end apart, and two workers' lines would mix.
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _UnfailingStream(stream or sys.stderr))),
        cache_logger_on_first_use=False,
    )


def log() -> "FilteringBoundLogger":
    """The operational log."""
    import structlog

    logger: FilteringBoundLogger = structlog.get_logger()
    return logger
