"""What discovery of the measured service lists, and the error of a call that it did not answer."""

from collections.abc import Callable
from typing import Any

CallJson = Callable[[str, str, bytes | None], Any]
"""Method, path and body to the JSON of the answer; raises WrongAnswer when the status is not 200."""


class WrongAnswer(Exception):
    """A call was not answered with 200; the message holds the start of the answer."""


def discover(call: CallJson) -> list[dict[str, Any]]:
    """Return the discovery entries of all services."""
    entries: list[dict[str, Any]] = call("GET", "/cds-services", None)["services"]
    return entries
