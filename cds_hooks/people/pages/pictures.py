"""Pictures of the last 60 days: calls, cards, acceptance, drift and calibration; a line each, and its values.

In the development profile, where no history is on record, the history is invented, and the page says so.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from math import sin
from random import Random
from typing import Final

from msgspec import Struct

from cds_hooks.evidence.monitor.book import CountBook
from cds_hooks.evidence.monitor.card_counts import SMALLEST_SHOWN
from cds_hooks.evidence.monitor.judging import kept_report
from cds_hooks.evidence.monitor.window import SERIES_DAYS
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.people.pages.record_counts import Counted
from cds_hooks.people.pages.server import PageServer
from cds_hooks.people.web.charts import Scale, round_scale

_TITLES: Final = {
    "calls": "Calls a day",
    "cards": "Cards a day",
    "acceptance": "Answers that accept the card, of 100",
    "drift": "Estimates above the earlier top tenth, of 100 (10: no drift)",
    "calibration": "Observed events for each expected one, by week (1: calibrated)",
}
_OF_MODELS: Final = ("drift", "calibration")
_LEAST_DAYS: Final = 7
Series = Mapping[str, float]
"""By day, as 2026-11-20."""


class Picture(Struct, frozen=True):
    """One line: `points` has the places of its values in percent, from the left and from the top."""

    title: str
    scale: Scale
    points: tuple[tuple[float, float], ...]
    values: tuple[tuple[str, str], ...]
    newest: str

    @property
    def summary(self) -> str:
        """The lowest and highest value in a sentence, for who does not see the line."""
        numbers = [float(value) for _, value in self.values]
        return f"From {min(numbers):g} to {max(numbers):g} in {len(numbers)} values; newest {self.newest}."


class Pictures(Struct, frozen=True):
    """The pictures of a page, and whether they show an invented history."""

    drawn: tuple[Picture, ...]
    is_invented: bool


def pictures(server: PageServer, counted: Callable[[], Counted], *, of_models: bool = False) -> Pictures:
    """Return the pictures of the 60 days up to today, those of the models alone where that is asked for.

    Where what is `counted` cannot be read there is none.
    """
    today = datetime.now(UTC).date()
    try:
        book = counted().book
        series = _of_record(book, today) if book is not None else {}
    except RecordUnavailable:
        return Pictures((), False)
    is_invented = server.site.development and len(series.get("calls", {})) < _LEAST_DAYS
    if is_invented:
        series = invented_history(today)
    names = _OF_MODELS if of_models else tuple(_TITLES)
    drawn = (_picture(_TITLES[name], series[name], today) for name in names if len(series.get(name, {})) > 1)
    return Pictures(tuple(drawn), is_invented)


def _of_record(book: CountBook, today: date) -> dict[str, Series]:
    calls, cards, answers = dict[str, float](), dict[str, float](), dict[str, list[float]]()
    first = today - timedelta(days=SERIES_DAYS - 1)
    for day, kind, name, n in book.totals(("call", "card", "answer"), first, today, "day"):
        if kind == "call":
            calls[day] = calls.get(day, 0) + n
        elif kind == "card":
            cards[day] = n
        elif name.startswith("cards "):
            of_day = answers.setdefault(day, [0, 0])
            of_day[0] += n if name == "cards accepted" else 0
            of_day[1] += n
    kept = kept_report(book)
    shares = {day: round(100 * accepted / n, 1) for day, (accepted, n) in answers.items() if n >= SMALLEST_SHOWN}
    return {"calls": calls, "cards": cards, "acceptance": shares, **(kept.report.series if kept is not None else {})}


def invented_history(today: date) -> dict[str, Series]:
    """Return the 60 days of an invented hospital, always the same: weeks with weekends, estimates that rise late."""
    random = Random(60)  # noqa: S311 - nothing of it is secret
    calls, cards, acceptance, drift = (dict[str, float]() for _ in range(4))
    for number in range(SERIES_DAYS):
        day = today - timedelta(days=SERIES_DAYS - 1 - number)
        name, usual = day.isoformat(), 90 if day.weekday() > 4 else 340
        calls[name] = float(round(usual * (1 + random.uniform(-0.08, 0.08))))
        cards[name] = float(round(calls[name] * random.uniform(0.17, 0.22)))
        acceptance[name] = round(46 + 4 * sin(number / 9) + random.uniform(-3, 3), 1)
        drift[name] = round(10 + max(number - 44, 0) * 0.6 + random.uniform(-1.2, 1.2), 1)
    monday = today - timedelta(days=today.weekday() + 56)
    weeks = [monday + timedelta(days=7 * week) for week in range(8)]
    calibration = {week.isoformat(): round(1 + random.uniform(-0.06, 0.06), 2) for week in weeks}
    return {"calls": calls, "cards": cards, "acceptance": acceptance, "drift": drift, "calibration": calibration}


def _picture(title: str, series: Series, today: date) -> Picture:
    days: Sequence[str] = sorted(series)
    first = min(date.fromisoformat(days[0]), today - timedelta(days=SERIES_DAYS - 1))
    scale, width = round_scale(max(max(series.values()), 1e-9)), max((today - first).days, 1)
    points = tuple(
        (round(100 * (date.fromisoformat(day) - first).days / width, 2), round(100 - scale.at(series[day]), 2))
        for day in days
    )
    values = tuple((day, f"{series[day]:g}") for day in days)
    return Picture(title, scale, points, values, values[-1][1])
