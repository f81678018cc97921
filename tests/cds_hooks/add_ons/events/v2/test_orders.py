"""ORC with OBR, RXO, RXE and RXA as whole resources, worked out from HL7's v2-to-FHIR guide."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from cds_hooks.add_ons.events.facts import Effects, Fact, resource_id
from cds_hooks.add_ons.events.v2.orders import take_orders, take_results
from tests.cds_hooks.add_ons.events.v2.segments import SOUTH, made
from tests.each import for_rows

Json = dict[str, Any]
Fields = Mapping[int, str]
AT = 1000.0
CREATININE, WARFARIN, INFLUENZA = "2160-0^Creatinine^LN", "11289^warfarin^RXNORM", "140^Influenza^CVX"


def taken(take: Callable[..., None], *segments: tuple[str, Fields]) -> Effects:
    effects = Effects()
    take(made("ORM^O01", *segments).segments[1:], SOUTH, "500", AT, effects)
    return effects


def code(text: str, system: str) -> Json:
    value, words, _ = text.split("^")
    return {"coding": [{"code": value, "system": system, "display": words}], "text": words}


def order(number: str, kind: str = "ServiceRequest", status: str = "active", **members: Any) -> Effects:
    key = ("SOUTH", kind, "500", number)
    resource: Json = {
        "resourceType": kind, "id": resource_id(*key), "status": status, "intent": "order",
        "subject": {"reference": "Patient/500"},
    }  # fmt: skip
    if kind == "ServiceRequest":
        resource["code"] = code(CREATININE, "http://loinc.org")
    else:
        resource["medicationCodeableConcept"] = code(WARFARIN, "http://www.nlm.nih.gov/research/umls/rxnorm")
    return Effects([Fact("500", resource | members, AT, key=key)])


DOSE = [{"doseQuantity": {"value": 5, "unit": "mg"}}]


GTS, OWN = "http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation", "http://terminology.hl7.org/CodeSystem/v2-0335"


def timed(code: str, system: str = OWN, sent: str = "", **repeat: Any) -> Json:
    timing: Json = {"code": {"coding": [{"system": system, "code": code}], "text": sent or code}}
    return timing | ({"repeat": repeat} if repeat else {})


ORAL = {
    "coding": [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-RouteOfAdministration", "code": "PO"},
        {"code": "PO", "system": "http://terminology.hl7.org/CodeSystem/v2-0162", "display": "Oral"},
    ],
    "text": "Oral",
}


@for_rows(
    ("rxe", "more", "dose"),
    [
        ({1: "^BID^^20261120^20261127"}, [],
         {"timing": timed("BID", GTS, boundsPeriod={"start": "2026-11-20", "end": "2026-11-27"})}),
        ({1: "1^Q6H&0600"}, [], {"timing": timed("Q6H", GTS, frequency=1, period=6, periodUnit="h")}),
        ({}, [("TQ1", {1: "1", 3: "Q12H"})], {"timing": timed("Q12H", frequency=1, period=12, periodUnit="h")}),
        ({}, [("TQ1", {3: "BID", 6: "1^mo", 7: "20261120"})],
         {"timing": timed("BID", GTS, boundsPeriod={"start": "2026-11-20", "end": "2026-12-21"})}),
        ({}, [("TQ1", {3: "Q6H", 6: "36^h", 7: "20261120", 11: "for two days"})],
         {"text": "for two days", "timing": timed("Q6H", GTS, frequency=1, period=6, periodUnit="h",
                                                  boundsPeriod={"start": "2026-11-20", "end": "2026-11-22"})}),
        ({1: "^BID"}, [("TQ1", {3: "q1d"})],
         {"timing": timed("QD", GTS, "Q1D", frequency=1, period=1, periodUnit="d")}),
        ({}, [("TQ1", {3: "5ID"})], {"timing": timed("5ID", frequency=5, period=1, periodUnit="d")}),
        ({}, [("TQ1", {3: "QHS"})], {"timing": timed("QHS")}),
        ({}, [("TQ1", {3: "PRNQ4H"})],
         {"asNeededBoolean": True, "timing": timed("Q4H", GTS, frequency=1, period=4, periodUnit="h")}),
        ({}, [("TQ1", {3: "PRN"})], {"asNeededBoolean": True}),
        ({}, [("TQ1", {3: "Q0H"})], {"timing": timed("Q0H")}),
        ({}, [("RXR", {1: "PO^Oral^HL70162"})], {"route": ORAL}),
        ({}, [("RXR", {1: "PO^Oral"})], {"route": ORAL}),
    ],
)  # fmt: skip
def test_how_often_and_by_which_route_a_medication_is_given(
    rxe: Fields, more: list[tuple[str, Fields]], dose: Json
) -> None:
    effects = taken(
        partial(take_orders, names=("RXE",)), ("ORC", {1: "NW", 2: "P1"}), ("RXE", {2: WARFARIN, **rxe}), *more
    )
    assert effects == order("P1", "MedicationRequest", dosageInstruction=[dose])


@pytest.mark.parametrize(
    "more",
    [
        [("TQ1", {3: "BID"}), ("TQ1", {3: "QHS"})],
        [("TQ1", {3: "BID~QHS"})],
        [("RXR", {1: "PO"}), ("RXR", {1: "IV"})],
    ],
)
def test_of_two_patterns_or_routes_neither_is_taken(more: list[tuple[str, Fields]]) -> None:
    effects = taken(
        partial(take_orders, names=("RXE",)),
        ("ORC", {1: "NW", 2: "P1"}),
        ("RXE", {2: WARFARIN, 3: "5", 5: "mg"}),
        *more,
    )
    assert effects.facts == order("P1", "MedicationRequest", dosageInstruction=[{"doseAndRate": DOSE}]).facts
    assert effects.counted == {"dosage-not-read": 1}


POTASSIUM = "2823-3^Potassium^LN"
OBR: Fields = {2: "P1", 3: "F1", 7: "202611200800+0000", 22: "202611201000+0000"}
OBX: Fields = {2: "NM", 3: POTASSIUM, 5: "4.4", 6: "mmol/L", 11: "F", 14: "202611200900+0000"}


def results_taken(*segments: tuple[str, Fields]) -> Effects:
    message, effects = made("ORU^R01", *segments), Effects()
    take_results(message, SOUTH, "500", message.segments[1:], effects)
    return effects


def test_results_of_one_order_and_code_are_numbered() -> None:
    sodium = {**OBX, 3: "2951-2^Sodium^LN"}
    words = {**OBX, 3: "^Sodium"}
    facts = results_taken(
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
