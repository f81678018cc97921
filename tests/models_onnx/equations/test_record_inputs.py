"""Inputs from a record: with their evidence, said to be not found, missing with the reason, or excluded."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from cds_hooks.kit.samples import load_patient
from cds_hooks.kit.simulator.chart import resources_of
from fhir.record.record import PatientRecord, read_record
from fhir.record.resources import decoder
from models_onnx.equations.declaration import find_equations
from models_onnx.equations.record_inputs import RecordInputs, features_of, inputs_from_record
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


def test_each_input_keeps_where_it_was_found() -> None:
    charted = _charted("kfre_4", "ckd-uacr", calibration="north_america")
    assert charted.given["uacr"] == 355
    assert charted.evidence["uacr"].source == "Observation/ckd-uacr-uacr-1"
    assert charted.given["sex"] == "female"
    assert charted.calculate("5y").value == pytest.approx(0.084, abs=1e-3)


def test_an_input_of_the_site_that_nobody_gave_is_missing() -> None:
    with pytest.raises(EquationRefused) as refused:
        _charted("kfre_4", "ckd-uacr").calculate("5y")
    assert refused.value.inputs == ("calibration",)


def test_what_was_looked_for_and_not_found_is_no_and_is_named() -> None:
    charted = _charted("has_bled", "af-no-anticoagulant")
    assert "labile_inr" in {each.name for each in charted.not_found}
    assert charted.given["labile_inr"] is False
    assert charted.calculate().value == 2


def test_a_missing_input_is_refused_with_the_reason_the_record_gives() -> None:
    charted = _charted("ckd_epi_2021_creatinine", "stale-kidney-function")
    assert charted.missing_inputs() == ("creatinine",)
    with pytest.raises(EquationRefused, match="older than 365 days"):
        charted.calculate()


def test_an_exclusion_that_cannot_be_looked_up_excludes() -> None:
    record = _record("diabetes-no-statin")
    record = record.with_requested(frozenset({"Patient", "cholesterol_total", "hdl_cholesterol", "sbp", "creatinine"}))
    with pytest.raises(EquationRefused) as refused:
        inputs_from_record(EQUATIONS["prevent_base"], record).calculate()
    assert refused.value.reason == "excluded"


@pytest.mark.parametrize("name", EQUATIONS)
def test_every_feature_of_an_equation_is_declared(name: str) -> None:
    equation = EQUATIONS[name]
    assert {item.feature for item in equation.inputs if item.feature} <= {each.name for each in features_of(equation)}


def test_race_is_never_read_from_a_record() -> None:
    assert EQUATIONS["pooled_cohort"].input("race_group").feature is None
    with pytest.raises(EquationRefused) as refused:
        _charted("pooled_cohort", "diabetes-no-statin").calculate()
    assert refused.value.inputs == ("race_group",)
