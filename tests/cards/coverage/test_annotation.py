"""The extension coverage-information: what is written, what counts as new, and which constraints are checked."""

from datetime import date
from typing import Any

from msgspec.structs import replace

from cards.coverage.annotation import (
    URL,
    coverage_information,
    of_coverage,
    says_the_same,
    values_of,
    with_extension,
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


LEAST = ["coverage", "covered", "date", "coverage-assertion-id"]


def test_what_is_not_there_is_not_written() -> None:
    silent = replace(ANSWER, payer=replace(PAYER, phone="", url=""))
    assert [part["url"] for part in written(silent)] == LEAST
    without_form = replace(silent, doc_needed="clinical", response="QuestionnaireResponse/q")
    assert [part["url"] for part in written(without_form)] == [*LEAST[:2], "doc-needed", *LEAST[2:]]
    without_response = replace(silent, doc_needed="clinical")
    assert [part["url"] for part in written(without_response, "form")] == [
        *LEAST[:2], "doc-needed", "questionnaire", *LEAST[2:],
    ]  # fmt: skip
    nothing_needed = replace(silent, response="QuestionnaireResponse/q")
    assert [part["url"] for part in written(nothing_needed, "form")] == LEAST


def detail_of(answer: Determination) -> list[list[Json]]:
    return [part["extension"] for part in written(answer) if part["url"] == "detail"]


def test_the_limits_of_what_is_covered_are_details() -> None:
    covered = replace(ANSWER, covered="covered", pa_needed="no-auth")
    sessions = replace(covered, policy=replace(POLICY, detail="allowed-quantity 36 sessions in all"))
    code = {"coding": [{"system": CRD, "code": "allowed-quantity"}]}
    assert detail_of(sessions) == [
        [
            {"url": "code", "valueCodeableConcept": code},
            {"url": "value", "valueQuantity": {"value": 36, "unit": "sessions in all"}},
            {"url": "qualification", "valueString": "36 sessions in all"},
        ]
    ]
    weeks = replace(covered, policy=replace(POLICY, detail="allowed-period 2 weeks"))
    assert detail_of(weeks)[0][1] == {"url": "value", "valuePeriod": {"start": "2026-12-01", "end": "2026-12-14"}}
    months = replace(covered, policy=replace(POLICY, detail="allowed-period 2 months"))
    assert detail_of(months)[0][1] == {"url": "value", "valueQuantity": {"value": 2, "unit": "months"}}
    quantity = replace(covered, policy=replace(POLICY, detail="allowed-quantity 2 weeks"))
    assert detail_of(quantity)[0][1] == {"url": "value", "valueQuantity": {"value": 2, "unit": "weeks"}}
    assert detail_of(replace(sessions, covered="conditional")) == []
    assert detail_of(replace(sessions, pa_needed="auth-needed")) == []
    assert detail_of(replace(covered, policy=POLICY)) == []
    assert detail_of(covered) == []


def test_an_exclusion_names_its_source() -> None:
    assert detail_of(replace(ANSWER, covered="not-covered", policy=POLICY)) == [
        [{"url": "code", "valueCodeableConcept": {"text": "Source of the exclusion"}},
         {"url": "value", "valueString": "Policy 1"}, {"url": "qualification", "valueString": "Enteral formula"}],
    ]  # fmt: skip


def test_the_extensions_about_a_coverage_are_those_of_this_address_and_reference() -> None:
    own = coverage_information(ANSWER, "1", TODAY, TODAY, None)
    other = coverage_information(replace(ANSWER, coverage="Coverage/x"), "2", TODAY, TODAY, None)
    foreign = {**own, "url": "http://example.org/other"}
    order: Json = {
        "id": "d",
        "extension": ["text", foreign, other, own, {"url": URL}, {"url": URL, "extension": ["x"]}],
    }
    assert of_coverage(order, "Coverage/c") == [own]
    assert of_coverage({"extension": own}, "Coverage/c") == []
    new = coverage_information(ANSWER, "3", TODAY, TODAY, None)
    replaced = with_extension(order, new, [own])
    assert replaced == {"id": "d", "extension": [*order["extension"][:3], *order["extension"][4:], new]}
    assert with_extension({"id": "d"}, new, []) == {"id": "d", "extension": [new]}
    assert values_of({"extension": [{"url": "date", "valueDate": "d"}, {"url": "date"}, {"valueCode": "x"}]}) == {
        "date": ["d", None], "None": ["x"],
    }  # fmt: skip


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
