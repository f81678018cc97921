"""How long to wait after 429 or 503: as the server asks, and longer each time."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

RETRIED = (429, 503)
_FIRST_SECONDS = 0.05


def seconds_to_wait(headers: Mapping[str, str], attempt: int) -> float:
    """Seconds before the next attempt; `attempt` counts from 0.

    `Retry-After` is a number of seconds, or a date that is compared with the server's own `Date`, so that no clock is
    needed here. Without either: 50 ms, doubled each time.
    """
    at_least = _FIRST_SECONDS * 2.0**attempt
    return max(at_least, _asked_for(headers))


def _asked_for(headers: Mapping[str, str]) -> float:
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return (parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("date", ""))).total_seconds()
    except (ValueError, TypeError):
        return 0.0
