"""Arrow tables are scored as the bedside scores, and nothing is scored on a guess."""

from math import nan
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest

from models_onnx.batch import BatchModel, load
from models_onnx.batch.model import Rows, ScoredRows, score_rows
from models_onnx.errors import BatchRefused
from models_onnx.models.mortality_5y import SPEC
from models_onnx.serving.registry import load_model
from models_onnx.serving.runtime import Model
from models_onnx.workbench.training.data.cohort import inputs_of
from tests.each import each_row
from tests.models_onnx.batch.frames import score, typical


@pytest.fixture(scope="module")
def panel() -> BatchModel:
    """The committed model with its twin."""
    return load("mortality_5y")


def person(**other: Any) -> dict[str, list[Any]]:
    """One typical person as columns, some of them changed; a column that is None is left out."""
    return {name: [value] for name, value in (typical() | other).items() if value is not None}


def test_a_frame_of_pandas_is_scored_as_the_training_table_was(panel: BatchModel, rows: pd.DataFrame) -> None:
    inputs = pd.DataFrame(inputs_of(SPEC, rows), columns=list(SPEC.feature_names)).assign(pregnant=rows["pregnant"])
    scored, of_inputs = panel.score(rows), panel.score(inputs)
    assert scored.num_rows == len(rows)
    assert scored.equals(of_inputs)


def test_the_percentile_is_that_of_the_bedside(panel: BatchModel, mortality: Model) -> None:
    told = score(panel, person())
    values = [{"male": 1.0}.get(value, value) for value in (typical() | {"sex_male": 1.0}).values()]
    vector = np.array([(typical() | {"sex_male": 1.0})[name] for name in mortality.features], dtype=np.float64)
    known = mortality.predict(vector)
    assert values
    assert (told["probability"][0], told["percentile"][0]) == (known.probability, known.percentile)


def test_arrow_in_one_batch_or_several_gives_the_numbers_of_a_frame(panel: BatchModel, rows: pd.DataFrame) -> None:
    known = panel.score(rows)
    table = pyarrow.Table.from_pandas(rows, preserve_index=False)
    assert panel.score(table).equals(known)
    assert panel.score(table.combine_chunks().to_batches()[0]).equals(known)
    parts = [panel.score(batch) for batch in table.to_batches(max_chunksize=7)]
    assert pyarrow.concat_tables(parts).combine_chunks().equals(known.combine_chunks())


def test_another_coding_is_refused_until_a_view_explains_it(panel: BatchModel) -> None:
    for coding in ("M", 1, "1"):
        with pytest.raises(BatchRefused, match=r"in a view .* REPLACE \(CASE sex WHEN"):
            score(panel, person(sex=coding))
    view = "SELECT * REPLACE (CASE sex WHEN 'M' THEN 'male' WHEN 'F' THEN 'female' END AS sex) FROM rows"
    told = score(panel, person(sex="M"), view)
    assert told["probability"][0] == score(panel, person())["probability"][0]
    with pytest.raises(BatchRefused, match="'maybe'"):
        score(panel, person(pregnant="maybe"))


@pytest.mark.parametrize("unit", ["mmol/L", "MMOL/L", " mmol/l "])
def test_another_unit_is_converted_as_a_chart_is(panel: BatchModel, unit: str) -> None:
    known = score(panel, person())["probability"][0]
    other = person(bun_mg_dl=None, bun=18.0 / 2.8)
    told = score(panel, other, f"SELECT *, bun_mg_dl(bun, '{unit}') AS bun_mg_dl FROM rows")  # noqa: S608 - our own
    assert told["probability"][0] == pytest.approx(known, rel=1e-3)
    with pytest.raises(BatchRefused, match=r"bun_mg_dl\(bun, 'UNIT'\) AS bun_mg_dl"):
        score(panel, other)


def test_units_may_differ_from_row_to_row_and_one_that_is_not_known_is_told(panel: BatchModel) -> None:
    view = "SELECT * EXCLUDE (bun), bun_mg_dl(bun, unit) AS bun_mg_dl FROM rows"
    rows = {name: values * 4 for name, values in person(bun_mg_dl=None).items()}
    rows |= {"bun": ["18", "6.4286", "18", "<5"], "unit": ["mg/dL", "mmol/L", "stone", "mg/dL"]}
    told = score(panel, rows, view)
    assert told["probability"][0] == pytest.approx(told["probability"][1], rel=1e-3)
    assert told["not_used"].tolist() == ["", "", "bun_mg_dl", "bun_mg_dl"]
    with pytest.raises(
        BatchRefused, match=r"4 values that are not numbers .* Units of bun_mg_dl\(value, unit\) are: .*mmol/l"
    ):
        score(panel, rows | {"unit": ["stone"] * 4}, view)


@each_row(("view", "said"))
def test_a_view_that_is_wrong_is_refused_and_shows_nobody(panel: BatchModel, view: str, said: str) -> None:
    with pytest.raises(BatchRefused, match=said) as refused:
        score(panel, person(), view)
    assert "p1" not in str(refused.value)


def test_a_whole_column_in_another_unit_is_refused_with_what_to_do(panel: BatchModel) -> None:
    many = {name: values * 30 for name, values in person(albumin_g_dl=41.0).items()}
    with pytest.raises(BatchRefused, match=r"30 of 30 values .*albumin_g_dl\(albumin_g_dl, 'UNIT'\)"):
        score(panel, many)


def test_what_a_table_does_not_have_is_said_by_a_view_or_refused(panel: BatchModel) -> None:
    with pytest.raises(BatchRefused, match=r"Red cell width .*\n.*NAME AS rdw_pct"):
        score(panel, person(rdw_pct=None))
    told = score(panel, person(rdw_pct=None, pregnant=None), "SELECT *, NULL AS rdw_pct, false AS pregnancy FROM rows")
    assert told["probability"][0] == score(panel, person(rdw_pct=np.nan))["probability"][0]


def test_values_that_nobody_can_have_and_ages_that_nobody_has_give_no_score(panel: BatchModel) -> None:
    assert score(panel, person(glucose_mg_dl=1e6))["reason"][0] == "out-of-range"
    assert score(panel, person(glucose_mg_dl=float("inf")))["reason"][0] == "out-of-range"
    assert score(panel, person(age_years=300))["reason"][0] == "age-unknown"
    assert score(panel, person(age_years=39.9))["reason"][0] == "outside-population"


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
SEVEN = f"{TITLE}: no score. Usable: 7 of the 11 laboratory values; at least 8 are needed. Missing:"
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
    ({"age_years": 39.4}, "outside-population", f"{TITLE}: no score. It is for {FOR_WHOM}; the age is 39."),
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
     f"{TITLE}: no score. It is for {FOR_WHOM}; the age is 39."),
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
