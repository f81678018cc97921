"""What the entry of an allergy list names: ingredients, classes of drugs, and allergens that are no drug.

tables/allergen_classes.csv has the classes of allergy lists with their words, SNOMED CT codes and members: from
shared/data/terminology (its README names sources and licenses). A member is an ingredient that is listed or whose ATC
code is in the class. `same_class` says whether an allergy to one member speaks against the others (yes, no, ask, or
severe: a severe one does), by the practice parameter or the labels that `source` names.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache, reduce
from itertools import chain
from operator import or_
from typing import Final, Literal, TypeAlias, cast

from msgspec import Struct

from fhir.terminology.caching import remembered
from fhir.terminology.conditions import code_system, imported_meaning, is_not_read
from fhir.terminology.contrast_media import GADOLINIUM, IODINATED, contrast_classes, contrast_spans
from fhir.terminology.imported import Meaning, meaning_of_name
from fhir.terminology.medication_names import (
    medication_of_code,
    names_in_text,
    names_of_one_word,
    read_name,
    without_accents,
)
from fhir.terminology.medications import INGREDIENTS, Ingredient, atc_codes, table_rows
from fhir.terminology.package_tables import shared
from fhir.terminology.phrases import said_and_unclear, words_of_kind
from fhir.terminology.spelling import Spelling

SameClass: TypeAlias = Literal["yes", "no", "ask", "severe", "held"]
_WORD = re.compile(r"[a-z0-9]+")
# German writes it in one word: "Latexallergie", "Penicillinunverträglichkeit".
_COMPOUND = re.compile(r"(?<=[a-zäöü]{3})(allergi|unverträglich|überempfindlich)", re.IGNORECASE)
_LONGEST_MISSPELT = 200
_NONE_KNOWN = re.compile(r"\b(?:nk[dfm]{0,2}a|nil known|no known (?:\w+ ){0,2}allerg\w*|no allergies)\b", re.IGNORECASE)


class AllergenClass(Struct, frozen=True):
    """A class of allergy lists; `medication_classes` are the classes of our drug tables that it stands for.

    `same_class` is "held" for food that products hold: the rules know which.
    """

    name: str
    same_class: SameClass
    members: frozenset[str]
    medication_classes: frozenset[str]
    cross_reaction: str
    source: str


class Allergen(Struct, frozen=True, gc=False):
    """What an allergy is about: single ingredients, whole classes of drugs, and classes of allergy lists.

    `classes` are those of tables/medication_classes.csv; `named_classes` those of tables/allergen_classes.csv that the
    entry names itself, drugs or not ("latex").
    """

    ingredients: frozenset[Ingredient] = frozenset()
    classes: frozenset[str] = frozenset()
    named_classes: frozenset[str] = frozenset()

    def __or__(self, other: "Allergen") -> "Allergen":
        """Both together."""
        return Allergen(
            self.ingredients | other.ingredients,
            self.classes | other.classes,
            self.named_classes | other.named_classes,
        )

    @property
    def allergen_classes(self) -> frozenset[str]:
        """The classes of allergy lists that are named or that an ingredient which is named is in."""
        return self.named_classes | allergen_classes_of(self.ingredients)


def allergen_classes_of(ingredients: Iterable[Ingredient]) -> frozenset[str]:
    """Return the classes of allergy lists that a drug with these ingredients is in.

    >>> sorted(allergen_classes_of(read_name("amoxicillin").ingredients))
    ['aminopenicillin', 'beta_lactam', 'penicillin']
    """
    return frozenset().union(*[_CLASSES_OF_INGREDIENT.get(ingredient.rxcui, ()) for ingredient in ingredients])


def read_allergens(text: str | None, codings: tuple[tuple[str | None, str | None, str | None], ...]) -> Allergen:
    """Return what the code of an allergy means, nothing where its text takes that back ("ruled out by challenge").

    Words are read for an allergen only where no code says it; what is not clear (`unclear_allergen`) is not meant.
    """
    meaning = Allergen()
    if is_not_read(text or "", [(system, code) for system, code, _ in codings]):
        return meaning
    for system, code, _ in codings:
        meaning |= allergen_of_code(system, code)
    if meaning != Allergen():
        return Allergen() if text and _takes_back(text) else meaning
    for words in (text, *(display for _, _, display in codings)):
        meaning |= _statement_of(words).present if words else Allergen()
    return meaning


class _Statement(Struct, frozen=True, gc=False):
    """What words say of the patient's allergies: what they state, what is not clear, and whether they deny any."""

    present: Allergen
    unclear: Allergen
    denies: bool


@remembered("allergens in words", entries=1024, longest=200)
def _statement_of(words: str) -> _Statement:
    if (imported := meaning_of_name(words)) is not None:
        return _Statement(_of_import(imported), Allergen(), denies=False)
    words = _without_other_names(_COMPOUND.sub(r" \1", words))
    names = [(start, end) for start, end, _ in (*names_in_text(words), *_class_spans(words))] + contrast_spans(words)
    for start, end in names:
        denial = _NOT.match(words, max(0, start - 4), start)  # "Ancef (not penicillin)"
        if denial is not None or _is_remedy(words, start, end):
            first = denial.start() if denial is not None else start
            words = f"{words[:first]}{' ' * (end - first)}{words[end:]}"
    stated, clear, unclear = said_and_unclear(words, "allergy", names, _spelling())
    present = _named_or_misspelt(clear)
    doubtful = _named_or_misspelt(unclear) if unclear else Allergen()
    challenge = _CHALLENGE.search(words)
    if challenge is not None and _allergen_named(stated[challenge.end() :]) == Allergen():
        denied = "".join(" " if kept == sign else sign for sign, kept in zip(words, stated, strict=True))
        over = _allergen_named(f"{denied} {challenge[0]}")
        present, doubtful = _without(present, over), _without(doubtful, over)
    return _Statement(present, doubtful, stated != words)


def _without_other_names(words: str) -> str:
    """Return words without what only holds the name of a drug: "insulin resistance" names no insulin."""
    for start, end, phrase in _class_spans(words):
        names = tuple(row.name for row in read_name(" ".join(phrase)).ingredients)
        if names and not _CLASS_WORDS[phrase] and any(word.startswith(names) for word in phrase):
            words = f"{words[:start]}{' ' * (end - start)}{words[end:]}"
    return words


def _is_remedy(words: str, start: int, end: int) -> bool:
    """Whether a drug was given for a reaction: "hives, treated with prednisone", not "given prednisone: hives"."""
    name = _WORD.findall(without_accents(words[start:end].lower()))
    if not name or name[0] not in words_of_kind("remedy") or _SET_OFF.search(words, end):
        return False
    before = _WORD.findall(without_accents(words[max(0, start - 60) : start].lower()))
    return not words_of_kind("treated").isdisjoint(before[1:])


_SET_OFF = re.compile(r"[:=>]| - ")
_NOT = re.compile(r"(?:^|(?<=[(,;-])|(?<=[(,;-] )|(?<=\bbut ))not $", re.IGNORECASE)
# The allergy that an entry tells of is over where the drug was given since, under watch and without a reaction.
_CHALLENGE = re.compile(
    r"(?:challenge|provocation|provokation|provocación|provocazione|provocatie|ofc|dpt)\w{0,10}[^.;]{0,20}"
    r"(?:negativ|negatief|négativ|pass|toler|verdragen|vertragen)\w{0,10}"
    r"|(?:negativ\w{0,5}|passed) (?:\w{1,12} ){0,3}(?:challenge|provocation|provokation)\w{0,10}|de-?label\w{0,5}",
    re.IGNORECASE,
)


def _without(allergen: Allergen, denied: Allergen) -> Allergen:
    """Return an allergen without what was given since; amoxicillin speaks for all penicillins (parameter of 2022)."""
    over = denied.named_classes | (denied.allergen_classes & {"penicillin"})
    drugs = frozenset().union(*(ALLERGEN_CLASSES[name].medication_classes for name in over))
    return Allergen(allergen.ingredients - denied.ingredients, allergen.classes - drugs, allergen.named_classes - over)


_RULED_OUT = re.compile(r"\s*(?:allergy )?(?:was )?(?:ruled[- ]out|de-?label|refuted|disproved)", re.IGNORECASE)


def _takes_back(text: str) -> bool:
    """Whether a text beside a code denies what it names, or says of no allergen that it was ruled out."""
    is_denied = _statement_of(text).denies and allergen_of_words(text) == Allergen()
    return _RULED_OUT.match(text) is not None or (
        is_denied and _allergen_named(_COMPOUND.sub(r" \1", text)) != Allergen()
    )


def unclear_allergen(words: str) -> Allergen:
    """Return what words name without saying clearly that the patient is allergic to it, or is not.

    >>> sorted(unclear_allergen("label says penicillin, patient unsure").allergen_classes)
    ['penicillin']
    >>> unclear_allergen("penicillin - rash") == Allergen()
    True
    """
    return _statement_of(words).unclear


def allergen_of_code(system: str | None, code: str | None) -> Allergen:
    """Return what a code stands for; an empty Allergen for food, pollen and what is not known."""
    imported = imported_meaning(system, code)
    if imported is not None and (meaning := _of_import(imported)) != Allergen():
        return meaning | _BY_SNOMED.get(code or "", Allergen()) if code_system(system) == "snomed" else meaning
    if code_system(system) == "snomed":
        return _BY_SNOMED.get(code or "", Allergen())
    product = medication_of_code(system, code)
    return Allergen(frozenset(product.ingredients)) if product is not None else Allergen()


# What a problem says that the patient is allergic to: "allergy to latex", "penicillin allergy (anaphylaxis)".
_ALLERGIC_TO = re.compile(
    r"\b(?:allerg(?:y|ic|ies)|adverse reaction|hypersensitiv\w+|anaphyla\w+|intolerance|alergia|alérgic[oa]|allergi[ae]"
    r"|allergi[cq]\w*|allergisch|allergi|uczul\w+)\W+(?:(?:reaction|status)\W+)?(?:to"
    r"|due to|caused by|[aà](?: la|ll'|ll[ae]|o?s?|l|ux?)?|às|auf|gegen|voor|mot|over for|na) ?(?P<to>[^,;.()]{3,60})"
    r"|(?P<of>[^,;.()]{3,60}?)[- ]?(?:allerg(?:y|ies)|hypersensitivity|allergie|allergi|adverse reaction)\b",
    re.IGNORECASE,
)
_ALLERGIC: Final = (
    "allerg", "alergi", "alérgi", "uczul", "hypersensitiv", "anaphyla", "intolerance", "adverse reaction",
)  # fmt: skip
"""What a text has that `_ALLERGIC_TO` finds: looking for it takes a hundredth of the time."""
_LONGEST_BEFORE: Final = 61
"""What `_ALLERGIC_TO` finds begins so many characters before the first of them at the earliest."""
# What a problem says that a drug has done: "DRESS due to phenytoin", "bleomycin lung toxicity".
# Not what it is taken in spite of, nor what comes of too much of it: constipation, a high sugar.
_HARM: Final = (
    r"(?:pancreatit|hepat|liver inj|drug-induced liver|transaminit|cholesta|pneumonitis|pulmonary (?:tox|fibros|inf)"
    r"|lung|lupus|vasculit|agranulo|neutropen|leu[ck]open|thrombocytop|pancytop|aplas|ha?emoly|angio-?o?ed|stevens|sjs"
    r"|ten\b|epidermal|dress|drug reaction|rash|exanthem|urticari|hives|anaphyl|myocardit|cardiomyo|myopath|myosit"
    r"|rhabdo|neuroleptic|nms|serotonin|nephritis|interstitial|ototox|hearing loss|retinopath|optic|tardive|torsade"
    r"|long qt|psychosis|mania|colitis|lactic acid|cough|hyponatr|siadh|necrosis|onj\b|encephalopath|mening|neuropath"
    r"|nephropath|thyroiditis|thyrotox|dystoni|akathisi|tendon|tendinit|(?:allergic|hypersensitivity)(?= reaction))"
)
_DRUG: Final = r"(?P<drug>[^,;.()]{3,60}"
_CAUSED: Final = (
    re.compile(
        rf"\b{_HARM}[^,;.()]{{0,40}} (?:(?:due|secondary|reaction|2/2) to|[2d]/[2t]|(?:caus|induc)ed by|from) {_DRUG})",
        re.IGNORECASE,
    ),
    re.compile(rf"\b{_DRUG}?)[- ](?:induced|associated|related|mediated) [^,;.()]{{0,20}}\b{_HARM}", re.IGNORECASE),
    re.compile(
        rf"\b{_DRUG}?) (?:(?:lung|pulmonary|cardio|oto|hepato) ?tox|pneumonitis|hypersens|angio-?o?ed|(?:dry )?cough$)",
        re.IGNORECASE,
    ),
    re.compile(r"\b(?P<drug>ace inhibitor|acei?|arb|statin|nsaid|metformin)[- ]intoleran", re.IGNORECASE),
)
_HARMFUL: Final = re.compile(
    r"(?:(?:hx|h/o|history|hist|prior|past|previous|s/p|severe|acute|recurrent)(?: of)? )?(?P<drug>[\w/'-]{2,30}) "
    rf"{_HARM}",
    re.IGNORECASE,
)
"""A drug with what it has done: "INH hepatitis", "h/o Tegretol SJS"."""
_NOT_CAUSED: Final = re.compile(
    r"\b(?:alcohol\w*|ethanol|heparin|contrast\w*|radio\w*|oxygen|deficien\w+|risk|screening|monitoring|prevention"
    r"|prophylaxis|family|mother|father|ms|no|not|without|vitamins?|b12|b6|b1|folate|thiamine?|iron|copper|zinc|glycine)\b",
    re.IGNORECASE,
)
_LINKS: Final = (
    " to ", "2/2", "d/t", " by ", " from ", "induced", "associated", "related", "mediated", "tox", "pneumonitis",
    "hypersens", "edema", "cough", "intoleran",
)  # fmt: skip


def allergen_of_harm(text: str) -> tuple[Allergen, str]:
    """Return what an entry of the problem list says has harmed the patient, with its words; an empty one for any other.

    >>> allergen_of_harm("Statin-induced myopathy")[1]
    'Statin'
    >>> allergen_of_harm("Opioid-induced constipation") == allergen_of_harm("Iron deficiency anemia")
    True
    """
    lower = text.lower()
    harmful = _HARMFUL.match(text)
    if harmful is not None or any(word in lower for word in _LINKS):
        for match in (*(pattern.search(text) for pattern in _CAUSED), harmful):
            if match is not None and not _NOT_CAUSED.search(match["drug"]):
                allergen = _allergen_named(match["drug"])
                if allergen != Allergen() or match is not harmful:
                    # Last, because reading the whole text costs most.
                    return (Allergen(), "") if _statement_of(text).denies else (allergen, match["drug"].strip())
    return Allergen(), ""


_ICD_ALLERGENS: Final = {
    "Z880": "penicillin", "Z882": "sulfonamide_antibiotic", "Z885": "opioid", "Z91010": "peanut", "Z91011": "milk",
    "Z91012": "egg", "Z91013": "shellfish", "Z91040": "latex", "Z91041": IODINATED,
}  # fmt: skip


def allergen_of_problem(text: str, codings: tuple[tuple[str | None, str | None], ...]) -> Allergen:
    """Return what an entry of the problem list says the patient is allergic to; an empty Allergen for any other entry.

    >>> sorted(allergen_of_problem("Penicillin allergy (anaphylaxis)", ()).allergen_classes)
    ['penicillin']
    >>> allergen_of_problem("Allergic rhinitis", ()) == allergen_of_problem("Penicillin allergy ruled out", ())
    True
    """
    meaning = Allergen()
    for system, code in codings:
        if code_system(system) == "snomed":
            meaning |= allergen_of_code(system, code)
        elif code and (name := _ICD_ALLERGENS.get(code.replace(".", "").removeprefix("D"))) and "icd" in (system or ""):
            meaning |= _allergen_of_class(name)
    text = _COMPOUND.sub(r" \1", text)
    lower = text.lower()
    stems = [found for stem in _ALLERGIC if (found := lower.find(stem)) >= 0] if meaning == Allergen() else []
    if not stems:
        return meaning
    match = _ALLERGIC_TO.search(text, max(0, min(stems) - _LONGEST_BEFORE - (len(lower) - len(text))))
    named = allergen_of_words(match["to"] or match["of"]) if match is not None else meaning
    if named == meaning:
        return meaning
    statement = _statement_of(text)  # last, because reading the whole text costs most
    return meaning if statement.denies or statement.unclear != meaning else named


def _allergen_of_class(name: str) -> Allergen:
    return Allergen(frozenset(), ALLERGEN_CLASSES[name].medication_classes, frozenset({name}))


def _of_import(meaning: Meaning) -> Allergen:
    ingredients = frozenset(INGREDIENTS[code] for code in (*meaning.allergies, *meaning.ingredients))
    return reduce(or_, map(_allergen_of_class, meaning.allergens), Allergen(ingredients))


def allergen_of_words(words: str) -> Allergen:
    """Return what the words name, several things where there are several; "no known allergies" names none.

    >>> sorted(allergen_of_words("Penicillins").classes)
    ['beta_lactam_penicillin_allergen']
    >>> sorted(allergen_of_words("sulfa, latex and codeine").allergen_classes)
    ['latex', 'opioid', 'sulfonamide_antibiotic']
    >>> sorted(allergen_of_words("vancomicin - red man").allergen_classes)
    ['glycopeptide']
    >>> sorted(allergen_of_words("iodine contrast").classes), sorted(allergen_of_words("povidone iodine").classes)
    (['iodinated_contrast'], [])
    """
    statement = _statement_of(words)
    return statement.present | statement.unclear


def _named_or_misspelt(words: str) -> Allergen:
    allergen = _allergen_named(words)
    if allergen == Allergen() and (imported := meaning_of_name(words)) is not None:
        return _of_import(imported)
    # Only here a drug's name is corrected, where nothing else is read: a wrong warning harms less than none.
    if allergen != Allergen() or len(words) > _LONGEST_MISSPELT or (corrected := _corrected(words)) == words:
        return allergen
    return _allergen_named(corrected)


def _corrected(words: str) -> str:
    return _WORD.sub(lambda match: _corrected_word(match[0]), without_accents(words))


def _corrected_word(word: str) -> str:
    """Return the word that is meant, of several the one whose classes the others have too: penicillin, penicilline."""
    near = {right: _allergen_named(right).allergen_classes for right in sorted(_spelling().near(word))}
    return next((right for right in near if all(near[right] <= classes for classes in near.values())), word)


# What stands on lists of allergies and is near to the name of a drug that it is not.
_NO_DRUGS = frozenset({"lanolin", "lactose", "fluoride"})


@cache
def _spelling() -> Spelling:
    """Return the names of drugs and the words of classes."""
    return Spelling({*names_of_one_word(), *(word for phrase in _CLASS_WORDS for word in phrase), *_NO_DRUGS})


def _allergen_named(words: str) -> Allergen:
    # In the name of an order INH is an inhaler, of what has harmed a patient it is isoniazid.
    ingredients = frozenset(read_name("isoniazid" if words.strip().upper() == "INH" else words).ingredients)
    # "Penicillin G" names one drug, "insulin lispro" too: the word of the class is a part of its name.
    parts = {word for ingredient in ingredients for word in _WORD.findall(ingredient.name)}
    phrases = [(phrase, name) for _, _, phrase in _class_spans(words) for name in _CLASS_WORDS[phrase]]
    stated = frozenset(name for phrase, name in phrases if not parts.issuperset(phrase))
    classes = frozenset[str]().union(
        *(ALLERGEN_CLASSES[name].medication_classes for name in stated - {IODINATED, GADOLINIUM})
    )
    if IODINATED in stated and {ingredient.name for ingredient in ingredients} == {"iodine"}:
        ingredients = frozenset()  # "iodine contrast" is the medium, not the antiseptic
    contrast = frozenset[str]() if ingredients else contrast_classes(words)
    return Allergen(ingredients, classes | contrast, stated | contrast)


def denies_allergies(words: str) -> bool:
    """Whether an entry says clearly that there is no allergy, or none to what it names.

    >>> denies_allergies("NKDA"), denies_allergies("no latex allergy"), denies_allergies("latex")
    (True, True, False)
    """
    statement = _statement_of(words)
    return _NONE_KNOWN.search(words) is not None or (statement.denies and statement.unclear == Allergen())


def _class_spans(words: str) -> list[tuple[int, int, tuple[str, ...]]]:
    """Find the words of classes in a text, with the first and last character: whole words, the longest first."""
    places = list(_WORD.finditer(without_accents(words)))
    spelled = tuple(_singular(match[0]) for match in places)
    spans, position = [], 0
    while position < len(spelled):
        for length in _LENGTHS.get(spelled[position], ()):
            phrase = spelled[position : position + length]
            if phrase in _CLASS_WORDS:
                first, position = position, position + len(phrase) - 1
                spans.append((places[first].start(), places[position].end(), phrase))
                break
        position += 1
    return spans


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _read_classes() -> Mapping[str, AllergenClass]:
    rows = table_rows("allergen_classes.csv")
    by_prefix: dict[str, list[str]] = {}
    for row in rows:
        for prefix in filter(None, row["atc"].split(";")):
            by_prefix.setdefault(prefix, []).append(row["allergen_class"])
    lengths = sorted(set(map(len, by_prefix)))
    members = {row["allergen_class"]: set(filter(None, row["members"].split(";"))) for row in rows}
    for ingredient in INGREDIENTS.values():
        for code in atc_codes(ingredient):
            for name in chain.from_iterable(by_prefix.get(code[:length], ()) for length in lengths):
                members[name].add(ingredient.rxcui)
    return {
        row["allergen_class"]: AllergenClass(
            row["name"],
            cast("SameClass", row["same_class"]),
            frozenset(members[row["allergen_class"]]),
            frozenset(filter(None, row["classes"].split(";"))),
            row["cross_reaction"],
            row["source"],
        )
        for row in rows
    }


ALLERGEN_CLASSES: Final[Mapping[str, AllergenClass]] = _read_classes()
"""The classes of allergy lists by their id."""


def _read_memberships() -> Mapping[str, frozenset[str]]:
    memberships: dict[str, frozenset[str]] = {}
    for name, allergen_class in ALLERGEN_CLASSES.items():
        for rxcui in allergen_class.members:
            memberships[rxcui] = shared(memberships.get(rxcui, frozenset()) | {name})
    return memberships


_CLASSES_OF_INGREDIENT: Final[Mapping[str, frozenset[str]]] = _read_memberships()


def _read_class_words() -> Mapping[tuple[str, ...], tuple[str, ...]]:
    names: dict[tuple[str, ...], tuple[str, ...]] = {}
    for row in table_rows("allergen_classes.csv"):
        for words in filter(None, row["words"].split(";")):
            phrase = tuple(map(_singular, words.split()))
            names[phrase] = tuple(dict.fromkeys((*names.get(phrase, ()), row["allergen_class"])))
        for words in filter(None, row["not_words"].split(";")):  # "milk of magnesia" is no milk
            names.setdefault(tuple(map(_singular, words.split())), ())  # "soy milk" is soy, and no milk
    return names


_CLASS_WORDS: Final[Mapping[tuple[str, ...], tuple[str, ...]]] = _read_class_words()


def _read_lengths() -> Mapping[str, tuple[int, ...]]:
    lengths: dict[str, set[int]] = {}
    for phrase in _CLASS_WORDS:
        lengths.setdefault(phrase[0], set()).add(len(phrase))
    return {word: tuple(sorted(numbers, reverse=True)) for word, numbers in lengths.items()}


_LENGTHS: Final[Mapping[str, tuple[int, ...]]] = _read_lengths()


def _read_snomed_codes() -> Mapping[str, Allergen]:
    snomed_codes: dict[str, Allergen] = {}

    def add(code: str, allergen: Allergen) -> None:
        allergen_before = snomed_codes.get(code)
        snomed_codes[code] = allergen if allergen_before is None else allergen_before | allergen

    for row in table_rows("allergens.csv"):
        if row["kind"] == "snomed" and row["meaning"] == "class":
            add(row["code"], Allergen(classes=frozenset({row["value"]})))
        elif row["kind"] == "snomed":
            add(row["code"], Allergen(frozenset({INGREDIENTS[row["value"]]})))
    for row in table_rows("snomed_drugs.csv"):
        drug = Allergen(frozenset({INGREDIENTS[row["rxcui"]]}))
        for code in filter(None, f"{row['substance']};{row['allergy']}".split(";")):
            add(code, drug)
    for row in table_rows("allergen_classes.csv"):
        for code in filter(None, row["snomed"].split(";")):
            add(code, _allergen_of_class(row["allergen_class"]))
    return snomed_codes


_BY_SNOMED: Final[Mapping[str, Allergen]] = _read_snomed_codes()
