"""The page on renewal runs as it stands: a planted drift, the incident, a new version, its release, the way back."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from cds_hooks.people.governance.acts import ActState
from models_onnx.artifact.folder import load_artifact, read_manifest
from models_onnx.artifact.keys import trusted_keys
from models_onnx.serving.runtime import Model
from models_onnx.workbench.metrics import logit, sigmoid
from tests.adding.notebook import CELL, RUNNING
from tests.adding.notebook import PAGE as GUIDE
from tests.cds_hooks.people.governance.clicking import ANN, BEN, Desk
from tests.conftest import ROOT
from tests.live import AS_INSTALLED, record_in, serving
from tests.recorded import list_decisions

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs" / "operations" / "renewal.md").read_text(encoding="utf-8")
SHIFT = 1.2  # of the log odds: they are sicker than those of the table
CLIENT = "Example hospital"  # of the page; without a trust file calls are those of the client "anonymous"
SICKER = 1.5  # times the creatinine that the old had before


class Site:
    """A folder with the model of the guide and its record; commands run in it as whoever types them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = record_in(folder)
        self.environment = {
            "CDS_DATABASE_URL": self.url,
            "CDS_DATA_DIR": str(folder / "nowhere"),
            "PYTHONPATH": os.pathsep.join([AS_INSTALLED, str(ROOT)]),
            "COLUMNS": "200",
        }

    def __call__(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=self.folder,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, f"{words}: {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout + done.stderr

    def model(self, name: str) -> Model:
        keys = trusted_keys(self.folder / "var" / "model-signing-key.pub.json")
        return Model(load_artifact(self.folder / "own" / name, keys))

    def serve(self, first_day: int, weeks: int, count: int, sicker: float = SICKER) -> list[dict[str, Any]]:
        """Serves so many calls a week about other people each time, long enough ago to be mature."""
        wanted = {"first_day": first_day, "weeks": weeks, "count": count, "sicker": sicker}
        lines = self("tests.operations.weeks", json.dumps(wanted)).splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def outcomes(self, calls: list[dict[str, Any]]) -> str:
        """Reports what happened, more than before, and returns what the command says.

        Intercept and slope alone are renewed, which mends what moved for all.
        """
        columns = [[call[name] for name in ("age", "male", "creatinine", "procalcitonin")] for call in calls]
        odds = logit(self.model("stay_1y").predict_rows(np.array(columns)).probability)
        happened = np.random.default_rng(len(calls)).random(len(calls)) < sigmoid(odds + SHIFT)
        lines = [f"{call['decision']},{'yes' if yes else 'no'}" for call, yes in zip(calls, happened, strict=True)]
        (self.folder / "outcomes.csv").write_text("\n".join(("prediction,outcome", *lines)))
        words = commands()["The incident"][0]
        return self("cds_hooks", *("anonymous" if word == CLIENT else word for word in words))

    def answered_by(self) -> tuple[str, list[str]]:
        """Which version answers a call over HTTP, and which are computed beside it."""
        found: Mapping[str, Any] = {"resourceType": "Bundle", "type": "searchset", "entry": []}
        patient = {"resourceType": "Patient", "id": "anna", "gender": "female", "birthDate": "1942-03-01"}
        empty = ("labs", "conditions", "encounters", "procedures", "tests")
        call = {
            "hook": "patient-view",
            "hookInstance": "8f7f4a4e-6f0c-4b62-9a6f-0c3ec2a4c7d1",
            "context": {"userId": "Practitioner/1", "patientId": "anna"},
            "prefetch": {"patient": patient, **dict.fromkeys(empty, found)},
        }
        site = {name: value for name, value in self.environment.items() if name.startswith("CDS_MODEL")}
        folder: dict[str, Any] = {name: str(self.folder / value) for name, value in site.items()}
        with serving(self.folder, **folder) as address:
            httpx.post(f"{address}/cds-services/nurse-visit", json=call, timeout=180).raise_for_status()
        newest = max(list_decisions(self.url, limit=50), key=lambda decision: decision.decided_at)
        scores = json.loads(newest.basis)["scores"]
        return scores["version"], [beside["version"] for beside in scores.get("beside", ())]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site of the guide, up to the gates of its model."""
    place = Site(tmp_path_factory.mktemp("hospital"))
    program = [RUNNING]
    guide = GUIDE.read_text(encoding="utf-8").partition("All gates are green here.")[0]
    for kind, body in CELL.findall(guide):
        lines = [f"shell({line!r}, '')" for line in body.strip().splitlines()]
        program += [body] if kind == "python" else lines
    (place.folder / "cells.py").write_text("\n".join(program))
    place("cells")
    place.environment |= {"CDS_MODELS_FOLDER": "own", "CDS_MODEL_KEYS": "var/model-signing-key.pub.json"}
    return place


def commands() -> dict[str, list[list[str]]]:
    """The commands of the page by heading, each in words."""
    sections = re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return {
        heading: [shlex.split(line)[1:] for _, body in CELL.findall(text) for line in body.strip().splitlines()]
        for heading, text in sections
    }


def test_the_way_from_a_drift_to_a_released_version_and_back(site: Site) -> None:
    page = commands()
    _, report = page["The incident"]
    site.serve(589, weeks=3, count=380, sicker=1.0)
    drifted = site.serve(567, weeks=5, count=400)

    until = (datetime.now(UTC) - timedelta(days=547)).date().isoformat()
    seen = site("cds_hooks", "monitor", "--until", until, "--days", "20", "--before", "20", code=1)
    assert re.search(r"Incident, drift\..*creatinine_mg_dl", " ".join(seen.split())), seen

    early, late = drifted[:1600], drifted[1600:]
    assert "1600 of them new" in site.outcomes(early)
    unlabelled = site("cds_hooks", *report, "--all")
    assert "400 of 2,000 mature predictions have no outcome" in " ".join(unlabelled.split()), unlabelled
    assert "400 of them new" in site.outcomes(late)
    incident = " ".join(site("cds_hooks", *report, code=1).split())
    assert incident.startswith("Incident, calibration. anonymous: nurse-visit: stay_1y@1.0.0"), incident
    assert "same kind" not in incident.partition("┏")[0], incident

    for heading in ("The table", "The new version", "Gates"):
        for words in page[heading]:
            site("cds_hooks", *words)
    figures = site.model("stay_1y@1.1.0").manifest.evaluation["all"]
    assert figures["observed_expected"]["value"] == pytest.approx(1, abs=0.05)

    site.environment |= {"CDS_TRUST_FILE": "trust.toml"}
    (shadow,) = page["Shadow"]
    site("cds_hooks", *shadow)
    assert site.answered_by() == ("1.0.0", ["1.1.0"])
    site.environment.pop("CDS_TRUST_FILE")

    version = read_manifest(site.folder / "own" / "stay_1y@1.1.0").file.sha256
    steps: tuple[tuple[ActState, int], ...] = (("canary", 20), ("active", 100))
    for state, share in steps:  # the test does not wait for a week
        for person in (ANN, BEN):
            Desk(site.url).put_act(person, state, kind="model", name="stay_1y@1.1.0", share=share, version=version)
    assert site.answered_by() == ("1.1.0", [])

    (back,) = page["Back"]
    site("cds_hooks", *back)
    assert site.answered_by() == ("1.0.0", ["1.1.0"])
