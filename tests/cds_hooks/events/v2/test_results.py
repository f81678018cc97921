"""OBR, OBX and NTE as whole Observations, worked out by hand from HL7's v2-to-FHIR guide, and what is counted."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from cds_hooks.events.facts import Effects, Fact, resource_id
from cds_hooks.events.v2.orders import take_results
from tests.cds_hooks.events.v2.segments import SOUTH, made

Json = dict[str, Any]
Fields = Mapping[int, str]
POTASSIUM = "2823-3^Potassium^LN"
OBR: Fields = {2: "P1", 3: "F1", 7: "202611200800+0000", 22: "202611201000+0000"}
OBX: Fields = {2: "NM", 3: POTASSIUM, 5: "4.4", 6: "mmol/L", 11: "F", 14: "202611200900+0000"}
NINE, TEN = (datetime(2026, 11, 20, hour, tzinfo=UTC).timestamp() for hour in (9, 10))
KEY = ("SOUTH", "obx", "500", "F1", "2823-3", "", "1")


def taken(*segments: tuple[str, Fields]) -> Effects:
    message, effects = made("ORU^R01", *segments), Effects()
    take_results(message, SOUTH, "500", message.segments[1:], effects)
    return effects


def observation(key: tuple[str, ...] = KEY, **members: Any) -> Json:
    return {
        "resourceType": "Observation", "id": resource_id(*key), "status": "final",
        "code": {"coding": [{"code": "2823-3", "system": "http://loinc.org", "display": "Potassium"}],
                 "text": "Potassium"},
        "subject": {"reference": "Patient/500"}, "effectiveDateTime": "2026-11-20T09:00:00+00:00",
        "valueQuantity": {"value": 4.4, "unit": "mmol/L"},
    } | members  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "status", "rank"),
    [
        ("O", "registered", 0), ("I", "registered", 0), ("P", "preliminary", 1), ("R", "preliminary", 1),
        ("X", "cancelled", 2), ("F", "final", 2), ("A", "amended", 3), ("C", "corrected", 3),
        ("W", "entered-in-error", 4), ("D", "entered-in-error", 4),
    ],
)  # fmt: skip
def test_a_status_has_its_rank_among_versions_of_one_instant(sent: str, status: str, rank: int) -> None:
    assert taken(("OBR", OBR), ("OBX", {**OBX, 11: sent})).facts == [
        Fact("500", observation(status=status), TEN, rank, happened=NINE, key=KEY)
    ]


@pytest.mark.parametrize(
    ("obr", "obx", "key"),
    [
        ({2: "P1", 3: "F1"}, {}, ("F1", "2823-3", "", "1")),
        ({2: "P1"}, {}, ("P1", "2823-3", "", "1")),
        ({4: "x"}, {}, ("C1", "2823-3", "", "1")),
        ({3: "F1"}, {4: "2"}, ("F1", "2823-3", "2", "1")),
        ({3: "F1"}, {3: "^Potassium"}, ("F1", "Potassium", "", "1")),
    ],
)
def test_a_result_is_known_by_its_order_its_code_and_its_sub_id(obr: Fields, obx: Fields, key: tuple[str, ...]) -> None:
    (fact,) = taken(("OBR", obr), ("OBX", {**OBX, **obx})).facts
    assert fact.key == ("SOUTH", "obx", "500", *key)
    assert fact.id == resource_id("SOUTH", "obx", "500", *key)


def test_results_of_one_order_and_code_are_numbered() -> None:
    sodium = {**OBX, 3: "2951-2^Sodium^LN"}
    words = {**OBX, 3: "^Sodium"}
    facts = taken(
        *(("OBR", OBR), ("OBX", OBX), ("OBX", sodium), ("OBX", OBX), ("OBX", {**OBX, 4: "1"})),
        *(("OBX", words), ("OBX", {**words, 3: "^Chloride"})),
        *(("OBR", {2: "P2"}), ("OBX", OBX), ("OBR", {2: "P3"}), ("OBX", OBX), ("OBR", OBR), ("OBX", OBX)),
    ).facts
    assert [fact.key[3:] for fact in facts] == [
        ("F1", "2823-3", "", "1"),
        ("F1", "2951-2", "", "1"),
        ("F1", "2823-3", "", "2"),
        ("F1", "2823-3", "1", "1"),
        ("F1", "Sodium", "", "1"),
        ("F1", "Chloride", "", "1"),
        ("P2", "2823-3", "", "1"),
        ("P3", "2823-3", "", "1"),
        ("F1", "2823-3", "", "3"),
    ]


def test_results_of_one_sub_id_are_members_of_its_first() -> None:
    other = {**OBX, 3: "18906-8^Ciprofloxacin^LN"}
    facts = taken(
        *(("OBR", OBR), ("OBX", OBX), ("OBX", other), ("OBX", {**OBX, 4: "1"}), ("OBX", {**OBX, 4: "2"})),
        *(("OBX", {**other, 4: "1"}), ("OBX", {**other, 4: "1"}), ("OBR", {3: "F2"}), ("OBX", {**OBX, 4: "1"})),
    ).facts
    members = [{"reference": f"Observation/{facts[at].id}"} for at in (4, 5)]
    assert [fact.resource.get("hasMember") for fact in facts] == [None, None, members, None, None, None, None]
