"""Which checks exist for each drug and test: counted from the rules, for every ingredient and analyte of the tables."""

from typing import Any

import pytest

from cards.rules.engine.compile import CompiledRule
from cards.rules.engine.coverage import (
    CHECKS,
    OF_EVERY_DRUG,
    DrugCoverage,
    StudyCoverage,
    analyte_coverage,
    checks_by_name,
    checks_of,
    drug_coverage,
    study_coverage,
    study_in_words,
)
from cards.rules.engine.family import Family
from cards.rules.engine.rule_book import rule_book
from fhir.terminology.analytes import ANALYTES
from fhir.terminology.medications import INGREDIENTS
from tests.cards.rules.engine.made_rules import band, rule_of


@pytest.fixture(scope="module")
def by_name() -> dict[str, DrugCoverage]:
    """Every ingredient by its name."""
    return {one.name: one for one in drug_coverage(rule_book().rules)}


def test_every_ingredient_of_the_tables_is_there_once(by_name: dict[str, DrugCoverage]) -> None:
    assert {one.rxcui for one in by_name.values()} == set(INGREDIENTS)


def test_a_drug_has_the_checks_of_the_rules_that_name_it(by_name: dict[str, DrugCoverage]) -> None:
    metformin = by_name["metformin"]
    assert "renal-metformin" in metformin.checks["kidney"]
    assert "pregnancy" in metformin.lacks
    assert "preg-warfarin" in by_name["warfarin"].checks["pregnancy"]
    assert "ddi-warfarin-nsaid" in by_name["warfarin"].checks["interaction"]


def test_a_drug_has_the_checks_of_its_class_unless_the_rule_leaves_it_out(by_name: dict[str, DrugCoverage]) -> None:
    assert "dz-respiratory-benzo" in by_name["lorazepam"].checks["disease"]
    assert "dz-respiratory-benzo" not in by_name["warfarin"].checks["disease"]


def test_what_reads_the_liver_is_a_check_of_the_liver(by_name: dict[str, DrugCoverage]) -> None:
    assert "dz-apap-liver" in by_name["acetaminophen"].checks["liver"]


def test_the_allergy_list_is_compared_with_every_drug_and_is_no_rule_about_one(
    by_name: dict[str, DrugCoverage],
) -> None:
    assert all("allergy-same-ingredient" in one.checks["allergy"] for one in by_name.values())
    unnamed = [one for one in by_name.values() if not one.is_named]
    assert unnamed
    assert all(set(one.lacks) == set(CHECKS) - OF_EVERY_DRUG for one in unnamed)


def test_every_rule_that_makes_a_check_is_counted_for_some_drug(by_name: dict[str, DrugCoverage]) -> None:
    counted = {rule for one in by_name.values() for rules in one.checks.values() for rule in rules}
    families = {
        "age",
        "allergy",
        "ddi",
        "disease",
        "dose",
        "duplicate",
        "monitoring",
        "opioid",
        "pairs",
        "pregnancy",
        "renal",
    }
    of_drugs = {one.id for one in rule_book().rules if one.family.name in families}
    assert len(of_drugs) > len(families)
    assert of_drugs <= counted


def test_every_test_says_which_rules_read_it_and_which_order_it() -> None:
    tests = {one.key: one for one in analyte_coverage(rule_book().rules)}
    assert set(tests) == set(ANALYTES)
    assert "dz-respiratory-benzo" in tests["pco2_arterial"].read_by
    assert "disease-hypoglycaemia" in tests["glucose"].read_by
    assert "disease-hypoglycaemia" in tests["glucose"].ordered_by
    assert tests["ferritin"].read_by == tests["ferritin"].ordered_by == ()


def test_every_rule_about_orders_of_tests_is_counted_for_some_code() -> None:
    orders = study_coverage(rule_book().rules)
    counted = {rule for one in orders for rules in one.checks.values() for rule in rules}
    by_words = {"img-mri-implant"}  # every MR study, also one that is known by its words alone
    of_tests = {one.id for one in rule_book().rules if one.family.name == "orders"}
    only_words = of_tests - counted
    assert by_words <= counted
    # Studies without a code in the sets that were read: carotid and ovarian ultrasound, urine culture.
    assert all(rule.startswith("screen-") for rule in only_words)


def test_a_code_that_no_rule_is_about_lacks_every_check() -> None:
    plain = next(one for one in study_coverage(rule_book().rules) if one.words == "CT of chest, without contrast")
    assert plain.checks == {}
    assert plain.lacks == CHECKS


def test_contrast_with_metformin_is_the_only_interaction_of_a_test() -> None:
    interactions = {rule for study in study_coverage(rule_book().rules) for rule in study.checks.get("interaction", ())}
    assert interactions == {"img-metformin-contrast"}


def test_a_rule_about_one_drug_is_no_check_of_a_disease_or_of_a_pair(by_name: dict[str, DrugCoverage]) -> None:
    of_metformin = {check for check, rules in by_name["metformin"].checks.items() if "renal-metformin" in rules}
    of_pair = {check for check, rules in by_name["warfarin"].checks.items() if "ddi-warfarin-nsaid" in rules}
    assert of_metformin == {"kidney"}
    assert of_pair == {"interaction"}


# Which checks a rule makes, and which drugs it is counted for: by rules made for the test.
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
