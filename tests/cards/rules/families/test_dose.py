"""Doses: the tables and the triggers agree, limits are sharp, one dose in other words is the same, older rules win."""

from datetime import datetime
from typing import Any

from cards.rules.families.dose.family import FAMILY
from cards.rules.families.dose.knowledge import EVIDENCE, LIMITS, PLAUSIBLE_DOSES, Limit
from cards.rules.families.dose.sums import TIMES_RECOMMENDED, Excess
from fhir.terminology.conditions import CONDITION_GROUPS
from fhir.terminology.medications import INGREDIENTS
from tests.cards.rules.cases import check, findings
from tests.cards.rules.contexts import answer, context_of
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_rows

Json = dict[str, Any]


def _dose_findings(as_of: datetime, patient: Json, *drafts: Json) -> list[tuple[str, str, str]]:
    resources = [draft_of(draft, f"draft-{number}") for number, draft in enumerate(drafts)]
    outcome = check(record_of(patient, as_of), drafts_of(*resources), None)
    return [one for one in findings(outcome) if one[0].startswith("dose-")]


def test_every_row_names_a_known_drug_a_known_condition_and_a_document() -> None:
    for rxcui, rows in LIMITS.items():
        for row in rows:
            assert INGREDIENTS[rxcui].name == row.drug
            assert row.source in EVIDENCE
            assert {row.condition, row.without_condition} <= {"", *CONDITION_GROUPS}
            assert row.most > 0
            assert row.ages
    used = {row.source for rows in LIMITS.values() for row in rows}
    assert used == set(EVIDENCE) - {"fda_mrdd"}
    assert all(INGREDIENTS[rxcui].name == row.drug for rxcui, row in PLAUSIBLE_DOSES.items())


def test_no_maximum_dose_is_taken_for_an_error() -> None:
    for rxcui, rows in LIMITS.items():
        row = PLAUSIBLE_DOSES.get(rxcui)
        most = max(
            (one.most for one in rows if not (one.per_kg or one.per_dose or one.route == "injected")), default=0.0
        )
        assert row is None or most <= TIMES_RECOMMENDED * row.recommended_mg_day, rows[0].drug


FIRM = [
    (row.drug, row.most, row.unit)
    for rows in LIMITS.values()
    for row in rows
    if row.is_firm and not (row.per_kg or row.per_dose or row.form or row.condition or row.setting)
    # The lowest of several rows of one drug and age is the one that speaks.
    if row.ages.start == 18 and row.most == min(one.most for one in rows if one.ages.start == 18)
]


@for_rows(("drug", "most", "unit"), FIRM)
def test_a_maximum_dose_is_sharp(drug: str, most: float, unit: str, as_of: datetime) -> None:
    def bands(amount: float) -> set[str]:
        draft = {"drug": drug, "dose": f"{amount} {unit}", "times": 1}
        return {band for rule, band, _ in _dose_findings(as_of, {"age": 50}, draft) if rule == "dose-max"}

    assert bands(most) == set()
    assert bands(most * 0.999) == set()
    assert bands(most * 1.001) == {"over_max"}


@for_rows(
    "draft",
    [
        {"drug": "sertraline 100 MG Oral Tablet", "dose": "3 tablet", "times": 1},
        {"drug": "sertraline 50 MG Oral Tablet", "dose": "3 tablet", "times": 2},
        {"drug": "sertraline", "dose": "300 mg", "times": 1},
        {"drug": "sertraline", "dose": "0.3 g", "times": 1},
        {"drug": "sertraline", "dose": "300000 ug", "times": 1},
        {"drug": "Zoloft 100 mg tablet", "more": {"dosageInstruction": [{"text": "take 3 tablets once daily"}]}},
    ],
)
def test_one_dose_in_other_words_is_the_same_finding(draft: Json, as_of: datetime) -> None:
    assert _dose_findings(as_of, {}, draft) == [("dose-max", "over_max", "warning")]


# Doses that single families judge by themselves, on the limit and beside it.


# Doses over a maximum: how far over is too far, what adds up, what is not known, and what a card says of it.
SERTRALINE: Json = {"drug": "sertraline 100 MG Oral Tablet", "dose": "3 tablet", "times": 1}


def _limit(**more: Any) -> Limit:
    row: Json = {
        "drug": "x", "rxcui": "1", "route": "", "form": "", "population": "", "ages": range(18, 201), "condition": "",
        "without_condition": "", "setting": "", "weight_from_kg": None, "weight_to_kg": None, "most": 100.0,
        "per_dose": False, "per_kg": False, "per_week": False, "is_firm": False, "is_narrow": False, "is_wide": False,
        "labelled_from": None, "note": "", "source": "", "page": "",
    }  # fmt: skip
    return Limit(**{**row, **more})


def test_a_child_is_never_above_the_maximum_of_adults() -> None:
    firm = _limit(is_firm=True)
    assert [Excess(firm, 200.0, (), of_adult).is_firm for of_adult in (False, True)] == [True, True]
    assert not Excess(_limit(), 200.0, ()).is_firm
    assert 1.999 < Excess(firm, 200.0, ()).times < 2.001


@for_rows(
    ("draft", "patient", "truths"),
    [
        ({**SERTRALINE, "dose": "599 mg"}, {}, (False, False)),
        ({**SERTRALINE, "dose": "600 mg"}, {}, (True, False)),
        ({**SERTRALINE, "dose": "1990 mg"}, {}, (True, False)),
        ({**SERTRALINE, "dose": "1998 mg"}, {}, (True, True)),
        ({"drug": SERTRALINE["drug"]}, {}, (None, None)),
        ({**SERTRALINE, "dose": "399 mg"}, {"age": 10, "labs": [["body_weight", 30, 3]]}, (False, False)),
        ({**SERTRALINE, "dose": "599 mg"}, {"age": 10, "labs": [["body_weight", 60, 3]]}, (False, False)),
        # A row of its own gives a child up to 200 mg: it measures the dose.
        ({**SERTRALINE, "dose": "600 mg"}, {"age": 10, "labs": [["body_weight", 30, 3]]}, (False, False)),
        ({**SERTRALINE, "dose": "599 mg"}, {"age": 10}, (False, False)),
        ({**SERTRALINE, "dose": "599 mg"}, {"age": 18, "labs": [["body_weight", 30, 3]]}, (False, False)),
        ({"drug": "allopurinol 300 MG Oral Tablet", "dose": "2394 mg", "times": 1}, {}, (False, False)),
        ({"drug": "allopurinol 300 MG Oral Tablet", "dose": "2394.1 mg", "times": 1}, {}, (True, False)),
        ({"drug": "sertraline injection", "dose": "2000 mg", "times": 1}, {}, (False, False)),
        ({"drug": SERTRALINE["drug"], "dose": "2000 mg", "single": True}, {}, (False, False)),
        # A single dose is left to the limits in milligrams, where there are some.
        ({"drug": "azathioprine 50 MG Oral Tablet", "dose": "930 mg", "single": True}, {}, (True, False)),
    ],
)  # fmt: skip
def test_a_dose_that_cannot_be_meant(draft: Json, patient: Json, truths: tuple[bool | None, ...]) -> None:
    context = context_of(draft, **patient)
    assert tuple(answer({word: True}, context, FAMILY) for word in ("far_over", "ten_fold_recommended")) == truths
