"""Forecasts with the time left: a queue that reaches its bound, a full disk, a certificate or a dated table that ends.

Only a steady rise is continued (Mann and Kendall's count of rising pairs, the slope of Theil and Sen).
"""

import shutil
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Final

from msgspec import Struct

from cards.dated import ending
from cds_hooks.events.declaration import Declaration, MllpFeed
from cds_hooks.events.inbox import BUCKET_SECONDS, Inbox
from models_onnx.monitoring.today import hours_to

SERVER: Final = "this server"
"""The name under which the server counts about itself, among the feeds."""
QUEUE: Final = "queue"
USED: Final = "disk-used"
_POINTS: Final = 6
_STEPS_OF: Final = {QUEUE: 1, USED: 12}
"""Between two points of the queue lie five minutes, of the disk an hour."""
_AHEAD_HOURS: Final = {QUEUE: 2.0, USED: 72.0}
_AHEAD_DAYS: Final = 30


class Forecast(Struct, frozen=True):
    """What will be reached, in a sentence, and in how many hours."""

    text: str
    hours: float


def measure(declaration: Declaration, depth: int) -> dict[str, float]:
    """Return what is kept of a step for forecasts: the messages that wait, and the bytes in use on the disk."""
    return {QUEUE: float(depth), USED: float(shutil.disk_usage(declaration.file.parent).used)}


def forecasts(inbox: Inbox, declaration: Declaration, now: float) -> list[Forecast]:
    """Return what will be reached, the nearest first."""
    disk = shutil.disk_usage(declaration.file.parent)
    limits = {
        QUEUE: (float(declaration.queue), "The queue of messages that wait to be stored reaches its bound"),
        USED: (float(disk.used + disk.free), "The disk of the inbox is full"),
    }
    rising = [_rising(inbox, name, limit, text, now) for name, (limit, text) in limits.items()]
    certificates = [_certificate(feed, now) for feed in declaration.feed.values() if isinstance(feed, MllpFeed)]
    expected = [forecast for forecast in rising + certificates if forecast is not None] + _tables(now)
    return sorted(expected, key=lambda forecast: forecast.hours)


def _rising(inbox: Inbox, name: str, limit: float, text: str, now: float) -> Forecast | None:
    apart, end = _STEPS_OF[name], int(now // BUCKET_SECONDS)
    rows = dict(
        inbox.query(
            "SELECT bucket, count FROM counts WHERE feed = ? AND name = ? AND bucket >= ?",
            (SERVER, name, end - apart * (_POINTS + 1)),
        )
    )
    newest = max(rows, default=end)
    points = [rows.get(newest - apart * back) for back in reversed(range(_POINTS))]
    steps = hours_to(limit, points)
    hours = steps * apart / 12 if steps is not None else None
    if hours is None or hours > _AHEAD_HOURS[name]:
        return None
    return Forecast(f"{text} in {_duration(hours)} at this pace.", hours)


def _certificate(feed: MllpFeed, now: float) -> Forecast | None:
    if feed.tls is None:
        return None
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(Path(feed.tls.certificate).read_bytes())
    hours = (certificate.not_valid_after_utc - datetime.fromtimestamp(now, UTC)).total_seconds() / 3600
    if hours > 24 * _AHEAD_DAYS:
        return None
    text = f"ends in {_duration(hours)}" if hours > 0 else "has ended: senders cannot connect"
    return Forecast(f"The certificate of the feed {feed.name} {text}.", hours)


def _tables(now: float) -> list[Forecast]:
    """Return the dated tables that end within 30 days; those that have ended are tasks of the operators' page."""
    today = datetime.fromtimestamp(now, UTC)
    ahead = [table for table in ending(today.date()) if table.ends >= today.date()]
    return [
        Forecast(
            table.sentence(today.date()),
            (datetime.combine(table.ends, time.max, UTC) - today).total_seconds() / 3600,
        )
        for table in ahead
    ]


def _duration(hours: float) -> str:
    if hours >= 48:
        return f"{hours / 24:.0f} days"
    return f"{hours:.0f} hours" if hours >= 2 else f"{60 * hours:.0f} minutes"
