"""The values that made a card, over time: each with its course in the recorded chart and the limit of its rule."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.call.prefetch.facts import recorded_resources
from cds_hooks.evidence.storage.decision import Decision, RecordUnavailable
from cds_hooks.evidence.storage.queries import charts_of, facts_of
from cds_hooks.people.pages.explain.recorded_decision import Input, ReadableCard
from cds_hooks.people.web.charts import Scale, with_ticks
from cds_hooks.people.web.numbers import format_quantity, format_unit, format_value
from fhir.record.datatypes import parse_time
from fhir.terminology.analytes import ANALYTE_BY_CODE

_UNREADABLE: Final = "The recorded chart of this decision cannot be read, so its values are not shown over time."
_MOST_COURSES: Final = 4
_MOST_POINTS: Final = 40
_STEPS: Final = (1, 3, 6, 12, 24, 60, 120)
"""Months from tick to tick."""
_COMPARISONS: Final = {"lt": "under", "le": "up to", "gt": "over", "ge": "from"}
_MONTH: Final = 30.44


class Limit(Struct, frozen=True):
    """A limit that the rule names, its place in percent of the height, and its words."""

    y: float
    words: str


class Course(Struct, frozen=True):
    """One value over time: its points in percent of width and height, the last one is what the card says."""

    title: str
    words: str
    points: tuple[tuple[float, float], ...]
    newest: str
    date: str
    limits: tuple[Limit, ...]


class Timeline(Struct, frozen=True):
    """The courses of one decision on one scale of time, in months before the decision; else why there is none."""

    scale: Scale
    courses: tuple[Course, ...] = ()
    note: str = ""


class _Asked(Struct, frozen=True):
    """A value that the card rests on: the Observation it is from, and the limits of the rule, by comparison."""

    title: str
    source: str
    limits: tuple[tuple[str, float], ...] = ()
    least: int = 1


def read_timeline(
    url: str, decision: Decision, cards: Sequence[ReadableCard], inputs: Iterable[Input]
) -> Timeline | None:
    """Return the courses of the values behind the cards; None where none is of a recorded result with a number."""
    try:
        results = recorded_results(url, decision)
    except (RecordUnavailable, msgspec.MsgspecError):
        return Timeline(Scale(-1, 0), note=_UNREADABLE)
    at = datetime.fromtimestamp(decision.decided_at / 1e6, UTC)
    courses: dict[str, tuple[_Asked, list[tuple[datetime, float, str]]]] = {}
    for asked in (*_of_cards(cards, results), *_of_inputs(inputs)):
        values = course_of(results, asked.source)
        if len(values) >= asked.least and asked.title not in courses:
            courses[asked.title] = (asked, values)
    shown = list(courses.values())[:_MOST_COURSES]
    if not shown:
        return None
    first = min(values[0][0] for _, values in shown)
    scale = _months(max((at - first).days / _MONTH, 1.0))
    return Timeline(scale, tuple(_drawn(asked, values, scale, at) for asked, values in shown))


def recorded_results(url: str, decision: Decision) -> Mapping[str, Any]:
    """Return the Observations of the chart that was recorded with a decision, by reference; none where none was.

    Raises:
        RecordUnavailable, msgspec.MsgspecError: the chart is recorded and cannot be read.
    """
    facts, charts = facts_of(url, [decision.id]), charts_of(url, [decision.id])
    if decision.id not in facts or charts.get(decision.id) is None:
        return {}
    at = datetime.fromtimestamp(decision.decided_at / 1e6, UTC)
    resources = recorded_resources(facts[decision.id], charts[decision.id], decision.patient, at)
    return {f"Observation/{item['id']}": item for item in resources if item.get("resourceType") == "Observation"}


def course_of(results: Mapping[str, Any], source: str) -> list[tuple[datetime, float, str]]:
    """Return time, value and unit of each result of the same code and unit up to this one, the oldest first."""
    newest = results.get(source)
    if newest is None or (read := _read(newest)) is None:
        return []
    codes = _codes(newest)
    same = [_read(result) for result in results.values() if not codes.isdisjoint(_codes(result))]
    return sorted(value for value in same if value is not None and value[2] == read[2] and value[0] <= read[0])


def _read(result: Mapping[str, Any]) -> tuple[datetime, float, str] | None:
    quantity, effective = result.get("valueQuantity") or {}, result.get("effectiveDateTime")
    time = parse_time(effective) if isinstance(effective, str) else None
    value = quantity.get("value")
    if time is None or not isinstance(value, int | float) or quantity.get("comparator"):
        return None  # "over 90" is no point of a line
    return (
        datetime.fromtimestamp(time.instant, UTC),
        float(value),
        str(quantity.get("unit") or quantity.get("code") or ""),
    )


def _codes(result: Mapping[str, Any]) -> set[str]:
    return {str(coding.get("code")) for coding in (result.get("code") or {}).get("coding", ()) if coding.get("code")}


def _words(result: Mapping[str, Any]) -> str:
    code = result.get("code") or {}
    return code.get("text") or next(
        (str(coding["display"]) for coding in code.get("coding", ()) if "display" in coding), "Result"
    )


def _of_cards(cards: Iterable[ReadableCard], results: Mapping[str, Any]) -> Iterator[_Asked]:
    """Yield the results behind the facts of the cards, with the limits of the bands that were met.

    A fact may be worked out from a result that measures something else, as an eGFR from a creatinine: the course is
    that of the result under its own name, and the limits of the fact are not drawn in it.
    """
    versions = all_rule_versions()
    for card in cards:
        bands = [
            band
            for finding in card.findings
            if finding.rule in versions
            for band in versions[finding.rule].rule.bands
            if band.id == finding.band
        ]
        for fact in card.facts:
            if fact.source is not None and fact.source in results:
                result = results[fact.source]
                analyte = next((ANALYTE_BY_CODE[code] for code in _codes(result) if code in ANALYTE_BY_CODE), None)
                is_measured = analyte is not None and analyte.key == fact.name
                limits = [limit for band in bands for limit in _limits(band.when, fact.name) if is_measured]
                yield _Asked(analyte.words if analyte else _words(result), fact.source, tuple(limits))


def _limits(condition: Any, name: str) -> Iterator[tuple[str, float]]:
    """Yield the comparisons with numbers of a band's condition about the fact of this name."""
    if isinstance(condition, list):
        for part in condition:
            yield from _limits(part, name)
    elif isinstance(condition, dict):
        is_about = any(isinstance(value, str) and value.startswith(name) for value in condition.values())
        for key, value in condition.items():
            if is_about and key in _COMPARISONS and isinstance(value, int | float):
                yield key, float(value)
            elif isinstance(value, dict | list):
                yield from _limits(value, name)


def _of_inputs(inputs: Iterable[Input]) -> Iterator[_Asked]:
    """Yield the inputs that move the estimate most, where the chart has more than one value of them."""
    for item in sorted(inputs, key=lambda item: -abs(item.contribution)):
        if item.has_value and item.source.startswith("Observation/"):
            yield _Asked(item.words, item.source, least=2)


def _months(most: float) -> Scale:
    """Return the scale of so many months up to the decision, with ticks at round numbers of months or years."""
    step = next((step for step in _STEPS if most <= 4 * step), _STEPS[-1])
    high = step * -(-most // step)
    labels = {-float(months): _ago(months) for months in range(int(high), -1, -step)}
    return with_ticks(Scale(-high, 0), labels)


def _ago(months: int) -> str:
    return "call" if not months else f"−{months // 12} y" if months % 12 == 0 else f"−{months} mo"


def _drawn(asked: _Asked, values: list[tuple[datetime, float, str]], scale: Scale, at: datetime) -> Course:
    values = values[-_MOST_POINTS:]
    numbers = [value for _, value, _ in values] + [limit for _, limit in asked.limits]
    low, high = min(numbers), max(numbers)
    room = (high - low) / 6 or abs(high) / 6 or 1.0
    height = Scale(low - room, high + room)
    when, newest, unit = values[-1]
    words = " → ".join(format_value(value) for _, value, _ in values[-4:])
    return Course(
        asked.title,
        f"{words} {format_unit(unit)}",
        tuple((scale.at(-(at - moment).days / _MONTH), 100 - height.at(value)) for moment, value, _ in values),
        format_quantity(newest, unit),
        when.date().isoformat(),
        tuple(Limit(100 - height.at(limit), f"{_COMPARISONS[key]} {limit:g}") for key, limit in asked.limits),
    )
