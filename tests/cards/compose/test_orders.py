"""Drafted orders to cards: what is judged, what is passed over and why, and one card for each order."""

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from cards.card import SEVERITY, TOPICS, Action, Card, Coding, Source, Suggestion
from cards.compose.orders import (
    MOST_LINES,
    MOST_SUGGESTIONS,
    _as_beside_headline,
    _by_line,
    _card,
    _citation,
    _distinct,
    _facts_line,
    _summary,
    _takes_draft_away,
    check_orders,
)
from cards.extension import EXTENSION_KEY, MOST_FACTS, CardExtension, Fact, FindingReference
from cards.rules.engine.rule_book import rule_book
from cards.rules.patient.orders import read_draft, read_drafts
from cards.rules.patient.session import PatientSession
from cards.suggest import MOST_ENDED
from fhir.record.refusals import WhyNot
from tests.cards.compose.test_medications import GUIDE, LABEL, REASON, finding
from tests.cards.rules.cases import check, findings, reasons, uuids
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.cds_hooks.calls import client
from tests.cds_hooks.services.chart_cases import AS_OF, as_call, patient, result
from tests.conftest import ROOT
from tests.each import for_rows
from tests.fhir.builders import allergy, bundle, medication_order

Json = dict[str, Any]

METFORMIN = {"drug": "861007", "dose": "1 tablet", "times": 2}
SICK = {"labs": [["egfr", 20]]}


def test_only_what_is_named_is_judged(as_of: datetime) -> None:
    drafts = drafts_of(draft_of(METFORMIN, "a"), draft_of({"drug": "198014", "dose": "1 tablet", "times": 2}, "b"))
    record = record_of(SICK, as_of)
    for judged, cards in ((["MedicationRequest/b"], 1), (["b"], 1), ([], 0), (None, 2)):
        outcome = check_orders(record, drafts, judged, uuids())
        assert len(outcome.cards) == cards
        named = [card.suggestions[-1].actions[0].resource_id for card in outcome.cards]
        assert named in (["MedicationRequest/b"], [], ["MedicationRequest/a", "MedicationRequest/b"])


@for_rows("end", ["", "/_history/2"])
@for_rows("start", ["", "https://ehr.example/fhir/"])
def test_a_draft_is_no_partner_of_itself_nor_of_the_order_it_renews(start: str, end: str, as_of: datetime) -> None:
    renewed = {"reference": f"{start}MedicationRequest/active-0{end}"}
    draft = draft_of(METFORMIN) | {"priorPrescription": renewed}
    outcome = check(record_of({"labs": [["egfr", 38]], "active": ["861007"]}, as_of), drafts_of(draft))
    assert findings(outcome) == []
    assert ("renal-metformin", "within-limits") in reasons(outcome)


def test_a_problem_list_that_did_not_come_is_not_an_empty_one(as_of: datetime) -> None:
    apixaban = drafts_of(draft_of({"drug": "1364445", "dose": "1 tablet", "times": 2}))
    record = record_of({"age": 86, "labs": [["creatinine", 1.8], ["body_weight", 70]]}, as_of)
    assert ("renal-apixaban", "within-limits") in reasons(check(record, apixaban))
    record = record.with_requested(frozenset({"Patient", "creatinine", "egfr", "body_weight", "MedicationRequest"}))
    outcome = check(record, apixaban)
    assert findings(outcome) == []
    assert ("renal-apixaban", "conditions-missing") in reasons(outcome)


def test_what_rests_on_the_problem_list_is_not_offered_without_it(as_of: datetime) -> None:
    record = record_of(SICK, as_of)
    record = record.with_requested(frozenset({"Patient", "creatinine", "egfr"}))
    (card,) = check(record, drafts_of(draft_of(METFORMIN))).cards
    assert card.indicator == "critical"
    assert [suggestion.label for suggestion in card.suggestions] == ["Cancel this order"]


def test_results_that_did_not_come_are_not_said_to_be_missing_for_a_year(as_of: datetime) -> None:
    record = record_of({}, as_of)
    record = record.with_requested(frozenset({"Patient", "Condition"}))
    (card,) = check(record, drafts_of(draft_of(METFORMIN))).cards
    assert card.summary == "Kidney function did not come with this call; metformin needs it."
    assert "12 months" not in (card.detail or "")
    assert "on the record" not in (card.detail or "")


NAPROXEN = {"drug": "198014", "dose": "1 tablet", "times": 2, "days": 10}


def test_dialysis_is_said_in_a_summary_that_reads_well(as_of: datetime) -> None:
    (card,) = check(record_of({"conditions": ["dialysis"]}, as_of), drafts_of(draft_of(NAPROXEN))).cards
    assert card.summary == "Naproxen with dialysis on record: consider avoiding NSAIDs."


def test_values_that_contradict_each_other_are_named_once_each(as_of: datetime) -> None:
    labs = [["egfr", 20, 3], ["creatinine", 0.8, 3], ["creatinine", 0.8, 3]]
    (card,) = check(record_of({"labs": labs}, as_of), drafts_of(draft_of(NAPROXEN))).cards
    assert (card.detail or "").count("from creatinine 0.8 mg/dL") == 1


NOT_CHECKED: list[tuple[str, Json]] = [
    ("not-recognised", {"resourceType": "MedicationRequest", "medicationCodeableConcept": {"text": "Zaubertrank <b>"}}),
    ("not-recognised", {"resourceType": "MedicationRequest"}),
    ("not-recognised", {"resourceType": "MedicationRequest", "medicationReference": {"reference": "Medication/9"}}),
    ("not-recognised", {"resourceType": "ServiceRequest", "status": "draft"}),
    ("not-a-medication", {"resourceType": "NutritionOrder"}),
    ("not-a-medication", {"resourceType": ""}),
    ("not-to-be-given", {"resourceType": "MedicationRequest", "doNotPerform": True}),
    ("not-to-be-given", {"resourceType": "MedicationRequest", "status": "cancelled"}),
    ("draft-unreadable", {"resourceType": "MedicationRequest", "dosageInstruction": "two a day"}),
    ("draft-unreadable", {"resourceType": "MedicationRequest", "medicationCodeableConcept": []}),
    ("no-rule", {"resourceType": "MedicationRequest", "medicationCodeableConcept": {"text": "inulin powder"}}),
]


@for_rows(("reason", "resource"), NOT_CHECKED)
def test_what_is_not_checked_is_said(reason: str, resource: Json, as_of: datetime) -> None:
    outcome = check(record_of(SICK, as_of), drafts_of(resource))
    assert outcome.cards == ()
    ((subject, said),) = [one for one in reasons(outcome) if one[1] != "scope"]
    assert said == reason
    assert subject == "draftOrders.entry[0]"
    assert "<" not in outcome.silences[0].text


def test_one_broken_draft_does_not_take_the_others_away(as_of: datetime) -> None:
    broken = {"resourceType": "MedicationRequest", "id": "x", "dispenseRequest": 7}
    outcome = check(record_of(SICK, as_of), drafts_of(broken, draft_of(METFORMIN)))
    assert findings(outcome) == [("renal-metformin", "lt30", "critical")]
    assert ("MedicationRequest/x", "draft-unreadable") in reasons(outcome)


@for_rows("entry", [None, 7, {}, {"resource": None}, {"resource": []}, {"fullUrl": 5, "resource": {}}])
def test_an_entry_without_a_resource_is_passed_over(entry: Any) -> None:
    assert all(draft.kind == "" for draft in read_drafts([entry]))


@for_rows(
    ("identity", "full_url", "reference"),
    [
        ("1", None, "MedicationRequest/1"),
        ("1", "https://x.test/MedicationRequest/2", "MedicationRequest/1"),
        (None, "https://x.test/MedicationRequest/2", "MedicationRequest/2"),
        (None, "urn:uuid:abc", "MedicationRequest/abc"),
        (None, "https://x.test/2", None),
        (7, None, None),
        ("a/b", None, None),
        (" ", None, None),
        ("", "urn:uuid:", None),
    ],
)
def test_a_draft_goes_by_its_id_or_its_full_url(identity: Any, full_url: str | None, reference: str | None) -> None:
    resource = {"resourceType": "MedicationRequest"} | ({"id": identity} if identity is not None else {})
    assert read_draft(resource, full_url=full_url).reference == reference


def test_chart_words_stand_on_the_card_as_text(as_of: datetime) -> None:
    draft = draft_of(METFORMIN | {"drug": "Metformin 500 mg tablet **<img src=x>** [x](http://x.test)\u202e"})
    (card,) = check(record_of(SICK, as_of), drafts_of(draft)).cards
    assert card.detail is not None
    assert "<img" not in card.detail
    assert "\u202e" not in card.detail
    assert "**<" not in card.detail
    assert r"\[x\](http:\/\/x.test)" in card.detail


REPLAY = """
import sys, msgspec
from datetime import datetime
from itertools import count
from cards.casebook.patients import draft_of, drafts_of, record_of
from cards.compose.orders import check_orders
patient = {"conditions": ["afib"], "crcl": 20, "active": [
    "verapamil hydrochloride 120 MG Oral Tablet", "ketoconazole 200 MG Oral Tablet", "833528"]}
draft = draft_of({"drug": "1037179", "dose": "1 capsule", "times": 2})
record = record_of(patient, datetime.fromisoformat("2026-11-20T09:00:00+00:00"))
numbers = count(1)
outcome = check_orders(record, drafts_of(draft), None, lambda: f"uuid-{next(numbers)}", signing=True)
assert outcome.cards
sys.stdout.buffer.write(msgspec.json.encode(outcome))
"""


def test_the_source_of_a_card_is_what_its_band_rests_on(as_of: datetime) -> None:
    pregnant = {"age": 30, "sex": "female", "conditions": [["pregnancy", 253]]}
    nitrofurantoin = {"drug": "1648755", "dose": "1 capsule", "times": 2, "days": 5}
    (card,) = check(record_of(pregnant, as_of), drafts_of(draft_of(nitrofurantoin))).cards
    assert card.source.label.startswith("Nitrofurantoin label"), "Beers says nothing about pregnancy"
    assert "Beers" not in (card.detail or "")


@pytest.mark.slow
def test_the_same_call_gives_the_same_bytes_in_any_process() -> None:
    answers = {
        subprocess.run(
            [sys.executable, "-c", REPLAY],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1


def test_a_code_and_words_that_name_different_drugs_are_said(as_of: datetime) -> None:
    draft = draft_of(METFORMIN)
    draft["medicationCodeableConcept"]["text"] = "warfarin sodium 5 MG Oral Tablet"
    outcome = check(record_of(SICK, as_of), drafts_of(draft))
    assert ("MedicationRequest/draft-1", "identity-in-doubt") in reasons(outcome)


@pytest.mark.parametrize(("signing", "words"), [(False, "is not entered yet"), (True, "is not stated")])
def test_a_dose_that_is_not_there_is_waited_for_until_the_order_is_signed(
    signing: bool, words: str, as_of: datetime
) -> None:
    record = record_of({"labs": [["egfr", 40]], "active": ["861007"]}, as_of)
    outcome = check_orders(record, drafts_of(draft_of({"drug": "861007"})), None, uuids(), signing=signing)
    (text,) = [one.text for one in outcome.silences if one.reason == "dose-not-entered"][:1]
    assert words in text


def test_no_suggestion_about_an_active_order_says_that_it_is_cancelled() -> None:
    rules = rule_book().rules
    offered = [one for rule in rules for band in rule.bands for one in band.suggestions]
    offered += [one for rule in rules for band in rule.missing for one in band.suggestions]
    labels = {one.declared.label_of(is_active=True) for one in offered}
    assert "Stop linezolid and choose another agent" in labels
    assert not [label for label in labels if "cancel" in label.lower()]


def test_each_card_comes_with_the_name_of_its_draft(as_of: datetime) -> None:
    drafts = drafts_of(draft_of({"drug": "ibuprofen 200 MG Oral Tablet"}, "a"), draft_of(METFORMIN, "b"))
    outcome = check_orders(record_of(SICK, as_of), drafts, None, uuids())
    named = [next(fact.source for fact in card.own_extension.facts if fact.name == "draft") for card in outcome.cards]
    assert list(outcome.drafts) == named != []


# The lines of a card about a drafted order: facts, citations, and which suggestions stay beside the headline.
DELETE = Action(type="delete", description="d", resource_id="MedicationRequest/a")


def update(status: str) -> Action:
    return Action(type="update", description="d", resource={"resourceType": "MedicationRequest", "status": status})


def create(kind: str) -> Action:
    return Action(type="create", description="d", resource={"resourceType": kind, "id": kind})


def suggestion(label: str, *actions: Action, is_recommended: bool = True) -> Suggestion:
    return Suggestion(label=label, uuid=label, is_recommended=is_recommended, actions=actions)


@for_rows(
    ("actions", "takes_away"),
    [
        ((), False),
        ((DELETE,), True),
        ((update("active"),), False),
        ((update("on-hold"),), True),
        ((update("stopped"),), True),
        ((update("revoked"),), True),
        ((DELETE, create("ServiceRequest")), True),
        ((DELETE, create("MedicationRequest")), False),
        ((create("ServiceRequest"),), False),
    ],
)
def test_beside_the_headline_only_what_takes_the_draft_away_stays_advised(
    actions: tuple[Action, ...], takes_away: bool
) -> None:
    offer = suggestion("x", *actions)
    assert _takes_draft_away(offer) is takes_away
    headline, other = finding("a"), finding("b")
    assert _as_beside_headline(offer, other, headline) == replace(offer, is_recommended=takes_away)
    milder = finding("b", indicator="info")
    assert _as_beside_headline(offer, milder, headline).is_recommended is False


def test_each_label_and_each_thing_that_is_done_stands_once_with_one_advised() -> None:
    same_but_for_id = Action(type="create", description="d", resource={"resourceType": "ServiceRequest", "id": "other"})
    first = suggestion("Cancel", DELETE)
    offers = [
        first, suggestion("Cancel", update("active")), suggestion("Remove it", DELETE),
        suggestion("Test", create("ServiceRequest")), suggestion("Test too", same_but_for_id),
        suggestion("Hold", update("on-hold"), is_recommended=False),
    ]  # fmt: skip
    assert _distinct(offers) == [first, replace(offers[3], is_recommended=False), offers[5]]
    many = [suggestion(str(number), update(str(number))) for number in range(MOST_SUGGESTIONS + 2)]
    assert [offer.label for offer in _distinct(many)] == [str(number) for number in range(MOST_SUGGESTIONS)]


def test_a_finding_cites_two_documents_and_several_findings_one_each() -> None:
    third = replace(GUIDE, label="Third")
    assert _citation([finding("a", evidence=(GUIDE, LABEL, third))]) == "Guide 2026; Label 2025"
    both = [finding("a", evidence=(GUIDE, LABEL)), finding("b", evidence=(third, GUIDE)), finding("c")]
    assert _citation(both) == "Guide 2026; Third"


def test_the_facts_that_the_detail_does_not_say_follow_it() -> None:
    facts = (
        Fact("draft", "the draft"),
        Fact("egfr", "eGFR 25", effective="2026-11-01T08:00:00Z", source="Observation/e"),
        Fact("egfr", "eGFR 25 mL/min", effective="2026-11-01T08:00:00Z", source="Observation/e"),
        Fact("egfr", "eGFR 24 mL/min", effective="2026-11-01T08:00:00Z", source="Observation/e"),
        Fact("fall", "a fall on 2026-10-03", effective="2026-10-03"),
        Fact("age", "70 years"),
        Fact("age", "a child"),
        Fact("age", "70 years"),
        Fact("said", "Detail of a"),
        Fact("pregnancy", ""),
        Fact("sex", "fe*male"),
    )
    line = ": eGFR 25 mL/min (2026-11-01); a fall on 2026-10-03; 70 years; a child; fe\\*male."
    assert _facts_line([finding("a", facts=facts[:4]), finding("b", facts=facts[4:])]) == line
    assert _facts_line([finding("a", facts=facts[:1])]) == ""


def test_findings_have_lines_of_their_own_while_there_is_room() -> None:
    room = MOST_LINES - 2
    few = [finding(str(number), group="g") for number in range(room)]
    assert _by_line(few) == ([[entry] for entry in few], [])
    grouped = [*few, finding("other", group="h")]
    assert _by_line(grouped) == ([few, [grouped[-1]]], [])
    apart = [finding(str(number), group=str(number)) for number in range(room + 2)]
    assert _by_line(apart) == ([[entry] for entry in apart[:room]], apart[room:])


def test_a_headline_of_139_characters_stays_and_a_longer_one_is_cut() -> None:
    assert _summary(finding("a", summary="x" * 139)) == "x" * 139
    assert _summary(finding("a", summary="x" * 140)) == "x" * 138 + "…"


def _session_card(*findings: Any, suggestions: tuple[Suggestion, ...] = ()) -> Card:
    as_of = datetime(2026, 11, 20, 9, tzinfo=UTC)
    session = PatientSession(record_of({}, as_of), drafts_of(draft_of({"drug": "metformin *XR*"})))
    return _card("uuid", findings, suggestions, session.drafted[0])


def test_the_whole_card_of_an_order() -> None:
    other = Coding(system="s", code="other", display="o")
    first = finding("a", facts=(Fact("egfr", "eGFR 25"),), detail="A speaks. Stop it.", notes=("Old value.",))
    second = finding("b", indicator="info", evidence=(LABEL,), override_reasons=(other, REASON), notes=("Old value.",))
    card = _session_card(first, second, suggestions=(suggestion("Cancel", DELETE),))
    assert card == Card(
        uuid="uuid",
        summary="a speaks.",
        indicator="warning",
        detail="\n".join(
            [
                r"**metformin \*XR\***: eGFR 25.",
                "- Stop it. (Guide 2026)",
                "- **b speaks.** Detail of b. (Label 2025)",
                "- Old value.",
            ]
        ),
        source=Source(label="Guide 2026", url="https://example.org/g", topic=TOPICS["orders"]),
        suggestions=(suggestion("Cancel", DELETE),),
        selection_behavior="at-most-one",
        override_reasons=(REASON, other),
        extension={
            EXTENSION_KEY: CardExtension(
                findings=(FindingReference("a", "band"), FindingReference("b", "band")),
                facts=(Fact("egfr", "eGFR 25"),),
            )
        },
    )
    bare = _session_card(finding("a"))
    assert (bare.suggestions, bare.selection_behavior) == ((), None)
    assert str(bare.detail) == "**metformin \\*XR\\***\n- Detail of a. (Guide 2026)"


# Many equal drafts: one card for a dose that is far too high, and an answer whose size has a bound.
TEN = 10
MG = {"unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}


def _draft(number: int, words: str, mg: float, times: int) -> Json:
    timing = {"repeat": {"frequency": times, "period": 1, "periodUnit": "d"}}
    dosage = {"timing": timing, "doseAndRate": [{"doseQuantity": {"value": mg, **MG}}]}
    return medication_order(words, status="draft", patient="chart-1", id=f"draft-{number}", dosageInstruction=[dosage])


async def _signed(folder: Path, drafts: list[Json], *chart: Json) -> list[Json]:
    body = as_call("order-safety", "order-sign", 1, [patient(60, "male"), result("2160-0", 1.0, "mg/dL"), *chart])
    body["context"]["draftOrders"] = bundle(*drafts, type="collection")
    async with client(folder, as_of=AS_OF) as calls:
        answer = await calls.post("/cds-services/order-safety", json=body)
    cards: list[Json] = answer.json()["cards"]
    return cards


@pytest.mark.parametrize(
    ("words", "mg", "times", "a_day"),
    [
        ("metformin hydrochloride 1000 MG Oral Tablet", 1000, 27, "270,000 mg/day"),
        ("acetaminophen 500 MG Oral Tablet", 1000, 12, "120,000 mg/day"),
        ("lisinopril 40 MG Oral Tablet", 40, 10, "4,000 mg/day"),
        ("ibuprofen 800 MG Oral Tablet", 800, 12, "96,000 mg/day"),
    ],
)
def test_the_headline_of_ten_drafts_is_what_they_give_together(
    tmp_path: Path, words: str, mg: float, times: int, a_day: str
) -> None:
    cards = asyncio.run(_signed(tmp_path, [_draft(number, words, mg, times) for number in range(TEN)]))
    worst = cards[0]
    assert worst["indicator"] == "critical"
    assert a_day in worst["summary"]
    about_doses = [card for card in cards if "mg/day" in card["summary"]]
    assert len(about_doses) == 1, [card["summary"] for card in cards]
    severities = [SEVERITY[card["indicator"]] for card in cards]
    assert severities == sorted(severities, reverse=True)


def _listed(number: int, drug: str, reaction: str) -> Json:
    return allergy(
        drug, status=None, patient="chart-1", id=f"allergy-{number}", reaction=[{"manifestation": [{"text": reaction}]}]
    )


def test_a_list_of_hundreds_of_allergies_is_told_by_some_entries_and_a_count(tmp_path: Path) -> None:
    draft = _draft(0, "amoxicillin 500 MG Oral Capsule", 500, 3)
    entries = [_listed(number, "amoxicillin", f"anaphylaxis number {number}") for number in range(300)]
    (card,) = asyncio.run(_signed(tmp_path, [draft], *entries))
    more = f"{300 - MOST_FACTS} more of this kind"
    assert f"amoxicillin: anaphylaxis number {MOST_FACTS - 1}; {more}." in card["detail"]
    facts = card["extension"]["org.cds-hooks-onnx"]["facts"]
    assert [fact["text"] for fact in facts if fact["name"] == "more_allergy"] == [more]
    assert len([fact for fact in facts if fact["name"] == "allergy"]) == MOST_FACTS
    assert len(str(card)) < 10_000


def test_no_suggestion_ends_hundreds_of_orders(tmp_path: Path) -> None:
    order = _draft(0, "ibuprofen 800 MG Oral Tablet", 800, 3) | {"status": "active", "authoredOn": "2026-10-01"}
    orders = [order | {"id": f"order-{number}"} for number in range(300)]
    cards = asyncio.run(_signed(tmp_path, [_draft(0, "warfarin sodium 5 MG Oral Tablet", 5, 1)], *orders))
    ended = [len(suggestion["actions"]) for card in cards for suggestion in card["suggestions"]]
    assert ended
    assert max(ended) <= MOST_ENDED


# Why an order is not checked, and what of the medication list was not counted: whole sentences.
def order(**fields: Any) -> Json:
    return {"resourceType": "MedicationRequest", "id": "a", "status": "draft", "intent": "order"} | fields


def study(**fields: Any) -> Json:
    return order(resourceType="ServiceRequest", **fields)


NAME = "MedicationRequest/a"


@for_rows(
    ("resource", "silence"),
    [
        (
            order(medicationCodeableConcept={"text": "Zaubertrank"}),
            WhyNot(NAME, "not-recognised", "Not recognised, so not checked: Zaubertrank."),
        ),
        (order(), WhyNot(NAME, "not-recognised", "Not recognised, so not checked: the drafted medication.")),
        (
            order(dispenseRequest=7),
            WhyNot(
                NAME,
                "draft-unreadable",
                f"{NAME} cannot be read (Expected object | null, got int - at dispenseRequest): not checked.",
            ),
        ),
        (
            order(doNotPerform=True),
            WhyNot(NAME, "not-to-be-given", f"{NAME} is not to be given (its status or doNotPerform): not checked."),
        ),
        (
            study(code={"text": "Walk *daily*"}),
            WhyNot(
                "ServiceRequest/a",
                "not-recognised",
                "Not recognised as an order of imaging or a test that a rule is about, so not checked: Walk *daily*.",
            ),
        ),
        (
            study(),
            WhyNot(
                "ServiceRequest/a",
                "not-recognised",
                "Not recognised as an order of imaging or a test that a rule is about, so not checked: "
                "ServiceRequest/a.",
            ),
        ),
        (
            study(status="revoked", code={"text": "CT"}),
            WhyNot(
                "ServiceRequest/a",
                "not-to-be-given",
                "ServiceRequest/a is not to be done (its status or doNotPerform): not checked.",
            ),
        ),
        (
            order(resourceType="NutritionOrder"),
            WhyNot(
                "NutritionOrder/a",
                "not-a-medication",
                "NutritionOrder/a is a NutritionOrder and not a medication order: not checked.",
            ),
        ),
        (
            {"resourceType": ""},
            WhyNot(
                "draftOrders.entry[0]",
                "not-a-medication",
                "draftOrders.entry[0] is a resource without a type and not a medication order: not checked.",
            ),
        ),
        (
            order(medicationCodeableConcept={"text": "inulin powder"}),
            WhyNot(NAME, "no-rule", "No rule here is about inulin."),
        ),
    ],
)
def test_what_is_not_checked_is_said_in_a_sentence(resource: Json, silence: WhyNot, as_of: datetime) -> None:
    outcome = check(record_of({}, as_of), drafts_of(resource))
    assert outcome.cards == ()
    assert [one for one in outcome.silences if one.reason != "scope"] == [silence]


def test_a_medication_among_the_drafts_is_part_of_an_order(as_of: datetime) -> None:
    outcome = check(record_of({}, as_of), drafts_of({"resourceType": "Medication", "id": "m"}))
    assert (outcome.cards, outcome.silences) == ((), ())


def on_list(as_of: datetime, *active: Json | str) -> list[str]:
    """What is said of the medication list beside a draft that nothing is found about."""
    outcome = check(record_of({"active": list(active)}, as_of), drafts_of(draft_of({"drug": "inulin powder"})))
    return [one.text for one in outcome.silences if one.subject == "medications"]


def strange(number: int) -> Json:
    return {"drug": f"potion {number}"}


UNKNOWN = "On the medication list, not recognised, so nothing was checked against it: "


def test_what_is_taken_and_not_recognised_is_named_five_at_most(as_of: datetime) -> None:
    assert on_list(as_of) == on_list(as_of, "ibuprofen 400 MG Oral Tablet") == []
    assert on_list(as_of, strange(2), strange(1), strange(2)) == [f"{UNKNOWN}potion 1; potion 2."]
    five = "; ".join(f"potion {number}" for number in range(5))
    assert on_list(as_of, *map(strange, range(5))) == [f"{UNKNOWN}{five}."]
    assert on_list(as_of, *map(strange, range(7))) == [f"{UNKNOWN}{five} and 2 more."]
    assert on_list(as_of, {"drug": ""}) == [f"{UNKNOWN}a medication without a name."]
    assert on_list(as_of, {"drug": ""}, strange(1)) == [f"{UNKNOWN}potion 1 and 1 more."]


HELD = ("ibuprofen", "metformin", "lisinopril", "atorvastatin", "sertraline", "warfarin", "digoxin")


def test_what_is_on_hold_is_named_five_at_most(as_of: datetime) -> None:
    held = [{"drug": name, "status": "on-hold"} for name in HELD]
    assert on_list(as_of, *held[:1]) == ["On hold, so not counted as taken: ibuprofen."]
    five = "ibuprofen; metformin; lisinopril; atorvastatin; sertraline"
    assert on_list(as_of, *held[:5]) == [f"On hold, so not counted as taken: {five}."]
    assert on_list(as_of, *held) == [f"On hold, so not counted as taken: {five} and 2 more."]


def test_a_finding_that_is_suppressed_leaves_its_reason_in_place_of_a_card(as_of: datetime) -> None:
    drafts = drafts_of(draft_of(METFORMIN, "a"), draft_of({"drug": "temsirolimus"}, "b"))
    why = WhyNot("any", "suppressed", "It was overridden.")
    outcome = check_orders(record_of(SICK, as_of), drafts, None, uuids(), suppress=lambda _finding: why)
    assert (outcome.cards, outcome.silences.count(why)) == ((), 2)


def test_a_draft_whose_only_finding_is_suppressed_is_not_without_a_rule(as_of: datetime) -> None:
    inulin = {"resourceType": "MedicationRequest", "medicationCodeableConcept": {"text": "inulin powder"}}
    record = record_of(
        {"more": [_listed(1, "inulin", "anaphylaxis") | {"patient": {"reference": "Patient/case"}}]}, as_of
    )
    why = WhyNot("any", "suppressed", "It was overridden.")
    outcome = check_orders(record, drafts_of(inulin), None, uuids(), suppress=lambda _finding: why)
    assert {silence.reason for silence in outcome.silences} == {"suppressed", "scope"}


def test_a_card_of_orders_has_five_lines_and_four_suggestions() -> None:
    assert (MOST_LINES, MOST_SUGGESTIONS) == (5, 4)
