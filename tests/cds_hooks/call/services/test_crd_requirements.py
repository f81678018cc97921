"""CRD's requirements of a server one by one, a payer's own rules, and that no answer refuses anything."""

import asyncio
import csv
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import process_time

import pytest

from cds_hooks.evidence.replay.replaying import Replayer
from cds_hooks.evidence.replay.site import open_site
from cds_hooks.settings import Settings
from tests.cds_hooks.call.services.coverage_calls import (
    Json,
    answer_of,
    ask,
    authorization,
    bundle,
    condition,
    coverage,
    entry_for,
    extensions_of,
    order,
    patient,
    procedure,
    request_of,
)
from tests.cds_hooks.calls import client
from tests.conftest import ROOT
from tests.live import record_in
from tests.recorded import list_decisions


def rows() -> list[dict[str, str]]:
    """The rows of the table from which `make docs` writes docs/crd-requirements.md."""
    with (ROOT / "tests" / "conformance" / "crd.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_requirement_names_a_test_that_is_there_or_says_why_there_is_none() -> None:
    assert len(rows()) == len({row["id"] for row in rows()})
    for row in rows():
        if not row["test"]:
            assert len(row["remark"]) > 20, row["id"]
            continue
        path, _, name = row["test"].partition("::")
        assert (ROOT / path).is_file(), row["id"]
        assert not name or f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), row["id"]


@pytest.mark.outside_data
def test_the_table_has_every_shall_of_a_server(spec_folder: Path) -> None:
    with (spec_folder / "crd" / "requirements.csv").open(encoding="utf-8", newline="") as file:
        wanted = {row["id"] for row in csv.DictReader(file) if row["conformance"].startswith("SHALL")}
    assert {row["id"] for row in rows()} == wanted


async def test_an_answer_takes_a_small_part_of_the_five_seconds(tmp_path: Path) -> None:
    seconds = []
    async with client(tmp_path, as_of=datetime(2026, 11, 20, 12, tzinfo=UTC)) as calls:
        for hook in ("order-sign", "order-select"):
            entry = await entry_for(calls, hook)
            request = request_of(entry, [order("E1390")], [patient(), coverage(), condition("J44.9")])
            for _ in range(5):
                start = process_time()
                await calls.post(f"/cds-services/{entry['id']}", json=request)
                seconds.append(process_time() - start)
    assert median(seconds) < 1


async def test_what_cannot_be_answered_is_an_error_with_an_outcome(tmp_path: Path) -> None:
    async with client(tmp_path, as_of=datetime(2026, 11, 20, 12, tzinfo=UTC)) as calls:
        entry = await entry_for(calls)
        headers = {"content-type": "application/json"}
        broken = await calls.post(f"/cds-services/{entry['id']}", content=b"{", headers=headers)
        request = request_of(entry, [order("E1390")], [patient(), coverage()])
        request["context"]["draftOrders"] = {"resourceType": "Patient"}
        wrong = await calls.post(f"/cds-services/{entry['id']}", json=request)
        for answer in (broken, wrong):
            assert answer.status_code == 400
            assert answer.json()["resourceType"] == "OperationOutcome"


async def test_unknown_members_of_the_context_and_missing_prefetch_are_no_errors(tmp_path: Path) -> None:
    async with client(tmp_path, as_of=datetime(2026, 11, 20, 12, tzinfo=UTC)) as calls:
        entry = await entry_for(calls)
        request = request_of(entry, [order("L5856")], [])
        request["context"]["somethingElse"] = {"a": 1}
        request["prefetch"] = {"coverages": bundle([coverage()])}
        answer = await calls.post(f"/cds-services/{entry['id']}", json=request)
        assert answer.status_code == 200, answer.text
        response: Json = answer.json()
    assert answer_of(response)["pa-needed"] == "performpa"


async def test_the_answer_is_recorded_whole_and_can_be_computed_again(tmp_path: Path) -> None:
    responses = []
    async with client(tmp_path, as_of=datetime(2026, 11, 20, 12, tzinfo=UTC)) as calls:
        entry = await entry_for(calls)
        chart = [
            patient(),
            coverage(),
            condition("I21.4", "resolved", "2026-06-20"),
            procedure("71271", "2026-01-10"),
        ]
        affirmed = [*chart, authorization("K0823", "2026-09-01", "2027-02-28")]
        for orders, pool in (([order("93798"), order("71271")], chart), ([order("K0823")], affirmed)):
            request = request_of(entry, orders, pool) | {"extension": {"davinci-crd.configuration": {"claim": False}}}
            responses.append((await calls.post(f"/cds-services/{entry['id']}", json=request)).text)
    url = record_in(tmp_path)
    decisions = list_decisions(url)
    assert sorted(decision.response.decode() for decision in decisions) == sorted(responses)
    verdicts = list(Replayer(open_site(Settings(database_url=url)), url).verdicts(decisions))
    assert [verdict.outcome for verdict in verdicts] == ["same"] * 2, verdicts


def test_the_period_of_what_is_covered_is_said(tmp_path: Path) -> None:
    chart = [patient(), coverage(), condition("Z95.5")]
    response = asyncio.run(ask(tmp_path, {"x": ([order("93798")], chart)}))["x"]
    (extension,) = extensions_of(response)["ServiceRequest/order-93798"]
    (detail,) = [part for part in extension["extension"] if part["url"] == "detail"]
    values = {part["url"]: part for part in detail["extension"]}
    assert values["code"]["valueCodeableConcept"]["coding"][0]["code"] == "allowed-quantity"
    assert values["value"]["valueQuantity"] == {"value": 36, "unit": "sessions"}
