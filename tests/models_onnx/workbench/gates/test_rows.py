"""People of one's own let the gates judge a model from elsewhere: parity, figures, groups, label."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models_onnx.errors import ImportRefused
from models_onnx.workbench.gates.gate import run_gates
from models_onnx.workbench.gates.rows import RowsFromFile, _age_bands, read_rows
from models_onnx.workbench.gates.subject import Subject, read_subject
from models_onnx.workbench.release.importing import import_model
from tests.models_onnx.workbench.gates.judging import judge
from tests.models_onnx.workbench.release.test_importing import feature_map, their_card, theirs
from tests.models_onnx.workshop import KEYS, SIGNER, evidence

__all__ = ["theirs"]


@pytest.fixture
def imported(tmp_path: Path, theirs: bytes) -> Subject:
    """Their model, taken in; what must be there is said."""
    (tmp_path / "theirs.onnx").write_bytes(theirs)
    features = {**feature_map(), "required": {"always": ["age_years", "creatinine_mg_dl"], "groups": []}}
    card = their_card()
    card["product"].update(fairness_axes={"sex": "all", "age band": "calibration"}, waivers=[], auroc_floor=0.6)
    card["product"]["label"]["audit"] = {"need": "conditions", "words": "conditions", "axis": "sex"}
    import_model(tmp_path / "theirs.onnx", card, features, tmp_path / "shelf", SIGNER)
    return read_subject(tmp_path / "shelf" / "their_model", KEYS)


def people(subject: Subject, path: Path, shift: float = 0.0, gap: float = 1.0) -> Path:
    """1,500 invented people to whom happens what the model says; `shift` in the library's numbers, `gap` in need."""
    draw = np.random.default_rng(8)
    X = np.column_stack([draw.uniform(30, 90, 1500), draw.uniform(0.5, 2.0, 1500)]).astype(np.float32)
    probability = subject.answers(X).probability
    happened = (draw.random(1500) < probability).astype(int)
    sex = draw.choice(["female", "male"], 1500)
    conditions = draw.poisson(3 * probability * np.where(sex == "male", gap, 1.0))
    rows = [
        f"{x[0]!r},{x[1]!r},{y},{group},{need},{p + shift!r}"
        for x, y, group, need, p in zip(X.tolist(), happened, sex, conditions, probability.tolist(), strict=True)
    ]
    header = "age_years,creatinine_mg_dl,outcome,sex,conditions,library_probability"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def brought(found: RowsFromFile) -> dict[str, Any]:
    """What the rows give, as evidence."""
    figures = found.subject.evaluation
    return {"people": found.people, "audit": found.audit, "library": found.library, "figures": figures}


def test_a_good_model_passes_every_gate_that_people_can_judge(imported: Subject, tmp_path: Path) -> None:
    found = read_rows(imported, people(imported, tmp_path / "people.csv"))
    report = run_gates(imported, evidence(**brought(found)))
    states = {result.gate: (result.status, result.why) for result in report.results}
    for gate in ("G3", "G7", "G9", "G10", "G12"):
        assert states[gate][0] == "passed", (gate, states[gate])
    assert states["G6"][0] == "failed"


def test_what_the_library_says_differently_and_what_a_group_needs_more_fail(imported: Subject, tmp_path: Path) -> None:
    found = read_rows(imported, people(imported, tmp_path / "people.csv", shift=1e-4, gap=2.0))
    assert "differs by 1.0e-04" in judge(imported, "G3", evidence(**brought(found))).why
    assert "male need" in judge(imported, "G10", evidence(**brought(found))).why


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("age_years,outcome\n50,1\n", "lacks the column creatinine_mg_dl"),
        ("age_years,creatinine_mg_dl\n50,1\n", "lacks the column outcome"),
        ("age_years\n50\n", "lacks the columns creatinine_mg_dl, outcome"),
        ("", "lacks the columns"),
        ("age_years,creatinine_mg_dl,outcome\nold,1,1\n", "has a value that is not a number"),
    ],
)
def test_rows_that_cannot_be_used_are_refused(imported: Subject, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "people.csv").write_text(text)
    with pytest.raises(ImportRefused, match=said):
        read_rows(imported, tmp_path / "people.csv")


def test_an_import_that_does_not_say_what_must_be_there_keeps_nobody_out(tmp_path: Path, theirs: bytes) -> None:
    (tmp_path / "theirs.onnx").write_bytes(theirs)
    import_model(tmp_path / "theirs.onnx", their_card(), feature_map(), tmp_path / "shelf", SIGNER)
    bare = read_subject(tmp_path / "shelf" / "their_model", KEYS)
    assert "nobody would be kept out" in judge(bare, "G12").why


def test_everybody_with_an_age_is_of_a_band_of_ten_years() -> None:
    bands = ["not recorded", "0-9", "0-9", "10-19", "70-79", "80 and over", "80 and over"]
    assert _age_bands(np.array([np.nan, 0.0, 9.9, 10.0, 79.9, 80.0, 105.0])).tolist() == bands
