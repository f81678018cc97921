"""One draft before several rules: which are asked, what is found, tolerated and said, and what was looked for."""

from typing import Any

import pytest

from cards.rules.engine.compile import CompiledRule
from cards.rules.engine.family import Family
from cards.rules.engine.rule_book import DraftEvaluation, RuleBook
from fhir.mapping.medications.identity import MedicationIdentity, identify_concept
from fhir.record.datatypes import CodeableConcept
from fhir.record.refusals import WhyNot
from tests.cards.rules.contexts import session_of
from tests.cards.rules.engine.made_rules import band, rule_of
from tests.each import for_rows

Json = dict[str, Any]
METFORMIN: Json = {"drug": "metformin 500 MG Oral Tablet", "dose": "1 tablet", "times": 2}
WARFARIN: Json = {"drug": "warfarin 5 MG Oral Tablet", "dose": "1 tablet", "times": 1}
ASPIRIN: Json = {"drug": "aspirin 81 MG Oral Tablet", "dose": "1 tablet", "times": 1}
TRUE: Json = {"always": True}
FALSE: Json = {"never": True}
OF_METFORMIN: Json = {"draft": [{"ingredients": [{"rxcui": "6809", "name": "metformin"}]}]}
A_SIDE, B_SIDE = ([{"ingredients": [{"rxcui": code, "name": name}]}] for code, name in (
    ("6809", "metformin"), ("11289", "warfarin")))  # fmt: skip
PAIR: Json = {"pair": [A_SIDE, B_SIDE]}


def _rule(name: str, *bands: Json, **more: Any) -> CompiledRule:
    return rule_of(*bands, **{"id": name, "title": f"Rule {name}", "trigger": OF_METFORMIN, **more})


def _evaluated(rules: list[CompiledRule], *drafts: Json, **patient: Any) -> DraftEvaluation:
    session = session_of(*(drafts or (METFORMIN,)), **patient)
    return RuleBook(rules).evaluate(session, session.drafted[0])


@for_rows(
    ("rules", "patient", "text"),
    [
        (1, {}, "looked for 1 interaction: none of the partner drugs is taken."),
        (2, {}, "looked for 2 interactions: none of the partner drugs is taken."),
        (1, {"not_sent": ["MedicationRequest", "MedicationStatement"]},
         "looked for 1 interaction: none of the partner drugs is drafted; the medication list is not known."),
        (0, {}, None),
    ],
)  # fmt: skip
def test_pairs_without_a_partner_are_counted(rules: int, patient: Json, text: str | None) -> None:
    pairs = [_rule(f"pair-{number}", band("x", TRUE), trigger=PAIR) for number in range(rules)]
    evaluation = _evaluated([*pairs, _rule("a", band("x", TRUE))], **patient)
    expected = [WhyNot("MedicationRequest/draft-0", "no-partner", f"Metformin: {text}")] if text else []
    assert list(evaluation.silences) == expected


def test_a_pair_is_judged_where_the_other_drug_is_taken_or_drafted() -> None:
    pair = _rule("pair", band("x", TRUE), trigger=PAIR)
    for evaluation in (_evaluated([pair], METFORMIN, WARFARIN), _evaluated([pair], active=[WARFARIN])):
        assert evaluation.finding_keys == {("pair", "x")}
        assert evaluation.silences == ()
    assert _evaluated([pair], METFORMIN, ASPIRIN).finding_keys == frozenset()


def test_what_may_still_be_found_after_a_suggestion_is_accepted() -> None:
    dose: Json = {"daily_dose_mg": {"gt": 1}}
    evaluation = _evaluated([
        _rule("own", band("x", TRUE, "info")), _rule("info", band("x", dose, "info")),
        _rule("warns", band("x", TRUE)), _rule("of-dose", band("x", dose)), _rule("not-found", band("x", FALSE)),
    ])  # fmt: skip
    info, warns, of_dose = ("info", "x"), ("warns", "x"), ("of-dose", "x")
    assert evaluation.tolerated("own") == {info, warns, of_dose}
    assert evaluation.tolerated("own", new_dose=True) == {info, warns}
    assert evaluation.tolerated("own", other_drug=True) == {info}
    assert evaluation.tolerated("own", other_drug=True, new_dose=True) == {info}
    assert evaluation.tolerated("warns") == {info, of_dose, ("own", "x")}


def _scope(rules: list[CompiledRule], draft: Json = METFORMIN, *, signing: bool = True, **patient: Any) -> str:
    session = session_of(draft, **patient)
    drafted = (*session.drafted, *session.studies)[0]
    silence = RuleBook(rules).scope_of(drafted, session.record, signing=signing)
    assert (silence.subject, silence.reason) == (drafted.draft.name, "scope")
    return silence.text.removeprefix("metformin: ")


NONE_ITSELF = "No rule is about this drug itself."


@pytest.mark.parametrize(
    ("rows", "text"),
    [(0, f"looked for allergy, duplicates. {NONE_ITSELF}"), (3, "looked for allergy, duplicates, 3 interactions.")],
)
def test_a_rule_without_a_row_about_the_drug_looked_for_nothing(rows: int, text: str) -> None:
    family = Family("made", covers={"a": lambda _medication: rows})
    assert _scope([_rule("a", band("x", TRUE), trigger=PAIR, family=family)]) == text


# Which rules a medication activates depends on that medication alone, not on those that were asked of before it.


def _medication(words: str) -> MedicationIdentity:
    return identify_concept(CodeableConcept(text=words))
