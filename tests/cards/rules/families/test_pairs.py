"""The table of pairs: it names drugs that are known, and the rule is asked about each of them from both sides."""

import csv
from datetime import datetime
from importlib.resources import files

import pytest

from cards.rules.engine.rule_book import DraftEvaluation, rule_book
from cards.rules.families.pairs.family import PAIRS
from cards.rules.language.table import read_family
from cards.rules.patient.session import PatientSession
from fhir.terminology.medications import CLASS_MEMBERS, INGREDIENTS
from tests.cards.rules.patients import draft_of, drafts_of, record_of


def _keys() -> frozenset[str]:
    return frozenset().union(*PAIRS)


def test_each_key_is_an_ingredient_or_a_class_and_in_the_trigger_of_the_rule() -> None:
    (rule,) = read_family("pairs").raw["rules"]
    for (side,) in rule["trigger"]["pair"]:
        assert {one["rxcui"] for one in side["ingredients"]} | set(side["classes"]) == _keys()
    assert all(key in INGREDIENTS or key in CLASS_MEMBERS for key in _keys())


def test_a_row_names_two_drugs_a_source_and_what_to_do() -> None:
    for keys, rows in PAIRS.items():
        assert len(keys) == 2
        for row in rows:
            assert row.mechanism
            assert row.advice
            assert row.evidence.label
            assert row.severity == "info" or "not read" not in row.evidence.label


def test_a_source_has_one_row() -> None:
    for family in ("pairs", "dose"):
        text = files(f"cards.rules.families.{family}").joinpath("sources.csv").read_text("utf-8")
        ids = [row["id"] for row in csv.DictReader(text.splitlines())]
        assert len(set(ids)) == len(ids) > 50


@pytest.mark.parametrize(
    ("aspirin", "is_said"), [("325 mg daily", True), ("81 mg daily", False), ("325 mg once", False)]
)
def test_ticagrelor_is_asked_about_beside_more_than_100_mg_of_aspirin_a_day(
    aspirin: str, is_said: bool, as_of: datetime
) -> None:
    drafts = [
        draft_of({"drug": "ticagrelor 90 mg tablet", "dose": "1 tablet", "times": 2}, "a"),
        draft_of({"drug": "aspirin 325 mg tablet", "more": {"dosageInstruction": [{"text": aspirin}]}}, "b"),
    ]
    session = PatientSession(record_of({"age": 50}, as_of), drafts_of(*drafts), signing=True)
    for drafted in session.drafted:
        rules = {rule for rule, _ in rule_book().evaluate(session, drafted).finding_keys}
        assert ("pair-label" in rules) is is_said


def test_each_pair_of_ingredients_speaks_in_both_directions(as_of: datetime) -> None:
    record, book = record_of({"age": 50}, as_of), rule_book()
    wrong = []
    for keys, rows in PAIRS.items():
        named = [INGREDIENTS[key].name for key in sorted(keys) if key in INGREDIENTS]
        if len(named) < 2 or any(row.unless for row in rows):
            continue
        drafts = [draft_of({"drug": f"{name} tablet", "dose": "1 tablet", "times": 1}, name) for name in named]
        session = PatientSession(record, drafts_of(*drafts), signing=True)
        found = [{rule for rule, _ in book.evaluate(session, one).finding_keys} for one in session.drafted]
        wrong += [named] if len(found) != 2 or not all("pair-label" in rules for rules in found) else []
    assert wrong == []


def test_a_partner_beside_drugs_without_a_row_is_judged_and_without_any_row_it_is_said(as_of: datetime) -> None:
    """What no row names beside the draft is not judged one by one; the reason that it leaves is the same."""
    pair = next(
        keys for keys, rows in PAIRS.items() if keys <= INGREDIENTS.keys() and not any(row.unless for row in rows)
    )
    drafted, partner = (INGREDIENTS[key].name for key in sorted(pair))
    beside = ["levothyroxine", "calcium carbonate", "amlodipine"]
    with_partner = _evaluated(drafted, [*beside, partner, "metformin"], as_of)
    assert "pair-label" in {rule for rule, _ in with_partner.finding_keys}
    without_partner = _evaluated(drafted, beside, as_of)
    assert "pair-label" not in {rule for rule, _ in without_partner.finding_keys}
    assert [silence.reason for silence in without_partner.silences if silence.subject == "pair-label"] == ["no-pair"]


def _evaluated(drafted: str, active: list[str], as_of: datetime) -> DraftEvaluation:
    record = record_of({"age": 50, "active": [f"{name} tablet" for name in active]}, as_of)
    drafts = drafts_of(draft_of({"drug": f"{drafted} tablet", "dose": "1 tablet", "times": 1}))
    session = PatientSession(record, drafts, signing=True)
    return rule_book().evaluate(session, session.drafted[0])
