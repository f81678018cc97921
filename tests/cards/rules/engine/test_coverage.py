"""Which checks exist for a drug or an order of a test: counted from the rules."""

from typing import Any

from cards.rules.engine.compile import CompiledRule
from cards.rules.engine.coverage import CHECKS, checks_by_name, checks_of, checks_of_study
from cards.rules.engine.family import Family
from cards.rules.engine.rule_book import rule_book
from tests.cards.rules.engine.made_rules import band, rule_of
from tests.each import for_rows


def test_every_rule_about_a_drug_makes_a_check() -> None:
    without = {rule.id for rule in rule_book().rules if rule.family.name != "review" and not checks_of(rule)}
    assert not without


def test_contrast_with_metformin_is_the_only_interaction_of_a_test() -> None:
    of_tests = [rule for rule in rule_book().rules if rule.family.name == "orders"]
    assert checks_by_name(of_tests)["interaction"] == ("img-metformin-contrast",)


def test_checks_of_real_rules() -> None:
    checks = checks_by_name(rule_book().rules)
    assert tuple(checks) == CHECKS
    assert "renal-metformin" in checks["kidney"]
    assert "preg-warfarin" in checks["pregnancy"]
    assert "ddi-warfarin-nsaid" in checks["interaction"]
    assert "dz-apap-liver" in checks["liver"]
    assert "renal-metformin" not in checks["disease"]


# Which checks a rule makes: by rules made for the test.
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


@for_rows(
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


def test_an_order_that_is_known_by_its_words() -> None:
    rules = [_rule("orders", trigger={"tests": ["psa"]}, name="screen-psa")]
    assert checks_of_study("PSA", rules) == {"age": ("screen-psa",)}
    assert checks_of_study("Zaubertest", rules) is None
