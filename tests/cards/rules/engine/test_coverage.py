"""Which checks exist for each drug and test: counted from the rules, for every ingredient and analyte of the tables."""

import pytest

from cards.rules.engine.coverage import (
    CHECKS,
    OF_EVERY_DRUG,
    DrugCoverage,
    analyte_coverage,
    drug_coverage,
    study_coverage,
)
from cards.rules.engine.rule_book import rule_book
from fhir.terminology.analytes import ANALYTES
from fhir.terminology.medications import INGREDIENTS


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
