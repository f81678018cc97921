"""Doses that single families judge by themselves, on the limit and beside it."""

import pytest

from cards.rules.families.ddi.conditions import is_treatment
from cards.rules.families.genes.knowledge import _is_within as is_within
from fhir.mapping.medications.daily_dose import daily_dose
from tests.fhir.mapping.charts import identity_of, order


@pytest.mark.parametrize(
    ("limit", "daily", "within"),
    [
        ("", 10, None),
        ("low dose", 10, None),
        ("50", 50, True),
        ("50", 50.1, False),
        ("<= 50", 50, True),
        ("≤50", 50.1, False),
        ("< 50", 49.9, True),
        ("< 50", 50, False),
        ("> 50", 50, True),
        (">= 50 note", 50, False),
        (">= 50 note", 49.9, True),
        ("≥ 50 note", 50, False),
        ("> 50 note", 50, True),
        ("> 50 note", 50.1, False),
        (" 40.5 ", 40.5, True),
    ],
)
def test_a_daily_dose_within_the_limit_of_a_gene_needs_nothing(limit: str, daily: float, within: bool | None) -> None:
    assert is_within(limit, daily) is within


@pytest.mark.parametrize(
    ("drug", "sig", "treats"),
    [
        ("dalteparin", "inject 5,000 units subcutaneously once daily", False),
        ("dalteparin", "inject 7,500 units subcutaneously once daily", False),
        ("dalteparin", "inject 7,501 units subcutaneously once daily", True),
        ("dalteparin", "inject 5,000 units subcutaneously twice daily", True),
        ("dalteparin 7,500 units", "once daily", False),
        ("dalteparin 7,500 units", "twice daily", True),
        ("dalteparin", "once daily", None),
        ("dalteparin 7,500 units", "as directed", None),
        ("enoxaparin", "60 mg subcutaneously once daily", False),
        ("enoxaparin", "30 mg subcutaneously twice daily", False),
        ("enoxaparin", "61 mg subcutaneously once daily", True),
        ("fondaparinux", "2.5 mg subcutaneously once daily", False),
        ("fondaparinux", "5 mg subcutaneously once daily", True),
        ("warfarin", "2 mg daily", True),
        ("apixaban", "as directed", True),
        ("heparin", "5000 units subcutaneously every 8 hours", False),
        ("heparin", "heparin drip per protocol", True),
        ("heparin", "18 units/kg/h", True),
        ("aspirin", "81 mg daily", False),
    ],
)
def test_an_anticoagulant_is_given_for_treatment_from_its_dose_on(drug: str, sig: str, treats: bool | None) -> None:
    identity, drafted = identity_of(drug), order(drug, {"text": sig})
    assert is_treatment(identity, daily_dose(drafted, identity), sig) is treats
