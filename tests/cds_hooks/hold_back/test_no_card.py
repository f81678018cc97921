"""What an answer without a card means: held back, not judged, or looked and found nothing; never one for another."""

import re

import pytest

from cds_hooks.hold_back.checks import CHECKS, WITHHELD
from cds_hooks.hold_back.no_card import explain_no_card, is_not_judged
from fhir.record.refusals import WhyNot
from tests.conftest import ROOT

LOOKED = WhyNot("dose-max", "within-limits", "Maximum dose: looked, no limit is reached.")
MISSING = WhyNot("renal-metformin", "kidney-function-missing", "No kidney function on the record.")


def held(reason: str) -> WhyNot:
    return WhyNot("renal-metformin", reason, "A finding.")


@pytest.mark.parametrize("reason", sorted(WITHHELD))
def test_a_finding_that_is_held_back_is_never_called_nothing_found(reason: str) -> None:
    no_card = explain_no_card([LOOKED, MISSING, held(reason)])
    assert no_card.kind == "held-back"
    assert no_card.text == "Something was found and is not shown here. It is not cleared."
    assert no_card.reasons == (held(reason),)


def test_two_findings_that_are_held_back_are_counted_by_what_they_are_about() -> None:
    silences = [held("budget"), held("paused"), WhyNot("ddi-warfarin-nsaid", "shadow", "Another finding.")]
    assert explain_no_card(silences).text.startswith("2 things were found and are not shown")


def test_missing_data_are_not_called_nothing_found() -> None:
    no_card = explain_no_card([LOOKED, MISSING])
    assert (no_card.kind, no_card.reasons) == ("not-judged", (MISSING,))
    assert "1 check or value was not judged" in no_card.text


def test_only_where_nothing_is_missing_and_nothing_held_back_it_was_looked_at_and_not_found() -> None:
    assert explain_no_card([LOOKED]).kind == "looked"
    assert explain_no_card([]).kind == "looked"


def test_a_call_of_the_patient_is_not_called_nothing_found() -> None:
    assert explain_no_card([WhyNot("patient", "not-for-this-user", "For clinicians.")]).kind == "not-for-this-user"


def test_no_reason_of_the_chain_that_says_who_or_whether_is_taken_for_missing_data() -> None:
    codes = {code for check in CHECKS for code in check.codes}
    assert [code for code in codes if is_not_judged(code)] == []


def test_every_reason_of_the_reader_of_values_counts_as_not_judged() -> None:
    """The codes are those with which a result or a prefetch key is not used; the words of the page depend on them."""
    source = (ROOT / "fhir" / "record" / "measurement.py").read_text()
    codes = set(re.findall(r'_refuse\([^"]*"([a-z-]+)"', source)) - {"entered-in-error"}
    assert "unknown-unit" in codes
    assert [code for code in sorted(codes) if not is_not_judged(code)] == []
