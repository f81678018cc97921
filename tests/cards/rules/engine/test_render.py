"""What a finding and a silence say: placeholders, severity where facts are unsure, notes, evidence, reasons."""

from typing import Any

from cards.rules.engine.family import Family
from cards.rules.engine.render import placeholder_lookup
from cards.rules.patient.context import RuleContext
from tests.cards.rules.contexts import context_of
from tests.cards.rules.engine.made_rules import band, found, rule_of

Json = dict[str, Any]
DRAFT: Json = {"drug": "metformin hydrochloride 500 MG Oral Tablet", "dose": "2 tablet", "times": 2}
TRUE: Json = {"always": True}


def _word(name: str, context: RuleContext, when: Json = TRUE, family: Family | None = None) -> str | None:
    """What stands for {name} in a text of a band that is true when `when` is."""
    rule = rule_of(band("a", when)) if family is None else rule_of(band("a", when), family=family)
    predicate = rule.bands[0].when
    return placeholder_lookup(rule, predicate, tuple(predicate.facts(context)), context)(name)


def test_a_dose_is_not_rounded_across_the_limit_that_it_is_over() -> None:
    context = context_of({"drug": "metformin", "dose": "1000.02 mg", "times": 1})
    assert _word("dose", context, {"daily_dose_mg": {"gt": 1000}}) == "1,000.02"
    assert _word("each_dose", context, {"dose_mg": {"gt": 1000}}) == "1,000.02"


def test_a_text_with_a_name_that_is_not_filled_is_never_sent() -> None:
    rule = rule_of(band("a", TRUE, summary="{Drug} at {egfr}.", detail="At {egfr}."), merge_group="g")
    finding = found(rule, context_of(DRAFT))
    assert (finding.summary, finding.detail) == ("Made rule: please check this order.", "Made rule")
    assert finding.group == "g"


def test_words_of_the_chart_are_no_markdown_in_a_detail() -> None:
    family = Family("own", placeholders={"entry": lambda _context: "[x](http://y)", "none": lambda _context: ""})
    rule = rule_of(band("a", TRUE, summary="Entry {entry}{none}.", detail="Entry {entry}{none}."), family=family)
    finding = found(rule, context_of(DRAFT))
    assert finding.summary == "Entry [x](http://y)."
    assert "[x](http" not in finding.detail
    assert finding.detail.startswith("Entry \\[x\\]")
