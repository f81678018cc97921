"""Counts a decision and a piece of feedback: what monitoring keeps of them."""

from collections import OrderedDict
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from cds_hooks.monitor.postings import names_of, plain_subject
from cds_hooks.storage.decision import Decision
from cds_hooks.storage.queries import cards_of, severities_of
from models_onnx.monitoring.day import DIFFER_BY_SEX, DayCounts, count, count_need, groups_of, sketch_value
from models_onnx.monitoring.sketch import bucket_of, log_odds_bucket

_DAY_SECONDS: Final = 86_400.0
_SECOND: Final = 1_000_000
_REPEATED_SECONDS: Final = 5
"""Two calls about one patient within so many seconds are one that came twice, whatever their hook instance."""
_APART_SECONDS: Final = 300
"""So far the clocks of machines may differ; as for values that are dated in the future."""
_MOST_CALLS: Final = 20_000
_STRATUM: Final = 25
"""Buckets of log-odds in a stratum of the label-choice audit: half a unit of log-odds."""
Evidence = tuple[float, str | None, str | None]


class _Basis(Struct):
    as_of: str = ""
    features: dict[str, Evidence] = {}
    missing: dict[str, str] = {}
    timings: dict[str, float] = {}
    prefetch: dict[str, Any] = {}
    """The state of each key: a word, or an object with the reason beside it (docs/operations/evidence.md)."""
    scores: dict[str, Any] = {}
    groups: tuple[str, ...] = ()
    silence: list[tuple[str, str, str]] = []


_basis: Final = msgspec.json.Decoder(_Basis)


def count_decision(day: DayCounts, decision: Decision) -> set[str]:
    """Add a decision to its day, and return the names under which it is found (postings.py).

    Where its basis is not readable as one, only the call is counted, and that it could not be counted further.
    """
    day.calls += 1
    day.with_cards += decision.outcome == "cards"
    day.errors += decision.outcome == "error"
    hour = decision.decided_at // 3_600_000_000 % 24
    day.hours[hour] = day.hours.get(hour, 0) + 1
    if decision.outcome == "error":
        day.hour_errors[hour] = day.hour_errors.get(hour, 0) + 1
    plain = (decision.service, decision.client, decision.outcome)
    try:
        basis = _basis.decode(decision.basis)
        cards = cards_of(decision)
    except msgspec.DecodeError:
        day.uncounted += 1
        return names_of(*plain, (), ())
    silences = {(plain_subject(subject), reason) for subject, reason, _ in basis.silence}
    for subject, reason in silences:
        count(day.silences, f"{subject} {reason}")
        if decision.outcome == "error":
            count(day.classes, reason)
    for key, state in basis.prefetch.items():
        count(day.keys, f"{key} {state['state'] if isinstance(state, dict) else state}")
    _count_times(day, hour, basis.timings)
    _count_inputs(day, basis)
    rules = {rule for card in cards for rule in card}
    day.cards += len(cards)
    for rule in rules:
        count(day.rules, rule)
    return names_of(*plain, rules, silences, severities_of(decision))


class CallOrder:
    """Counts what shows only beside the decisions before: calls that came twice, and clocks that disagree.

    It keeps who called about whom for one reading of the record, in memory, and nothing of it is written.
    """

    def __init__(self) -> None:
        self._latest = 0
        self._calls: OrderedDict[int, int] = OrderedDict()  # by hash, so that no long id takes more memory

    def note(self, day: DayCounts, decision: Decision) -> None:
        """Take the next decision in the order of the record."""
        at, caller = decision.decided_at, (decision.client, decision.service)
        day.behind += at < self._latest - _APART_SECONDS * _SECOND
        self._latest = max(self._latest, at)
        same_call, about = hash((*caller, decision.hook_instance)), hash((*caller, "", decision.patient))
        before = self._calls.get(about)
        is_soon = before is not None and abs(at - before) <= _REPEATED_SECONDS * _SECOND
        day.repeated += is_soon or (bool(decision.hook_instance) and same_call in self._calls)
        for key in (same_call, about):
            self._calls.pop(key, None)
            self._calls[key] = at
        while len(self._calls) > _MOST_CALLS:
            self._calls.popitem(last=False)


def _count_times(day: DayCounts, hour: int, timings: dict[str, float]) -> None:
    if not timings:
        return
    bucket = bucket_of(sum(timings.values()))
    day.milliseconds[bucket] = day.milliseconds.get(bucket, 0) + 1
    in_hour = day.hour_milliseconds.setdefault(hour, {})
    in_hour[bucket] = in_hour.get(bucket, 0) + 1
    for stage, milliseconds in timings.items():
        sketch_value(day.stages, stage, milliseconds)


def _count_inputs(day: DayCounts, basis: _Basis) -> None:
    as_of = _instant(basis.as_of)
    values = {name: evidence[0] for name, evidence in basis.features.items()}
    for name, (value, effective, _) in basis.features.items():
        sketch_value(day.features, name, value)
        at = _instant(effective)
        if as_of is not None and at is not None:
            sketch_value(day.ages, name, max(0.0, (as_of - at).total_seconds() / _DAY_SECONDS))
    if (sex := values.get("sex_male")) is not None:
        for name in DIFFER_BY_SEX:
            if name in values:
                sketch_value(day.by_sex, f"{name} {'men' if sex else 'women'}", values[name])
    for name, reason in basis.missing.items():
        count(day.missing, f"{name} {reason}")
    score = basis.scores.get("probability", basis.scores.get("value"))
    if isinstance(score, int | float):
        model = f"{basis.scores.get('id', 'score')}@{basis.scores.get('version', '')}"
        conditions = _conditions_of(values) if "probability" in basis.scores else []
        for group in groups_of(values, basis.groups):
            sketch_value(day.scores, f"{model} {group}", float(score))
            if conditions:
                count_need(day.needs, f"{model} {group}", log_odds_bucket(float(score)) // _STRATUM, sum(conditions))


def _conditions_of(values: dict[str, float]) -> list[float]:
    """Return the inputs that say whether the patient has an illness: what the label-choice audit counts as need."""
    # imported with the first estimate that is counted: a report that counts nothing new need not load it
    from fhir.mapping.features.catalog import FEATURES
    from fhir.mapping.features.conditions import HasCondition
    from fhir.mapping.features.stays import StayDiagnosis

    return [value for name, value in values.items() if isinstance(FEATURES.get(name), HasCondition | StayDiagnosis)]


def count_feedback(
    day: DayCounts, outcome: str, reason: str | None, rules: Collection[str] = (), seconds: float | None = None
) -> None:
    """Add a clinician's answer, with the code of the reason where the card was overridden.

    `rules`: those whose findings the card shows, for which the answer is counted too. `seconds`: how long after it was
    given, by the client's clock, the answer arrived; None where the client named no instant.
    """
    if seconds is not None:
        bucket = bucket_of(seconds)
        day.answer_seconds[bucket] = day.answer_seconds.get(bucket, 0) + 1
    for rule in rules:
        count(day.answers, f"{rule} {outcome}")
        if outcome != "accepted":
            count(day.answer_reasons, f"{rule} {reason or 'no reason'}")
    if outcome == "accepted":
        day.accepted += 1
        return
    day.overridden += 1
    count(day.reasons, reason or "no reason")


def seconds_under_way(given: str, received: int) -> float | None:
    """Seconds from the instant that a client names to `received` (microseconds since 1970); None where it names none.

    A text without a time and its zone names no instant.
    """
    if "T" not in given:
        return None
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        return None
    return received / _SECOND - at.timestamp() if at.tzinfo is not None else None


def _instant(text: str | None) -> datetime | None:
    """Return the instant of an ISO 8601 text; of a day its beginning in UTC, None for a part of a date or no date."""
    try:
        instant = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return instant.replace(tzinfo=UTC) if instant is not None and instant.tzinfo is None else instant
