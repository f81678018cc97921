"""What is said to have been looked for about a drug is what its rules can find."""

from datetime import datetime

import pytest

from cards.rules.engine.rule_book import rule_book
from cards.rules.families.dose.knowledge import LIMITS, PLAUSIBLE_DOSES
from cards.rules.patient.measurements import ESTIMATES
from fhir.terminology.medications import INGREDIENTS
from tests.cards.rules.cases import check
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_each


def test_what_did_not_come_is_named_and_nothing_else(as_of: datetime) -> None:
    drafts = drafts_of(draft_of({"drug": "ezetimibe 10 MG Oral Tablet", "dose": "1 tablet", "times": 1}))
    record = record_of({"age": 50}, as_of)
    whole = next(silence.text for silence in check(record, drafts).silences if silence.reason == "scope")
    without = record.with_requested(frozenset({"Patient", "MedicationRequest"}))
    part = next(silence.text for silence in check(without, drafts).silences if silence.reason == "scope")
    assert "Not known" not in whole
    assert " Not known: " in part
    assert "Not known: ." not in part


# Silence is derived from what can fire: what is said to have been looked for (dose, kidneys) is found.


_TIMES = 10_000.0
_WEIGHTS = {10: 55.0, 40: 70.0}  # some limits of children are for a weight


def _enormous(rxcui: str, weight: float) -> str:
    """A dose far over every limit of the drug, in the unit of its limits."""
    rows = LIMITS.get(rxcui, ())
    most = [row.most * (weight if row.per_kg else 1.0) for row in rows]
    if rxcui in PLAUSIBLE_DOSES:
        most.append(PLAUSIBLE_DOSES[rxcui].recommended_mg_day)
    unit = {"unit": "units", "meq": "mEq", "mmol": "mmol"}.get(rows[0].unit if rows else "mg", "mg")
    return f"{max(most) * _TIMES:.3f} {unit}"


_EVERY = pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.slow)])
"""How many of the drugs: each twelfth, and in the slow tier each."""


@_EVERY
@pytest.mark.parametrize("age", [10, 40])
@pytest.mark.parametrize("form", ["tablet", "injection"])
def test_an_enormous_dose_is_found_where_a_dose_is_said_to_be_looked_for(
    form: str, age: int, every: int, as_of: datetime
) -> None:
    weight = _WEIGHTS[age]

    def agrees(rxcui: str) -> None:
        name = INGREDIENTS[rxcui].name
        draft = draft_of({"drug": f"{name} {form}", "dose": _enormous(rxcui, weight), "times": 1})
        patient = {"age": age, "labs": [["body_weight", weight]]}
        outcome = check(record_of(patient, as_of), drafts_of(draft))
        scope = next((one.text for one in outcome.silences if one.reason == "scope"), "")
        found = [one.rule for card in outcome.cards for one in card.own_extension.findings]
        if ", dose" in scope:
            assert found, f"{name} {form} at {age}: {scope}"

    drugs = sorted({*LIMITS, *PLAUSIBLE_DOSES} & set(INGREDIENTS))
    for_each([(INGREDIENTS[rxcui].name, (rxcui,)) for rxcui in drugs[::every]], agrees)


_KIDNEYS_ARE_BAD = (
    {"labs": [["creatinine", 12.0], ["body_weight", 70]]},
    {"labs": [["creatinine", 2.0], ["body_weight", 60]]},
    {"age": 85, "labs": [["creatinine", 2.6], ["body_weight", 60]]},
    {"labs": [["egfr", 40]], "conditions": ["dialysis"]},
)
_DOSES = (("50 mg", 4), ("100000 mg", 4), ("1 mg", 1))


@_EVERY
def test_a_finding_rests_on_the_kidneys_where_they_are_said_to_be_looked_for(every: int, as_of: datetime) -> None:
    of_kidneys = {rule.id for rule in rule_book().rules if rule.band_uses & set(ESTIMATES)}
    records = [record_of({"age": 60, **patient}, as_of) for patient in _KIDNEYS_ARE_BAD]

    def agrees(name: str) -> None:
        for dose, times in _DOSES:
            drafts = drafts_of(draft_of({"drug": f"{name} tablet", "dose": dose, "times": times}))
            for record in records:
                outcome = check(record, drafts)
                scope = next((one.text for one in outcome.silences if one.reason == "scope"), "")
                rules = {one.rule for card in outcome.cards for one in card.own_extension.findings}
                if "kidney function" not in scope.partition("Not known")[0] or rules & of_kidneys:
                    return
        raise AssertionError(scope)

    for_each([(drug.name, (drug.name,)) for drug in list(INGREDIENTS.values())[::every]], agrees)
