"""Opioids: what is taken, corrections, conditions and words of the cards, by doses worked out by hand."""

from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from cards.extension import Fact
from cards.rules.families.opioid.family import FAMILY
from cards.rules.families.opioid.view import OpioidView, has_rescue_naloxone, is_long_acting
from cards.rules.language.rule import OrderChange, Sig
from cards.rules.patient.context import RuleContext
from cards.rules.patient.session import PatientSession
from fhir.mapping.medications.identity import identify_concept
from fhir.record.datatypes import CodeableConcept
from tests.cards.rules.contexts import AS_OF, answer, context_of, predicate_of, told
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import medication_statement, problem

Json = dict[str, Any]
OXYCODONE: Json = {"drug": "1049621", "dose": "2 tablet", "times": 4}
MORPHINE: Json = {"drug": "morphine sulfate 15 MG Oral Tablet", "dose": "1 tablet", "times": 2}


def _view(patient: Json, as_of: datetime, draft: Json = MORPHINE, **more: Any) -> OpioidView:
    session = PatientSession(record_of(patient, as_of), drafts_of(draft_of({**draft, "more": more})))
    return OpioidView(session, session.drafted[0])


def _statement(as_of: datetime, kind: str = "MedicationStatement", days_ago: int = 20, **more: Any) -> Json:
    when = (as_of - timedelta(days=days_ago)).date().isoformat()
    dosage = [{"text": "2 tablets four times a day"}]
    resource: Json = {
        "resourceType": kind,
        "id": "elsewhere",
        "status": "active",
        "medicationCodeableConcept": {"text": "oxycodone hydrochloride 5 MG Oral Tablet"},
        "subject": {"reference": "Patient/case"},
    }
    if kind == "MedicationDispense":
        supply = {"value": 30, "unit": "days", "code": "d"}
        return resource | {"status": "completed", "whenHandedOver": when, "daysSupply": supply} | {
            "dosageInstruction": dosage, "authorizingPrescription": [], **more}  # fmt: skip
    return resource | {"effectiveDateTime": when, "dosage": dosage} | more


@for_rows(
    "named",
    [
        {"priorPrescription": {"reference": "MedicationRequest/active-0"}},
        {"basedOn": [{"reference": "MedicationRequest/active-0"}]},
        {"priorPrescription": {"reference": "https://ehr.example/fhir/MedicationRequest/active-0"}},
        {"basedOn": [{"reference": "MedicationRequest/active-0/_history/1"}, {"display": "by fax"}, "by fax"]},
    ],
)
def test_an_order_that_the_draft_names_as_its_forerunner_is_not_added(named: Json, as_of: datetime) -> None:
    view = _view({"active": [OXYCODONE]}, as_of, **named)
    assert view.total == (30.0, True)
    assert view.is_not_raised is True


def test_a_dispense_counts_like_an_order(as_of: datetime) -> None:
    assert _view({"more": [_statement(as_of, "MedicationDispense")]}, as_of).total == (90.0, True)


def test_a_dispense_from_elsewhere_makes_tolerant(as_of: datetime) -> None:
    patient = {"more": [_statement(as_of, "MedicationDispense")]}
    assert _view(patient, as_of, {"drug": "245134"}).is_tolerant is True


@for_rows(
    ("words", "long_acting"),
    [
        ("12 HR oxycodone hydrochloride 10 MG Extended Release Oral Tablet", True),
        ("OxyContin 10 mg", True),
        ("MS Contin 15 mg tablet", True),
        ("Skenan LP 30 mg", True),
        ("Duragesic", True),
        ("Durogesic SMAT 25", True),
        ("Morphin retard 30 mg", True),
        ("morphine sulfate ER 15 mg", True),
        ("72 HR fentanyl 0.025 MG/HR Transdermal System", True),
        ("fentanyl patch 25 mcg/hr", True),
        ("methadone 5 mg tablet", True),
        ("oxycodone 5 mg tablet", False),
        ("buprenorphine 0.02 MG/HR Transdermal System", False),
        ("morphine sulfate 2 MG/ML Oral Solution", False),
        ("metformin 500 MG Extended Release Oral Tablet", False),
    ],
)
def test_what_is_long_acting(words: str, long_acting: bool) -> None:
    assert is_long_acting(identify_concept(CodeableConcept(text=words))) is long_acting


@for_rows(
    ("drug", "counts"),
    [
        ("naloxone 4 MG Nasal Spray", True),
        ("naloxone", True),
        ("nalmefene 2.7 MG Nasal Spray", True),
        ("buprenorphine 8 MG / naloxone 2 MG Sublingual Film", False),
        ("naltrexone 50 MG Oral Tablet", False),
    ],
)
def test_what_is_rescue_naloxone(drug: str, counts: bool, as_of: datetime) -> None:
    session = PatientSession(record_of({"active": [{"drug": drug, "status": "completed", "days_ago": 100}]}, as_of), [])
    assert has_rescue_naloxone(session, 365) is counts


def test_naloxone_that_will_be_ordered_is_none_yet(as_of: datetime) -> None:
    later = {"drug": "naloxone 4 MG Nasal Spray", "status": "completed", "days_ago": -30}
    assert not has_rescue_naloxone(PatientSession(record_of({"active": [later]}, as_of), []), 365)


OXYCODONE_5 = "oxycodone hydrochloride 5 MG Oral Tablet"
OXYCODONE_10: Json = {"drug": OXYCODONE_5, "dose": "2 tablet", "times": 4}  # 60 MME
HYDROCODONE: Json = {"drug": "hydrocodone 5 MG / acetaminophen 325 MG Oral Tablet"}
LORAZEPAM: Json = {"drug": "lorazepam 1 MG Oral Tablet", "dose": "1 tablet", "times": 3}
METHADONE: Json = {"drug": "methadone 10 MG Oral Tablet", "dose": "1 tablet", "times": 1}
SUBOXONE: Json = {"drug": "buprenorphine 8 MG / naloxone 2 MG Sublingual Film", "dose": "1 film", "times": 1}


def _says(draft: Json, words: str) -> Json:
    return {**draft, "more": {"reasonCode": [{"text": words}]}}


@for_rows(
    ("draft", "patient", "sig"),
    [
        (OXYCODONE_10, {}, Sig("2 tablets 3 times a day", 10.0, times_per_day=3)),
        ({**OXYCODONE_10, "as_needed": True}, {},
         Sig("2 tablets 3 times a day as needed", 10.0, times_per_day=3, as_needed=True)),
        (OXYCODONE_10, {"active": [MORPHINE]}, Sig("1 tablet twice daily", 5.0, times_per_day=2)),
        ({"drug": "oxycodone hydrochloride 15 MG Oral Tablet", "dose": "1 tablet", "times": 3}, {},
         Sig("1 tablet twice daily", 15.0, times_per_day=2)),
        ({"drug": "oxycodone hydrochloride 30 MG Oral Tablet", "dose": "1 tablet", "times": 2}, {},
         Sig("1 tablet once daily", 30.0, times_per_day=1)),
        ({"drug": "morphine sulfate 50 MG Oral Capsule", "dose": "1 capsule", "times": 2}, {}, None),
        ({"drug": "morphine sulfate 10 MG Oral Capsule", "dose": "1 capsule", "times": 6}, {},
         Sig("1 capsule 4 times a day", 10.0, times_per_day=4)),
        ({"drug": "oxycodone hydrochloride 2.5 MG Oral Tablet", "dose": "1 tablet", "times": 20}, {},
         Sig("1 tablet 13 times a day", 2.5, times_per_day=13)),
        ({**HYDROCODONE, "dose": "4 tablet", "times": 3}, {},
         Sig("3 tablets 3 times a day", dose_share=0.75, times_per_day=3)),
        (OXYCODONE_10, {"active": [HYDROCODONE]}, None),
        (LORAZEPAM, {"active": [OXYCODONE_10]}, None),
        ({"drug": OXYCODONE_5}, {}, None),
        ({**OXYCODONE_10, "dose": "7 mg"}, {}, None),
        ({**OXYCODONE_10, "dose": "2.5 mg", "times": 20}, {}, None),
        ({"drug": "fentanyl 0.025 MG/HR Transdermal System", "dose": "1 patch", "times": 1}, {}, None),
        # A patch is worn for days: no part of its number is a daily dose.
        ({"drug": "fentanyl 12 mcg patch", "dose": "2 patch", "times": 1}, {}, None),
        ({"drug": "oxycodone 1 MG/ML Oral Solution", "dose": "10 mg", "times": 4}, {}, None),
    ],
)  # fmt: skip
def test_the_greatest_part_of_the_draft_under_50_mme(draft: Json, patient: Json, sig: Sig | None) -> None:
    context = context_of(draft, **patient)
    for ingredient in context.medication.ingredients:  # of a mixture the units are counted by either drug
        of_drug = RuleContext(context.session, context.drafted, ingredient)
        assert FAMILY.changes["under_50_mme"](of_drug) == (OrderChange(sig=sig) if sig is not None else None)


HALF = ": lower start, half of the usual dose beside an opioid"


@for_rows(
    ("dose", "times", "more", "sig"),
    [
        ("2 tablet", 3, {}, Sig(f"1 tablet 3 times a day{HALF}", 1.0, times_per_day=3, is_written=True)),
        ("4 tablet", 1, {}, Sig(f"2 tablets once daily{HALF}", 2.0, times_per_day=1, is_written=True)),
        ("1 tablet", 4, {}, Sig(f"1 tablet twice daily{HALF}", 1.0, times_per_day=2, is_written=True)),
        ("3 tablet", 2, {}, Sig(f"3 tablets once daily{HALF}", 3.0, times_per_day=1, is_written=True)),
        ("1 tablet", 3, {}, None),
        ("1 tablet", 1, {}, None),
        ("0 tablet", 3, {}, None),
        ("2 tablet", 3, {"as_needed": True}, None),
    ],
)
def test_half_of_the_drafted_dose(dose: str, times: int, more: Json, sig: Sig | None) -> None:
    change = FAMILY.changes["half_dose"](context_of({**LORAZEPAM, "dose": dose, "times": times, **more}))
    assert change == (OrderChange(sig=sig) if sig is not None else None)


def test_nothing_is_halved_that_is_not_known() -> None:
    assert FAMILY.changes["half_dose"](context_of({"drug": LORAZEPAM["drug"]})) is None
    assert FAMILY.changes["half_dose"](context_of({"drug": LORAZEPAM["drug"], "dose": "2 tablet"})) is None


def _words(context: RuleContext) -> Json:
    return {name: word(context) for name, word in FAMILY.placeholders.items()}


ELSEWHERE = "Opioids from elsewhere are not seen here."
NONE: Json = {"mme_problem": None, "mme_problems": "", "list_gap": ELSEWHERE, "risk": None, "risks": ""}
OUD: Json = problem("Opioid use disorder", "F11.20", patient="case", id="oud", onsetDateTime="2024-05-01")


@for_rows(
    ("drafts", "patient", "words"),
    [
        ([MORPHINE], {},
         {"mme": "30", "parts": "morphine 30 (this order)", "mme_known": "The rest comes to 30 MME/day."}),
        ([MORPHINE, OXYCODONE_10], {"active": [{"drug": "tramadol 50 MG Oral Tablet", "dose": "1 tablet", "times": 4}]},
         {"mme": "130", "parts": "morphine 30 (this order), tramadol 40, oxycodone 60 (also drafted)",
          "mme_known": "The rest comes to 130 MME/day.", "risk": "130 MME/day"}),
        ([MORPHINE], {"active": [HYDROCODONE]},
         {"mme": "at least 30", "parts": "morphine 30 (this order); not counted: hydrocodone: no dosage instruction",
          "mme_problem": "hydrocodone: no dosage instruction", "mme_problems": "hydrocodone: no dosage instruction",
          "mme_known": "The rest comes to 30 MME/day."}),
        ([{"drug": OXYCODONE_5}], {"active": [HYDROCODONE]},
         {"mme": "at least 0",
          "parts": "; not counted: oxycodone: no dosage instruction; " "hydrocodone: no dosage instruction",
          "mme_problem": "oxycodone: no dosage instruction (and 1 more)",
          "mme_problems": "oxycodone: no dosage instruction; hydrocodone: no dosage instruction", "mme_known": ""}),
        ([OXYCODONE_10], {"active": [HYDROCODONE, LORAZEPAM], "more": [OUD], "age": 65},
         {"mme": "at least 60", "parts": "oxycodone 60 (this order); not counted: hydrocodone: no dosage instruction",
          "mme_problem": "hydrocodone: no dosage instruction", "mme_problems": "hydrocodone: no dosage instruction",
          "mme_known": "The rest comes to 60 MME/day.", "risk": "at least 60 MME/day and 2 more",
          "risks": "Risk factors found: at least 60 MME/day, a benzodiazepine, opioid use disorder (2024-05-01). "}),
        ([MORPHINE], {"not_sent": ["MedicationRequest"]},
         {"mme": "30", "parts": "morphine 30 (this order)", "mme_known": "The rest comes to 30 MME/day.",
          "list_gap": "The list of medications did not come with this call."}),
    ],
)  # fmt: skip
def test_the_words_of_the_cards(drafts: list[Json], patient: Json, words: Json) -> None:
    assert _words(context_of(*drafts, **patient)) == {**NONE, **words}


GABAPENTIN: Json = {"drug": "gabapentin 300 MG Oral Capsule", "dose": "1 capsule", "times": 3}


@for_rows(
    ("draft", "patient", "risk"),
    [
        ({**MORPHINE, "drug": "morphine sulfate 25 MG Oral Tablet"}, {}, "50 MME/day"),
        ({**MORPHINE, "dose": "24 mg"}, {}, None),
        (MORPHINE, {"active": [LORAZEPAM]}, "a benzodiazepine"),
        (MORPHINE, {"active": [GABAPENTIN], "age": 65}, "a gabapentinoid at 65 or over"),
        (MORPHINE, {"active": [GABAPENTIN], "age": 64}, None),
        (MORPHINE, {"active": [GABAPENTIN], "age": None}, None),
        (MORPHINE, {"age": 65}, None),
        (MORPHINE, {"conditions": [["sleep_apnea", 10]]}, "sleep apnoea (2026-11-10)"),
        (MORPHINE, {"conditions": [["sleep_apnea", 10]], "active": [LORAZEPAM]}, "a benzodiazepine and 1 more"),
    ],
)
def test_the_risk_that_is_named(draft: Json, patient: Json, risk: str | None) -> None:
    assert FAMILY.placeholders["risk"](context_of(draft, **patient)) == risk


def test_each_opioid_is_told_with_its_milligrams() -> None:
    context = context_of(MORPHINE, active=[{**OXYCODONE_10, "days_ago": 10}, HYDROCODONE])
    assert told({"mme_per_day": {"ge": 50}}, context, FAMILY) == [
        Fact("mme", "morphine 30 MME/day", 30.0, "MME/d", None, "MedicationRequest/draft-0"),
        Fact("mme", "oxycodone 60 MME/day", 60.0, "MME/d", "2026-11-10", "MedicationRequest/active-0"),
    ]
    predicate = predicate_of({"mme_per_day": {"ge": 50}}, FAMILY)
    assert predicate.uses == {"active", "mme"}
    assert predicate.limits == {50}
    assert predicate.needs.resources == {"MedicationRequest", "MedicationStatement", "MedicationDispense"}
    assert predicate.needs.beside == {"opioid", "opioid_partial_agonist"}


@for_rows(
    ("draft", "patient", "spec", "truth"),
    [
        (MORPHINE, {}, {"mme_per_day": {"ge": 30}}, True),
        (MORPHINE, {}, {"mme_per_day": {"gt": 30}}, False),
        (MORPHINE, {"active": [HYDROCODONE]}, {"mme_per_day": {"ge": 30}}, True),
        (MORPHINE, {"active": [HYDROCODONE]}, {"mme_per_day": {"gt": 30}}, None),
        (MORPHINE, {"active": [HYDROCODONE]}, {"mme_per_day": {"lt": 50}}, None),
        (MORPHINE, {}, {"mme_unknown": True}, False),
        (MORPHINE, {"active": [HYDROCODONE]}, {"mme_unknown": True}, True),
        (MORPHINE, {"active": [{**MORPHINE, "times": 3}]}, {"mme_not_raised": True}, True),
        (MORPHINE, {"active": [{**MORPHINE, "times": 1}]}, {"mme_not_raised": True}, False),
        (MORPHINE, {}, {"mme_not_raised": True}, False),
        ({"drug": OXYCODONE_5}, {}, {"mme_not_raised": True}, False),
        (MORPHINE, {}, {"opioid_tolerant": True}, False),
        (MORPHINE, {"active": [OXYCODONE_10]}, {"opioid_tolerant": True}, True),
        (MORPHINE, {}, {"rescue_naloxone": {"within_days": 30}}, False),
        (MORPHINE, {"active": [{"drug": "naloxone 4 MG Nasal Spray", "status": "completed", "days_ago": 30}]},
         {"rescue_naloxone": {"within_days": 30}}, True),
        (MORPHINE, {"active": [{"drug": "naloxone 4 MG Nasal Spray", "status": "completed", "days_ago": 31}]},
         {"rescue_naloxone": {"within_days": 30}}, False),
        (MORPHINE, {"active": [{"drug": "naloxone 4 MG Nasal Spray", "days_ago": 400}]},
         {"rescue_naloxone": {"within_days": 30}}, True),
    ],
)  # fmt: skip
def test_what_is_asked_about_opioids(draft: Json, patient: Json, spec: Json, truth: bool | None) -> None:
    assert answer(spec, context_of(draft, **patient), FAMILY) is truth


@for_rows(
    ("draft", "patient", "gap"),
    [
        (MORPHINE, {}, None),
        ({"drug": OXYCODONE_5}, {}, ("dose-not-entered", "the dose is not stated.")),
        ({"drug": OXYCODONE_5, "more": {"dosageInstruction": [{"text": "as directed"}]}}, {},
         ("opioid-dose-unknown",
          "the daily opioid dose cannot be computed (oxycodone: the words leave the dose open).")),
        (MORPHINE, {"active": [HYDROCODONE]},
         ("opioid-dose-unknown",
          "the daily opioid dose cannot be computed (hydrocodone: no dosage instruction).")),
        ({"drug": "morphine 15 mg PO BID"}, {"active": [HYDROCODONE]},
         ("opioid-dose-unknown",
          "the daily opioid dose cannot be computed (hydrocodone: no dosage instruction).")),
    ],
)  # fmt: skip
def test_why_the_sum_is_not_known(draft: Json, patient: Json, gap: tuple[str, str] | None) -> None:
    assert FAMILY.gaps["mme"](context_of(draft, **patient)) == gap


def _procedure(words: str, days_ago: int | None, **more: Any) -> Json:
    day = (AS_OF - timedelta(days=days_ago)).date().isoformat() if days_ago is not None else None
    done = {"performedDateTime": day} if day is not None else {}
    return builders.procedure(words, patient="case", id="op") | done | more


SURGERY: Json = {"procedure_recent": {"text_any": ["replacement", "repair (open)"], "within_days": 14}}


@for_rows(
    ("procedure", "day"),
    [
        (_procedure("Knee Replacement", 14), "2026-11-06"),
        (_procedure("Knee replacement", 15), None),
        (_procedure("Hernia repair (open)", 2), "2026-11-18"),
        (_procedure("Hernia repair open", 2), None),
        (_procedure("Knee replacement", 2, status="in-progress"), None),
        (_procedure("Knee replacement", None), None),
        (_procedure("x", None, code=None), None),
        (_procedure("Knee replacement", None, performedPeriod={"start": "2026-10-01", "end": "2026-11-10"}),
         "2026-11-10"),
        (_procedure("Knee replacement", None, performedPeriod={"start": "2026-11-09"}), "2026-11-09"),
    ],
)  # fmt: skip
def test_a_procedure_of_late(procedure: Json, day: str | None) -> None:
    context = context_of(MORPHINE, more=[procedure])
    assert answer(SURGERY, context, FAMILY) is (day is not None)
    fact = Fact("procedure", "Hernia repair (open)", effective=day, source="Procedure/op")
    facts = [replace(fact, text=procedure["code"]["text"])] if day is not None else []
    assert told(SURGERY, context, FAMILY) == facts


def test_without_procedures_it_is_not_known_whether_there_was_one() -> None:
    assert answer(SURGERY, context_of(MORPHINE, not_sent=["Procedure"]), FAMILY) is None
    assert FAMILY.vocabulary.say(SURGERY) == "replacement or repair (open) in the last 14 days"


SLOW: Json = {"drug": "12 HR oxycodone hydrochloride 10 MG Extended Release Oral Tablet"}


@for_rows(
    ("draft", "patient", "spec", "truth"),
    [
        (SLOW, {}, {"of": "draft"}, True),
        (MORPHINE, {"active": [SLOW]}, {"of": "draft"}, False),
        (MORPHINE, {"active": [SLOW]}, {"of": "active"}, True),
        (SLOW, {}, {"of": "active"}, False),
        (SLOW, {}, {"of": "draft", "ingredients": [{"rxcui": "7804", "name": "oxycodone"}]}, True),
        (SLOW, {}, {"of": "draft", "ingredients": [{"rxcui": "6813", "name": "methadone"}]}, False),
        # The order that the draft renews is not beside it, but it is taken.
        ({**MORPHINE, "more": {"priorPrescription": {"reference": "MedicationRequest/active-0"}}}, {"active": [SLOW]},
         {"of": "active"}, True),
        ({**MORPHINE, "more": {"priorPrescription": {"reference": "MedicationRequest/active-0"}}},
         {"active": [MORPHINE]}, {"of": "active"}, False),
        ({**MORPHINE, "more": {"priorPrescription": {"display": "by fax"}}}, {"active": [MORPHINE]},
         {"of": "active"}, False),
    ],
)  # fmt: skip
def test_a_long_acting_opioid(draft: Json, patient: Json, spec: Json, truth: bool) -> None:
    assert answer({"long_acting": spec}, context_of(draft, **patient), FAMILY) is truth


@for_rows(
    ("draft", "patient", "truth"),
    [
        (MORPHINE, {}, False),
        (SUBOXONE, {}, True),
        ({"drug": "buprenorphine 0.02 MG/HR Transdermal System"}, {}, False),
        (METHADONE, {}, False),
        (METHADONE, {"conditions": ["opioid_use_disorder"]}, True),
        (_says(METHADONE, "OUD"), {}, True),
        (_says(METHADONE, "opioid dependence"), {}, True),
        (_says(METHADONE, "cloudy"), {}, False),
        (_says(MORPHINE, "OUD"), {"conditions": ["opioid_use_disorder"]}, False),
        (SUBOXONE, {"active": [MORPHINE]}, False),
        ({"drug": "butorphanol tartrate 1 MG/ACTUAT Nasal Spray"}, {}, False),
        (SUBOXONE, {"active": [METHADONE], "conditions": ["opioid_use_disorder"]}, True),
        # A draft that is no opioid beside one that is.
        (LORAZEPAM, {"active": [SUBOXONE]}, True),
        (LORAZEPAM, {"active": [MORPHINE]}, False),
        (LORAZEPAM, {}, False),
    ],
)
def test_whether_every_opioid_treats_opioid_use_disorder(draft: Json, patient: Json, truth: bool) -> None:
    assert answer({"for_use_disorder": True}, context_of(draft, **patient), FAMILY) is truth


@for_rows(
    ("draft", "truth"),
    [
        (LORAZEPAM, False),
        ({**LORAZEPAM, "single": True}, True),
        ({"drug": "midazolam 5 MG nasal spray"}, True),
        ({"drug": "diazepam 10 mg", "dose": "10 mg", "times": 2, "route": "rectal"}, True),
        (_says(LORAZEPAM, "alcohol withdrawal"), True),
        (_says(LORAZEPAM, "before MRI"), True),
        (_says(LORAZEPAM, "anxiety"), False),
    ],
)
def test_a_benzodiazepine_is_given_briefly(draft: Json, truth: bool) -> None:
    assert answer({"brief_benzodiazepine": True}, context_of(draft), FAMILY) is truth


@for_rows(
    ("word", "words", "truth"),
    [
        ("perioperative", "in PACU", True),
        ("perioperative", "before the procedure", True),
        ("perioperative", "for chronic pain", False),
        ("lower_start", f"1 tablet{HALF}", True),
        ("lower_start", "half usual", False),
        ("lower_start", "half the usual dose", True),
    ],
)
def test_what_the_order_says(word: str, words: str, truth: bool) -> None:
    assert answer({word: True}, context_of(_says(MORPHINE, words)), FAMILY) is truth


@for_rows(
    ("spec", "words"),
    [
        ({"mme_per_day": {"ge": 50, "lt": 90}}, "MME a day ≥ 50 and < 90"),
        ({"rescue_naloxone": {"within_days": 365}}, "rescue naloxone in the last 365 days"),
        ({"long_acting": {"of": "draft"}}, "the draft is a long-acting opioid"),
        (
            {"long_acting": {"of": "active", "ingredients": [{"name": "a"}, {"name": "b"}]}},
            "the patient takes a long-acting a or b",
        ),
        ({"perioperative": False}, "not (the order is for a procedure)"),
    ],
)
def test_the_words_of_a_page(spec: Json, words: str) -> None:
    assert FAMILY.vocabulary.say(spec) == words


def _naloxone(kind: str, days_ago: int, **dates: str | Json) -> Json:
    """A resource that tells of naloxone; each text DAY in its dates is the day so many days ago."""
    day = (AS_OF - timedelta(days=days_ago)).date().isoformat()
    dated = {name: day if value == "DAY" else {"start": day} for name, value in dates.items()}
    return {"resourceType": kind, "id": "n", "status": "completed", "subject": {"reference": "Patient/case"},
            "medicationCodeableConcept": {"text": "naloxone 4 MG Nasal Spray"}, **dated}  # fmt: skip


@for_rows(
    ("kind", "dates"),
    [
        ("MedicationDispense", {"whenHandedOver": "DAY"}),
        ("MedicationDispense", {"whenPrepared": "DAY"}),
        ("MedicationAdministration", {"effectiveDateTime": "DAY"}),
        ("MedicationAdministration", {"effectivePeriod": "PERIOD"}),
        ("MedicationStatement", {"dateAsserted": "DAY"}),
    ],
)
def test_naloxone_that_was_given_out_or_given(kind: str, dates: Json) -> None:
    spec: Json = {"rescue_naloxone": {"within_days": 400}}
    for days_ago, counts in ((400, True), (401, False)):
        context = context_of(MORPHINE, more=[_naloxone(kind, days_ago, **dates)])
        assert answer(spec, context, FAMILY) is counts


def test_naloxone_that_is_drafted_or_without_a_date() -> None:
    spec: Json = {"rescue_naloxone": {"within_days": 30}}
    assert answer(spec, context_of(MORPHINE, {"drug": "naloxone 4 MG Nasal Spray"}), FAMILY) is True
    undated = {"drug": "naloxone 4 MG Nasal Spray", "status": "completed", "undated": True}
    assert answer(spec, context_of(MORPHINE, active=[undated]), FAMILY) is False
    both = {"drug": "buprenorphine 8 MG / naloxone 2 MG Sublingual Film", "days_ago": 3}
    assert answer(spec, context_of(MORPHINE, active=[both]), FAMILY) is False


BEFORE_30: Json = {**OXYCODONE_10, "status": "completed", "days_ago": 30}


@for_rows(
    ("drafts", "active", "mme"),
    [
        # A draft takes the place of what is taken of the same drug and release; two drafts add up.
        ([MORPHINE], [{**MORPHINE, "times": 4}], "30"),
        ([MORPHINE, MORPHINE], [], "60"),
        ([MORPHINE, OXYCODONE_10], [{**OXYCODONE_10, "times": 6}], "90"),
        ([MORPHINE], [{**MORPHINE, "drug": "morphine sulfate 15 MG Extended Release Oral Tablet"}], "60"),
        # Of what is taken every order counts, and nothing that is no opioid.
        ([MORPHINE], [OXYCODONE_10, OXYCODONE_10], "150"),
        ([MORPHINE], [LORAZEPAM], "30"),
        # What is over counts no more.
        ([MORPHINE], [BEFORE_30], "30"),
    ],
)
def test_what_adds_up_to_the_milligrams_of_morphine(drafts: list[Json], active: list[Json], mme: str) -> None:
    assert FAMILY.placeholders["mme"](context_of(*drafts, active=active)) == mme


@for_rows(
    ("draft", "active", "not_raised"),
    [
        # 60 MME of oxycodone that ended 30 days ago, and 31.
        (MORPHINE, [BEFORE_30], True),
        (MORPHINE, [{**BEFORE_30, "days_ago": 31}], False),
        (MORPHINE, [{**BEFORE_30, "status": "on-hold"}], False),
        ({**MORPHINE, "more": {"priorPrescription": {"display": "by fax"}}}, [BEFORE_30], True),
        ({**MORPHINE, "times": 4}, [BEFORE_30], True),
        ({**MORPHINE, "times": 5}, [BEFORE_30], False),
        (MORPHINE, [HYDROCODONE], None),
        (MORPHINE, [BEFORE_30, {**HYDROCODONE, "days_ago": 20, "status": "completed"}], None),
        ({**MORPHINE, "more": {"priorPrescription": {"reference": "MedicationRequest/active-0"}}}, [HYDROCODONE], None),
        ({"drug": OXYCODONE_5}, [BEFORE_30], None),
    ],
)
def test_whether_the_sum_of_last_month_is_exceeded(draft: Json, active: list[Json], not_raised: bool | None) -> None:
    assert answer({"mme_not_raised": True}, context_of(draft, active=active), FAMILY) is not_raised


def test_the_reasons_of_many_opioids_are_cut() -> None:
    drugs = "hydrocodone oxycodone hydromorphone oxymorphone tapentadol tramadol codeine methadone"
    active = [{"drug": f"{drug} 5 MG Oral Tablet"} for drug in drugs.split()]
    context = context_of(MORPHINE, active=active)
    said = FAMILY.placeholders["mme_problems"](context) or ""
    assert (len(said), said.endswith("…"), said.startswith("hydrocodone: no dosage instruction; ")) == (240, True, True)
    assert FAMILY.placeholders["mme_problem"](context) == "hydrocodone: no dosage instruction (and 7 more)"


@for_rows(
    ("active", "tolerant"),
    [
        # 30 mg of oxycodone a day for a week make tolerant.
        ([{**OXYCODONE_10, "dose": "1 tablet", "times": 6, "days_ago": 7}], True),
        ([{**OXYCODONE_10, "dose": "1 tablet", "times": 6, "days_ago": 6}], False),
        ([{**OXYCODONE_10, "dose": "1 tablet", "times": 5, "days_ago": 7}], False),
        ([{**OXYCODONE_10, "dose": "1 tablet", "days_ago": 20}], False),
        ([{**OXYCODONE_10, "status": "completed", "days_ago": 14}], True),
        ([{**OXYCODONE_10, "status": "completed", "days_ago": 15}], False),
        # 15 mg of oxycodone and 30 mg of morphine are each half of what makes tolerant; buprenorphine makes nobody so.
        ([{**OXYCODONE_10, "dose": "1 tablet", "times": 3}, MORPHINE], True),
        ([{"drug": "buprenorphine 8 MG Sublingual Tablet", "dose": "2 tablet", "times": 1}], False),
        # Since when is not known, or how much.
        ([{**OXYCODONE_10, "undated": True}], None),
        ([{**OXYCODONE_10, "as_needed": True}], None),
        # A dose that is not known may be enough, and matters no more where the rest is.
        ([HYDROCODONE], None),
        ([{**OXYCODONE_10, "dose": "1 tablet", "times": 5}, HYDROCODONE], None),
        ([OXYCODONE_10, HYDROCODONE], True),
        # One since a week is enough, whatever came later.
        ([{**OXYCODONE_10, "days_ago": 7}, {**MORPHINE, "days_ago": 1}], True),
        ([{**OXYCODONE_10, "days_ago": 3}, {**OXYCODONE_10, "undated": True}], None),
        ([LORAZEPAM], False),
    ],
)
def test_who_is_tolerant(active: list[Json], tolerant: bool | None) -> None:
    assert answer({"opioid_tolerant": True}, context_of({"drug": "245134"}, active=active), FAMILY) is tolerant


def test_who_is_tolerant_by_what_a_statement_dates_by_its_own_day() -> None:
    dosage = [{"text": "2 tablets four times a day"}]
    for day, tolerant in (("2026-11-10", True), ("2026-11-01", False)):
        ended = medication_statement(
            OXYCODONE_5, patient="case", id="a", status="completed", dateAsserted=day, dosage=dosage
        )
        context = context_of({"drug": "245134"}, more=[ended])
        assert answer({"opioid_tolerant": True}, context, FAMILY) is tolerant


def _stated(name: str, drug: str = OXYCODONE_5) -> Json:
    dosage = [{"text": "2 tablets four times a day"}]
    return medication_statement(drug, patient="case", id=name, effectiveDateTime="2026-11-01", dosage=dosage)


@for_rows(
    ("active", "stated", "mme"),
    [
        ([], [_stated("a")], "90"),
        ([], [_stated("a"), _stated("b")], "90"),
        ([OXYCODONE_10], [_stated("a")], "90"),
        ([], [_stated("a"), _stated("b", "hydromorphone 1 MG Oral Tablet")], "130"),
    ],
)
def test_what_is_stated_twice_or_ordered_too_counts_once(active: list[Json], stated: list[Json], mme: str) -> None:
    # 30 MME of morphine, 60 of oxycodone; 8 mg of hydromorphone are 40 (CDC 2022: times 5).
    assert FAMILY.placeholders["mme"](context_of(MORPHINE, active=active, more=stated)) == mme
