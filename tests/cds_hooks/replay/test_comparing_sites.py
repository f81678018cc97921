"""What two sites are compared by: the group of the patient, and what each card is about."""

from typing import Any

import msgspec
import pytest

from cds_hooks.replay.basis import Basis, read_basis
from cds_hooks.replay.candidates import _group, _subjects
from cds_hooks.replay.replaying import Replayed
from fhir.record.resources import Patient
from tests.cds_hooks.storage.samples import a_decision

Json = dict[str, Any]
FIB4 = {"age_years": 60.0, "ast_u_l": 40.0, "alt_u_l": 16.0, "platelets_10e3_ul": 200.0}


def basis(features: Json | None = None, scores: Json | None = None, silence: Any = ()) -> Basis:
    """What a decision recorded of itself."""
    values = {name: [value, "", ""] for name, value in (features or {}).items()}
    document = {"as_of": "2026-11-20T09:00:00Z", "features": values, "scores": scores, "silence": list(silence)}
    return read_basis(msgspec.json.encode(document))


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
    assert list(_subjects(Replayed(decision, basis(), answer=b"{}"))) == []
