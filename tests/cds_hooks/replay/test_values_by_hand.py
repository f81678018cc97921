"""Scores from recorded values, and the group of a patient, where the record has what is needed and where it has not."""

from typing import Any

import msgspec
import pytest

from cds_hooks.replay.candidates import _group, _subjects
from cds_hooks.replay.replaying import Replayed, _was_due
from cds_hooks.replay.values import Basis, equation_scores, read_basis, vectors_of
from fhir.record.resources import Patient
from models_onnx.serving.registry import load_model
from models_onnx.serving.runtime import Model
from tests.cds_hooks.storage.samples import a_decision

Json = dict[str, Any]
FIB4 = {"age_years": 60.0, "ast_u_l": 40.0, "alt_u_l": 16.0, "platelets_10e3_ul": 200.0}


def basis(features: Json | None = None, scores: Json | None = None, silence: Any = ()) -> Basis:
    """What a decision recorded of itself."""
    values = {name: [value, "", ""] for name, value in (features or {}).items()}
    document = {"as_of": "2026-11-20T09:00:00Z", "features": values, "scores": scores, "silence": list(silence)}
    return read_basis(msgspec.json.encode(document))


def test_an_equation_is_computed_again_from_its_values_and_is_nothing_without_one_of_them() -> None:
    """FIB-4 is age * AST / (platelets * root of ALT): 60 * 40 / (200 * 4) = 3."""
    asked = {"id": "fib4", "output": "index"}
    scores = equation_scores(basis(FIB4, asked), {})
    assert scores is not None
    assert (scores["id"], scores["output"], scores["value"]) == ("fib4", "index", pytest.approx(3.0))
    assert equation_scores(basis({**FIB4, "alt_u_l": -1.0}, asked), {}) is None
    assert equation_scores(basis({name: FIB4[name] for name in list(FIB4)[:3]}, asked), {}) is None


def test_the_equation_of_the_kidneys_has_the_region_of_the_site() -> None:
    features = {"age_years": 70.0, "sex_male": 1.0, "egfr_ckd_epi_2021": 36.0, "uacr_mg_g": 170.0}
    asked = {"id": "kfre_4", "output": "5y"}
    here, there = (
        equation_scores(basis(features, asked), {"CDS_KFRE_REGION": region})
        for region in ("north_america", "non_north_america")
    )
    assert here is not None
    assert there is not None
    assert here["value"] > there["value"], "baseline survival of 0.9240 in North America, 0.9365 elsewhere"


def test_a_vector_has_the_recorded_values_in_the_order_of_the_model(mortality: Model) -> None:
    (row, other) = vectors_of([basis({"sex_male": 1.0, "age_years": 70.0, "gone": 5.0}), basis()], mortality).tolist()
    assert row[:2] == [70.0, 1.0]
    assert [value for value in (*row[2:], *other) if value == value] == []


@pytest.fixture(scope="module")
def mortality() -> Model:
    """The committed model."""
    return load_model("mortality_5y")


@pytest.mark.parametrize(
    ("features", "patient", "group"),
    [
        ({"age_years": 39.0, "sex_male": 1.0}, None, "male, 18 to 39"),
        ({"age_years": 75.0, "sex_male": 0.0}, Patient(gender="male"), "female, 75 and over"),
        ({"age_years": 75.0}, None, "not known"),
        ({"sex_male": 0.0}, None, "not known"),
        ({"age_years": 75.0}, Patient(gender="male", birthDate="1980-01-01"), "male, 40 to 64"),
        ({}, Patient(gender="female"), "not known"),
        ({}, None, "not known"),
    ],
)
def test_the_group_is_that_of_the_values_else_of_the_patient(
    features: Json, patient: Patient | None, group: str
) -> None:
    assert _group(Replayed(a_decision(), basis(features), patient=patient)) == group


OURS = "org.cds-hooks-onnx"


def test_what_a_card_is_about_is_its_rules_its_model_or_its_kind() -> None:
    cards = [
        {"extension": {OURS: {"findings": [{"rule": "r", "band": "b"}, {"rule": "q", "band": "c"}]}}},
        {"extension": {OURS: {"model": {"id": "m"}, "output": "o"}}},
        {"extension": {OURS: {"model": None, "output": "o"}}},
        {"extension": {OURS: {}}},
        {},
    ]
    decision = a_decision(service="planning")
    row = Replayed(decision, basis(), answer=msgspec.json.encode({"cards": cards}))
    assert list(_subjects(row)) == ["r/b", "q/c", "m", "o", "planning", "planning"]
    assert list(_subjects(Replayed(decision, basis(), answer=b"{}", is_due=True))) == []
    scored = basis(scores={"id": "m", "contributions": {}})
    assert [list(_subjects(Replayed(decision, scored, is_due=due))) for due in (True, False, None)] == [["m"], [], []]


@pytest.mark.parametrize(
    ("outcome", "silence", "due"),
    [
        ("silent", [("m", "below-threshold", "t")], False), ("cards", [("m", "below-threshold", "t")], False),
        ("cards", [], True), ("silent", [("m", "said-once", "t")], True), ("silent", [("m", "budget", "t")], None),
        ("silent", [("other", "below-threshold", "t")], None), ("cards", [("other", "below-threshold", "t")], True),
        ("error", [], None), ("silent", [("other", "said-once", "t")], None),
    ],
)  # fmt: skip
def test_whether_the_card_of_a_model_was_due(
    outcome: Any, silence: list[tuple[str, str, str]], due: bool | None
) -> None:
    recorded = basis(scores={"id": "m"}, silence=silence)
    assert _was_due(Replayed(a_decision(outcome=outcome), recorded)) is due
