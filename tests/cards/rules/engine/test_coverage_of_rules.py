"""Which checks a rule makes, and which drugs it is counted for: by rules made for the test."""

from typing import Any

import pytest

from cards.rules.engine.compile import CompiledRule
from cards.rules.engine.coverage import (
    CHECKS,
    DrugCoverage,
    StudyCoverage,
    analyte_coverage,
    checks_by_name,
    checks_of,
    drug_coverage,
    study_in_words,
)
from cards.rules.engine.family import Family
from tests.cards.rules.engine.made_rules import band, rule_of

Json = dict[str, Any]
TRUE: Json = {"always": True}
METFORMIN, WARFARIN = ({"ingredients": [{"rxcui": code, "name": name}]} for code, name in (
    ("6809", "metformin"), ("11289", "warfarin")))  # fmt: skip
PAIR: Json = {"pair": [[METFORMIN], [WARFARIN]]}
EGFR: Json = {"derived": "egfr_best", "lt": 30}
ALT: Json = {"lab": "alt", "gt": 3}
CIRRHOSIS: Json = {"condition_any": ["cirrhosis"]}
PREGNANT: Json = {"condition_any": ["pregnancy"]}
BEARING: Json = {"childbearing_no_contraception": True}


def _rule(family: str, when: Json = TRUE, trigger: Json | None = None, name: str = "r", **more: Any) -> CompiledRule:
    of_family = Family(family)
    return rule_of(band("a", when), family=of_family, id=name, trigger=trigger or {"draft": [METFORMIN]}, **more)


@pytest.mark.parametrize(
    ("rule", "checks"),
    [
        (_rule("disease"), {"disease"}),
        (_rule("genes"), {"gene"}),
        (_rule("opioid"), {"dose"}),
        (_rule("renal", EGFR), {"kidney"}),
        (_rule("disease", EGFR), {"disease", "kidney"}),
        (_rule("disease", ALT), {"disease", "liver"}),
        (_rule("disease", CIRRHOSIS), {"disease", "liver"}),
        (_rule("ddi", trigger=PAIR), {"interaction"}),
        (_rule("opioid", trigger=PAIR), {"dose", "interaction"}),
        (_rule("age", trigger=PAIR), {"age", "interaction"}),
        (_rule("renal", trigger=PAIR), {"kidney"}),
        (_rule("somebody"), set()),
        (_rule("vaccines"), {"disease"}),
        (_rule("vaccines", PREGNANT), {"pregnancy"}),
        (_rule("vaccines", trigger=PAIR), {"interaction"}),
        (_rule("orders"), {"disease"}),
        (_rule("orders", PREGNANT), {"pregnancy"}),
        (_rule("orders", EGFR), {"kidney"}),
        (_rule("orders", name="screen-x"), {"age"}),
        (_rule("orders", PREGNANT, name="screen-x"), {"pregnancy", "age"}),
        (_rule("orders", EGFR, name="img-metformin-contrast"), {"kidney", "interaction"}),
        (_rule("orders", {"allergy": {"match": "class", "class": "nsaid"}}), {"allergy"}),
    ],
)
def test_the_checks_of_a_rule(rule: CompiledRule, checks: set[str]) -> None:
    assert checks_of(rule) == checks


def test_checks_stand_in_the_order_of_the_table_with_each_rule_once() -> None:
    first, second = _rule("disease", EGFR, name="b"), _rule("disease", name="a")
    assert checks_by_name([first, second, first]) == {"kidney": ("b",), "disease": ("a", "b")}
    assert list(checks_by_name([first])) == ["kidney", "disease"]
    assert checks_by_name([]) == {}


def test_the_drugs_that_a_rule_is_counted_for() -> None:
    without_vka: Json = {"draft": [{"classes": ["biguanide", "vka"], "exclude_classes": ["vka"]}]}
    rules = [
        _rule("disease", name="one"),
        _rule("ddi", trigger=PAIR, name="pair"),
        _rule("age", trigger=without_vka, name="class"),
        _rule("allergy", trigger={"draft": [{"any_drug": True}]}, name="any"),
    ]
    of = {drug.name: drug for drug in drug_coverage(rules)}
    assert of["metformin"].checks == {
        "interaction": ("pair",), "age": ("class",), "allergy": ("any",), "disease": ("one",)}  # fmt: skip
    assert of["warfarin"].checks == {"interaction": ("pair",), "allergy": ("any",)}
    assert of["aspirin"].checks == {"allergy": ("any",)}
    assert (of["warfarin"].is_named, of["aspirin"].is_named) == (True, False)
    assert [drug.name for drug in drug_coverage(rules)] == sorted(of)
    assert of["aspirin"].lacks == tuple(check for check in CHECKS if check != "allergy")


def test_what_a_drug_and_a_study_lack() -> None:
    checks = {"interaction": ("a",), "dose": ("b",)}
    lacks = ("duplicate", "kidney", "liver", "pregnancy", "age", "allergy", "gene", "disease", "monitoring")
    assert DrugCoverage("1", "x", checks).lacks == lacks
    assert StudyCoverage("x", (), checks).lacks == lacks


def test_the_tests_that_rules_read_and_order() -> None:
    asks = {"label": "Ask", "orders": [{"loinc": "2823-3", "name": "Potassium"}]}
    missing = [{"id": "m", "when": TRUE, "bands": ["a"], "summary": "s", "detail": "d", "suggestions": [
        {"label": "Ask", "orders": [{"loinc": "6301-6", "name": "INR"}]}]}]  # fmt: skip
    asking = rule_of(band("a", ALT, suggestions=[asks]), id="one")
    rules = [asking, rule_of(band("a", ALT), id="two", missing_data=missing)]
    tests = {one.key: one for one in analyte_coverage(rules)}
    assert (tests["alt"].read_by, tests["alt"].ordered_by) == (("one", "two"), ())
    assert (tests["potassium"].read_by, tests["potassium"].ordered_by) == ((), ("one",))
    assert tests["inr"].ordered_by == ("two",)
    assert list(tests) == sorted(tests)


def test_an_order_that_is_known_by_its_words() -> None:
    rules = [_rule("orders", trigger={"tests": ["psa"]}, name="screen-psa")]
    assert study_in_words("PSA", rules) == StudyCoverage("PSA", (), {"age": ("screen-psa",)})
    assert study_in_words("Zaubertest", rules) is None
