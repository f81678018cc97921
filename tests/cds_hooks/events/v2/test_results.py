"""OBR, OBX and NTE as whole Observations, worked out by hand from HL7's v2-to-FHIR guide, and what is counted."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from cds_hooks.events.effects import Effects, Fact, resource_id
from cds_hooks.events.v2.message import Unreadable
from cds_hooks.events.v2.results import take_results, version_time
from tests.cds_hooks.events.v2.segments import SOUTH, made

Json = dict[str, Any]
Fields = Mapping[int, str]
POTASSIUM = "2823-3^Potassium^LN"
OBR: Fields = {2: "P1", 3: "F1", 7: "202611200800+0000", 22: "202611201000+0000"}
OBX: Fields = {2: "NM", 3: POTASSIUM, 5: "4.4", 6: "mmol/L", 11: "F", 14: "202611200900+0000"}
NINE, TEN = (datetime(2026, 11, 20, hour, tzinfo=UTC).timestamp() for hour in (9, 10))
KEY = ("SOUTH", "obx", "500", "F1", "2823-3", "", "1")
COUNTED = {"results": 1, "result:2823-3": 1, "value:2823-3|mmol/L:1048651": 1}
"""ln 4.4 / ln 1.0202 is 74.1, so 4.4 lies in bucket 75 above that of 1, which is 2 ** 20."""


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


def test_a_result_is_a_whole_observation() -> None:
    effects = taken(("OBR", OBR), ("OBX", {**OBX, 7: "3.5-5.1", 8: "H"}))
    system = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
    more: Json = {
        "referenceRange": [{"text": "3.5-5.1"}],
        "interpretation": [{"coding": [{"system": system, "code": "H"}]}],
    }
    assert effects == Effects([Fact("500", observation(**more), TEN, 2, happened=NINE, key=KEY)], [], Counter(COUNTED))


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
    ("segments", "text", "code"),
    [
        ([], "A result message has no OBR segment.", "101"),
        ([("OBX", OBX)], "A result message has no OBR segment.", "101"),
        ([("OBR", OBR), ("OBX", {**OBX, 11: ""})], "OBX-11 has no status of a result that HL7 knows.", "101"),
        ([("OBR", OBR), ("OBX", {**OBX, 11: "Q"})], "OBX-11 has no status of a result that HL7 knows.", "103"),
        ([("OBR", OBR), ("OBX", {**OBX, 3: ""})], "OBX-3 has no code of a result.", "101"),
    ],
)
def test_a_result_without_order_status_or_code_is_refused(
    segments: list[tuple[str, Fields]], text: str, code: str
) -> None:
    with pytest.raises(Unreadable) as refused:
        taken(*segments)
    assert (str(refused.value), refused.value.code, refused.value.rejects) == (text, code, False)


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


@pytest.mark.parametrize(
    ("obr", "obx", "written", "happened", "counted"),
    [
        ("202611200800+0000", "202611200900+0000", "2026-11-20T09:00:00+00:00", NINE, {}),
        ("202611200900+0000", "", "2026-11-20T09:00:00+00:00", NINE, {"time-of-order": 1}),
        ("", "202611200900", "2026-11-20T09:00:00+00:00", NINE, {"no-offset": 1}),
        ("", "2026112009", "2026-11-20", NINE, {"hour-only": 1}),
        ("", "", None, None, {"time-of-order": 1}),
    ],
)
def test_a_result_has_its_own_time_or_that_of_its_order(
    obr: str, obx: str, written: str | None, happened: float | None, counted: dict[str, int]
) -> None:
    effects = taken(("OBR", {**OBR, 7: obr}), ("OBX", {**OBX, 14: obx}))
    resource = observation(effectiveDateTime=written)
    if written is None:
        del resource["effectiveDateTime"]
    facts = [Fact("500", resource, TEN, 2, happened=happened, key=KEY)]
    assert effects == Effects(facts, [], Counter(COUNTED | counted))


@pytest.mark.parametrize(
    ("texts", "header", "at"),
    [
        (["202611201000+0000", "202611200900+0000"], "20261120120000+0000", TEN),
        (["", "202611200900+0000"], "20261120120000+0000", NINE),
        (["20261120", "202611200900+0000"], "20261120120000+0000", NINE),
        (["20261120"], "202611201000+0000", TEN),
        (["20261120", "20261119"], "20261118", datetime(2026, 11, 20, tzinfo=UTC).timestamp()),
        (["x"], "20261118", datetime(2026, 11, 18, tzinfo=UTC).timestamp()),
        (["x"], "", 77.0),
    ],
)
def test_a_version_has_the_first_time_of_day(texts: list[str], header: str, at: float) -> None:
    message = made("ORU^R01", header={7: header})
    message.received_at = 77.0
    assert version_time(message, texts, UTC) == at


def test_a_note_belongs_to_the_result_before_it() -> None:
    note = ("NTE", {3: "haemolysed"})
    effects = taken(
        *(note, ("OBR", OBR), note, ("OBX", OBX), note, ("NTE", {1: "2"}), ("NTE", {3: "twice"})),
        *(("OBX", {2: "ED", 11: "F"}), note, ("OBX", {2: "RP", 11: "F"}), note),
        *(("OBX", {**OBX, 4: "9"}), ("OBR", {3: "F2"}), note),
    )
    assert [fact.resource.get("note") for fact in effects.facts] == [[{"text": "haemolysed"}, {"text": "twice"}], None]
    assert effects.counted["documents"] == 2


def test_results_of_one_sub_id_are_members_of_its_first() -> None:
    other = {**OBX, 3: "18906-8^Ciprofloxacin^LN"}
    facts = taken(
        *(("OBR", OBR), ("OBX", OBX), ("OBX", other), ("OBX", {**OBX, 4: "1"}), ("OBX", {**OBX, 4: "2"})),
        *(("OBX", {**other, 4: "1"}), ("OBX", {**other, 4: "1"}), ("OBR", {3: "F2"}), ("OBX", {**OBX, 4: "1"})),
    ).facts
    members = [{"reference": f"Observation/{facts[at].id}"} for at in (4, 5)]
    assert [fact.resource.get("hasMember") for fact in facts] == [None, None, members, None, None, None, None]


CREATININE = "2160-0^Creatinine^LN"


@pytest.mark.parametrize(
    ("fields", "counted"),
    [
        ({5: "1", 6: "mmol/L"}, {"result:2823-3": 1, "value:2823-3|mmol/L:1048576": 1}),
        ({5: "0", 6: "mmol/L"}, {"result:2823-3": 1}),
        ({5: "-1", 6: "mmol/L"}, {"result:2823-3": 1}),
        ({5: "1", 6: ""}, {"result:2823-3": 1, "no-unit:2823-3": 1}),
        ({5: "high"}, {"result:2823-3": 1, "text-in-number:2823-3": 1}),
        ({5: "1", 6: "furlong"}, {"result:2823-3": 1, "value:2823-3|furlong:1048576": 1, "unknown-unit:2823-3": 1}),
        ({5: "1", 3: CREATININE, 6: "mg/dL"}, {"result:2160-0": 1, "value:2160-0|mg/dL:1048576": 1}),
        ({5: "1", 3: CREATININE, 6: "uMol/L"},
         {"result:2160-0": 1, "value:2160-0|uMol/L:1048576": 1, "unit-disagrees:2160-0": 1}),
        ({5: "1", 3: CREATININE, 6: "umol/L"},
         {"result:2160-0": 1, "value:2160-0|umol/L:1048576": 1, "unit-disagrees:2160-0": 1}),
        ({5: "1", 3: CREATININE.replace("2160-0", "14682-9"), 6: "umol/L"},
         {"result:14682-9": 1, "value:14682-9|umol/L:1048576": 1}),
        ({5: "1", 6: "mg/dL"}, {"result:2823-3": 1, "value:2823-3|mg/dL:1048576": 1, "unit-disagrees:2823-3": 1}),
        ({5: "1", 3: "K^Potassium^L"}, {"result:K": 1, "unmapped:K": 1, "value:K|mmol/L:1048576": 1}),
        ({5: "1", 3: "K^Potassium^L^2823-3^Potassium^LN"}, {"result:2823-3": 1, "value:2823-3|mmol/L:1048576": 1}),
        ({5: "1", 3: f"^{'x' * 41}"},
         {f"result:{'x' * 40}": 1, f"unmapped:{'x' * 40}": 1, f"value:{'x' * 40}|mmol/L:1048576": 1}),
    ],
)  # fmt: skip
def test_what_is_counted_of_a_result(fields: Fields, counted: dict[str, int]) -> None:
    effects = taken(("OBR", OBR), ("OBX", {**OBX, **fields}))
    assert effects.counted == Counter({"results": 1} | counted)
