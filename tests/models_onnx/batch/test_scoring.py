"""Rows of a table get the bedside's answers: who has died, age, conditions, what is missing, the twin, the ranges."""

from math import nan
from typing import Any

import numpy as np
import pytest

from models_onnx.batch.scoring import Rows, ScoredRows, score_rows
from models_onnx.serving.registry import load_model
from models_onnx.serving.runtime import Model

TYPICAL = {
    "age_years": 71.0, "sex_male": 1.0, "albumin_g_dl": 4.1, "alp_u_l": 80.0, "bun_mg_dl": 18.0,
    "creatinine_mg_dl": 1.1, "glucose_mg_dl": 110.0, "bilirubin_total_mg_dl": 0.6, "wbc_10e3_ul": 7.5,
    "rbc_10e6_ul": 4.4, "mcv_fl": 91.0, "rdw_pct": 13.9, "lymphocytes_pct": 27.0, "sbp_mmhg": 138.0,
    "dbp_mmhg": 76.0, "bmi_kg_m2": 28.4,
}  # fmt: skip
NAMES = list(TYPICAL)
READ_BY_TWIN = [
    "age_years", "sex_male", "bun_mg_dl", "creatinine_mg_dl", "glucose_mg_dl", "wbc_10e3_ul", "rbc_10e6_ul", "mcv_fl",
    "sbp_mmhg", "dbp_mmhg", "bmi_kg_m2",
]  # fmt: skip
TITLE = "Death within 5 years, adults of 40 and over"
FOR_WHOM = "adults of 40 and over, not pregnant, living at home, with at least 8 of the 11 laboratory values"
# Seven of the eleven laboratory values are left, and of the twin's six five, or three.
FOUR_ABSENT = {"albumin_g_dl": nan, "alp_u_l": nan, "rdw_pct": nan, "glucose_mg_dl": nan}
NEITHER = {"wbc_10e3_ul": nan, "rbc_10e6_ul": nan, "mcv_fl": nan, "rdw_pct": nan}
SEVEN = f"{TITLE}: no score. 7 of the 11 laboratory values are usable, at least 8 are needed. Missing:"
ABSENT_SENTENCE = f"{SEVEN} Albumin, Alkaline phosphatase, Glucose, Red cell width (RDW)."
NEITHER_SENTENCE = f"{SEVEN} White blood cells, Red blood cells, Mean red cell volume (MCV), Red cell width (RDW)."


@pytest.fixture(scope="module")
def twin() -> Model:
    """The committed model of the small panel."""
    return load_model("mortality_5y_small")


def scored(model: Model, twin: Model | None, *people: dict[str, Any]) -> ScoredRows:
    """The answers for typical people with these values; `nobody` names values that nobody can have."""
    inputs = np.array([[person.get(name, value) for name, value in TYPICAL.items()] for person in people])
    implausible = np.array([[name in person.get("nobody", ()) for name in NAMES] for person in people])
    words = ("pregnancy", "deceased", "hospice")
    left_out = {word: np.array([word in person.get("known", ()) for person in people]) for word in words}
    assert model.features == tuple(NAMES)
    return score_rows(model, twin, Rows(inputs, implausible, left_out))


AGE_UNKNOWN = f"{TITLE}: no score, because no usable date of birth is on record (year and month at least)."
CASES: list[tuple[dict[str, Any], str, str]] = [
    ({}, "", ""),
    ({"age_years": 40.0}, "", ""),
    ({"age_years": 39.4}, "outside-population", f"{TITLE}: no score. It is for {FOR_WHOM}; this person is 39."),
    ({"age_years": nan}, "age-unknown", AGE_UNKNOWN),
    ({"nobody": ["age_years"]}, "age-unknown", AGE_UNKNOWN),
    ({"known": ["pregnancy"]}, "outside-population", f"The model is for {FOR_WHOM}; pregnancy is on record."),
    ({"known": ["hospice", "pregnancy"]}, "outside-population",
     f"The model is for {FOR_WHOM}; pregnancy is on record."),
    ({"known": ["hospice"]}, "outside-population", f"The model is for {FOR_WHOM}; hospice is on record."),
    ({"known": ["deceased"]}, "deceased", "The patient has died."),
    ({"known": ["deceased", "pregnancy", "hospice"]}, "deceased", "The patient has died."),
    ({"known": ["deceased"], "age_years": 20.0}, "deceased", "The patient has died."),
    ({"known": ["pregnancy"], "age_years": 39.4}, "outside-population",
     f"{TITLE}: no score. It is for {FOR_WHOM}; this person is 39."),
    ({"known": ["pregnancy"], "sex_male": nan}, "outside-population",
     f"The model is for {FOR_WHOM}; pregnancy is on record."),
    ({"sex_male": nan}, "input-missing", f"{TITLE}: no score, because sex must be known."),
    ({"sex_male": nan, **NEITHER}, "input-missing", f"{TITLE}: no score, because sex must be known."),
    ({"albumin_g_dl": nan, "alp_u_l": nan, "rdw_pct": nan}, "", ""),
    (FOUR_ABSENT, "too-few-inputs", ABSENT_SENTENCE),
    (FOUR_ABSENT | {"age_years": 50.0, "bilirubin_total_mg_dl": 3.0}, "too-few-inputs", ABSENT_SENTENCE),
    (NEITHER, "too-few-inputs", NEITHER_SENTENCE),
    ({"albumin_g_dl": 2.0}, "out-of-range",
     f"{TITLE}: no score, outside the range the model was built on: Albumin 2 g/dL (built on 2.4 to 5.7)."),
    ({"rdw_pct": nan, "bilirubin_total_mg_dl": 3.0, "mcv_fl": 120.5}, "out-of-range",
     f"{TITLE}: no score, outside the range the model was built on: "
     "Bilirubin, total 3 mg/dL (built on 0.1 to 2.5); Mean red cell volume (MCV) 120.5 fL (built on 58.2 to 117.6)."),
    ({"nobody": ["creatinine_mg_dl", "rdw_pct"], "rdw_pct": 14.25}, "out-of-range",
     f"{TITLE}: no score, outside the range the model was built on. Outside the plausible range: "
     "Creatinine 1.1 mg/dL; Red cell width (RDW) 14.25 %."),
    ({"nobody": ["albumin_g_dl"], "albumin_g_dl": 2.0}, "out-of-range",
     f"{TITLE}: no score, outside the range the model was built on: Albumin 2 g/dL (built on 2.4 to 5.7)."),
    (FOUR_ABSENT | {"nobody": ["creatinine_mg_dl"]}, "too-few-inputs", ABSENT_SENTENCE),
]  # fmt: skip


def test_every_row_has_its_reason_in_the_order_of_the_bedside(mortality: Model) -> None:
    answers = scored(mortality, None, *(person for person, _, _ in CASES))
    assert list(zip(answers.reason, answers.reason_text, strict=True)) == [(code, text) for _, code, text in CASES]
    has_score = [code == "" for _, code, _ in CASES]
    assert answers.model.tolist() == ["mortality_5y" if is_scored else "" for is_scored in has_score]
    for numbers in (answers.probability, answers.percentile, answers.base):
        assert (~np.isnan(numbers)).tolist() == has_score
    assert (~np.isnan(answers.contributions)).all(axis=1).tolist() == has_score
    assert np.isnan(answers.contributions).all(axis=1).tolist() == [not is_scored for is_scored in has_score]


def test_the_twin_scores_whom_it_can_of_those_who_lack_values(mortality: Model, twin: Model) -> None:
    people: list[tuple[dict[str, Any], str]] = [
        (FOUR_ABSENT, "mortality_5y_small"),
        (FOUR_ABSENT | {"nobody": ["alp_u_l", "lymphocytes_pct"], "lymphocytes_pct": 80.0}, "mortality_5y_small"),
        ({}, "mortality_5y"),
        (NEITHER, ""),
        (FOUR_ABSENT | {"nobody": ["creatinine_mg_dl"]}, ""),
        (FOUR_ABSENT | {"creatinine_mg_dl": 3.6}, ""),
        ({"sex_male": nan}, ""),
        (FOUR_ABSENT | {"age_years": 39.4}, ""),
        (FOUR_ABSENT | {"known": ["pregnancy"]}, ""),
        ({"albumin_g_dl": 2.0}, ""),
    ]
    alone, answers = (scored(mortality, other, *(person for person, _ in people)) for other in (None, twin))
    assert answers.model.tolist() == [name for _, name in people]
    assert answers.reason[:3].tolist() == answers.reason_text[:3].tolist() == ["", "", ""]
    assert answers.reason[3:].tolist() == alone.reason[3:].tolist()
    assert answers.reason_text[3:].tolist() == alone.reason_text[3:].tolist()
    assert answers.reason_text[3:6].tolist() == [NEITHER_SENTENCE, ABSENT_SENTENCE, ABSENT_SENTENCE]
    known = twin.predict(np.array([FOUR_ABSENT.get(name, TYPICAL[name]) for name in READ_BY_TWIN]))
    for row in (0, 1):
        assert (answers.probability[row], answers.percentile[row]) == (known.probability, known.percentile)
        assert answers.base[row] == -2.968437
        told = dict(zip(NAMES, answers.contributions[row].tolist(), strict=True))
        assert {name: value for name, value in told.items() if not np.isnan(value)} == dict(
            zip(READ_BY_TWIN, known.contributions.tolist(), strict=True)
        )
    assert answers.probability[2] == alone.probability[2]
    assert np.isnan(answers.probability[3:]).all()
