"""A look-up answers found, refused or absent, the same to everybody who asks, in whatever order they ask."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir.mapping.conditions import ConditionHit, find_condition
from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.kidney import KidneyAbsence, crcl_cockcroft_gault, egfr_best
from fhir.record.facts import Absent, Found, Refused
from fhir.record.record import PatientRecord
from fhir.record.refusals import Refusal
from fhir.terminology.conditions import CONDITION_GROUPS
from tests.fhir.mapping.charts import MAN, condition
from tests.fhir.record.charts import lean, observation, record_of

CREATININE, POTASSIUM, EGFR, CKD_EPI_2021 = "2160-0", "2823-3", "33914-3", "98979-8"


def test_a_usable_value_is_found_and_the_newer_ones_that_were_refused_stand_beside_it() -> None:
    record = record_of(
        observation(CREATININE, 1.0, "mg/dL", "2026-10-01"),
        observation(CREATININE, 999.0, "mg/dL", "2026-11-01"),
        observation(CREATININE, 888.0, "mg/dL", "2026-09-01"),
    )
    found = record.lookup("creatinine")
    assert isinstance(found, Found)
    assert found.measurement.value == 1.0
    assert [refusal.reason for refusal in found.refused] == ["implausible"]


def test_values_of_which_none_can_be_used_are_refused_newest_first_and_each_says_what_it_is_about() -> None:
    record = record_of(
        observation(CREATININE, 1.0, "stone", "2026-10-01"), observation(CREATININE, 999.0, "mg/dL", "2026-11-01")
    )
    found = record.lookup("creatinine")
    assert isinstance(found, Refused)
    assert [(one.reason, one.analyte, one.code) for one in found.refused] == [
        ("implausible", "creatinine", CREATININE),
        ("unknown-unit", "creatinine", CREATININE),
    ]
    assert found.refused[0].statement == "Creatinine 999 mg/dL is outside the plausible range"
    assert found.refused[0].text == "Creatinine 999 mg/dL is outside the plausible range on 2026-11-01: not used."


def test_a_value_older_than_asked_for_is_absent_and_named() -> None:
    record = record_of(observation(CREATININE, 1.0, "mg/dL", "2025-01-01"))
    found = record.lookup("creatinine", 365)
    assert isinstance(found, Absent)
    assert found.last is not None
    assert found.last.time.date == "2025-01-01"
    assert record.lookup("potassium") == Absent()


def test_values_with_one_code_leave_the_refusals_of_the_others_to_be_named() -> None:
    values = (
        observation(EGFR, 70.0, "mL/min/{1.73_m2}", "2026-09-01"),
        observation(CKD_EPI_2021, 60.0, "mL/min/{1.73_m2}", "2026-08-01"),
        observation(EGFR, 9999.0, "mL/min/{1.73_m2}", "2026-07-01"),
        observation(CKD_EPI_2021, 61.0, "mL/min/{1.73_m2}", "2026-10-01"),
    )
    record, asked_all = record_of(*values), record_of(*values)
    assert [one.value for one in record.measurements_with_code("egfr", CKD_EPI_2021)] == [61.0, 60.0]
    assert [one.value for one in asked_all.measurements("egfr")] == [61.0, 70.0, 60.0]
    assert record.refusals == asked_all.refusals
    assert [one.reason for one in record.refusals] == ["implausible"]


def test_an_analyte_that_is_not_in_the_table_is_a_fault_of_the_program() -> None:
    with pytest.raises(KeyError):
        record_of().lookup("unobtainium")


def test_a_record_cannot_be_changed() -> None:
    record = record_of()
    for name in ("patient_id", "requested", "encounter_id", "as_of"):
        with pytest.raises(FrozenInstanceError):
            setattr(record, name, None)
    assert isinstance(record.refusals, tuple)
    assert isinstance(record.observations, tuple)


def condition_hits(record: PatientRecord) -> dict[str, ConditionHit]:
    """Every condition key that the record has, with the condition that counts for it."""
    return {key: hit for key in CONDITION_GROUPS if (hit := find_condition(record, key)) is not None}


# The order of the questions


def _egfr(record: PatientRecord) -> object:
    found = egfr_best(record)
    return (found.reason, found.text, found.refused) if isinstance(found, KidneyAbsence) else found


QUESTIONS: dict[str, Callable[[PatientRecord], object]] = {
    **{
        f"feature {feature.name}": lambda record, feature=feature: feature.read(record)  # type: ignore[misc]
        for feature in FEATURES.values()
    },
    "best eGFR": _egfr,
    "clearance": lambda record: crcl_cockcroft_gault(record, "adjusted"),
    "newest creatinine": lambda record: record.newest("creatinine"),
    "all creatinine": lambda record: record.measurements("creatinine"),
    "potassium of a month": lambda record: record.lookup("potassium", 30),
    "potassium together": lambda record: record.newest_together("potassium"),
    "recent eGFR": lambda record: record.measurements_since("egfr", record.as_of_epoch - 30 * 86_400),
    "one-sided eGFR": lambda record: record.one_sided_results("egfr"),
    "pregnancy": lambda record: find_condition(record, "pregnancy"),
    "conditions": condition_hits,
}
_CODES = (
    CREATININE, POTASSIUM, EGFR, "98979-8", "8480-6", "8462-4", "29463-7", "8302-2", "39156-5", "9269-2", "1975-2",
)  # fmt: skip
_UNITS = ("mg/dL", "mmol/L", "stone", None, "mL/min/{1.73_m2}", "mm[Hg]", "kg", "cm", "kg/m2", "{score}")


@st.composite
def _observations(draw: st.DrawFn) -> list[dict[str, Any]]:
    made = []
    for number in range(draw(st.integers(1, 8))):
        value = draw(st.sampled_from((0.0, 1.0, 1.4, 5.0, 15.0, 60.0, 120.0, 170.0, 9999.0)))
        when = draw(st.sampled_from(("2026-11-19", "2026-11-01", "2026-06-01", "2024-01-01", "2031-01-01", None)))
        resource = observation(
            draw(st.sampled_from(_CODES)),
            value,
            draw(st.sampled_from(_UNITS)),
            when,
            id=f"o{number}",
            status=draw(st.sampled_from(("final", "preliminary", "entered-in-error"))),
        )
        if draw(st.booleans()):
            resource["valueQuantity"]["comparator"] = draw(st.sampled_from((">", "<")))
        made.append(resource)
    return made


@given(_observations(), st.permutations(sorted(QUESTIONS)), st.booleans())
def test_answers_and_refusals_do_not_depend_on_who_asked_first(
    observations: list[dict[str, Any]], order: list[str], is_man: bool
) -> None:
    resources = [*observations, condition("77386006", onsetDateTime="2026-08-01")]
    patient = {"one": lean(MAN)} if is_man else None

    def fresh() -> PatientRecord:
        return record_of(*resources, prefetch=patient)

    alone = {name: repr(QUESTIONS[name](fresh())) for name in QUESTIONS}
    shuffled, sorted_ = fresh(), fresh()
    assert {name: repr(QUESTIONS[name](shuffled)) for name in order} == alone
    for name in sorted(QUESTIONS):
        QUESTIONS[name](sorted_)
    assert shuffled.refusals == sorted_.refusals
    assert len(set(shuffled.refusals)) == len(shuffled.refusals)


def test_a_pregnancy_code_of_a_man_is_refused_whoever_asks() -> None:
    resources = [condition("77386006", onsetDateTime="2026-08-01")]
    for ask in (condition_hits, lambda record: find_condition(record, "pregnancy")):
        record = record_of(*resources, prefetch={"one": lean(MAN)})
        ask(record)
        assert [(refusal.subject, refusal.reason) for refusal in record.refusals] == [
            ("Condition/c-77386006", "impossible")
        ]
        assert isinstance(record.refusals[0], Refusal)


def test_values_of_one_instant_are_found_together_and_the_first_that_came_alone() -> None:
    first, second = (observation(POTASSIUM, value, "mmol/L", "2026-11-01", id=f"{value}") for value in (4.0, 5.0))
    later, earlier = (observation(POTASSIUM, 4.5, unit, when, id=when) for unit, when in (
        ("stone", "2026-11-02"), ("mmol/L", "2026-10-31"),
    ))  # fmt: skip
    for resources, values in (
        ([first, second, earlier], [4.0, 5.0]),
        ([second, first, earlier], [5.0, 4.0]),
        ([later, earlier, first, second], [4.0, 5.0]),
        ([later, earlier], [4.5]),
        ([later], []),
    ):
        record = record_of(*resources)
        assert [measurement.value for measurement in record.newest_together("potassium")] == values
        found = record.lookup("potassium")
        assert (found.measurement.value if isinstance(found, Found) else None) == (values[0] if values else None)
