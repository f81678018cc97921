"""Entries of the allergy list: which are meant by a draft, how a reaction narrows them, what a card says of them."""

from typing import Any

import pytest

from cards.extension import Fact
from cards.rules.families.allergy.entries import reaction_pattern
from cards.rules.families.allergy.family import FAMILY
from cards.rules.language.rule import RuleError
from cards.rules.patient.context import RuleContext
from tests.cards.rules.contexts import answer, context_of, predicate_of, told
from tests.each import for_rows

Json = dict[str, Any]
AMOXICILLIN: Json = {"drug": "amoxicillin 500 MG Oral Capsule"}
AUGMENTIN: Json = {"drug": "amoxicillin 500 MG / clavulanate 125 MG Oral Tablet"}
CLARITHROMYCIN: Json = {"drug": "clarithromycin 500 MG Oral Tablet"}
SOURCE = "AllergyIntolerance/allergy-0"


def _entry(words: str, *reactions: str, **more: Any) -> Json:
    return {"code": {"text": words}, "reaction": [{"manifestation": [{"text": one}]} for one in reactions], **more}


def _of(draft: Json, *entries: Json, **patient: Any) -> RuleContext:
    return context_of(draft, allergies=list(entries), **patient)


def _reacts(context: RuleContext, **spec: Any) -> bool | None:
    return answer({"reacts": spec}, context, FAMILY)


HIVES, ANAPHYLAXIS, NAUSEA = (_entry("amoxicillin", one) for one in ("hives", "anaphylaxis", "nausea"))
NOTHING, INTOLERANCE = _entry("amoxicillin"), _entry("amoxicillin", type="intolerance")


@for_rows(
    ("entries", "spec", "truth"),
    [
        ([HIVES], {}, True),
        ([_entry("ibuprofen", "hives")], {}, False),
        ([], {}, False),
        ([HIVES], {"grade": ["severe"]}, False),
        ([HIVES], {"grade": ["severe", "mild"]}, True),
        ([ANAPHYLAXIS], {"grade": ["severe"]}, True),
        ([NOTHING], {"grade": ["unknown"]}, True),
        ([HIVES], {"reaction_any": ["hive"]}, True),
        ([HIVES], {"reaction_any": ["nausea"]}, False),
        ([HIVES, NAUSEA], {"reaction_any": ["nausea"]}, True),
        ([NOTHING], {"reaction_any": ["hive"]}, None),
        ([NOTHING, HIVES], {"reaction_any": ["hive"]}, True),
        ([INTOLERANCE], {"reaction_any": ["hive"]}, False),
        ([NOTHING], {}, True),
        ([NOTHING], {"grade": ["severe"]}, False),
        ([NOTHING], {"grade": ["severe"], "reaction_any": ["hive"]}, False),
        ([_entry("amoxicillin (hives)")], {"reaction_any": ["hive"]}, True),
        ([NAUSEA], {"allergic": True}, False),
        ([INTOLERANCE], {"allergic": True}, False),
        ([HIVES], {"allergic": True}, True),
        ([HIVES], {"worst": "warning"}, True),
        ([HIVES], {"worst": "critical"}, False),
        ([HIVES, ANAPHYLAXIS], {"worst": "critical"}, True),
        ([HIVES, ANAPHYLAXIS], {"worst": "warning"}, False),
        ([NAUSEA], {"worst": "info"}, True),
        ([NOTHING], {"worst": "critical"}, False),
        ([ANAPHYLAXIS], {"worst": "critical", "reaction_any": ["hive"]}, False),
        ([HIVES, ANAPHYLAXIS], {"worst": "warning", "reaction_any": ["hive"]}, True),
        ([HIVES], {"other_ingredient": True}, False),
    ],
)  # fmt: skip
def test_entries_about_the_drafted_drug(entries: list[Json], spec: Json, truth: bool | None) -> None:
    assert _reacts(_of(AMOXICILLIN, *entries), to_draft=True, **spec) is truth


def test_without_an_allergy_list_only_what_is_there_counts() -> None:
    not_sent = {"not_sent": ["AllergyIntolerance"]}
    assert _reacts(_of(AMOXICILLIN, **not_sent), to_draft=True) is None
    assert _reacts(_of(AMOXICILLIN, HIVES, **not_sent), to_draft=True) is True
    assert _reacts(_of(AMOXICILLIN, HIVES, **not_sent), to_draft=True, grade=["severe"]) is None


def test_the_facts_are_the_entries_that_are_meant_with_their_dates() -> None:
    context = _of(AMOXICILLIN, _entry("Amoxicillin", "Anaphylaxis", recordedDate="2015-03-02"), NAUSEA)
    spec: Json = {"reacts": {"to_draft": True, "allergic": True}}
    assert told(spec, context, FAMILY) == [
        Fact("allergy", "Amoxicillin: anaphylaxis", "amoxicillin", effective="2015-03-02", source=SOURCE)
    ]
    undated = _of(AMOXICILLIN, NOTHING)
    assert told(spec, undated, FAMILY) == [
        Fact("allergy", "amoxicillin: reaction not recorded", "amoxicillin", source=SOURCE)
    ]
    assert predicate_of(spec, FAMILY).uses == {"allergies"}
    # Twelve entries stand in their order; of more the worst come first.
    for number, first in ((12, "nausea"), (13, "hives")):
        many = told({"reacts": {"to_draft": True}}, _of(AMOXICILLIN, NAUSEA, *[HIVES] * (number - 1)), FAMILY)
        assert (len(many), many[0].text) == (number, f"amoxicillin: {first}")


def test_of_a_mixture_an_entry_about_either_drug_counts_once() -> None:
    assert _reacts(_of(AUGMENTIN, _entry("clavulanate", "hives")), to_draft=True) is True
    both = _entry("amoxicillin / clavulanate", "hives")
    assert len(told({"reacts": {"to_draft": True}}, _of(AUGMENTIN, both), FAMILY)) == 1
    assert _reacts(_of(AUGMENTIN, both), to_draft=True, other_ingredient=True) is False
    assert _reacts(_of(AMOXICILLIN, both), to_draft=True, other_ingredient=True) is True


@for_rows(
    ("draft", "entry", "truth"),
    [
        (CLARITHROMYCIN, _entry("macrolides", "hives"), True),
        # Of a class without rules of its own a side effect counts, too.
        (CLARITHROMYCIN, _entry("macrolides", "nausea"), True),
        # Among macrolides a severe reaction to another one counts.
        (CLARITHROMYCIN, _entry("azithromycin", "anaphylaxis"), True),
        (CLARITHROMYCIN, _entry("azithromycin", "hives"), False),
        ({"drug": "sertraline 50 MG Oral Tablet"}, _entry("citalopram", "anaphylaxis"), False),
        # The entry about the draft itself is a matter of the rule about ingredients.
        (CLARITHROMYCIN, _entry("clarithromycin", "anaphylaxis"), False),
        # Tetracyclines cross whatever the reaction was.
        ({"drug": "doxycycline 100 MG Oral Tablet"}, _entry("minocycline", "hives"), True),
        ({"drug": "doxycycline 100 MG Oral Tablet"}, _entry("azithromycin", "anaphylaxis"), False),
        # Penicillins have a rule of their own.
        (AMOXICILLIN, _entry("penicillin", "anaphylaxis"), False),
        # Of opioids and statins an entry about the class is mostly no allergy: information.
        ({"drug": "simvastatin 20 MG Oral Tablet"}, _entry("statins", "myalgia"), True),
        ({"drug": "simvastatin 20 MG Oral Tablet"}, _entry("statins", "anaphylaxis"), True),
        ({"drug": "simvastatin 20 MG Oral Tablet"}, _entry("atorvastatin", "anaphylaxis"), False),
        ({"drug": "oxycodone 5 MG Oral Tablet"}, _entry("opioids", "nausea"), False),
        # ACE inhibitors have rules of their own for some reactions: a side effect alone counts there.
        ({"drug": "lisinopril 10 MG Oral Tablet"}, _entry("ACE inhibitors", "nausea"), False),
        ({"drug": "lisinopril 10 MG Oral Tablet"}, _entry("ACE inhibitors", "hives"), True),
        ({"drug": "lisinopril 10 MG Oral Tablet"}, _entry("enalapril", "anaphylaxis"), False),
        # NSAIDs are avoided for other reasons, too, of which their own rule knows nothing.
        ({"drug": "naproxen 500 MG Oral Tablet"}, _entry("NSAIDs", "acute kidney injury"), True),
        ({"drug": "naproxen 500 MG Oral Tablet"}, _entry("NSAIDs", "stomach upset"), False),
        ({"drug": "naproxen 500 MG Oral Tablet"}, _entry("ibuprofen", "acute kidney injury"), False),
        ({"drug": "metformin 500 MG Oral Tablet"}, _entry("macrolides", "anaphylaxis"), False),
    ],
)
def test_entries_about_a_class_of_the_draft(draft: Json, entry: Json, truth: bool) -> None:
    assert _reacts(_of(draft, entry), to_its_class=True) is truth


def test_entries_about_a_class_or_a_drug_by_name() -> None:
    penicillin, amoxicillin = {"to_class": "beta_lactam_penicillin_allergen"}, {"rxcui": "723", "name": "amoxicillin"}
    context = _of(CLARITHROMYCIN, _entry("amoxicillin", "hives"))
    assert _reacts(context, **penicillin) is True
    assert _reacts(context, to_ingredient=amoxicillin) is True
    assert _reacts(_of(CLARITHROMYCIN, _entry("penicillin", "hives")), to_ingredient=amoxicillin) is False
    assert _reacts(_of(CLARITHROMYCIN, _entry("penicillin", "hives")), **penicillin) is True
    assert _reacts(_of(AMOXICILLIN, _entry("penicillin", "hives")), **penicillin, other_ingredient=True) is True
    with pytest.raises(RuleError) as refused:
        predicate_of({"reacts": {"grade": ["mild"]}}, FAMILY)
    assert str(refused.value) == "reacts: {'grade': ['mild']} names nothing to react to"


def test_an_abbreviation_is_a_whole_word() -> None:
    pattern = reaction_pattern(["SJS", "angio"])
    found = [bool(pattern.search(text)) for text in ("SJS", "sjs in 2010", "SJSX", "Angioedema", "xangio", "rash")]
    assert found == [True, True, False, True, True, False]


PENICILLIN: Json = {"to_class": "beta_lactam_penicillin_allergen"}


def test_the_entries_without_a_reaction_are_told() -> None:
    context = _of(AMOXICILLIN, _entry("penicillin"), _entry("amoxicillin", "hives"),
                  _entry("ampicillin", type="intolerance"))  # fmt: skip
    facts = told({"reaction_unknown": PENICILLIN}, context, FAMILY)
    assert facts == [Fact("allergy", "penicillin: reaction not recorded", "penicillin", source=SOURCE)]


RASH, LOW = _entry("penicillin", "rash"), _entry("penicillin", "hives", criticality="low")
UNNAMED, NO_ALLERGY = _entry("penicillin"), _entry("ampicillin", type="intolerance")


@for_rows(
    ("entries", "true"),
    [
        ([], set()),
        ([RASH], {"rash_only"}),
        ([RASH, UNNAMED], {"rash_only", "reaction_unknown"}),
        ([RASH, NAUSEA], {"rash_only"}),
        ([RASH, ANAPHYLAXIS], set()),
        ([UNNAMED], {"reaction_unknown"}),
        ([NO_ALLERGY], {"low_criticality"}),
        ([LOW, NO_ALLERGY], {"rash_only", "low_criticality"}),
        ([LOW, HIVES], {"rash_only"}),
    ],
)
def test_what_the_entries_about_a_class_have_in_common(entries: list[Json], true: set[str]) -> None:
    words = ("rash_only", "low_criticality", "reaction_unknown")
    assert {word for word in words if answer({word: PENICILLIN}, _of(CLARITHROMYCIN, *entries), FAMILY)} == true


RECORDED = "2026-01-10"


@for_rows(
    ("entries", "order", "since"),
    [
        ([_entry("amoxicillin", "hives", recordedDate=RECORDED)], {"days_ago": 60}, "2026-09-21"),
        ([_entry("amoxicillin", "hives", recordedDate=RECORDED)], {"days_ago": 400}, None),
        ([_entry("amoxicillin", "hives")], {"days_ago": 60}, None),
        # It has to be after the newest entry, and all must be dated.
        ([_entry("amoxicillin", "hives", recordedDate=RECORDED), _entry("amoxicillin", "rash",
          recordedDate="2026-10-01")], {"days_ago": 60}, None),
        ([_entry("amoxicillin", "hives", recordedDate=RECORDED), _entry("amoxicillin", "rash")],
         {"days_ago": 60}, None),
        ([_entry("ibuprofen", "hives", recordedDate=RECORDED)], {"days_ago": 60}, None),
    ],
)  # fmt: skip
def test_what_was_ordered_again_after_the_entry(entries: list[Json], order: Json, since: str | None) -> None:
    context = _of(AMOXICILLIN, *entries, active=[{**AMOXICILLIN, "status": "completed", **order}])
    assert answer({"tolerated_since": True}, context, FAMILY) is (since is not None)
    assert answer({"tolerated_since": False}, context, FAMILY) is (since is None)
    assert FAMILY.placeholders["since"](context) == (f" It was ordered again on {since}." if since else "")


def _words(context: RuleContext) -> Json:
    return {name: word(context) for name, word in FAMILY.placeholders.items()}


NONE: Json = {
    "recorded": "allergy", "class_recorded": "allergy",
    "ingredient": None, "reaction": "reaction not recorded", "when": "", "class_entry": None,
    "class_reaction": "reaction not recorded", "held_entry": None, "held_reaction": "reaction not recorded",
    "holds": None, "entry": "", "since": "", "penicillin_reaction": "reaction not recorded",
    "cephalosporin_reaction": "reaction not recorded", "sulfa_reaction": "reaction not recorded",
    "nsaid_reaction": "reaction not recorded", "penicillin_allergen": None, "cephalosporin_allergen": None,
    "scar_reaction": "reaction not recorded", "scar_allergen": None,
}  # fmt: skip


@for_rows(
    ("draft", "entries", "words"),
    [
        (AMOXICILLIN, [], {}),
        (AUGMENTIN, [_entry("Clavulanate", "Hives", recordedDate="2015-03-02"), _entry("amoxicillin", "nausea")],
         {"ingredient": "clavulanate", "reaction": "hives", "when": ", 2015",
          "entry": "Entry: Clavulanate, recorded 2015-03-02.", "penicillin_reaction": "nausea",
          "penicillin_allergen": "amoxicillin"}),
        (AMOXICILLIN, [_entry("amoxicillin", "SJS")],
         {"ingredient": "amoxicillin", "reaction": "SJS", "entry": "Entry: amoxicillin.", "penicillin_reaction": "SJS",
          "penicillin_allergen": "amoxicillin", "scar_reaction": "SJS", "scar_allergen": "amoxicillin"}),
        (AMOXICILLIN, [_entry("cephalexin", "Stevens-Johnson syndrome"), _entry("penicillin", "hives")],
         {"penicillin_reaction": "hives", "penicillin_allergen": "penicillin",
          "cephalosporin_reaction": "Stevens-Johnson syndrome", "cephalosporin_allergen": "cephalexin",
          "scar_reaction": "Stevens-Johnson syndrome", "scar_allergen": "cephalexin"}),
        (CLARITHROMYCIN, [_entry("Macrolides", "Rash")], {"class_entry": "Macrolides", "class_reaction": "rash"}),
        ({"drug": "Prometrium 100 mg capsule"}, [_entry("Peanuts", "Hives")],
         {"held_entry": "Peanuts", "held_reaction": "hives", "holds": "capsules with peanut oil"}),
        ({"drug": "clevidipine 0.5 MG/ML Injection"}, [_entry("Eggs", "Anaphylaxis")],
         {"held_entry": "Eggs", "held_reaction": "anaphylaxis", "holds": "made with soy and egg"}),
        ({"drug": "ibuprofen 400 MG Oral Tablet"},
         [_entry("aspirin", "Bronchospasm"), _entry("sulfamethoxazole", "Rash")],
         {"nsaid_reaction": "bronchospasm", "sulfa_reaction": "rash"}),
    ],
)  # fmt: skip
def test_the_words_of_the_cards(draft: Json, entries: list[Json], words: Json) -> None:
    assert _words(_of(draft, *entries)) == {**NONE, **words}


def test_why_the_allergies_are_not_known() -> None:
    gap = FAMILY.gaps["allergies"]
    assert gap(_of(AMOXICILLIN, not_sent=["AllergyIntolerance"])) == (
        "allergies-missing", "the allergy list is not known.")  # fmt: skip
    assert gap(_of(AMOXICILLIN)) == ("reaction-missing", "what the reaction was is not recorded.")


@for_rows(
    ("spec", "words"),
    [
        ({"to_draft": True}, "allergy to the drafted ingredient"),
        ({"to_its_class": True}, "allergy to a class of the draft"),
        ({"to_what_it_holds": True}, "allergy to what the product holds besides its drugs"),
        ({"to_class": "opioid"}, "allergy to opioid"),
        ({"to_ingredient": {"rxcui": "723", "name": "amoxicillin"}}, "allergy to amoxicillin"),
        ({"to_draft": True, "grade": ["severe", "mild"], "reaction_any": ["a", "b"], "worst": "critical",
          "other_ingredient": True},
         "allergy to the drafted ingredient (severe or mild) with a, b, critical at worst, of another drug"),
    ],
)  # fmt: skip
def test_the_words_of_a_page(spec: Json, words: str) -> None:
    assert FAMILY.vocabulary.say({"reacts": spec}) == words


def _long(words: str, length: int) -> tuple[str, str]:
    """Words that are too long, and what is left of them."""
    return f"{words} {'0' * 100}", f"{words} {'0' * (length - len(words) - 2)}…"


def test_long_words_of_the_chart_are_cut() -> None:
    amoxicillin = {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "723"}]}
    words, of_entry = _long("Amoxicillin", 60)
    entry = {"code": {"text": words, **amoxicillin}, "reaction": [{"manifestation": [{"text": "Hives"}]}]}
    context = _of(AMOXICILLIN, entry)
    assert FAMILY.placeholders["entry"](context) == f"Entry: {of_entry}."
    (fact,) = told({"reacts": {"to_draft": True}}, context, FAMILY)
    assert fact.text == _long("Amoxicillin", 80)[1]
    words, of_class = _long("macrolides", 30)
    assert FAMILY.placeholders["class_entry"](_of(CLARITHROMYCIN, _entry(words, "hives"))) == of_class
    words, held = _long("peanuts", 30)
    prometrium = {"drug": "Prometrium 100 mg capsule"}
    assert FAMILY.placeholders["held_entry"](_of(prometrium, _entry(words, "hives"))) == held
    words, reaction = _long("hives", 40)
    assert FAMILY.placeholders["reaction"](_of(AMOXICILLIN, _entry("amoxicillin", words))) == reaction
