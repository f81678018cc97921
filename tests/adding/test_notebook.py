"""The notebook of the guide for a hospital's own model runs as it stands: from a table to a card over HTTP.

Its cells are put into one program, in which a line for the shell is a command in a process of its own and the server is
a real one. What the last cells were answered is looked at here.
"""

import csv
import json
import os
import subprocess
import sys
from datetime import date
from math import log
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cards.card import Card, check_card
from tests.adding.notebook import CELL, PAGE, RUNNING
from tests.conftest import ROOT
from tests.live import AS_INSTALLED, free_port, record_in

pytestmark = pytest.mark.slow
_LOOKING = """
import re
of_batch = people[8000:8010].assign(Male=1.0 * (people["Gender"] == "M"))[INPUTS].astype(np.float32)
anna = pd.DataFrame([[74.0, 0.0, 124.0, 1.8]], columns=INPUTS).astype(np.float32)
linked = [link["url"] for link in card["links"]]
from urllib.parse import urljoin
of_page = {urljoin(ADDRESS + "/models/stay_1y", each) for each in re.findall(r'href="([^"#?]+)', page)}
of_explanation = {urljoin(linked[0], each) for each in re.findall(r'href="([^"#?]+)', explanation)}
inside = sorted(each for each in of_page | of_explanation if each.startswith(ADDRESS + "/models"))
facts = {
    "probability": scored["probability"].tolist(),
    "expected": fitted.predict_proba(of_batch)[:, 1].tolist(),
    "reason": scored["reason"].tolist(),
    "age": people["AgeAtVisit"][8000:8010].tolist(),
    "card": card,
    "anna": float(fitted.predict_proba(anna)[0, 1]),
    "links": [httpx.get(one).status_code for one in [*linked, *inside]],
    "inside": inside,
    "listed": pd.read_csv("scores.csv")["probability"].tolist(),
    "prefetch": prefetch,
    "explanation": explanation,
    "page": page,
}
Path("facts.json").write_text(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the notebook after its last cell."""
    place = tmp_path_factory.mktemp("hospital")
    text = PAGE.read_text(encoding="utf-8").partition("## 3. The declaration")[0]
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    program = [RUNNING, f"ADDRESS = {address!r}"]
    for kind, body in CELL.findall(text.replace("8085", str(port))):
        if kind == "python":
            program.append(body)
        else:
            program += [f"shell({line!r}, ADDRESS)" for line in body.strip().splitlines()]
        if "explanation = " in body:
            program.append(_LOOKING)
    (place / "notebook.py").write_text("\n".join(program))
    environment = _environment(place) | {"CDS_PUBLIC_URL": address}
    done = subprocess.run(
        [sys.executable, "notebook.py"], cwd=place, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return place


def _environment(place: Path) -> dict[str, str]:
    search = os.pathsep.join([AS_INSTALLED, str(ROOT)])
    more = {"PYTHONPATH": search, "CDS_DATABASE_URL": record_in(place), "CDS_DATA_DIR": str(place / "nowhere")}
    return os.environ | more | {"COLUMNS": "200"}


@pytest.fixture(scope="module")
def facts(folder: Path) -> dict[str, Any]:
    """What the cells of the notebook were answered."""
    found: dict[str, Any] = json.loads((folder / "facts.json").read_text())
    return found


def test_the_scores_of_a_list_are_those_of_the_pipeline(facts: dict[str, Any]) -> None:
    for told, expected, reason, age in zip(
        *(facts[name] for name in ("probability", "expected", "reason", "age")), strict=True
    ):
        if age < 18:
            assert reason == "outside-population"
        else:
            assert told == pytest.approx(expected, abs=1e-6)
    assert facts["listed"] == pytest.approx(facts["probability"], abs=1e-9, nan_ok=True)


def test_the_card_over_http_has_the_estimate_of_the_pipeline_and_the_words_of_the_service(
    facts: dict[str, Any],
) -> None:
    card = facts["card"]
    check_card(msgspec.convert(card, Card))
    own = card["extension"]["org.cds-hooks-onnx"]
    assert own["probability"] == pytest.approx(facts["anna"], abs=1e-6)
    assert f"{round(100 * facts['anna'])} in 100" in card["summary"]
    assert card["source"]["topic"]["code"] == "nurse-visit"
    assert card["suggestions"][0]["actions"][0]["resource"]["code"]["text"] == "Visit by the nurse within 14 days"
    assert "Procalcitonin **1.8 ug/L**" in card["detail"]
    assert sum(each["contribution"] for each in own["contributions"]) + own["base"] == pytest.approx(
        log(facts["anna"] / (1 - facts["anna"])), abs=1e-4
    )


def test_a_folder_of_charts_is_scored_by_the_model_in_use(folder: Path, facts: dict[str, Any]) -> None:
    charts = folder / "charts"
    charts.mkdir()
    resources = [facts["prefetch"]["patient"], *(each["resource"] for each in facts["prefetch"]["labs"]["entry"])]
    entries = [{"resource": each} for each in resources]
    (charts / "anna.json").write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}))
    command = [sys.executable, "-m", "cds_hooks", "score", "--fhir", "charts", "--only", "stay_1y", "--out", "anna.csv"]
    own = {"CDS_MODELS_FOLDER": "own", "CDS_MODEL_KEYS": "var/model-signing-key.pub.json"}
    command += ["--as-of", date.today().isoformat()]  # noqa: DTZ011 - the guide writes the reader's day
    done = subprocess.run(command, cwd=folder, env=_environment(folder) | own, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = csv.DictReader((folder / "anna.csv").read_text().splitlines())
    assert (row["name"], row["by"], row["reason"]) == ("stay_1y", "stay_1y", "")
    assert float(row["value"]) == pytest.approx(facts["anna"], abs=1e-6)


def test_explanation_and_page_of_the_model_and_their_links_are_there(facts: dict[str, Any]) -> None:
    assert set(facts["links"]) == {200}
    inside = {each.partition("/models/")[2] for each in facts["inside"]}
    assert {"stay_1y", "stay_1y/card.json"} <= inside
    assert "Procalcitonin" in facts["explanation"]
    assert "The analytics group of the invented hospital" in facts["page"]
    assert "maintainers of cds-hooks-onnx" not in facts["page"]
