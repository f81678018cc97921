"""The days of a window against the days before: shares of calls, values and cards, by SQL over the record's rows.

Windows grow until there is enough to judge, to four times their days. The reference of a figure with an open incident
stays that of the day on which the incident began, so that no alarm ends because its fault became the reference.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from importlib.resources import files
from typing import Any, Final

from msgspec.structs import replace

from cds_hooks.evidence.monitor.rows import RecordRows
from cds_hooks.evidence.monitor.window import GROWS, Window
from models_onnx.monitoring.figure import SCORES, Figure, Key, State
from models_onnx.monitoring.shares import Limits, compare

GROUPS, _SHARES = (
    (files("cds_hooks.evidence.monitor") / name).read_text(encoding="utf-8") for name in ("groups.sql", "shares.sql")
)
_CALLS: Final = Limits(0.03, 0.10, 0.10, 200, 50, both_ways=False)
_RARE: Final = Limits(0.005, 0.02, 0.05, 200, 50, both_ways=False)
_VALUES: Final = Limits(0.05, 0.10, 0.25, 100, 20)
_GROUP: Final = Limits(0.05, 0.10, 1.1, 100, 100)
_LIMITS: Final[tuple[tuple[str, str, str, Limits, str], ...]] = (
    ("errors", "calls", "failed", _CALLS, "{now} in 100 calls{day} failed, {before} before"),
    ("calls", "repeated calls", "came twice", _CALLS, "{now} in 100 calls{day} came twice, {before} before"),
    ("calls", "clocks of the machines", "dated before an earlier one", _RARE,
     "{now} in 100 calls{day} are dated over 5 minutes before a call that was recorded earlier, {before} before; "
     "check the clocks of the machines"),
    ("calls", "clocks of the values", "had a value of the future", _RARE,
     "in {now} of 100 calls{day} an input was refused because it is dated in the future, {before} before"),
    ("alerts", "rate of cards", "card", Limits(0.05, 0.10, 0.10, 100, 50),
     "{now} in 100 calls{day} had a card, {before} before"),
    ("prefetch", "", "not given", _CALLS,
     "{now} in 100 calls{day} came without the prefetch key {about}, {before} before"),
    ("missing", "", "missing", _CALLS, "{now} in 100 calls{day} had no usable {about}, {before} before"),
    ("drift", "range of ", "outside", Limits(0.005, 0.01, 0.05, 100, 50, both_ways=False),
     "{now} in 100 values of {about}{day} lie far outside all values before; another unit may be sent"),
    ("drift", "decimals of ", "", _VALUES,
     "{size} in 100 values of {about}{day} have another number of decimals than before"),
    ("drift", "age of ", "", _VALUES, "{size} in 100 values of {about}{day} have another age than before{medians}"),
    ("drift", "", "", _VALUES, "{size} in 100 values of {subject}{day} differ from before{medians}"),
)  # fmt: skip
"""Family, how the subject begins, the category that is watched, limits and sentence; the first that fits counts."""


_SPAN: Final = """
CREATE OR REPLACE TEMP TABLE span AS
SELECT *, decided_at::DATE AS day, hour(decided_at) AS hour, decided_at::DATE >= $start AS is_now,
       coalesce(decided_at - lag(decided_at) OVER (PARTITION BY client, service, patient ORDER BY decided_at)
                <= INTERVAL 5 SECOND, false)
       OR (hook_instance IS NOT NULL AND row_number() OVER
           (PARTITION BY client, service, patient, hook_instance ORDER BY sequence) > 1) AS is_repeated,
       coalesce(decided_at < max(decided_at) OVER (ORDER BY sequence ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                - INTERVAL 5 MINUTE, false) AS is_behind
FROM calls
WHERE decided_at::DATE BETWEEN $first AND $last AND decided_at <= coalesce($until, decided_at)
"""
Days = dict[date, list[int]]


def change_figures(rows: RecordRows, window: Window) -> list[Figure]:
    """Return what calls, errors, prefetch keys, inputs, scores and cards of the window are against the days before."""
    connection = rows.connection
    connection.execute("CREATE OR REPLACE TEMP TABLE lost (client VARCHAR, service VARCHAR, name VARCHAR)")
    _make_span(connection, window)
    connection.execute(GROUPS)
    connection.execute(_SHARES)
    figures = list(_judged(connection, window))
    lost = [(f.client, f.service, f.about) for f in figures if f.family == "prefetch" and f.state == "act"]
    if lost:
        connection.executemany("INSERT INTO lost VALUES (?, ?, ?)", lost)
        connection.execute(_SHARES)
        figures = list(_judged(connection, window))
    return figures


def _make_span(connection: Any, window: Window) -> None:
    until = window.at.replace(tzinfo=None) if window.at is not None else None
    connection.execute(
        _SPAN,
        {"start": window.start, "first": window.first, "last": window.last, "until": until},
    )


def _judged(connection: Any, window: Window) -> Iterator[Figure]:
    tables: dict[Key, dict[date, dict[str, int]]] = {}
    for *of, day, category, n in connection.execute("SELECT * FROM shares").fetchall():
        of_day = tables.setdefault((of[0], of[1], of[2], of[3], of[4]), {}).setdefault(day, {})
        of_day[category] = n
    comparisons = defaultdict[tuple[str, str], int](int)
    for key in tables:
        comparisons[key[0], key[3]] += 1
    medians = _medians(connection)
    for key, by_day in tables.items():
        yield from _figure(key, by_day, window, comparisons[key[0], key[3]], medians)


def _figure(
    key: Key, by_day: Mapping[date, Mapping[str, int]], window: Window, comparisons: int, medians: Mapping[Any, Any]
) -> Iterator[Figure]:
    client, service, site, family, subject = key
    _, begins, watched, limits, sentence = next(
        row for row in _LIMITS if row[0] == family and subject.startswith(row[1])
    )
    about = _about(family, subject, begins)
    limits = replace(limits, watched=watched)
    if ", " in subject:
        limits = _GROUP
    categories = sorted({category for day in by_day.values() for category in day})
    counts = {day: [of_day.get(category, 0) for category in categories] for day, of_day in by_day.items()}
    now, before = split(counts, key, window, limits.fewest)
    change = compare(now, before, categories, limits, comparisons)
    value = change.now if watched else change.size
    if change.state == "insufficient":
        text = f"{service}, {subject}: {change.n:,} counted, {limits.fewest:,} are needed"
    else:
        text = f"{service}: " + sentence.format(
            now=f"{100 * change.now:.1f}", before=f"{100 * change.before:.1f}", size=f"{100 * change.size:.0f}",
            day=f" on {change.day:%A}, {change.day}," if change.day else "", about=about, subject=subject,
            medians=_median_words(medians.get((client, service, site, subject))),
        )  # fmt: skip
    where = f" ({site})" if site else ""
    measured = value if change.state != "insufficient" else None
    before_share = change.before if watched and measured is not None else None
    yield Figure(client, service, family, subject, change.state, change.n, limits.fewest, measured,  # type: ignore[arg-type]
                 before_share, f"{text}{where}.", site, about)  # fmt: skip
    pair = medians.get((client, service, site, subject))
    if family == "drift" and about == subject and measured is not None and pair is not None and None not in pair:
        yield _unit(key, change.state, change.n, *pair)


def _unit(key: Key, moved: State, n: int, median: float, before: float) -> Figure:
    """Return whether an input comes in another unit: its median is at most half or at least twice that of before."""
    client, service, site, _, name = key
    ratio = median / before if before else 1.0
    state: State = "act" if moved == "act" and not 0.5 <= ratio <= 2 else "good"
    words = f"the median of {name} is {median:.4g}, {before:.4g} before"
    text = f"{service}: {words}{'; another unit may be sent' if state == 'act' else ''}."
    subject, fewest = f"unit of {name}", _VALUES.fewest
    return Figure(client, service, "drift", subject, state, n, fewest, median, before, text, site, name)


def _about(family: str, subject: str, begins: str) -> str:
    if family == "drift":
        name = subject.removeprefix(begins).partition(", ")[0]
        return SCORES if "@" in name else name
    return subject if family in ("prefetch", "missing", "calls") else ""


def split(days: Mapping[date, list[int]], key: Key, window: Window, fewest: int) -> tuple[Days, Days]:
    """Return the days of the window, which grows until `fewest` are counted, and the days before it."""
    start = window.start
    while start > window.start - timedelta(days=window.days * (GROWS - 1)):
        if sum(sum(counts) for day, counts in days.items() if start <= day <= window.last) >= fewest:
            break
        start -= timedelta(days=1)
    begin, end = window.reference(key, start)
    now = {day: counts for day, counts in days.items() if start <= day <= window.last}
    return now, {day: counts for day, counts in days.items() if begin <= day < end}


def _medians(connection: Any) -> dict[tuple[str, str, str, str], tuple[float | None, float | None]]:
    rows = connection.execute(
        "SELECT client, service, part, CASE kind WHEN 'age' THEN 'age of ' ELSE '' END || name, "
        "median(value) FILTER (is_now), median(value) FILTER (NOT is_now), count(DISTINCT value) "
        "FROM scoped JOIN facts USING (sequence) WHERE kind IN ('input', 'age', 'score', 'equation') GROUP BY ALL"
    ).fetchall()
    return {row[:4]: row[4:6] for row in rows if row[6] > 2}


def _median_words(medians: tuple[float | None, float | None] | None) -> str:
    if medians is None or medians[0] is None or medians[1] is None:
        return ""
    return f": the median is {medians[0]:.4g}, {medians[1]:.4g} before"
