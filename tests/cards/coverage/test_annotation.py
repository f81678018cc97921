"""The extension coverage-information: what is written, what counts as new, and which constraints are checked."""

from datetime import date
from typing import Any

from msgspec.structs import replace

from cards.coverage.annotation import (
    URL,
    coverage_information,
    says_the_same,
)
from cards.coverage.determination import Determination
from cards.coverage.policy import Payer, Policy

Json = dict[str, Any]
NOTHING = frozenset[str]()
PAYER = Payer("own", "Own Health Plan", NOTHING, NOTHING, NOTHING, NOTHING, "555-0100", "https://example.org")
POLICY = Policy(
    "own-b", "own", "HCPCS", "B4150", "Enteral formula", "listed", "auth-needed", NOTHING, NOTHING, NOTHING, None, "",
    False, date(2026, 1, 1), None, "", "Policy 1", "",
)  # fmt: skip
ANSWER = Determination(PAYER, "Coverage/c", "DeviceRequest/d", "conditional")
CRD = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"
TODAY, SERVICE_DAY = date(2026, 11, 20), date(2026, 12, 1)


def written(answer: Determination, questionnaire: str | None = None) -> list[Json]:
    extension = coverage_information(answer, "id-1", TODAY, SERVICE_DAY, questionnaire)
    assert extension["url"] == URL
    parts: list[Json] = extension["extension"]
    return parts


def test_every_part_of_an_answer_is_written_in_its_order() -> None:
    answer = replace(
        ANSWER, code=("HCPCS", "B4150"), pa_needed="satisfied", doc_needed="clinical", doc_purpose="retain-doc",
        info_needed=("location", "timeframe"), reason="gold-card", satisfied_id="A-1", policy=POLICY,
        dependencies=("DeviceRequest/e",), response="QuestionnaireResponse/q",
    )  # fmt: skip
    hcpcs = {"system": "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "B4150"}
    gold_card = {
        "coding": [{"system": CRD, "code": "gold-card"}],
        "text": "Exempt from prior authorization under the program of the payer",
    }
    assert written(answer, "https://example.org/Questionnaire/own.tube|1") == [
        {"url": "coverage", "valueReference": {"reference": "Coverage/c"}},
        {"url": "covered", "valueCode": "conditional"},
        {"url": "pa-needed", "valueCode": "satisfied"},
        {"url": "doc-needed", "valueCode": "clinical"},
        {"url": "doc-purpose", "valueCode": "retain-doc"},
        {"url": "info-needed", "valueCode": "location"},
        {"url": "info-needed", "valueCode": "timeframe"},
        {"url": "billingCode", "valueCoding": hcpcs},
        {"url": "reason", "valueCodeableConcept": gold_card},
        {"url": "dependency", "valueReference": {"reference": "DeviceRequest/e"}},
        {"url": "questionnaire", "valueCanonical": "https://example.org/Questionnaire/own.tube|1"},
        {"url": "response", "valueReference": {"reference": "QuestionnaireResponse/q"}},
        {"url": "date", "valueDate": "2026-11-20"},
        {"url": "coverage-assertion-id", "valueString": "id-1"},
        {"url": "satisfied-pa-id", "valueString": "A-1"},
        {"url": "contact", "valueContactPoint": {"system": "phone", "value": "555-0100"}},
        {"url": "contact", "valueContactPoint": {"system": "url", "value": "https://example.org"}},
    ]


def test_another_day_id_or_order_of_codes_is_nothing_new() -> None:
    first = replace(ANSWER, info_needed=("location", "timeframe"), reason="gold-card")
    extension = coverage_information(first, "1", TODAY, TODAY, None)
    turned = replace(first, info_needed=("timeframe", "location"))
    assert says_the_same(extension, coverage_information(turned, "2", SERVICE_DAY, TODAY, None))
    changes: tuple[Json, ...] = (
        {"covered": "covered"}, {"pa_needed": "no-auth"}, {"doc_needed": "admin"}, {"doc_purpose": "withpa"},
        {"info_needed": ("location",)}, {"reason": "detail-code"}, {"satisfied_id": "A"},
    )  # fmt: skip
    for change in changes:
        assert not says_the_same(extension, coverage_information(replace(first, **change), "1", TODAY, TODAY, None))
    in_words, empty = (
        {"extension": [{"url": "reason", "valueCodeableConcept": reason}]}
        for reason in ({"text": "x"}, {"coding": [None]})
    )
    assert says_the_same(in_words, empty)
