"""Conditions on the allergy list: which entries are meant, how severe they are, what was given since."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from msgspec import Struct, structs

from cards.card import SEVERITY
from cards.extension import MOST_FACTS, Fact
from cards.rules.conditions.condition import (
    MEDICATION_LISTS,
    TEXT,
    TEXTS,
    Condition,
    Predicate,
    Spec,
    Truth,
    flag,
    members,
    one_of,
    some,
    with_value,
)
from cards.rules.conditions.words.patient import ALLERGIES
from cards.rules.language.rule import Drug, RuleError
from cards.rules.patient.context import RuleContext
from cards.text import decapitalized, plain
from fhir.mapping.allergies import Allergy, allergies, allergies_to_class, allergies_to_ingredient, worst_allergy
from fhir.mapping.medications.active import last_order_after
from fhir.record.datatypes import FhirTime
from fhir.record.record import PatientRecord
from fhir.terminology.allergens import ALLERGEN_CLASSES, allergen_classes_of
from fhir.terminology.assertions import AssertedText
from fhir.terminology.medications import Ingredient
from fhir.terminology.package_tables import package_rows

_LONGEST_REACTION, _LONGEST_NAME = 40, 30
LONGEST_REACTION, LONGEST_NAME = "r" * _LONGEST_REACTION, "a" * _LONGEST_NAME
"""The longest that a reaction and the name of an allergen become."""
_NOT_RECORDED, _DOUBT = "reaction not recorded", ", entry not clear"


# Which entries are meant


def to_draft(context: RuleContext) -> Sequence[Allergy]:
    """Return the entries about an ingredient of the draft."""
    by_ingredient, drafted = context.session.allergies_by_ingredient, context.medication.rxcuis
    if by_ingredient.keys().isdisjoint(drafted):
        return ()
    if len(drafted) == 1:
        return by_ingredient[drafted[0]]
    entries_of_drugs = (allergy for rxcui in drafted for allergy in by_ingredient.get(rxcui, ()))
    return list({allergy.source: allergy for allergy in entries_of_drugs}.values())


# Classes of allergy lists whose entries a rule of their own reads whole.
_OWN_RULE = frozenset(
    {
        "penicillin", "cephalosporin", "sulfonamide_antibiotic", "iodinated_contrast", "gadolinium_contrast",
    }
)  # fmt: skip
# Classes of which rules of their own know some reactions, or what a single drug of them says about the others.
_OWN_REACTIONS = frozenset(
    {
        "aminopenicillin", "monobactam", "beta_lactam", "nsaid", "salicylate", "cox2", "opioid", "ace_inhibitor",
        "statin", "aromatic_anticonvulsant", "heparin",
    }
)  # fmt: skip
# What lists mostly hold of these is itching or nausea by an opioid, aching muscles by a statin.
_OFTEN_NO_ALLERGY = frozenset({"opioid", "statin"})


def to_its_class(context: RuleContext) -> Sequence[Allergy]:
    """Return the entries that name a class which the draft is of, or another drug of a class whose members cross.

    Of some classes the labels exclude whoever reacted to another member: a severe reaction counts there.
    """
    return context.session.record.derive(_to_class_of, context.medication.ingredients)


def _to_class_of(record: PatientRecord, drugs: tuple[Ingredient, ...]) -> Sequence[Allergy]:
    classes = allergen_classes_of(drugs) - _OWN_RULE
    crosses = {name: ALLERGEN_CLASSES[name].same_class for name in classes - _OWN_REACTIONS}
    crossing = {name for name, how in crosses.items() if how == "yes"}
    crossing_severe = {name for name, how in crosses.items() if how in ("yes", "severe")}
    drafted = {drug.rxcui for drug in drugs}
    return [
        _lowered(allergy, classes)
        for allergy in (allergies(record) if classes else ())
        if _names(allergy, classes)
        or (
            not (crossing_severe if allergy.grade == "severe" else crossing).isdisjoint(
                allergy.allergen.allergen_classes
            )
            and drafted.isdisjoint(ingredient.rxcui for ingredient in allergy.allergen.ingredients)
        )
    ]


def _names(allergy: Allergy, classes: AbstractSet[str]) -> bool:
    listed = classes & allergy.allergen.named_classes
    return bool(listed) and not (allergy.is_no_allergy and listed <= _OWN_REACTIONS)


def _lowered(allergy: Allergy, classes: AbstractSet[str]) -> Allergy:
    """Return the entry as information where it names only a class whose entries are mostly no allergies."""
    listed = classes & allergy.allergen.named_classes
    is_often_none = allergy.grade != "severe" and bool(listed) and listed <= _OFTEN_NO_ALLERGY
    return structs.replace(allergy, severity="info") if is_often_none else allergy


class Excipient(Struct, frozen=True):
    """One row of excipients.csv: a product that holds what people are allergic to, by its drug and its words."""

    allergen_class: str
    pattern: re.Pattern[str] | None
    """Words of the product, each a regular expression; None for every product of the drug."""
    injected: bool
    severe_only: bool
    holds: str


def _read_excipients() -> Mapping[str, tuple[Excipient, ...]]:
    by_drug: dict[str, tuple[Excipient, ...]] = {}
    for row in package_rows("cards.rules.families.allergy", "excipients.csv"):
        words = "|".join(filter(None, row["words"].split(";")))
        excipient = Excipient(
            row["allergen_class"],
            re.compile(words, re.IGNORECASE) if words else None,
            row["route"] == "injected",
            row["severe_only"] == "yes",
            row["holds"],
        )
        by_drug[row["rxcui"]] = (*by_drug.get(row["rxcui"], ()), excipient)
    return by_drug


EXCIPIENTS: Final = _read_excipients()
"""What products hold besides their drugs, by RxNorm ingredient."""


def excipients_of(context: RuleContext) -> Sequence[Excipient]:
    """Return the rows that the drafted product fits."""
    medication = context.medication
    words = f"{medication.words} {medication.dose_form}"
    return [
        excipient
        for rxcui in medication.rxcuis
        for excipient in EXCIPIENTS.get(rxcui, ())
        if (excipient.pattern is None or excipient.pattern.search(words))
        and excipient.injected <= medication.is_injected
    ]


def to_what_it_holds(context: RuleContext) -> Sequence[Allergy]:
    """Return the entries that name what the drafted product holds besides its drugs."""
    grades = {excipient.allergen_class: excipient.severe_only for excipient in excipients_of(context)}
    if not grades:
        return ()
    return [
        allergy
        for allergy in allergies(context.session.record)
        if any(
            name in allergy.allergen.allergen_classes and (allergy.grade == "severe" or not severe_only)
            for name, severe_only in grades.items()
        )
    ]


def _entries(wanted: Mapping[str, Any]) -> Callable[[RuleContext], Sequence[Allergy]]:
    if wanted.get("to_draft"):
        return to_draft
    if wanted.get("to_its_class"):
        return to_its_class
    if wanted.get("to_what_it_holds"):
        return to_what_it_holds
    if "to_class" in wanted:
        name = str(wanted["to_class"])
        return lambda context: allergies_to_class(context.session.record, name)
    if "to_ingredient" in wanted:
        rxcui = str(wanted["to_ingredient"]["rxcui"])
        return lambda context: allergies_to_ingredient(context.session.record, rxcui)
    raise RuleError(f"reacts: {dict(wanted)!r} names nothing to react to")


def _is_of_another(allergy: Allergy, context: RuleContext) -> bool:
    """Whether the entry means more than the drafted ingredient itself."""
    drafted_codes = set(context.medication.rxcuis)
    return bool(allergy.allergen.classes) or not drafted_codes.issuperset(
        ingredient.rxcui for ingredient in allergy.allergen.ingredients
    )


def reaction_pattern(words: Iterable[str]) -> re.Pattern[str]:
    """Any of the words; an abbreviation in capitals as a whole word."""
    parts = (rf"\b{re.escape(word)}\b" if word.isupper() else re.escape(word) for word in words)
    return re.compile("|".join(parts), re.IGNORECASE)


def _is_affirmed(pattern: re.Pattern[str], text: str) -> bool:
    """Whether the words are there and not denied: "cough, no tongue swelling" names none."""
    return pattern.search(text) is not None and (
        pattern.search(AssertedText(text, of="reaction").without_denied(text)) is not None
    )


def _reacts(spec: Spec) -> Predicate:
    wanted = spec["reacts"]
    entries = _entries(wanted)
    grades = frozenset(wanted.get("grade", ()))
    pattern = reaction_pattern(wanted["reaction_any"]) if "reaction_any" in wanted else None
    other = reaction_pattern(wanted["reaction_none"]) if "reaction_none" in wanted else None

    def relevant(listed: Sequence[Allergy], context: RuleContext) -> Sequence[Allergy]:
        return [
            allergy
            for allergy in listed
            if not (grades and allergy.grade not in grades)
            and not (wanted.get("allergic") and allergy.is_no_allergy)
            and not (other is not None and any(other.search(text) for text in allergy.reactions))
            and not (wanted.get("other_ingredient") and not _is_of_another(allergy, context))
        ]

    def matching(candidates_with_reaction: Sequence[Allergy]) -> Sequence[Allergy]:
        if candidates_with_reaction and pattern is not None:
            candidates_with_reaction = [
                allergy
                for allergy in candidates_with_reaction
                # "Heparin (HIT)" names the reaction with the allergen.
                if any(_is_affirmed(pattern, text) for text in (*allergy.reactions, allergy.words))
            ]
        if "worst" in wanted:
            first = worst_allergy(candidates_with_reaction)
            return [first] if first is not None and first.severity == wanted["worst"] else []
        return candidates_with_reaction

    def test(context: RuleContext) -> Truth:
        listed = entries(context) if context.session.allergies else ()
        if not listed:  # as in most charts
            return False if context.session.knows_allergies else None
        entries_meant = relevant(listed, context)
        if matching(entries_meant):
            return True
        if not context.session.knows_allergies:
            return None
        is_open = pattern is not None and any(
            not allergy.reactions and not allergy.is_no_allergy for allergy in entries_meant
        )
        return None if is_open else False

    def facts(context: RuleContext) -> list[Fact]:
        entries_meant = matching(relevant(entries(context), context))
        if len(entries_meant) > MOST_FACTS:  # a finding has the first of them
            entries_meant = sorted(entries_meant, key=lambda allergy: -SEVERITY[allergy.severity])
        return [_fact(allergy) for allergy in entries_meant]

    return Predicate(test, facts, frozenset({"allergies"}))


def recorded_words(allergy: Allergy) -> str:
    """Return when the entry was written down: no date of the reaction, which may be years older."""
    recorded = allergy.recorded
    return f", entry of {recorded.date}" if recorded is not None and recorded != allergy.reacted else ""


def _fact(allergy: Allergy) -> Fact:
    date = allergy.reacted.text if allergy.reacted is not None else None
    return Fact(
        "allergy",
        f"{plain(_with_reaction(allergy), 80)}{recorded_words(allergy) if date is None else ''}",
        name_of(allergy),
        effective=date,
        source=allergy.source,
    )


def _with_reaction(allergy: Allergy) -> str:
    """Return the entry's words and its reaction, which an entry such as "Cefepime - anaphylaxis" has already."""
    reaction = reaction_of(allergy)
    return allergy.words if reaction.casefold() in allergy.words.casefold() else f"{allergy.words}: {reaction}"


def _of_class(wanted: Mapping[str, str], context: RuleContext) -> Sequence[Allergy]:
    return allergies_to_class(context.session.record, wanted["to_class"])


def _rash_only(wanted: Mapping[str, str], context: RuleContext) -> Truth:
    seen = [allergy for allergy in _of_class(wanted, context) if allergy.reactions]
    return bool(seen) and all(allergy.is_rash_only or allergy.is_no_allergy for allergy in seen)


def _low_criticality(wanted: Mapping[str, str], context: RuleContext) -> Truth:
    listed = _of_class(wanted, context)
    return bool(listed) and all(allergy.criticality == "low" or allergy.is_intolerance for allergy in listed)


def _unknown_reactions(wanted: Mapping[str, str], context: RuleContext) -> list[Fact]:
    listed = _of_class(wanted, context)
    return [_fact(allergy) for allergy in listed if not allergy.reactions and not allergy.is_no_allergy]


def given_since(context: RuleContext) -> FhirTime | None:
    """When the drafted ingredient was last ordered and taken after the newest entry about it was made."""
    entries = to_draft(context)
    dates = [allergy.recorded for allergy in entries if allergy.recorded is not None]
    if not dates or len(dates) < len(entries):
        return None
    newest = max(dates, key=lambda time: time.instant)
    codes = {ingredient.rxcui for allergy in entries for ingredient in allergy.allergen.ingredients} & set(
        context.medication.rxcuis
    )
    times = [last_order_after(context.session.record, rxcui, newest) for rxcui in codes]
    return max((time for time in times if time is not None), key=lambda time: time.instant, default=None)


# In words


def reaction_of(allergy: Allergy | None) -> str:
    """Return the reaction as it stands in the middle of a sentence, or that none is recorded, and any doubt of it."""
    doubt = _DOUBT if allergy is not None and allergy.is_unsure else ""
    if allergy is None or not allergy.reactions:
        return _NOT_RECORDED + doubt
    text = plain(allergy.reactions[0], _LONGEST_REACTION - len(doubt))
    # "Anaphylaxis" in the middle of a sentence, but "SJS" and "Stevens-Johnson".
    is_name = text[:2].isupper() or text.startswith(("Stevens", "Lyell"))
    return (text if is_name else decapitalized(text)) + doubt


def doubt_of(allergy: Allergy | None) -> str | None:
    """Return why an entry counts less than a severe allergy, as the end of "The entry …": the reason of this entry."""
    if allergy is None:
        return None
    if allergy.is_unsure:
        return "leaves open whether it is an allergy"
    marks = ["an intolerance"] if allergy.is_intolerance else []
    marks += ["of low criticality"] if allergy.criticality == "low" else []
    if marks:
        return f"is recorded as {' and '.join(marks)}"
    return "names no severe reaction" if allergy.reactions else "names no reaction"


# What a class of allergens is called in a sentence.
CLASS_NAMES = {
    "beta_lactam_penicillin_allergen": "penicillin",
    "cephalosporin": "cephalosporins",
    "sulfa_antibiotic_allergen": "sulfonamide antibiotics",
    "nsaid_allergen_cox1": "aspirin/NSAID",
}


def name_of(allergy: Allergy) -> str:
    """Return what the entry is about: its ingredients and classes by name."""
    names = sorted({ingredient.name for ingredient in allergy.allergen.ingredients})
    names += [CLASS_NAMES.get(name, name.replace("_", " ")) for name in sorted(allergy.allergen.classes)]
    return plain("/".join(names[:2]), _LONGEST_NAME)


_USES = frozenset({"allergies"})
_TO_CLASS = members(("to_class",), to_class=TEXT)
_REACTS = members(
    to_draft=bool,
    to_its_class=bool,
    to_what_it_holds=bool,
    to_class=TEXT,
    to_ingredient=Drug,
    grade=some(one_of("severe", "mild", "unknown")),
    reaction_any=TEXTS,
    reaction_none=TEXTS,
    allergic=bool,
    other_ingredient=bool,
    worst=one_of("critical", "warning", "info"),
)


def _wording(spec: Spec) -> str:
    wanted = spec["reacts"]
    to = (
        "a class of the draft"
        if wanted.get("to_its_class")
        else "what the product holds besides its drugs"
        if wanted.get("to_what_it_holds")
        else wanted.get("to_class") or wanted.get("to_ingredient", {}).get("name") or "the drafted ingredient"
    )
    text = f"allergy to {to}"
    if "grade" in wanted:
        text += f" ({' or '.join(wanted['grade'])})"
    if "reaction_any" in wanted:
        text += f" with {', '.join(wanted['reaction_any'])}"
    if "worst" in wanted:
        text += f", {wanted['worst']} at worst"
    return text + (", of another drug" if "other_ingredient" in wanted else "")


ALLERGY_CONDITIONS = (
    Condition(
        "reacts",
        "an entry of the allergy list `to_draft` (the drafted ingredients), `to_its_class` (a class of allergy lists "
        "without a rule of its own that the draft is of), `to_what_it_holds` (rows of excipients.csv), `to_class` or "
        "`to_ingredient` is there, "
        "narrowed by `grade`, `reaction_any` (words), `allergic`, `other_ingredient`, or by how severe its `worst` is",
        _reacts,
        _REACTS,
        _wording,
        ALLERGIES,
    ),
    with_value(
        "rash_only",
        _TO_CLASS,
        _rash_only,
        "nothing but hives, a rash or itching was seen".format,
        "of the entries `to_class`, every recorded reaction is hives, a rash or itching",
        _USES,
        needs=ALLERGIES,
    ),
    with_value(
        "low_criticality",
        _TO_CLASS,
        _low_criticality,
        "of low criticality, or an intolerance".format,
        "all entries `to_class` are of low criticality or intolerances",
        _USES,
        needs=ALLERGIES,
    ),
    with_value(
        "reaction_unknown",
        _TO_CLASS,
        lambda wanted, context: bool(_unknown_reactions(wanted, context)),
        "the reaction is not recorded".format,
        "an entry `to_class` has no recorded reaction",
        _USES,
        _unknown_reactions,
        ALLERGIES,
    ),
    flag(
        "tolerated_since",
        lambda context: given_since(context) is not None,
        "ordered again after the entry was made",
        frozenset({"allergies", "history"}),
        needs=ALLERGIES | MEDICATION_LISTS,
        meaning="the drafted ingredient was ordered again after the newest entry about it was made",
    ),
)
