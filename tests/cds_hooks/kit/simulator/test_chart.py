"""Charts on disk, in the forms people have them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.kit.simulator.chart import ChartError, read_chart, read_drafts

PATIENT = {"resourceType": "Patient", "id": "p1"}
DRAFT = {"resourceType": "MedicationRequest", "id": "d1"}


def _write(folder: Path, document: Any, name: str = "chart.json") -> Path:
    path = folder / name
    content = json.dumps(document).encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def _bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": each} for each in resources]}


@pytest.mark.parametrize("name", ["chart.json", "chart.json.gz"])
def test_a_bundle_is_a_chart(tmp_path: Path, name: str) -> None:
    assert read_chart(_write(tmp_path, _bundle(PATIENT, DRAFT), name)).patient == PATIENT


def test_a_hook_request_is_a_chart_with_its_drafts(tmp_path: Path) -> None:
    request = {
        "hook": "order-sign",
        "context": {"patientId": "p1", "draftOrders": _bundle(DRAFT)},
        "prefetch": {"patient": PATIENT, "labs": None, "conditions": _bundle({"resourceType": "Condition", "id": "c"})},
    }
    chart = read_chart(_write(tmp_path, request))
    assert [resource["resourceType"] for resource in chart.resources] == ["Patient", "Condition"]
    assert chart.drafts == [DRAFT]


def test_references_by_full_url_become_references_by_id(tmp_path: Path) -> None:
    condition = {"resourceType": "Condition", "id": "c", "subject": {"reference": "urn:uuid:1-2"}}
    entries = [{"fullUrl": "urn:uuid:1-2", "resource": PATIENT}, {"resource": condition}]
    chart = read_chart(_write(tmp_path, {"resourceType": "Bundle", "entry": entries}))
    assert chart.resources[1]["subject"] == {"reference": "Patient/p1"}


@pytest.mark.parametrize(
    ("document", "complaint"),
    [(_bundle(), "0 patients"), (_bundle(PATIENT, PATIENT | {"id": "p2"}), "2 patients"), ([1], "no object")],
)
def test_what_is_no_chart_is_refused_with_a_sentence(tmp_path: Path, document: Any, complaint: str) -> None:
    with pytest.raises(ChartError, match=complaint):
        read_chart(_write(tmp_path, document))


def test_a_file_that_is_missing_or_broken_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ChartError, match="cannot be read"):
        read_chart(tmp_path / "nowhere.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ChartError, match="is not JSON"):
        read_chart(tmp_path / "broken.json")
    (tmp_path / "cut.json.gz").write_bytes(gzip.compress(b"{}")[:8])
    with pytest.raises(ChartError, match="is not JSON"):
        read_chart(tmp_path / "cut.json.gz")


def test_drafts_are_one_resource_or_a_bundle(tmp_path: Path) -> None:
    assert read_drafts(_write(tmp_path, DRAFT)) == [DRAFT]
    assert read_drafts(_write(tmp_path, _bundle(DRAFT))) == [DRAFT]
    with pytest.raises(ChartError, match="no draft order"):
        read_drafts(_write(tmp_path, {}))
