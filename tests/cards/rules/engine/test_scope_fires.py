"""Silence is derived from what can fire: where a dose is said to have been looked for, an enormous one is found."""

from datetime import datetime

import pytest

from cards.rules.families.dose.knowledge import LIMITS, PLAUSIBLE_DOSES
from fhir.terminology.medications import INGREDIENTS
from tests.cards.rules.cases import check
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_each

_TIMES = 10_000.0
_WEIGHTS = {10: 55.0, 40: 70.0}  # some limits of children are for a weight


def _enormous(rxcui: str, weight: float) -> str:
    """A dose far over every limit of the drug, in the unit of its limits."""
    rows = LIMITS.get(rxcui, ())
    most = [row.most * (weight if row.per_kg else 1.0) for row in rows]
    if rxcui in PLAUSIBLE_DOSES:
        most.append(PLAUSIBLE_DOSES[rxcui].recommended_mg_day)
    unit = {"unit": "units", "meq": "mEq"}.get(rows[0].unit if rows else "mg", "mg")
    return f"{max(most) * _TIMES:.3f} {unit}"


@pytest.mark.parametrize("age", [10, 40])
@pytest.mark.parametrize("form", ["tablet", "injection"])
def test_an_enormous_dose_is_found_where_a_dose_is_said_to_be_looked_for(form: str, age: int, as_of: datetime) -> None:
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
    for_each([(INGREDIENTS[rxcui].name, (rxcui,)) for rxcui in drugs], agrees)
