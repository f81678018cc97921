"""Yes-or-no features: found with their evidence, not found and said so, or not available at all."""

from typing import Any

import pytest

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import FeatureValue, Missing, map_features
from fhir.record.record import PatientRecord
from tests.each import for_rows
from tests.fhir.builders import RXNORM, concept, medication_order, observation, problem, record_of


def _condition(
    code: str, status: str | None = "active", onset: str | None = "2020-05-01", **more: Any
) -> dict[str, Any]:
    return problem(f"what {code} means", code, status=status, id=f"c-{code}", onsetDateTime=onset, **more)


def _order(code: str, words: str, status: str = "active") -> dict[str, Any]:
    drug = concept(words, code, RXNORM)
    return medication_order(drug, status=status, id=f"m-{code}", authoredOn="2026-10-01")


def _smoking(code: str, date: str, system: str = "http://snomed.info/sct") -> dict[str, Any]:
    answer = concept("an answer", code, system)
    return observation("72166-2", when=date, id=f"s-{code}", valueCodeableConcept=answer)


def _one(record: PatientRecord, name: str) -> FeatureValue | Missing:
    vector = map_features(record, (FEATURES[name],))
    return vector.evidence[0] or vector.missing[0]


def _value(name: str, *resources: dict[str, Any]) -> float:
    found = _one(record_of(*resources), name)
    assert isinstance(found, FeatureValue), found
    return found.value


def test_a_part_of_the_chart_that_was_not_asked_for_is_missing() -> None:
    record = record_of()
    record = record.with_requested(frozenset({"Patient"}))
    for name in ("has_diabetes", "takes_statin", "is_pregnant", "charlson_lace", "smokes", "length_of_stay_days"):
        found = _one(record, name)
        assert isinstance(found, Missing)
        assert found.reason == "unknown"


@for_rows(
    ("words", "value"),
    [
        ("furosemide 20 MG Oral Tablet", 1.0),
        ("doxazosin 4 MG Oral Tablet", 1.0),
        ("tamsulosin 0.4 MG Oral Capsule", 0.0),
        ("alfuzosin 10 MG Oral Tablet", 0.0),
        ("silodosin 8 MG Oral Capsule", 0.0),
    ],
)
def test_a_medicine_for_the_prostate_is_none_for_the_blood_pressure(words: str, value: float) -> None:
    order = _order("1", words)
    order["medicationCodeableConcept"] = {"text": words}
    assert _value("takes_bp_medication", order) == value


def test_a_medicine_that_nothing_names_leaves_it_open_what_is_taken() -> None:
    order = _order("1", "")
    del order["medicationCodeableConcept"]
    order["medicationReference"] = {"reference": "Medication/not-sent"}
    found = _one(record_of(order), "takes_statin")
    assert isinstance(found, Missing)
    assert found.text == (
        "Statin: not known, because the medication list has what could not be read: "
        "MedicationRequest/m-1, whose medicine was not sent."
    )
    assert _value("takes_statin", order, _order("83367", "atorvastatin 20 MG Oral Tablet")) == 1.0
    unknown = _order("999999999", "")
    assert isinstance(_one(record_of(unknown), "takes_statin"), Missing)


@for_rows(
    ("codes", "points"),
    [
        ([], 0),
        (["I25.2"], 1),
        (["E11.9"], 1),
        (["E11.22"], 2 + 2),  # with organ damage, and the kidney disease that it is
        (["E11.9", "E11.22"], 4),
        (["C50.9", "C78.0"], 6),
        (["N18.3"], 2),
        (["N18.3", "N18.6"], 4),
        (["I50.9", "J44.9", "F03.90"], 7),
    ],
)
def test_comorbidity_counts_each_family_once_with_its_highest_points(codes: list[str], points: int) -> None:
    assert _value("charlson_lace", *(_condition(code) for code in codes)) == points


def test_egfr_is_computed_from_the_newest_creatinine_and_never_taken_from_mdrd() -> None:
    found = _one(
        record_of(observation("2160-0", 1.1, "mg/dL"), observation("33914-3", 20.0, "mL/min")), "egfr_ckd_epi_2021"
    )
    assert isinstance(found, FeatureValue)
    assert found.value == pytest.approx(54.06, abs=0.05)
    assert (found.charted_value, found.charted_unit) == (1.1, "mg/dL")
    mdrd = _one(record_of(observation("33914-3", 20.0, "mL/min/{1.73_m2}")), "egfr_ckd_epi_2021")
    assert isinstance(mdrd, Missing)
    reported = _one(record_of(observation("98979-8", 41.0, "mL/min/{1.73_m2}")), "egfr_ckd_epi_2021")
    assert isinstance(reported, FeatureValue)
    assert reported.value == 41.0
