"""Relative dates: `"@-45d"` in a sample file becomes the date 45 days before the instant at which it is read.

A placeholder is the whole string: `@`, one or more steps (`-3y`, `-2m`, `-45d`, `+10d`: years, months, days, added up
from the largest to the smallest), then at most one of `T08:30` (an instant, in the offset of `as_of`), `:month` or
`:year` (a date charted to the month or the year only).

    "@-45d"          2026-10-06
    "@-45dT08:30"    2026-10-06T08:30:00+00:00
    "@-78y-40d"      1948-10-11
    "@-6y:year"      2020
    "@-14m:month"    2025-09
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, datetime, timedelta
from typing import Any

_PLACEHOLDER = re.compile(r"@((?:[+-]\d+[ymd])+)(?:T(\d\d):(\d\d)|:(month|year))?")
_STEP = re.compile(r"([+-]\d+)([ymd])")


def place_dates(node: Any, as_of: datetime) -> Any:
    """The same JSON with every placeholder replaced; raises ValueError for a naive `as_of` or a string that only
    looks like a placeholder (a typing error would otherwise reach the reader as a broken date)."""
    if as_of.tzinfo is None:
        raise ValueError("as_of needs an offset: samples carry instants")
    if isinstance(node, dict):
        return {key: place_dates(value, as_of) for key, value in node.items()}
    if isinstance(node, list):
        return [place_dates(value, as_of) for value in node]
    if isinstance(node, str) and node.startswith("@"):
        return _placed(node, as_of)
    return node


def _placed(text: str, as_of: datetime) -> str:
    match = _PLACEHOLDER.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a relative date; see cds_hooks/samples/dates.py for the form")
    steps, hour, minute, precision = match.groups()
    day = _moved(as_of.date(), steps)
    if hour is not None:
        return datetime(day.year, day.month, day.day, int(hour), int(minute), tzinfo=as_of.tzinfo).isoformat()
    return day.isoformat()[: {"year": 4, "month": 7, None: 10}[precision]]


def _moved(day: date, steps: str) -> date:
    amount = dict.fromkeys("ymd", 0)
    for number, unit in _STEP.findall(steps):
        amount[unit] += int(number)
    months = day.year * 12 + day.month - 1 + amount["y"] * 12 + amount["m"]
    year, month = months // 12, months % 12 + 1
    # 31 January minus one month, or 29 February minus a year: the last day of that month
    last = monthrange(year, month)[1]
    return date(year, month, min(day.day, last)) + timedelta(days=amount["d"])
