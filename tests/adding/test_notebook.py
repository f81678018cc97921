"""The notebook of the guide for a hospital's own model runs as it stands, and its scores are those of the pipeline."""

import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from models_onnx.artifact.folder import read_manifest
from tests.conftest import ROOT
from tests.program import run_program

pytestmark = pytest.mark.slow
PAGE = ROOT / "docs" / "adding" / "hospital-model.md"
_CELL = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_cells_run_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8").partition("## 1. The service")[0]
    cells = _CELL.findall(text)
    assert [kind for kind, _ in cells] == ["python", "sh", "python", "sh", "python"]
    environment = {"CDS_MODEL_SIGNING_KEY": str(tmp_path / "key.pem")}
    monkeypatch.setenv("CDS_MODEL_SIGNING_KEY", str(tmp_path / "key.pem"))
    names: dict[str, object] = {}
    for kind, body in cells:
        if kind == "python":
            exec(compile(body, "notebook", "exec"), names)  # noqa: S102  # the page under test
            continue
        for line in body.strip().splitlines():
            done = run_program(*shlex.split(line)[1:], folder=tmp_path, environment=environment)
            assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
            if " model new " in line:
                _complete(tmp_path / "stay_30d.card.json")
    scored, model, people = names["scored"], names["model"], names["people"]
    expected = model.predict_proba(people[["age_years", "creatinine_mg_dl"]][2000:2010])[:, 1]  # type: ignore[attr-defined, index]
    assert np.abs(scored["probability"].to_numpy() - expected).max() < 1e-5  # type: ignore[index]
    manifest = read_manifest(tmp_path / "own" / "stay_30d")
    assert manifest.missing_kind == "imputed"
    assert (tmp_path / "report.html").read_text().count("<svg") == 5 + 2
    assert sys.version.split()[0] == manifest.software["python"]


def _complete(card: Path) -> None:
    """The words of the card, as the reader writes them."""
    words = json.loads(card.read_text())
    words["attributes"] = dict.fromkeys(words["attributes"], "An invented cohort for a guide.")
    words["product"] |= {"indications": ["an invented event"], "keywords": ["guide"], "bibliography": "None."}
    words["product"]["label"] |= {"words": "the event", "stands_for": "need"}
    words["product"]["label"]["audit"] |= {"words": "events", "axis": "age band"}
    words["product"]["fairness_axes"] = {"age band": "calibration"}
    card.write_text(json.dumps(words))
