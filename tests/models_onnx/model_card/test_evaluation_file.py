"""Figures that were computed after a model was signed: which file they are of, and what of them a page shows."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from models_onnx.model_card.evaluation_file import (
    GroupRates,
    LaterEvaluation,
    blocks_with_slopes,
    encode_evaluation,
    group_rates,
    later_evaluation,
    rates_at_equal_ages,
    read_evaluation,
)

Json = dict[str, Any]


def manifest(*subgroups: Json) -> Any:
    """The part of a manifest that is read, with these groups."""
    return SimpleNamespace(
        id="falls", version="2", file=SimpleNamespace(sha256="ab" * 32), evaluation={"subgroups": list(subgroups)}
    )


def rate(value: float) -> dict[str, float | None]:
    """A rate with its interval."""
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def group(axis: str, name: str, *, standardised: bool = True, **more: Any) -> Json:
    """A block of one group of people."""
    rates = {"sensitivity": rate(0.5), "false_positive_rate": rate(0.2)}
    if standardised:
        rates |= {"sensitivity_standardised": rate(0.6), "false_positive_rate_standardised": rate(0.3)}
    return {"axis": axis, "group": name, "sufficient": True, **rates, **more}


def later(*groups: Json, sha256: str = "ab" * 32) -> LaterEvaluation:
    """Later figures of these groups."""
    return LaterEvaluation(
        id="falls", version="2", sha256=sha256, rows="rows.csv", rows_sha256="cd", how="held out", groups=list(groups)
    )


def test_later_figures_name_the_file_that_they_are_of() -> None:
    women = group("sex", "female")
    assert later_evaluation(manifest(), "rows.csv", "cd", "held out", [women]) == later(women)
    content = encode_evaluation(later(women))
    assert content.endswith(b"}\n")
    assert b'\n "id": "falls",\n' in content
    assert json.loads(content)["groups"] == [women]


def test_figures_are_read_where_they_are_of_this_very_file(tmp_path: Path) -> None:
    path = tmp_path / "falls.evaluation.json"
    assert read_evaluation(manifest(), tmp_path) is None
    path.write_bytes(encode_evaluation(later()))
    assert read_evaluation(manifest(), tmp_path) == later()
    path.write_bytes(encode_evaluation(later(sha256="00" * 32)))
    assert read_evaluation(manifest(), tmp_path) is None


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"id": "falls"}', b"\xff"])
def test_a_file_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "falls.evaluation.json").write_bytes(content)
    assert read_evaluation(manifest(), tmp_path) is None


def test_a_slope_comes_from_later_figures_only_where_the_manifest_has_none() -> None:
    slope, other = rate(1.0), rate(0.9)
    told = manifest({"axis": "sex", "group": "female"}, {"axis": "sex", "group": "male", "calibration_slope": other},
                    {"axis": "age band", "group": "female"})  # fmt: skip
    groups = later(
        {"axis": "sex", "group": "female", "calibration_slope": slope, "n": 5},
        {"axis": "sex", "group": "male", "calibration_slope": slope}, {"axis": "age band", "group": "female", "n": 6},
    )  # fmt: skip
    assert blocks_with_slopes(told, groups) == [
        {"axis": "sex", "group": "female", "calibration_slope": slope},
        {"axis": "sex", "group": "male", "calibration_slope": other},
        {"axis": "age band", "group": "female"},
    ]
    assert blocks_with_slopes(told, None) == told.evaluation["subgroups"]


RATES = (rate(0.5), rate(0.6), rate(0.2), rate(0.3))


def test_error_rates_at_equal_ages_are_those_of_sex_race_and_ethnicity() -> None:
    axes = ("sex", "race and ethnicity (fairness only)", "ethnicity", "age band", "survey cycle", "insurance by sex")
    rates = group_rates([*(group(axis, "a") for axis in axes), group("sex", "b", standardised=False)])
    assert rates == [GroupRates(axis, "a", True, RATES) for axis in axes[:3]]
    assert group_rates([group("sex", "a", sufficient=False)]) == [GroupRates("sex", "a", False, RATES)]


def test_error_rates_are_those_of_the_manifest_else_the_later_ones() -> None:
    first, second = group("sex", "female"), group("sex", "male")
    assert [rates.name for rates in rates_at_equal_ages(manifest(first), later(second))] == ["female"]
    bare = manifest(group("sex", "female", standardised=False))
    assert [rates.name for rates in rates_at_equal_ages(bare, later(second))] == ["male"]
    assert rates_at_equal_ages(bare, None) == []
