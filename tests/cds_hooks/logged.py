"""The lines of the operational log that are written meanwhile."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

from cds_hooks.telemetry.logs import configure_logs


class _Lines(StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def write(self, text: str) -> int:
        self.lines.append(json.loads(text))
        return len(text)


@contextmanager
def capture_logs() -> Iterator[list[dict[str, Any]]]:
    """The lines, as they are written."""
    stream = _Lines()
    configure_logs("info", stream)
    try:
        yield stream.lines
    finally:
        configure_logs("info")
