"""What `model adopt` takes a name for, and what `outcomes` says of what was counted."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from cds_hooks.commands import outcomes
from cds_hooks.commands.model import adopt
from models_onnx.errors import TrainingRefused
from models_onnx.spec import Fitted


@pytest.mark.parametrize(
    ("name", "is_onnx", "is_code"),
    [
        ("models:/falls/3", True, True),
        ("runs:/abc/model", True, True),
        ("a/b.onnx", True, False),
        ("B.ONNX", True, False),
        ("model.skops", False, False),
        ("fit.py:make", False, True),
        ("folder/fit.py:make", False, False),
        ("c.onnx:part", True, True),
    ],
)
def test_a_name_is_that_of_an_onnx_file_of_code_or_of_a_model_file(name: str, is_onnx: bool, is_code: bool) -> None:
    assert (adopt._is_onnx(name), adopt._is_code(name)) == (is_onnx, is_code)


def test_a_model_file_lies_beside_its_declaration(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    inside, outside = tmp_path / "mine" / "m.skops", tmp_path / "m.skops"
    for path in (inside, outside):
        path.write_text("x")
    assert adopt._beside(inside, tmp_path / "mine") == "m.skops"
    assert adopt._beside(Path("none.skops"), tmp_path) == "none.skops"
    with pytest.raises(TrainingRefused, match=r"lies outside .*: put it beside the declaration"):
        adopt._beside(outside, tmp_path / "mine")


def test_a_declaration_names_the_model_that_is_adopted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "falls_1y.py"
    with pytest.raises(TrainingRefused, match="is not there; cds-hooks model new NAME"):
        adopt._declared(path, "m.skops")
    assert not adopt._takes_series(path)
    assert not adopt._takes_series(None)
    path.write_text("")
    spec: Any = SimpleNamespace(estimator=Fitted("m.skops", trained_on="others"))
    asked: list[Any] = []

    def get_spec(*names: Any) -> Any:
        asked.append(names)
        return spec

    monkeypatch.setattr("models_onnx.spec.get_spec", get_spec)
    assert adopt._declared(path, "m.skops") == spec
    assert asked == [("falls_1y", tmp_path)]
    assert not adopt._takes_series(path)
    with pytest.raises(TrainingRefused, match=r"declares Fitted\('m.skops'\), and the command names 'fit:make'"):
        adopt._declared(path, "fit:make")
    spec.estimator = Fitted("m.onnx", trained_on="others", steps=4)
    assert adopt._takes_series(path)
    spec.estimator = object()
    assert not adopt._takes_series(path)
    with pytest.raises(TrainingRefused, match=r"write estimator=Fitted\('m.skops', trained_on="):
        adopt._declared(path, "m.skops")


@pytest.mark.parametrize(
    ("card", "features", "words"),
    [(None, None, "add --card and --features"), (Path("c"), None, "add --features"), (None, Path("f"), "add --card (")],
)
def test_an_onnx_file_needs_its_card_and_its_map(
    card: Path | None, features: Path | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        adopt.adopt("m.onnx", card=card, features=features, spec=None)
    assert ended.value.exit_code == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_an_onnx_file_with_both_is_taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Any] = []
    monkeypatch.setattr(adopt, "import_", lambda *arguments: taken.append(arguments))
    adopt.adopt("m.onnx", card=Path("c"), features=Path("f"), spec=None, out=Path("o"), server="s")
    assert taken == [("m.onnx", Path("c"), Path("f"), Path("o"), "s")]


def test_outcomes_are_counted_with_how_far_they_are_complete(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    label = SimpleNamespace(model="m", event="death", horizon_days=30.0, lag_days=7.5)
    other = SimpleNamespace(model="n", event=None, horizon_days=365.0, lag_days=0.0)
    counts: list[Any] = [("ehr", "event", "death", "1", 1200, 3)]
    monkeypatch.setattr(outcomes, "count_outcomes", lambda _: counts)
    monkeypatch.setattr(outcomes, "completed", lambda _: {("ehr", "death"): "2026-10-31", ("a", "fall"): "2026-10-01"})
    monkeypatch.setattr(outcomes, "site_labels", lambda _: {"m": label, "n": other})
    monkeypatch.setattr("msgspec.to_builtins", lambda label: label.model)
    outcomes._summarise("url", as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-4:] == [
        "a has sent every fall up to 2026-10-01.",
        "ehr has sent every death up to 2026-10-31.",
        "m: death within 30 days; mature 7.5 days after that.",
        "n: what it predicts (by prediction only) within 365 days; mature 0 days after that.",
    ]
    assert any("1,200" in line for line in lines)
    assert "No outcome is in the record." not in lines
    outcomes._summarise("url", as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "outcomes": [
            {"client": "ehr", "kind": "event", "subject": "death", "value": "1", "outcomes": 1200, "corrected": 3}
        ],
        "complete": [
            {"client": "a", "event": "fall", "through": "2026-10-01"},
            {"client": "ehr", "event": "death", "through": "2026-10-31"},
        ],
        "models": ["m", "n"],
    }
    counts.clear()
    outcomes._summarise("url", as_json=False)
    assert capsys.readouterr().out.splitlines()[0] == "No outcome is in the record."
