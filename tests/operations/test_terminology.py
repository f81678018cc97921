"""A terminology is put in force and taken back under load, with two workers: no call is lost, each is of one index."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.call.configuration import read_content
from fhir.terminology.importing import import_releases
from tests.cds_hooks.calls import ORDERS, counted_request_for
from tests.live import record_in, serving
from tests.operations.test_switches import calling, switch, until_all
from tests.program import run_program
from tests.recorded import list_decisions

pytestmark = pytest.mark.slow

_RULE = "renal-metformin"


def _request() -> dict[str, Any]:
    """An order of metformin by a code of the site alone."""
    request = counted_request_for(ORDERS, "order-sign", "ckd4-metformin", datetime.now(UTC), "metformin-ckd4-coded")
    for entry in request["context"]["draftOrders"]["entry"]:
        entry["resource"]["medicationCodeableConcept"] = {"coding": [{"system": "urn:ours", "code": "4711"}]}
    return request


def _index(folder: Path, drug: str) -> str:
    folder.mkdir(exist_ok=True)
    table = folder.parent / "ours.csv"
    table.write_text(f"system,code,drug\nurn:ours,4711,{drug}\n")
    place = import_releases([table], folder, lambda *_: None).index
    assert place is not None
    return place.stem


def _rules(answer: httpx.Response) -> set[str]:
    cards = answer.json()["cards"]
    return {
        finding["rule"] for card in cards for finding in card["extension"]["org.cds-hooks-onnx"].get("findings", ())
    }


def test_a_terminology_is_put_in_force_and_taken_back_under_load(tmp_path: Path) -> None:
    url, folder = record_in(tmp_path), tmp_path / "terms"
    metformin, aspirin = _index(folder, "metformin"), _index(folder, "aspirin")
    body, seen = json.dumps(_request()).encode(), 0
    with (
        serving(tmp_path, "--workers", "2", CDS_TERMINOLOGY=str(folder)) as address,
        calling(address, body) as answers,
    ):
        for state, name, speaks in (
            ("active", metformin, True), ("active", aspirin, False), ("off", aspirin, True), ("off", metformin, False),
        ):  # fmt: skip
            switch(url, state, "terminology", name)
            until_all(answers, lambda answer, speaks=speaks: (_RULE in _rules(answer)) == speaks)  # type: ignore[misc]
    assert {answer.status_code for answer in answers} == {200}
    contents: dict[str, Any] = {}
    for decision in list_decisions(url, limit=len(answers)):
        digest = json.loads(decision.basis)["config"]
        content = contents.get(digest) or contents.setdefault(digest, read_content(url, digest))
        assert content is not None
        assert (content["terminology"].get("index") == metformin) == (_RULE in decision.response.decode()), digest
        seen += content["terminology"].get("index") == metformin
    assert 0 < seen < len(answers)


def test_a_broken_index_does_not_start_and_a_replay_says_what_another_one_changes(tmp_path: Path) -> None:
    url, folder = record_in(tmp_path), tmp_path / "terms"
    name, other = _index(folder, "metformin"), _index(folder, "loratadine")
    environment = {"CDS_DATABASE_URL": url, "CDS_TERMINOLOGY": str(folder)}
    done = run_program("release", "active", "terminology", name, "--why", "tried", environment=environment)
    assert done.returncode == 0, done.stderr
    with serving(tmp_path, CDS_TERMINOLOGY=str(folder)) as address:
        for _ in range(3):
            httpx.post(f"{address}/cds-services/{ORDERS}", json=_request(), timeout=180).raise_for_status()
    index = str(folder / f"{other}.idx")
    tried = run_program("replay", "--sample", "100%", "--against", index, "--json", environment=environment)
    report = json.loads(tried.stdout)
    assert report["decisions"] == 3
    assert [counts["fewer"] for rule, counts in report["by_card"].items() if rule.startswith(_RULE)] == [3]
    done = run_program("release", "active", "terminology", other, "--why", "tried", environment=environment)
    assert done.returncode == 0, done.stderr
    again = run_program("replay", "--sample", "100%", "--json", environment=environment)
    assert "terminology changed: index" in again.stdout
    Path(index).chmod(0o600)
    Path(index).write_bytes(b"broken")
    started = run_program("serve", "--port", "0", environment=environment)
    assert started.returncode == 1
    assert "The imported terminology (CDS_TERMINOLOGY) cannot be used" in started.stderr
