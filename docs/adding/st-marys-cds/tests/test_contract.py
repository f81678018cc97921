"""What holds for every part: its cards, silences, numbers, limits and pages."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from cds_hooks.samples import list_samples, load_patient
from cds_hooks.server.app import create_app
from cds_hooks.settings import Settings
from cds_hooks.settings.packages import use_packages
from cds_hooks.tools.kit.simulator.chart import Chart, resources_of
from cds_hooks.tools.kit.simulator.request import build_request
from models_onnx.equations.calculate import calculate
from models_onnx.equations.declaration import get_equation
from models_onnx.errors import EquationRefused

use_packages(["st-marys-cds"])
SERVICE = "fall-risk"
AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def answers(folder: Path, **settings: Any) -> list[dict[str, Any]]:
    """The answers of a server of its own about every sample patient."""
    folder.mkdir(exist_ok=True)
    configured = Settings(database_url=f"sqlite:///{folder / 'record.sqlite3'}", as_of=AS_OF, **settings)
    with TestClient(create_app(configured), base_url="http://localhost") as client:
        listed = client.get("/cds-services").json()["services"]
        entry = next(entry for entry in listed if entry["id"] == SERVICE)
        charts = [Chart(resources_of(load_patient(sample.id, AS_OF))) for sample in list_samples()]
        sent = [client.post(f"/cds-services/{SERVICE}", json=build_request(entry, chart, [])) for chart in charts]
    assert {answer.status_code for answer in sent} == {200}
    return [answer.json() for answer in sent]


def test_each_card_is_short_with_a_source_and_each_silence_has_a_reason(tmp_path: Path) -> None:
    for answer in answers(tmp_path):
        for card in answer["cards"]:
            assert 0 < len(card["summary"]) < 140
            assert card["source"]["label"]
        if not answer["cards"]:
            ours = answer["extension"]["org.cds-hooks-onnx"]
            assert ours.get("silence") or ours["looked"]
            assert all(reason["text"].endswith(".") for reason in ours.get("silence", ()))


def test_the_dialect_keeps_numbers_and_urgency(tmp_path: Path) -> None:
    standard, ours = (
        [[(card["indicator"], re.findall(r"\d+", card["summary"])) for card in answer["cards"]] for answer in sent]
        for sent in (answers(tmp_path / "standard"), answers(tmp_path / "ours", dialect="wardview"))
    )
    assert standard == ours


def test_the_equation_refuses_what_is_beyond_its_limits() -> None:
    equation = get_equation("shock_index")
    assert calculate(equation, {"heart_rate": 110, "sbp": 100}).value == pytest.approx(1.1)
    with pytest.raises(EquationRefused):
        calculate(equation, {"heart_rate": 400, "sbp": 100})


def test_the_page_is_closed_to_whoever_has_not_logged_in(tmp_path: Path) -> None:
    configured = Settings(database_url=f"sqlite:///{tmp_path / 'record.sqlite3'}", login="accounts")
    with TestClient(create_app(configured), "http://localhost", follow_redirects=False) as client:
        assert client.get("/wards", headers={"accept": "text/html"}).status_code == 303
