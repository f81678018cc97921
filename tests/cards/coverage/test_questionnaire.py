"""The form of a set of criteria, and which criteria a clinician affirmed by it."""

from typing import Any

from cards.coverage.policy import CriteriaSet, Criterion, Payer, Policies
from cards.coverage.questionnaire import answers_of, canonical, questionnaire
from tests.each import for_rows

Json = dict[str, Any]
BASE = "https://example.org"
NOTHING = frozenset[str]()
PAYER = Payer("own", "Own Health Plan", NOTHING, NOTHING, NOTHING, NOTHING, "555-0100", "https://example.org")


def criterion(name: str, test: Json, question: str = "Which?") -> Criterion:
    return Criterion(name, "A", f"Text of {name}", test, question, "s")


FORM = CriteriaSet("tube", {"A": "all"}, (criterion("a", {"order": True}), criterion("b", {"order": True}, "")))
RULES = Policies({"own": PAYER}, {}, {"tube": FORM}, NOTHING, NOTHING, "v")


CONDITIONS = (
    "%conditions.entry.resource.where(code.coding.where(system = 'http://hl7.org/fhir/sid/icd-10-cm' and "
    "(code.startsWith('E10') or code.startsWith('E11'))).exists()).code.coding.code"
)
RESULTS = (
    "%observations.entry.resource.where(code.coding.where(system = 'http://loinc.org' and (code = '4548-4')).exists() "
    "and value.exists()).select(value.value.toString() & ' ' & value.unit & ', ' & effective.toString())"
)
DONE = (
    "%procedures.entry.resource.where(code.coding.where(code = '77' or code = '78').exists())"
    ".select(performed.toString())"
)
VISITS = "%encounters.entry.resource.where(status = 'finished').select(period.start.toString())"


@for_rows(
    ("test", "variables", "expressions"),
    [
        ({"condition": {"icd10": ["E10", "E11"]}}, ["conditions"], [CONDITIONS]),
        ({"condition": {"words": ["x"]}}, [], []),
        ({"observation": {"loinc": ["4548-4"]}}, ["observations"], [RESULTS]),
        ({"observation": {"text": ["x"]}}, [], []),
        ({"procedure": {"codes": ["77", "78"]}}, ["procedures"], [DONE]),
        ({"procedure": {"words": ["x"]}}, [], []),
        ({"encounter": {}}, ["encounters"], [VISITS]),
        ({"not": {"encounter": {}}}, ["encounters"], [VISITS]),
        ({"count_at_least": {"n": 1, "of": [{"encounter": {}}]}}, ["encounters"], [VISITS]),
        (
            {"any": [{"encounter": {}}, {"all": [{"procedure": {"codes": ["77", "78"]}}]}]},
            ["procedures", "encounters"],
            [VISITS, DONE],
        ),
    ],
)
def test_a_question_shows_what_the_chart_has_about_it(test: Json, variables: list[str], expressions: list[str]) -> None:
    form = questionnaire(BASE, PAYER, CriteriaSet("tube", {"A": "all"}, (criterion("a", test),)))
    read = [extension["valueExpression"] for extension in form["extension"][1:]]
    assert [expression["name"] for expression in read] == variables
    for expression in read:
        assert expression["language"] == "application/x-fhir-query"
        assert str(expression["expression"]).lower().startswith(f"{expression['name'][:-1]}?patient=")
    detail = form["item"][0]["item"][1]
    url = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-initialExpression"
    joined = {"language": "text/fhirpath", "expression": f"({' | '.join(expressions)}).first()"}
    assert detail.get("extension") == ([{"url": url, "valueExpression": joined}] if expressions else None)


def response(*affirmed: str, identity: str = "q", **more: Any) -> Json:
    items = [{"linkId": f"{name}.met", "answer": [{"valueBoolean": True}]} for name in affirmed]
    return {
        "id": identity, "status": "completed", "subject": {"reference": "Patient/p"}, "authored": "2026-11-01",
        "questionnaire": canonical(BASE, PAYER, FORM), "item": [{"linkId": "group", "item": items}], **more,
    }  # fmt: skip


A = {"own": {"tube": (frozenset({"a"}), "QuestionnaireResponse/q")}}


@for_rows(
    ("more", "answers"),
    [
        ({}, A),
        ({"status": "amended"}, A),
        ({"status": "in-progress"}, {}),
        ({"subject": None}, A),
        ({"subject": {"reference": "Patient/x"}}, {}),
        ({"questionnaire": f"{BASE}/Questionnaire/own.tube|old"}, {}),
        ({"questionnaire": f"{BASE}/Questionnaire/own.other|1"}, {}),
        ({"item": "x"}, {"own": {"tube": (frozenset(), "QuestionnaireResponse/q")}}),
    ],
)
def test_a_completed_answer_of_the_patient_to_the_form_as_it_is_counts(more: Json, answers: Json) -> None:
    assert answers_of([response("a") | more], RULES, "p") == answers
