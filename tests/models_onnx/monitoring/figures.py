"""All figures of three windows after four weeks of days that are alike, as a text: the same days, others, broken ones.

python -m tests.models_onnx.monitoring.figures --write    # review the difference before you commit it
"""

import sys
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.figure import incidents
from models_onnx.monitoring.judging import Compared
from models_onnx.monitoring.sketch import Sketch, bucket_of
from tests.conftest import ROOT

PINNED = ROOT / "tests" / "cases" / "monitoring_figures.txt"
_FIRST = date(2026, 8, 31)
"""A Monday."""
_HOURS = dict.fromkeys(range(8, 18), 60)


def sketch_of(values: Iterable[float]) -> Sketch:
    """The sketch in which these values are counted."""
    return Counter(map(bucket_of, values))


def _spread(middle: float, width: float, times: int) -> dict[int, int]:
    """Return values around a middle in steps, most of them near it."""
    counts: dict[int, int] = {}
    for step in range(-6, 7):
        bucket = bucket_of(middle + step * width / 3)
        counts[bucket] = counts.get(bucket, 0) + round(times * (7 - abs(step)) / 49)
    return counts


def _day(calls: int = 600, factor: float = 1.0, broken: float = 0.0, days_old: float = 10.0) -> DayCounts:
    """Return a day: `factor` moves what was measured, `broken` is the share of calls in which something fails."""
    gone = round(broken * calls)
    hours = {hour: round(count * calls / 600) for hour, count in _HOURS.items() if not (broken and hour == 13)}
    sexes = {"creatinine_mg_dl men": 1.1, "creatinine_mg_dl women": 0.8}
    if broken:
        sexes = {"creatinine_mg_dl men": 0.8, "creatinine_mg_dl women": 1.1}
    groups = {"all": 1.0, "men": 1.1, "women": 0.9}
    return DayCounts(
        calls=calls,
        with_cards=round(calls * (0.2 + 0.4 * broken)),
        errors=1 + gone,
        hours=hours,
        keys={"labs given": calls - gone, "patient given": calls},
        rules={"ddi": calls // 10} if not broken else {"renal": calls // 2 + 1},
        missing={"creatinine_mg_dl absent": 10 + gone, "sbp_mmhg future": gone // 5},
        features={
            "creatinine_mg_dl": _spread(1.0 * factor, 0.2 * factor, calls - 10 - gone),
            "sbp_mmhg": _spread(130 * factor, 15, calls - gone),
            "age_years": _spread(66, 8 if not broken else 12, calls),
            "sex_male": {bucket_of(1.0): round(calls * (0.5 + 0.2 * broken)), bucket_of(0.0): round(calls * 0.5)},
        },
        ages={"creatinine_mg_dl": _spread(days_old, 3, calls), "sbp_mmhg": _spread(days_old / 2, 1, calls)},
        by_sex={name: _spread(middle, 0.15, calls // 2) for name, middle in sexes.items()},
        scores={f"model@1 {group}": _spread(0.3 * share * factor, 0.05, calls // 2) for group, share in groups.items()},
        milliseconds=_spread(12 * (1 + 6 * broken), 2, calls),
        accepted=round(calls * 0.1 * (1 - broken)),
        overridden=round(calls * 0.05 * (1 + 20 * broken)),
        hour_errors=dict.fromkeys(hours, gone // 4),
        hour_milliseconds={hour: _spread(12 * (1 + 6 * broken), 2, count) for hour, count in hours.items()},
        answers={"ddi accepted": calls // 20, "ddi overridden": calls // 5},
        answer_reasons={"ddi patient-ineligible": calls // 8, "ddi benefit": calls // 30},
        orders={"ddi changed": calls // 25, "ddi kept": calls // 40},
        repeated=gone // 3,
        behind=gone // 10,
        answer_seconds=_spread(60 + 900 * broken, 20, calls // 3),
    )


def _compared(window: list[DayCounts], at: datetime | None = None, weeks: int = 4) -> Compared:
    """Return a window after so many weeks in which half as many calls came on weekends, and more each week."""
    reference = {
        _FIRST + timedelta(days=28 - place): _day(600 - place if (28 - place) % 7 < 5 else 300)
        for place in range(7 * weeks, 0, -1)
    }
    days = {_FIRST + timedelta(days=28 + place): day for place, day in enumerate(window)}
    return Compared("ehr", "follow-up", days, reference, at)


def text() -> str:
    """Return the figures of each window, those to look at first."""
    windows = {
        "the same": _compared([_day(), _day()]),
        "a little else": _compared([_day(500, 1.3), _day(400, 1.3, 0.03, 16.0)]),
        "broken": _compared([_day(900, 2.2, 0.3, 30.0), _day(250, 2.2, 0.5, 30.0)]),
        "at noon": _compared([_day(), _day(350, 1.0, 0.1)], datetime(2026, 9, 29, 13, 20, tzinfo=UTC)),
        "a few": _compared([_day(30)]),
        "after one week": _compared([_day(900, 1.1), _day(500, 0.9)], weeks=1),
        "slowly more": _compared([_day(600, 1.0 + 0.04 * place, 0.01 * place) for place in range(5)]),
    }
    return "\n".join(
        line
        for name, compared in windows.items()
        for line in (
            f"# {name}",
            *(
                f"{figure.state} | {figure.family}, {figure.subject} | {figure.n} of {figure.minimum} | "
                f"{_number(figure.value)} | {_number(figure.before)} | {figure.text}"
                for figure in compared.figures()
            ),
            *(f"incident of {incident.family}: {incident.text}" for incident in incidents(compared.figures())),
            "",
        )
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"


if __name__ == "__main__" and "--write" in sys.argv:
    PINNED.write_text(text(), encoding="utf-8")
