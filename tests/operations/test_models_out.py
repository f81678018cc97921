"""A model whose files were changed or are missing stops its own service, and says so; everything else is served."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cds_hooks.calls import ORDERS, PLANNING, counted_request_for
from tests.conftest import ROOT
from tests.live import SHIPPED, serving

pytestmark = pytest.mark.slow

AS_OF = datetime(2026, 11, 20, 12, tzinfo=UTC)
_READMISSION = "readmission-follow-up"


def _copy_of_the_package(folder: Path) -> Path:
    """Put the package there and return the folder of its models, which are a copy."""
    for name in ("cds_hooks", "cards", "fhir"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "models_onnx", folder / "models_onnx", ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "models_onnx/artifacts"


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server of a copy of the package: one model has a changed byte, the second model of planning lacks a file."""
    folder = tmp_path_factory.mktemp("damaged")
    artifacts = _copy_of_the_package(folder)
    _change_byte(artifacts / "readmission_30d/model.onnx", -100)
    (artifacts / "mortality_5y_small/manifest.json").unlink()
    with serving(folder, CDS_AS_OF=AS_OF.isoformat()) as address:
        yield address, folder


def _change_byte(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


def _post(address: str, service: str, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{address}/cds-services/{service}", json=body, timeout=180)


def test_readyz_metrics_and_log_name_the_models_that_are_out(damaged: tuple[str, Path]) -> None:
    address, folder = damaged
    ready = httpx.get(f"{address}/readyz")
    out = {each["model"]: each for each in ready.json()["models_out"]}
    assert (ready.status_code, ready.json()["status"]) == (200, "a model cannot be served")
    assert set(out) == {"readmission_30d", "mortality_5y_small"}
    assert "the file was changed after training" in out["readmission_30d"]["reason"]
    assert (out["readmission_30d"]["service"], out["readmission_30d"]["answers"]) == (_READMISSION, "503")
    assert out["mortality_5y_small"]["answers"] == "without this model"
    assert 'cds_model_out{model="readmission_30d"} 1.0' in httpx.get(f"{address}/metrics").text
    lines = [json.loads(line) for line in (folder / "server.log").read_text().splitlines() if line.startswith("{")]
    said = {line["reason"] for line in lines if line["event"] == "model cannot be served"}
    assert said == {"readmission_30d: HashMismatch", "mortality_5y_small: UnknownModel"}


def test_the_service_of_a_changed_model_answers_503_and_never_an_empty_list(damaged: tuple[str, Path]) -> None:
    address, _ = damaged
    listed = {each["id"]: each for each in httpx.get(f"{address}/cds-services").json()["services"]}
    assert listed[_READMISSION]["prefetch"], "a client goes on sending what the model needs"
    body = counted_request_for(_READMISSION, "encounter-discharge", "planning-talk", AS_OF)
    refused = _post(address, _READMISSION, body)
    said = refused.json()["issue"][0]["details"]["text"]
    assert refused.status_code == 503
    assert "cards" not in refused.json()
    assert "readmission_30d cannot be served, so nothing was looked at" in said


def test_other_services_answer_and_a_model_without_its_second_one_goes_on(damaged: tuple[str, Path]) -> None:
    address, _ = damaged
    card = _post(address, PLANNING, counted_request_for(PLANNING, "patient-view", "planning-talk", AS_OF))
    assert card.json()["cards"], "the model itself is whole"
    few = counted_request_for(PLANNING, "patient-view", "planning-talk", AS_OF)
    few["prefetch"]["labs"]["entry"] = few["prefetch"]["labs"]["entry"][:3]
    silence = _post(address, PLANNING, few).json()
    assert silence["cards"] == []
    reasons = [each["text"] for each in silence["extension"]["org.cds-hooks-onnx"]["silence"]]
    assert any("The model for fewer values cannot be served here." in text for text in reasons)
    orders = counted_request_for(ORDERS, "order-select", "ckd4-metformin", AS_OF, "metformin-ckd4-coded")
    assert _post(address, "order-safety-select", orders).status_code == 200


@pytest.mark.parametrize("model", ["readmission_30d", "mortality_5y_small", "mortality_5y"])
def test_the_page_of_a_model_that_is_out_says_so(damaged: tuple[str, Path], model: str) -> None:
    address, _ = damaged
    page = httpx.get(f"{address}/models/{model}")
    assert page.status_code == (200 if model == "mortality_5y" else 503)
    assert ("cannot be served" in page.text) is (model != "mortality_5y")


def test_an_opening_goes_on_without_the_advisor_whose_model_is_changed_and_says_so(tmp_path: Path) -> None:
    _change_byte(_copy_of_the_package(tmp_path) / "mortality_5y/model.onnx", -100)
    with serving(tmp_path, CDS_AS_OF=AS_OF.isoformat(), CDS_SERVICES=SHIPPED) as address:
        request = counted_request_for("chart-opening", "patient-view", "af-no-anticoagulant", AS_OF)
        answer = _post(address, "chart-opening", request)
        ready = httpx.get(f"{address}/readyz").json()
        metrics = httpx.get(f"{address}/metrics").text
    silences = answer.json()["extension"]["org.cds-hooks-onnx"]["silence"]
    assert answer.status_code == 200
    assert any("trial fibrillation" in card["summary"] for card in answer.json()["cards"])
    assert [silence["subject"] for silence in silences if silence["reason"] == "failed"] == ["planning-conversation"]
    assert {each["answers"] for each in ready["models_out"]} == {"without planning-conversation"}
    assert 'cds_silences_total{reason="failed",service="chart-opening"} 1.0' in metrics
