"""At which drafted dose a pharmacogenetic recommendation says something, and which dose it asks for instead."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cards.rules.families.genes.knowledge import (
    Action,
    AdviceIndicator,
    Recommendation,
    judge_dose,
    lower_dose,
    populations_of,
)
from cards.rules.language.rule import DosePart, OrderChange
from cards.rules.patient.context import RuleContext
from tests.cards.rules.conditions.test_words import context
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import procedure

Json = dict[str, Any]
AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
CITALOPRAM, AMITRIPTYLINE = "citalopram 20 MG Oral Tablet", "amitriptyline 25 MG Oral Tablet"


def before(drug: str, tablets: float | None = 1, times: int = 1, **patient: Any) -> RuleContext:
    """A draft of so many tablets a day before a patient."""
    dose = {"dose": f"{tablets} tablet", "times": times} if tablets is not None else {}
    return context(patient, {"drug": drug, **dose}, AS_OF)


def row(indicator: AdviceIndicator = "warning", name: str = "limit", **action: Any) -> Recommendation:
    return Recommendation("any", ("0.0",), Action(name, action.pop("instruction", ""), **action), indicator, "CPIC")


@for_rows(
    ("limit", "tablets", "judged"),
    [
        ("20", 1, "silent"), ("20", 2, "warning"), ("20", None, "warning"), ("<=20", 1, "silent"),
        ("≤ 20", 2, "warning"),
        ("<20", 1, "warning"), ("<20", 0.5, "silent"), ("19.5", 1, "warning"), ("20.5", 1, "silent"),
        (">=20", 1, "silent"), (">=20 note", 1, "warning"), ("≥20 note", 0.5, "silent"), (">20 note", 1, "silent"),
        (">20 note", 2, "warning"), ("half dose", 1, "warning"), ("", 1, "warning"), (" 20 ", 1, "silent"),
    ],
)  # fmt: skip
def test_within_its_limit_a_recommendation_is_silent(limit: str, tablets: float | None, judged: str) -> None:
    assert judge_dose(before(CITALOPRAM, tablets), row(limit=limit)) == judged


def test_a_silent_recommendation_stays_silent_at_every_dose() -> None:
    assert judge_dose(before(CITALOPRAM, 9), row("silent", limit="20")) == "silent"


@for_rows(
    ("tablets", "conditions", "judged"),
    [(1, (), "info"), (1, ("depression",), "critical"), (1.5, (), "critical"), (0.5, (), "info")],
)
def test_a_low_tricyclic_is_information_unless_it_is_for_depression(
    tablets: float, conditions: tuple[str, ...], judged: str
) -> None:
    advice = row("critical", "avoid", instruction="avoid at depression doses")
    assert judge_dose(before(AMITRIPTYLINE, tablets, conditions=list(conditions)), advice) == judged
    assert judge_dose(before(AMITRIPTYLINE, 1), row("critical", "avoid", instruction="avoid")) == "critical"


def test_the_full_dose_for_each_kilogram_is_that_of_azathioprine() -> None:
    drugs = (f"{name} 50 MG Oral Tablet" for name in ("azathioprine", "mercaptopurine"))
    azathioprine, other = (before(drug, labs=[["body_weight", 70]]) for drug in drugs)
    assert judge_dose(azathioprine, row(name="reduce")) == "silent"
    assert judge_dose(azathioprine, row(name="alternative")) == judge_dose(other, row(name="reduce")) == "warning"


@pytest.mark.parametrize(("tablets", "name", "judged"), [
    (1, "alternative_or_reduce", "silent"), (2, "alternative_or_reduce", "warning"), (1, "alternative", "warning"),
])  # fmt: skip
def test_a_dose_within_the_limit_of_fda_needs_no_alternative(tablets: float, name: str, judged: str) -> None:
    poor = Recommendation("any", ("Poor Metabolizer",), Action(name, ""), "warning", "CPIC")
    assert judge_dose(before(CITALOPRAM, tablets), poor) == judged
    # FDA's table has no dose of codeine for a poor metabolizer.
    assert judge_dose(before("codeine sulfate 30 MG Oral Tablet", tablets), row(name=name)) == "warning"
    normal = Recommendation("any", ("Normal Metabolizer",), Action(name, ""), "warning", "CPIC")
    assert judge_dose(before(CITALOPRAM, tablets), normal) == "warning"


def part(most: float, least: float, step: float = 20) -> OrderChange:
    return OrderChange(part=DosePart(most, least, step))


@for_rows(
    ("tablets", "action", "change"),
    [
        (4, {"limit": "40"}, part(0.5, 0.25)),
        (4, {"limit": "<=20"}, part(0.25, 0.125)),
        (4, {"limit": ">=20"}, part(0.25, 0.125)),
        (4, {"limit": "80"}, None),
        (4, {"limit": "79"}, part(79 / 80, 79 / 160)),
        (4, {"limit": "<40"}, None),
        (4, {"limit": "40 note"}, None),
        (4, {"percent": (25, 50)}, part(0.375, 0.25)),
        (4, {"percent": (60, 60)}, part(0.6, 0.4)),
        (4, {"percent": (50, 100)}, None),
        (4, {"percent": (50, 99)}, part(0.745, 0.5)),
        (4, {"limit": "half", "percent": (50, 50)}, part(0.5, 1 / 3)),
        (4, {}, None),
        (None, {"limit": "40"}, None),
    ],
)
def test_the_dose_that_remains_is_the_limit_or_the_middle_of_the_percent(
    tablets: float | None, action: Json, change: OrderChange | None
) -> None:
    result = lower_dose(before(CITALOPRAM, tablets), row(**action))
    if change is None or change.part is None:
        assert result is None
        return
    assert result is not None
    assert result.part is not None
    expected = (change.part.most, change.part.least, change.part.step_mg)
    assert (result.part.most, result.part.least, result.part.step_mg) == pytest.approx(expected)


def test_no_dose_is_lowered_by_other_advice_or_of_a_product_without_one_strength() -> None:
    names = ("reduce", "alternative_or_reduce", "avoid_unless", "limit", "avoid", "alternative")
    answers = [lower_dose(before(CITALOPRAM, 4), row(name=name, percent=(50, 50))) is not None for name in names]
    assert answers == [True, True, True, True, False, False]
    two_drugs = before("lisinopril 10 MG / hydrochlorothiazide 12.5 MG Oral Tablet", 4)
    assert lower_dose(two_drugs, row(percent=(50, 50))) is None
    assert lower_dose(context({}, {"drug": "citalopram", "dose": "80 mg", "times": 1}, AS_OF), row(limit="40")) is None


# For whom

KILOGRAMS = ("adults and children over 40 kg", "any")
ASPIRIN = ("up to 1 g a day", "any")


@for_rows(
    ("patient", "declared", "names", "is_known"),
    [
        ({"age": 17}, ("any",), ("any",), True),
        ({"age": 17}, ("adults", "children"), ("children",), True),
        ({"age": 18}, ("adults", "children"), ("adults",), True),
        ({"age": None}, ("adults", "children"), ("adults", "children"), False),
        ({"age": 17, "labs": [["body_weight", 40]]}, KILOGRAMS, ("any",), True),
        ({"age": 17, "labs": [["body_weight", 40.1]]}, KILOGRAMS, KILOGRAMS, True),
        ({"age": 18}, KILOGRAMS, KILOGRAMS, True),
        ({"age": 17}, KILOGRAMS, ("any",), True),
        ({"age": None}, KILOGRAMS, ("any",), True),
    ],
)
def test_a_population_is_one_of_age_or_weight(
    patient: Json, declared: tuple[str, ...], names: tuple[str, ...], is_known: bool
) -> None:
    assert populations_of(before(CITALOPRAM, 1, **patient), declared) == (names, is_known)


@pytest.mark.parametrize(("tablets", "names"), [(2, ASPIRIN), (3, ("any",)), (None, ASPIRIN)])
def test_a_low_dose_of_aspirin_is_one_of_at_most_a_gram(tablets: float | None, names: tuple[str, ...]) -> None:
    assert populations_of(before("aspirin 500 MG Oral Tablet", tablets), ASPIRIN) == (names, True)


CARDIAC = (
    "coronary: acute coronary syndrome or PCI",
    "neurovascular (stroke, TIA)",
    "cardiovascular, neither ACS nor PCI",
)
ICD10, SNOMED = "http://hl7.org/fhir/sid/icd-10-cm", "http://snomed.info/sct"


def problem(code: str = "", words: str = "", system: str = ICD10, **more: Any) -> Json:
    coding = {"coding": [{"system": system, "code": code}]} if code else {}
    return builders.problem({**coding, "text": words}, patient="case", id=f"c-{code}{words[:3]}") | more


@for_rows(
    ("problems", "position"),
    [
        ([problem("I21.4")], 0), ([problem("Z95.5")], 0), ([problem("I63.9")], 1), ([problem("I25.10")], 2),
        ([problem("I25.10"), problem("I63.9")], 1), ([problem("I63.9"), problem("I20.0")], 0),
        ([problem("22298006", system=SNOMED)], 0), ([problem("399957001", system=SNOMED)], 2),
        ([problem(words="NSTEMI last week")], 0), ([problem(words="TIA")], 1), ([problem(words="PAD")], 2),
        ([problem(words="no history of TIA")], None), ([problem("E11.9", "NSTEMI")], None), ([], None),
        ([problem("I21.4", system="urn:oid:2.999.1")], None), ([problem("22298006", system="urn:oid:2.999.1")], None),
        ([problem() | {"code": {"coding": [{"display": "NSTEMI"}]}}], 0),
        ([problem("I21.4", clinicalStatus={"coding": [{"code": "resolved"}]})], None),
        ([problem("I21.4", verificationStatus={"coding": [{"code": "provisional"}]})], None),
    ],
)  # fmt: skip
def test_the_most_urgent_indication_on_the_problem_list_decides(problems: list[Json], position: int | None) -> None:
    clopidogrel = before("clopidogrel 75 MG Oral Tablet", 1, more=problems)
    expected = ((CARDIAC[position],), True) if position is not None else (CARDIAC, False)
    assert populations_of(clopidogrel, CARDIAC) == expected


def test_the_reason_of_the_order_goes_before_the_problem_list() -> None:
    reason = {"reasonCode": [{"coding": [{"system": ICD10, "code": "I63.9"}]}]}
    draft = {"drug": "clopidogrel 75 MG Oral Tablet", "more": reason}
    assert populations_of(context({"more": [problem("I21.4")]}, draft, AS_OF), CARDIAC) == ((CARDIAC[1],), True)
    stent = procedure("Coronary stent", patient="case", id="p")
    draft = {"drug": "clopidogrel 75 MG Oral Tablet"}
    assert populations_of(context({"more": [stent]}, draft, AS_OF), CARDIAC) == ((CARDIAC[0],), True)
    assert (
        populations_of(
            context({"more": [stent | {"status": "stopped"}, stent | {"code": None, "id": "q"}]}, draft, AS_OF), CARDIAC
        )[1]
        is False
    )
