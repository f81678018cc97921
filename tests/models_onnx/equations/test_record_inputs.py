"""Inputs from a record: with their evidence, said to be not found, missing with the reason, or excluded."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from cds_hooks.samples import load_patient
from cds_hooks.tools.kit.simulator.chart import resources_of
from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import FeatureValue, Missing
from fhir.record.record import PatientRecord, read_record
from fhir.record.refusals import WhyNot
from fhir.record.resources import decoder
from models_onnx.equations.calculate import (
    EquationResult,
    FeatureReadings,
    RecordInputs,
    features_of,
    inputs_from_features,
    inputs_from_record,
)
from models_onnx.equations.declaration import find_equations
from models_onnx.errors import EquationRefused

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
EQUATIONS = find_equations()


def _record(sample: str) -> PatientRecord:
    resources = resources_of(load_patient(sample, AS_OF))
    patient = next(each["id"] for each in resources if each["resourceType"] == "Patient")
    read = {str(position): decoder.decode(orjson.dumps(each)) for position, each in enumerate(resources)}
    return read_record(read, patient, AS_OF)


def _charted(name: str, sample: str, **site: Any) -> RecordInputs:
    return inputs_from_record(EQUATIONS[name], _record(sample), site)


def test_what_was_looked_for_and_not_found_is_no_and_is_named() -> None:
    charted = _charted("has_bled", "af-no-anticoagulant")
    assert "labile_inr" in {each.name for each in charted.not_found}
    assert charted.given["labile_inr"] is False
    assert charted.calculate().value == 2


def test_a_missing_input_is_refused_with_the_reason_the_record_gives() -> None:
    charted = _charted("kfre_4", "stale-kidney-function")
    assert "egfr" in charted.missing_inputs()
    with pytest.raises(EquationRefused, match="older than 365 days"):
        charted.calculate()


def test_an_exclusion_that_cannot_be_looked_up_excludes() -> None:
    record = _record("diabetes-no-statin")
    record = record.with_requested(frozenset({"Patient", "cholesterol_total", "hdl_cholesterol", "sbp", "creatinine"}))
    with pytest.raises(EquationRefused) as refused:
        inputs_from_record(EQUATIONS["prevent_base"], record).calculate()
    assert refused.value.reason == "excluded"


WELL: dict[str, Any] = {
    "age_years": 70, "sex_male": 1, "egfr_ckd_epi_2021": 30, "uacr_mg_g": 300, "on_dialysis": 0,
    "has_kidney_transplant": 0, "has_acute_kidney_injury": 0,
}  # fmt: skip


def _readings(**values: Any) -> FeatureReadings:
    """Numbers as they were found, None for what is not there, "not found" for a no because nothing says it."""
    readings = FeatureReadings(None, {})  # type: ignore[arg-type]  # nothing is read from a record
    for name, value in values.items():
        feature = FEATURES[name]
        if value is None:
            readings[name] = Missing(feature, "absent", f"No {name}.")
        else:
            is_found = value != "not found"
            number = float(value) if is_found else 0.0
            readings[name] = FeatureValue(feature, number, "", f"O/{name}", "", number, "", is_found=is_found)
    return readings


def _inputs(name: str = "kfre_4", site: Any = None, **values: Any) -> RecordInputs:
    return inputs_from_features(EQUATIONS[name], _readings(**values), site)


AMERICA = {"calibration": "north_america"}


@pytest.mark.parametrize("value", [0, None])
def test_whom_an_equation_is_not_for_because_nothing_says_the_condition(value: Any) -> None:
    readings: dict[str, Any] = dict.fromkeys((feature.name for feature in features_of(EQUATIONS["has_bled"])), 0)
    readings |= {"age_years": 70, "has_atrial_fibrillation": value}
    words = FEATURES["has_atrial_fibrillation"].words.lower()
    refusal = WhyNot(
        "has_bled",
        "outside-population",
        f"HAS-BLED: for {EQUATIONS['has_bled'].population}; {words} is not found in the chart.",
        ("has_atrial_fibrillation",),
    )
    read = _inputs("has_bled", **readings)
    assert read.excluded == refusal
    with pytest.raises(EquationRefused) as refused:
        read.calculate()
    assert (refused.value.reason, refused.value.text, refused.value.inputs) == (
        refusal.reason, refusal.text, refusal.about,
    )  # fmt: skip
    assert not read.could_reach("score", lambda _result: True)


def test_whether_a_risk_could_be_reached_whatever_the_missing_inputs_are() -> None:
    """Tried at both ends of the ratio: 0.1 and 25,000 mg/g."""
    read = _inputs(site=AMERICA, **{**WELL, "uacr_mg_g": None})
    tried: list[float] = []

    def over(least: float) -> bool:
        def reaches(result: EquationResult) -> bool:
            tried.append(result.number)
            return result.number > least

        return read.could_reach("5y", reaches)

    assert over(0.5)
    low, high = tried
    assert low < 0.05 < 0.5 < high
    tried.clear()
    assert over(low / 2)
    assert len(tried) == 1, "the first that reaches is enough"
    assert not over(high)
    no_region = _inputs(**WELL)
    assert "calibration" not in no_region.given
    assert not no_region.could_reach("5y", lambda _result: True), "without its region there is no value at all"
    visits = _inputs("lace", length_of_stay_days=3, admitted_as_emergency=1, charlson_lace=None, ed_visits_6m=0)
    assert visits.could_reach("score", lambda _result: False), "points without an upper limit can be anything"
    whole = _inputs(site=AMERICA, **WELL)
    assert whole.could_reach("5y", lambda result: result.number > 0)
    assert not whole.could_reach("5y", lambda result: result.number > 1)
