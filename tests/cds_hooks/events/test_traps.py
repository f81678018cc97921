"""The 45 trap messages of the shared data in their order, and the public ones beside another converter's facts."""

import csv
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.events.declaration import MllpFeed
from cds_hooks.events.facts import chart_of, follow_link
from cds_hooks.settings import Settings
from tests.cds_hooks.events.messages import Sender, feed, versions_of

HL7 = Settings().data_dir / "events" / "hl7v2"
pytestmark = [
    pytest.mark.outside_data,
    pytest.mark.skipif(not HL7.is_dir(), reason="needs the shared data (CDS_DATA_DIR): events/hl7v2"),
]
ACKNOWLEDGED = {
    "CA then AA": ["CA", "AA"],
    "one ACK a message": ["AA", "AA"],
    "AE or no ACK": ["AE"],
    "none or AR": ["AR"],
}


def _manifest() -> list[dict[str, str]]:
    with (HL7 / "traps" / "manifest.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def north(name: str = "lab") -> MllpFeed:
    made = feed(name, "America/New_York")
    made.authority = "NORTH"
    return made


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sender, dict[str, list[str]]]:
    sender = Sender(tmp_path_factory.mktemp("traps"), north(), datetime(2026, 11, 20, 14, tzinfo=UTC).timestamp())
    return sender, {row["file"]: sender.send((HL7 / "traps" / row["file"]).read_bytes()) for row in _manifest()}


def test_every_trap_is_acknowledged_as_the_manifest_says(sent: tuple[Sender, dict[str, list[str]]]) -> None:
    rows = _manifest()
    wanted = {row["file"]: ACKNOWLEDGED.get(row["expected_ack"], [row["expected_ack"]]) for row in rows}
    assert len(rows) == 45
    assert sent[1] == wanted


def test_the_charts_hold_what_the_manifest_says(sent: tuple[Sender, dict[str, list[str]]]) -> None:
    sender, _ = sent
    with sender.inbox.transaction() as connection:
        chart = chart_of(connection, "MRN1001")
        other = chart_of(connection, "MRN2002")
        assert follow_link(connection, "MRN0999") == "MRN1001"
        ids = [one["id"] for kind, _, one in chart if kind == "Observation"]
        first_id = max(ids, key=lambda one: len(versions_of(connection, "Observation", one)))
        potassium = next(one for _, _, one in chart if one["id"] == first_id)
        values = [
            version.get("valueQuantity", {}).get("value")
            for version in versions_of(connection, "Observation", potassium["id"])
        ]
    stays = {one["identifier"][0]["value"]: one["status"] for kind, _, one in chart if kind == "Encounter"}
    assert stays == {"V1": "cancelled", "V2": "in-progress"}
    assert values == [5.1, 6.8, 5.1, None]
    assert potassium["status"] == "entered-in-error"
    assert [one["valueQuantity"]["value"] for kind, _, one in other if kind == "Observation"] == [2.4]
    quantities = [one["valueQuantity"] for kind, _, one in chart if "valueQuantity" in one]
    assert {"value": 40000, "unit": "U/L", "comparator": ">"} in quantities
    assert {"value": 0.01, "unit": "ng/mL", "comparator": "<"} in quantities
    assert 51 not in [quantity["value"] for quantity in quantities]
    assert 9.9 not in [quantity["value"] for quantity in quantities]
    assert sum(quantity["value"] == 4.9 for quantity in quantities) >= 1


def _converted(name: str) -> dict[str, list[dict[str, Any]]]:
    with gzip.open(HL7 / "expected" / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        entries = json.load(file)["entry"]
    by_type: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        by_type.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    return by_type


def _number(resource: dict[str, Any]) -> tuple[str, float] | None:
    quantity = resource.get("valueQuantity", {})
    codings = resource["code"].get("coding", [])
    return (codings[0]["code"], float(quantity["value"])) if codings and "value" in quantity else None


@pytest.mark.parametrize("file", sorted((HL7 / "public").glob("*.hl7")), ids=lambda file: file.stem)
def test_the_public_messages_give_the_facts_of_another_converter(file: Path, tmp_path: Path) -> None:
    lenient = feed("public")
    lenient.authority, lenient.training = "", True
    sender = Sender(tmp_path, lenient)
    codes = sender.send(file.read_bytes())
    if file.stem.startswith(("MDM", "ADT-A45")):
        assert codes == ["AR"]
        return
    assert set(codes) <= {"AA", "CA"}, sender.inbox.dead_letters()[0].reason
    effects = sender.readings[0].incoming.effects
    assert effects is not None
    mine = {number for fact in effects.facts if fact.type == "Observation" and (number := _number(fact.resource))}
    converted = _converted(file.stem)
    theirs = {number for one in converted.get("Observation", ()) if (number := _number(one))}
    assert theirs <= mine
    births = {one.get("birthDate") for one in converted["Patient"]}
    assert {fact.resource.get("birthDate") for fact in effects.facts if fact.type == "Patient"} <= births | {None}
