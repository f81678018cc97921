"""The page on renewal runs as it stands: a planted drift, the incident, a new version, its release, the way back."""

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from cds_hooks.hold_back.acts import ActState
from cds_hooks.storage import Decision, open_decision_log
from cds_hooks.storage.queries import list_decisions
from models_onnx.artifact.folder import load_artifact, read_manifest
from models_onnx.artifact.keys import trusted_keys
from models_onnx.serving.runtime import Model
from models_onnx.workbench.metrics import logit, sigmoid
from tests.adding.notebook import CELL, RUNNING
from tests.adding.notebook import PAGE as GUIDE
from tests.cds_hooks.hold_back.clicking import ANN, BEN, Desk
from tests.cds_hooks.storage.samples import a_decision
from tests.conftest import ROOT
from tests.live import AS_INSTALLED, record_in, serving

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs" / "operations" / "renewal.md").read_text(encoding="utf-8")
SHIFT = 0.9  # of the log odds: the patients are sicker than those of the table
CLIENT = "Example hospital"
PEOPLE = 3000
OWN_ESTIMATOR = {
    "from models_onnx.spec import CohortExclusion, Fitted,": (
        "from sklearn.impute import SimpleImputer\nfrom sklearn.linear_model import LogisticRegression\n"
        "from sklearn.pipeline import make_pipeline\n\nfrom models_onnx.spec import CohortExclusion,"
    ),
    'Fitted("stay_1y.skops", trained_on="8,000 other invented people", columns=("age", "male", "crea", "pct"))': (
        "make_pipeline(SimpleImputer(), LogisticRegression(max_iter=5000))"
    ),
    "model import mine/stay_1y.skops --spec mine/stay_1y.py": "model train stay_1y --specs mine",
}
"""What makes the fitted model of the guide one that is fitted here, as the page says."""


class Site:
    """A folder with the model of the guide and its record; commands run in it as whoever types them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = record_in(folder)
        self.environment = {
            "CDS_DATABASE_URL": self.url,
            "CDS_DATA_DIR": str(folder / "nowhere"),
            "CDS_MODEL_SIGNING_KEY": "publisher.pem",
            "PYTHONPATH": os.pathsep.join([AS_INSTALLED, str(ROOT)]),
            "COLUMNS": "200",
            "CDS_AS_OF": "2026-11-20T09:00:00Z",
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
        keys = trusted_keys(self.folder / "publisher.pub.json")
        return Model(load_artifact(self.folder / "own" / name, keys))

    def decide(self, first_day: int, *versions: str) -> Iterator[tuple[Decision, float]]:
        """Yields decisions about other people each time, long enough ago to be mature, with what their risk was.

        The first version answers; the others are computed beside it.
        """
        draw = np.random.default_rng(first_day)
        age, male = draw.integers(18, 90, PEOPLE), draw.integers(0, 2, PEOPLE)
        creatinine, procalcitonin = draw.lognormal(0.05, 0.35, PEOPLE), draw.lognormal(0.05, 0.4, PEOPLE)
        X = np.column_stack([age, male, creatinine, procalcitonin]).astype(np.float64)
        models = [self.model(version) for version in versions]
        estimates = [model.predict_rows(X).probability for model in models]
        true_risk = sigmoid(logit(self.model("stay_1y").predict_rows(X).probability) + SHIFT)
        begin = datetime.now(UTC) - timedelta(days=first_day)
        names = [item.name for item in models[0].manifest.features]
        for number, row in enumerate(X.tolist()):
            at = begin + timedelta(minutes=20 * number)
            computed = [
                {
                    "id": "stay_1y",
                    "version": model.manifest.version,
                    "sha256": model.manifest.file.sha256,
                    "probability": float(estimate[number]),
                    "is_due": bool(estimate[number] >= model.manifest.thresholds.default.probability),
                }
                for model, estimate in zip(models, estimates, strict=True)
            ]
            below = [["stay_1y", "below-threshold", "x"]] if not computed[0]["is_due"] else []
            basis = {
                "as_of": at.isoformat(),
                "features": {name: [value, None, "Patient/x"] for name, value in zip(names, row, strict=True)},
                "scores": {**computed[0], "beside": computed[1:]},
                "silence": below,
            }
            yield (
                a_decision(
                    client=CLIENT,
                    service="nurse-visit",
                    patient=f"{first_day}-{number}",
                    decided_at=int(at.timestamp() * 1e6),
                    basis=json.dumps(basis).encode(),
                ),
                float(true_risk[number]),
            )

    def record(self, first_day: int, *versions: str) -> None:
        """Writes such decisions into the record, and what happened after them into `outcomes.ndjson`."""
        draw, decided = np.random.default_rng(first_day + 1), list(self.decide(first_day, *versions))

        async def write() -> None:
            log = open_decision_log(self.url)
            for start in range(0, len(decided), 500):
                await asyncio.gather(*(log.append(decision) for decision, _ in decided[start : start + 500]))
            await log.close()

        asyncio.run(write())
        happened = [
            json.dumps({"prediction": decision.id, "outcome": "yes" if draw.random() < risk else "no"})
            for decision, risk in decided
        ]
        (self.folder / "outcomes.ndjson").write_text("\n".join(happened))

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
            httpx.post(f"{address}/cds-services/nurse-visit", json=call, timeout=60).raise_for_status()
        newest = max(list_decisions(self.url, limit=50), key=lambda decision: decision.decided_at)
        scores = json.loads(newest.basis)["scores"]
        return scores["version"], [beside["version"] for beside in scores.get("beside", ())]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site of the guide, up to the gates of its model, with two people and what happened after its estimates."""
    place = Site(tmp_path_factory.mktemp("hospital"))
    program = [RUNNING]
    guide = GUIDE.read_text(encoding="utf-8").partition("All gates are green here.")[0]
    for fitted, own in OWN_ESTIMATOR.items():
        assert fitted in guide
        guide = guide.replace(fitted, own)
    for kind, body in CELL.findall(guide):
        program += [body] if kind == "python" else [f"shell({line!r}, '')" for line in body.strip().splitlines()]
    (place.folder / "cells.py").write_text("\n".join(program))
    place("cells")
    place.environment |= {"CDS_MODELS_FOLDER": "own", "CDS_MODEL_KEYS": "publisher.pub.json"}
    place.record(480, "stay_1y")
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
    taken, report = page["The incident"]
    assert f"{PEOPLE} of them new" in site("cds_hooks", *taken)
    incident = site("cds_hooks", *report, code=1)
    assert re.search(r"stay_1y.*[Oo]bserved", incident), incident

    for heading in ("The table", "The new version", "Gates"):
        for words in page[heading]:
            site("cds_hooks", *words)
    figures = site.model("stay_1y@1.1.0").manifest.evaluation["all"]
    assert figures["observed_expected"]["value"] == pytest.approx(1, abs=0.05)

    site.environment |= {"CDS_TRUST_FILE": "trust.toml"}
    shadow, compared = page["Shadow"]
    site("cds_hooks", *shadow)
    assert site.answered_by() == ("1.0.0", ["1.1.0"])
    site.record(450, "stay_1y", "stay_1y@1.1.0")
    site("cds_hooks", *taken)
    assert "Its estimates are nearer to what happened" in site("cds_hooks", *compared)

    version = read_manifest(site.folder / "own" / "stay_1y@1.1.0").file.sha256
    steps: tuple[tuple[ActState, int], ...] = (("canary", 20), ("active", 100))
    for state, share in steps:  # the test does not wait for a week
        for person in (ANN, BEN):
            Desk(site.url).put_act(person, state, kind="model", name="stay_1y@1.1.0", share=share, version=version)
    assert site.answered_by() == ("1.1.0", [])

    (back,) = page["Back"]
    site("cds_hooks", *back)
    assert site.answered_by() == ("1.0.0", ["1.1.0"])
