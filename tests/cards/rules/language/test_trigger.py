"""Which medications a selector means and a trigger meets, and how a text is filled."""

from typing import Any

import msgspec
import pytest

from cards.rules.language.rule import Trigger
from cards.rules.language.trigger import NO_NUMBER, Activation, CompiledTrigger, Selector, Template, is_test
from fhir.mapping.medications.identity import MedicationIdentity, identify
from fhir.record.resources import MedicationRequest
from fhir.terminology.medications import INGREDIENTS, Ingredient
from tests.cards.rules.contexts import study_context_of
from tests.cards.rules.patients import draft_of
from tests.each import for_rows

Json = dict[str, Any]
METFORMIN, GLIPIZIDE, WARFARIN, ASPIRIN = "6809", "4821", "11289", "1191"


def _drug(words: str, route: str | None = None) -> MedicationIdentity:
    draft = draft_of({"drug": words, **({"route": route} if route else {})})
    return identify(msgspec.convert(draft, MedicationRequest), {})


TABLET, CREAM = _drug("hydrocortisone 10 MG Oral Tablet"), _drug("hydrocortisone 1 % Topical Cream")
MIXTURE = _drug("glipizide 5 MG / metformin hydrochloride 500 MG Oral Tablet")


def _selector(**spec: Any) -> Selector:
    return Selector.read(spec)


MORPHINE = "morphine sulfate 10 MG"
WAYS: list[tuple[str, str | None, set[str]]] = [
    (f"{MORPHINE} Oral Tablet", None, {"oral", "not injected"}),
    ("morphine", None, {"oral", "not injected"}),
    ("morphine sulfate 10 MG/ML Injection", None, {"injected"}),
    ("morphine sulfate 10 MG/ML Injection", "IV push", {"injected", "intravenous", "pushed"}),
    ("morphine sulfate 10 MG/ML Injection", "IVP", {"injected", "intravenous", "pushed"}),
    ("morphine sulfate 10 MG/ML Injection", "intravenous", {"injected", "intravenous"}),
    ("morphine sulfate 10 MG/ML Injection", "subcut", {"injected", "subcutaneous"}),
    ("morphine sulfate 10 MG/ML Injection", "IM", {"injected", "intramuscular"}),
    ("morphine sulfate 10 MG/ML Injection", "intrathecal", {"injected", "intrathecal"}),
    (f"{MORPHINE} Rectal Suppository", None, {"not injected"}),
    ("fentanyl 0.025 MG/HR Transdermal System", None, {"not injected"}),
    ("buprenorphine 8 MG Sublingual Tablet", "SL", {"oral", "not injected", "sublingual"}),
    ("morphine 1 % topical cream", None, {"not injected"}),
]


@for_rows(("words", "route", "ways"), WAYS)
def test_the_way_that_a_drug_is_given(words: str, route: str | None, ways: set[str]) -> None:
    every = ("oral", "injected", "not injected", "intrathecal", "intravenous", "pushed", "subcutaneous",
             "intramuscular", "sublingual")  # fmt: skip
    drug = _drug(words, route)
    assert {way for way in every if _selector(any_drug=True, route=way).fits(drug)} == ways


TIMOLOL = "timolol 0.5 % for the eye"


@for_rows(
    ("words", "route", "form", "fits"),
    [
        (TIMOLOL, "ophthalmic", "ophthalmic", True),
        (TIMOLOL, "oral", "eye", False),
        (TIMOLOL, None, "eye", True),
        ("timolol 5 MG Oral Tablet", "by mouth", "tablet", True),
    ],
)
def test_a_form_is_that_of_the_order_and_else_of_its_words(words: str, route: str, form: str, fits: bool) -> None:
    assert _selector(any_drug=True, dose_form_any=[form]).fits(_drug(words, route)) is fits


def test_a_selector_that_selects_nothing_or_too_much_is_refused() -> None:
    wrong: list[Any] = [[], {}, {"systemic": True}, {"classes": ["a"], "colour": "red"}, "nsaid", ["classes"]]
    for spec in wrong:
        with pytest.raises(ValueError, match="is no drug selector"):
            Selector.read(spec)


def test_a_selector_as_it_is_read() -> None:
    spec: Json = {"ingredients": [{"rxcui": "2", "name": "b"}], "classes": ["c", "a"], "washout_days": 14}
    selector = Selector.read(spec, systemic=True)
    assert (selector.keyed, selector.keys) == (frozenset({"2", "a", "c"}), ("2", "a", "c"))
    assert (selector.systemic, selector.washout_days, selector.any_drug, selector.route) == (True, 14.0, False, None)
    assert Selector.read({**spec, "systemic": False}, systemic=True).systemic is False
    assert (Selector.read({"any_drug": True}).any_drug, Selector().any_drug) == (True, False)
    assert Selector().washout_days == 0


def _names(parts: tuple[Ingredient, ...]) -> list[str]:
    return [part.name for part in parts]


@for_rows(
    ("spec", "names"),
    [
        ({"ingredients": [{"rxcui": METFORMIN, "name": "metformin"}]}, ["metformin"]),
        ({"classes": ["sulfonylurea"]}, ["glipizide"]),
        ({"classes": ["sulfonylurea", "biguanide"]}, ["glipizide", "metformin"]),
        ({"any_drug": True}, ["glipizide", "metformin"]),
        ({"classes": ["nsaid"]}, []),
    ],
)
def test_the_parts_of_a_mixture_that_are_meant(spec: Json, names: list[str]) -> None:
    assert _names(Selector.read(spec).members(MIXTURE)) == names


def _compiled(**trigger: Any) -> CompiledTrigger:
    return CompiledTrigger.read(msgspec.convert(trigger, Trigger))


def _of(*rxcuis: str, **more: Any) -> Json:
    return {"ingredients": [{"rxcui": code, "name": INGREDIENTS[code].name} for code in rxcuis], **more}


def _ingredient(code: str) -> Ingredient:
    return Ingredient(code, INGREDIENTS[code].name)


WARFARIN_TABLET, ASPIRIN_TABLET = _drug("warfarin 5 MG Oral Tablet"), _drug("aspirin 81 MG Oral Tablet")
PAIR: Json = {"pair": [[_of(WARFARIN)], [_of(ASPIRIN)]]}


def _activation(trigger: CompiledTrigger, drug: MedicationIdentity) -> Json | None:
    activation = trigger.activation(drug)
    return None if activation is None else msgspec.structs.asdict(activation)


def _activated(code: str, **more: Any) -> Json:
    return msgspec.structs.asdict(Activation(_ingredient(code), **more))


def test_a_single_drug_activates_a_rule_by_its_first_part_that_is_meant() -> None:
    trigger = _compiled(draft=[_of(METFORMIN), _of(GLIPIZIDE)])
    assert _activation(trigger, MIXTURE) == _activated(GLIPIZIDE)
    assert _activation(_compiled(draft=[_of(METFORMIN)]), MIXTURE) == _activated(METFORMIN)
    assert _activation(trigger, WARFARIN_TABLET) is None


def test_a_drug_may_activate_alone_and_as_one_of_a_pair() -> None:
    trigger = _compiled(draft=[_of(WARFARIN)], **PAIR)
    assert _activation(trigger, WARFARIN_TABLET) == _activated(WARFARIN, partners=trigger.sides[1], alone=True)
    assert _activation(trigger, ASPIRIN_TABLET) == _activated(ASPIRIN, partners=trigger.sides[0], alone=False)


def test_a_drug_of_both_sides_has_the_partners_of_both_once() -> None:
    both = _compiled(pair=[[_of(WARFARIN), _of(ASPIRIN)], [_of(ASPIRIN)]])
    activation = both.activation(ASPIRIN_TABLET)
    assert activation is not None
    assert activation.partners == (*both.sides[1], *both.sides[0])


def test_a_local_form_would_activate() -> None:
    trigger = _compiled(draft=[{"classes": ["corticosteroid"]}])
    hydrocortisone = TABLET.ingredients[0]
    activation = trigger.activation(CREAM)
    assert activation == Activation(hydrocortisone, is_local=True)
    assert _compiled(draft=[{"classes": ["nsaid"]}]).activation(CREAM) is None
    wanted = _compiled(draft=[{"classes": ["corticosteroid"]}], local_forms=True).activation(CREAM)
    assert wanted == Activation(hydrocortisone)
    of_pair = _compiled(pair=[[{"classes": ["corticosteroid"]}], [_of(WARFARIN)]])
    assert of_pair.activation(CREAM) == Activation(hydrocortisone, is_local=True)


def test_triggers_of_any_drug_and_of_tests() -> None:
    every, tests = _compiled(draft=[{"any_drug": True}]), _compiled(tests=["psa"])
    drug = _compiled(draft=[_of(WARFARIN)])
    assert [(one.is_for_any, one.is_for_tests) for one in (every, tests, drug)] == [
        (True, False), (False, True), (False, False)]  # fmt: skip
    study = study_context_of({"drug": "PSA", "test": "2857-1"}).medication
    activation = tests.activation(study)
    assert activation is not None
    assert activation.ingredient.rxcui == "test:psa"
    assert drug.activation(study) is None
    assert [is_test(one) for one in (study, TABLET, _drug("Zaubertrank"))] == [True, False, False]
    assert len(list(_compiled(draft=[_of(WARFARIN)], **PAIR).selectors())) == 3


WORDS = {"Drug": "Metformin", "egfr": "eGFR 28", "none": "", "dialysis": f"dialysis on record{NO_NUMBER}"}


@for_rows(
    ("text", "filled"),
    [
        ("{Drug} at {egfr}.", "Metformin at eGFR 28."),
        ("with {Drug}, and {Drug} again.", "With Metformin, and Metformin again."),
        # "eGFR" stays as it is written.
        ("{egfr} is low.", "eGFR 28 is low."),
        ("{none}with  two   blanks {none} left out.", "With two blanks left out."),
        ("{Drug}: {dialysis} (under 30).", "Metformin: dialysis on record."),
        ("{Drug}: {dialysis} (over 30 mL/min).", "Metformin: dialysis on record."),
        ("{Drug}: {dialysis} (see there).", "Metformin: dialysis on record (see there)."),
        ("{Drug}: {egfr} (under 30).", "Metformin: eGFR 28 (under 30)."),
        ("{Drug} {missing}.", None),
        ("nothing to fill.", "Nothing to fill."),
    ],
)
def test_a_text_is_filled(text: str, filled: str | None) -> None:
    assert Template(text).fill(WORDS.get) == filled


def test_the_names_of_a_text_each_once() -> None:
    assert Template("{b} {a} {b}").names == ("b", "a")
