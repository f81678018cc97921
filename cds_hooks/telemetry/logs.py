"""The operational log: JSON lines of allow-listed fields, so that it cannot hold anything of a patient.

A field that is not in `FIELDS` is dropped before the line is written, and so is a value that is not a number, truth
value or short plain word. Clinical content is in the decision record, which is another place with other doors.
"""

import json
import logging
import re
import select
import sys
from contextlib import suppress
from datetime import UTC, datetime
from traceback import walk_tb
from typing import TextIO

FIELDS = frozenset(
    {
        "event", "level", "timestamp", "service", "hook", "status", "milliseconds", "cards", "silences", "client",
        "reason", "decision", "host", "port", "workers", "services", "models", "profile", "database", "error_type",
        "bytes", "count", "module", "function", "line", "lost", "version", "address", "pid", "trace", "body_scan",
    }
)  # fmt: skip
Value = str | int | float | bool | None
_SILENT = logging.CRITICAL + 1
_PLAIN = re.compile(r"^[A-Za-z0-9 _.,:;/()*+-]{0,120}$")


def is_plain(value: object) -> bool:
    """Return whether a value may stand in the log: a number, a truth value, None or a short plain word."""
    if value is None or isinstance(value, bool | int | float):
        return True
    return isinstance(value, str) and _PLAIN.match(value) is not None


class OperationalLog:
    """Writes one JSON line for each event of at least a level.

    A line that cannot be written is lost: a full disk, or a reader that went away or takes nothing more, must not end
    or hold the calls that log. The next line that is taken says how many were lost; where the disk was full, the few
    that a buffer kept are counted and come all the same.
    """

    def __init__(self, level: int = logging.INFO, stream: TextIO | None = None) -> None:
        """Without a `stream` lines go to what is standard error at the time."""
        self._level = level
        self._stream = stream
        self._lost = 0

    def debug(self, event: str, **fields: Value) -> None:
        """Write a line for whoever looks for a fault."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Value) -> None:
        """Write a line about something that is as it should be."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Value) -> None:
        """Write a line about something that the operator should look at."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Value) -> None:
        """Write a line about something that does not work."""
        self._write(logging.ERROR, event, fields)

    def _write(self, level: int, event: str, fields: dict[str, Value]) -> None:
        if level < self._level:
            return
        timestamp = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        line = {**fields, "event": event, "level": logging.getLevelName(level).lower(), "timestamp": timestamp}
        plain = {name: value for name, value in line.items() if name in FIELDS and is_plain(value)}
        stream = self._stream or sys.stderr
        with suppress(OSError, ValueError):  # ValueError is what a closed stream raises
            if _takes_a_line(stream):
                lost = {"lost": self._lost} if self._lost else {}
                stream.write(json.dumps(plain | lost) + "\n")  # in one piece: two workers' lines would mix
                stream.flush()
                self._lost = 0
                return
        self._lost += 1


def _takes_a_line(stream: TextIO) -> bool:
    """Return whether writing would not wait: a pipe or socket is full where its reader has stopped reading."""
    ready = select.poll()
    try:
        ready.register(stream.fileno(), select.POLLOUT)
    except (OSError, ValueError):  # no file, or a closed one
        return True
    return bool(ready.poll(0))


_log = OperationalLog()


def configure_logs(level: str, stream: TextIO | None = None) -> None:
    """Make `log()` write lines of at least `level` to standard error (or `stream`)."""
    global _log
    for library in ("httpx", "httpcore", "opentelemetry", "urllib3", "aiormq", "aio_pika", "nats"):
        # They write addresses with their queries, and headers: patients' ids and more. That traces cannot be sent is
        # said by otlp.py, and that a broker is away once, by events/brokers.py.
        logging.getLogger(library).setLevel(_SILENT)
    _log = OperationalLog(getattr(logging, level.upper(), logging.INFO), stream)


def log() -> OperationalLog:
    """Return the operational log."""
    return _log


_FLOORS = frozenset({"cds_hooks", "cards", "models_onnx", "fhir"})
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_.]")


def failure_place(error: BaseException) -> dict[str, str | int]:
    """Return module, function and line of the innermost frame of our own code; empty where the error has none.

    Nothing of a patient is in it: all three are names and numbers of the source code.
    """
    location: dict[str, str | int] = {}
    for frame, line in walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] in _FLOORS:
            # the log takes plain words only, and a name may be "Advisor.find.<locals>.<lambda>"
            location = {"module": module, "function": _NOT_PLAIN.sub("", frame.f_code.co_qualname), "line": line}
    return location


def log_failure(event: str, error: BaseException, decision: str, service: str = "", **more: str) -> None:
    """One line of the operational log about an exception that nobody foresaw; `more` are other fields of the log."""
    location = failure_place(error)
    kind = type(error).__name__
    log().error(event, service=service, status=500, decision=decision, error_type=kind, **location, **more)
