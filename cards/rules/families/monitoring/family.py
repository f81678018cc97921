"""Tests that a drug needs: the placeholders, conditions and corrections that only these rules use."""

import re
from typing import Any

from cards.rules.conditions.condition import TEXT, TEXTS, Condition, Predicate, Spec, Truth, flag, needs, no_facts
from cards.rules.conditions.words.numbers import needs_of_lab
from cards.rules.engine.family import Family, Fill, Placeholder
from cards.rules.language.rule import OrderChange, Sig
from cards.rules.patient.context import RuleContext
from cards.rules.patient.measurements import dated, name_of, why_none
from cards.text import capitalized, format_number, joined
from fhir.record.resources import DiagnosticReport, Observation, Procedure, ServiceRequest

# ASH 2018: up to 12 weeks when stable. Warfarin label 2.2: INR 2 to 3, with a mechanical valve 2.5 to 3.5.
_STABLE_DAYS = 84
_INR_RANGE = (2.0, 3.0)
_INR_RANGE_VALVE = (2.5, 3.5)
_IN_A_ROW = 3
# AAO 2016: 5 mg/kg of real weight; tablets of 200 mg, taken daily or on alternate days.
_MOST_PER_KG = 5.0
_TABLET_MG = 200.0
_MALARIA = re.compile(r"malaria|prophyla", re.IGNORECASE)


def _inr_is_stable(context: RuleContext) -> bool:
    """Whether the last three INRs were in range and the newest is at most 12 weeks old."""
    record = context.session.record
    last = record.measurements("inr")[:_IN_A_ROW]
    low, high = _INR_RANGE_VALVE if context.has_condition("mechanical_valve") else _INR_RANGE
    in_range = len(last) == _IN_A_ROW and all(low <= measurement.value <= high for measurement in last)
    return in_range and last[0].whole_days(record.as_of_epoch) <= _STABLE_DAYS


def _results_known(spec: Spec) -> Predicate:
    """Whether the results of these tests were asked for: where they were not, their absence means nothing."""
    analytes = tuple(spec["results_known"])

    def test(context: RuleContext) -> Truth:
        return all(context.session.record.was_requested(analyte) for analyte in analytes)

    return Predicate(test, no_facts, frozenset(f"lab:{analyte}" for analyte in analytes))


def _test_named(spec: Spec) -> Predicate:
    """Whether a result, report, procedure or order has such a name: a test counts that has no number of ours."""
    words = re.compile(spec["test_named"], re.IGNORECASE)

    def test(context: RuleContext) -> Truth:
        kinds: tuple[Any, ...] = (Observation, DiagnosticReport, Procedure, ServiceRequest)
        codes = [fact.code for kind in kinds for fact in context.session.record.facts(kind)]
        return any(words.search(" ".join((*code.texts, code.words))) is not None for code in codes if code is not None)

    return Predicate(test, no_facts, frozenset({"tests"}))


def _for_malaria(context: RuleContext) -> bool:
    weekly = context.times_per_week is not None and context.times_per_week <= 1.0
    return weekly or bool(_MALARIA.search(context.drafted.text))


def _weight(context: RuleContext) -> str | None:
    weight = context.session.weight
    return f"{format_number(weight.value)} kg on {weight.time.date}" if weight is not None else None


def _last(*analytes: str) -> Fill:
    """When each of the tests was last done, or why it has no usable value; one that was never done is not told."""

    def word(context: RuleContext) -> str:
        record = context.session.record
        newest = {analyte: record.newest(analyte) for analyte in analytes}
        done = [dated(measurement) for measurement in newest.values() if measurement is not None]
        unusable = [
            f"{capitalized(why_none(record, analyte))}."
            for analyte, measurement in newest.items()
            if measurement is None and (record.lookup(analyte).refused or not record.was_requested(analyte))
        ]
        return " ".join([*([f"Last: {', '.join(done)}."] if done else []), *unusable])

    return word


def _lacking(days: float, *analytes: str) -> Fill:
    """Those of the tests that have no usable value so young: a summary names no test that was done."""

    def word(context: RuleContext) -> str | None:
        known = {analyte for analyte in (*analytes, "egfr") if context.session.lab(analyte, days) is not None}
        if "egfr" in known:
            known.add("creatinine")  # of which it was calculated
        lacking = [name_of(analyte) for analyte in analytes if analyte not in known]
        return joined(lacking, "or") or None

    return word


def _by_weight(context: RuleContext) -> OrderChange | None:
    """Return the greatest average of a day in tablets of 200 mg that is 5 mg/kg or less, daily or on alternate days."""
    if context.weight_kg is None:
        return None
    room = _MOST_PER_KG * context.weight_kg
    if room >= 2 * _TABLET_MG:
        return OrderChange(sig=Sig("400 mg once daily", 2 * _TABLET_MG, times_per_day=1))
    if room >= 1.5 * _TABLET_MG:
        text = "400 mg and 200 mg on alternate days"
        first, second = (Sig(f"{text}: {mg:g} mg every other day", mg, every_hours=48) for mg in (400.0, 200.0))
        return OrderChange(sig=first, second=second)
    if room >= _TABLET_MG:
        return OrderChange(sig=Sig("200 mg once daily", _TABLET_MG, times_per_day=1))
    if room >= 0.5 * _TABLET_MG:
        return OrderChange(sig=Sig("200 mg every other day", _TABLET_MG, every_hours=48))
    return None


FAMILY = Family(
    "monitoring",
    placeholders={
        "weight": Placeholder(_weight, "100.5 kg on 2026-11-20"),
        "last_inr": Placeholder(_last("inr")),
        "last_amiodarone": Placeholder(_last("tsh", "alt")),
        "last_lithium": Placeholder(_last("lithium_level")),
        "last_methotrexate": Placeholder(_last("hemoglobin", "alt", "creatinine")),
        "last_raas": Placeholder(_last("potassium", "creatinine")),
        "lacking_raas": Placeholder(_lacking(365, "potassium", "creatinine"), "potassium or creatinine"),
        "lacking_amiodarone": Placeholder(_lacking(180, "tsh", "alt"), "TSH or ALT"),
        "lacking_methotrexate": Placeholder(
            _lacking(90, "hemoglobin", "alt", "creatinine"), "hemoglobin, ALT or creatinine"
        ),
        "lacking_leflunomide": Placeholder(_lacking(90, "alt", "platelets"), "ALT or platelets"),
        "last_count": Placeholder(_last("neutrophils_abs")),
    },
    conditions=(
        flag(
            "inr_stable",
            _inr_is_stable,
            "the last three INRs were in range, the newest in 12 weeks",
            frozenset({"lab:inr"}),
            needs=needs_of_lab("inr"),
        ),
        Condition(
            "results_known",
            "the results of these tests came with the call: where they were not asked for, their absence means nothing",
            _results_known,
            TEXTS,
            lambda spec: f"results of {' and '.join(spec['results_known'])} came with the call",
            lambda spec: needs("Observation", analytes=spec["results_known"]),
        ),
        Condition(
            "test_named",
            "a result, a report, a procedure or an order on record has words of this pattern in its name",
            _test_named,
            TEXT,
            lambda _: "such a test is on record by its name",
            needs("Observation", "Procedure", "ServiceRequest"),
        ),
        flag("for_malaria", _for_malaria, "for malaria, or weekly", frozenset({"frequency"})),
    ),
    changes={"hydroxychloroquine_by_weight": _by_weight},
)
