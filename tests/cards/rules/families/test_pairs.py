"""The table of pairs: it names drugs that are known, and the rule is asked about each of them from both sides."""

import csv
from datetime import datetime
from importlib.resources import files

from cards.rules.engine.rule_book import rule_book
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
