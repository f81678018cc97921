"""What an equation gets from features that are there, missing or a yes, and who is excluded, sentence by sentence."""

from typing import Any

import pytest

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import FeatureValue, Missing
from fhir.record.refusals import WhyNot
from models_onnx.equations.calculate import EquationResult
from models_onnx.equations.declaration import find_equations
from models_onnx.equations.record_inputs import (
    FeatureReadings,
    RecordInputs,
    features_of,
    inputs_from_features,
    refused_at_once,
)
from models_onnx.errors import EquationRefused

EQUATIONS = find_equations()
KFRE = EQUATIONS["kfre_4"]
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


def test_inputs_have_their_values_and_where_these_were() -> None:
    read = _inputs(site=AMERICA, **WELL)
    assert read.given == {"calibration": "north_america", "age": 70, "sex": "male", "egfr": 30, "uacr": 300}
    assert {name: value.source for name, value in read.evidence.items()} == {
        "age": "O/age_years", "sex": "O/sex_male", "egfr": "O/egfr_ckd_epi_2021", "uacr": "O/uacr_mg_g",
    }  # fmt: skip
    assert (read.missing, read.not_found, read.excluded, read.vector) == ({}, (), None, None)
    assert _inputs(site=AMERICA, **{**WELL, "sex_male": 0}).given["sex"] == "female"
    by_site = _inputs(site={**AMERICA, "uacr": 500.0}, **WELL)
    assert (by_site.given["uacr"], "uacr" in by_site.evidence) == (500.0, False)


def test_a_missing_input_is_refused_with_the_words_of_the_record() -> None:
    read = _inputs(site=AMERICA, **{**WELL, "uacr_mg_g": None, "age_years": None})
    assert read.missing_inputs("2y") == ("age", "uacr")
    with pytest.raises(EquationRefused) as refused:
        read.calculate("5y")
    assert (refused.value.reason, refused.value.text, refused.value.inputs) == (
        "input-missing", f"{KFRE.title}: No age_years.", ("age",),
    )  # fmt: skip


def test_what_nothing_in_a_record_says_is_a_no_that_is_named() -> None:
    fibrillation: dict[str, Any] = dict.fromkeys(
        (feature.name for feature in features_of(EQUATIONS["has_bled"])), 0
    ) | {"age_years": 70, "has_atrial_fibrillation": 1}  # fmt: skip
    read = _inputs("has_bled", **fibrillation)
    assert (read.given["labile_inr"], [item.name for item in read.not_found]) == (False, ["labile_inr"])
    assert read.calculate().value == 1, "the age alone"
    assert read.excluded is None


@pytest.mark.parametrize("value", [0, None])
def test_whom_an_equation_is_not_for_because_nothing_says_the_condition(value: Any) -> None:
    readings: dict[str, Any] = dict.fromkeys((feature.name for feature in features_of(EQUATIONS["has_bled"])), 0)
    readings |= {"age_years": 70, "has_atrial_fibrillation": value}
    words = FEATURES["has_atrial_fibrillation"].words.lower()
    refusal = WhyNot(
        "outside-population",
        f"HAS-BLED: for {EQUATIONS['has_bled'].population}; {words} is not found in the chart.",
        ("has_atrial_fibrillation",),
    )
    read = _inputs("has_bled", **readings)
    assert read.excluded == refusal
    assert refused_at_once(EQUATIONS["has_bled"], _readings(**readings)) == {"score": refusal}
    with pytest.raises(EquationRefused) as refused:
        read.calculate()
    assert (refused.value.reason, refused.value.text, refused.value.inputs) == (
        refusal.reason, refusal.text, refusal.about,
    )  # fmt: skip
    assert not read.could_reach("score", lambda _result: True)


@pytest.mark.parametrize("name", ["on_dialysis", "has_kidney_transplant", "has_acute_kidney_injury"])
def test_who_is_excluded_or_of_whom_that_cannot_be_told(name: str) -> None:
    words = "acute kidney injury at the time of the sample" if "acute" in name else "dialysis or kidney transplant"
    charted = FEATURES[name].words.lower()
    for value, end in ((1, f"; {charted} is on record."), (None, f", and that cannot be told. No {name}.")):
        refusal = WhyNot("excluded", f"{KFRE.title}: not for {words}{end}", (name,))
        values = {**WELL, name: value}
        assert _inputs(site=AMERICA, **values).excluded == refusal
        assert refused_at_once(KFRE, _readings(**values)) == {"2y": refusal, "5y": refusal}


def test_the_first_missing_input_is_why_and_what_the_site_gives_is_not_missing() -> None:
    values = {**WELL, "uacr_mg_g": None, "egfr_ckd_epi_2021": None}
    refusal = WhyNot("input-missing", f"{KFRE.title}: No egfr_ckd_epi_2021.", ("egfr",))
    assert refused_at_once(KFRE, _readings(**values)) == {"2y": refusal, "5y": refusal}
    later = WhyNot("input-missing", f"{KFRE.title}: No uacr_mg_g.", ("uacr",))
    assert refused_at_once(KFRE, _readings(**values), {"egfr": 30.0}) == {"2y": later, "5y": later}
    assert refused_at_once(KFRE, _readings(**values), {"egfr": 30.0, "uacr": 300.0}) == {}
    assert refused_at_once(KFRE, _readings(**WELL)) == {}


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


def test_a_feature_of_that_nobody_declared_is_nothing() -> None:
    readings = FeatureReadings(None, {})  # type: ignore[arg-type]
    assert readings["none"] is None
    assert readings[None] is None
    assert set(readings) == {"none", None}


def test_the_features_of_equations_are_each_there_once() -> None:
    names = [feature.name for feature in features_of(EQUATIONS["meld3"], EQUATIONS["has_bled"])]
    assert len(names) == len(set(names))
    assert {"takes_warfarin", "has_cirrhosis", "has_atrial_fibrillation", "inr", "smokes"} - set(names) == {"smokes"}
