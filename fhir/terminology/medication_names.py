"""Reads the name of a medication: ingredients, strengths and dose form; the longest matching name comes first.

Names come from tables/ingredients.csv, further_ingredients.csv, brand_names.csv and aliases.csv. A name is matched by
whole words, whatever stands between them, so that "Hydrocodone-Acetaminophen (5mg-500mg)" is two ingredients and
"dexlansoprazole" is not lansoprazole. What nothing matches is not recognized: it is never guessed from parts of words.
"""

import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from fhir.terminology.combination_products import assign_strengths, strengths_by_first, strengths_without_unit
from fhir.terminology.dosing import acts_on_whole_body
from fhir.terminology.imported import meaning_of_code
from fhir.terminology.medication_strength import FoundStrength, Strength, find_strengths, read_strengths
from fhir.terminology.medications import (
    INGREDIENT_BY_NAME,
    INGREDIENT_ROWS,
    Ingredient,
    Product,
    RxNormEntry,
    atc_codes,
    drug_system,
    product_of,
    rxnorm_entry,
    table_rows,
)

_WORD = re.compile(r"[a-z0-9]+")
# The longest name of a product in the sample charts has 163 characters; a longer text is no name and is not read.
LONGEST_NAME = 1000
# "allopurinol300mg": the strength is stuck to the name.
_GLUED = re.compile(r"([a-z]{5})(\d{1,5}(?:\.\d{1,3})?\s?(?:mg|mcg|g|ml|units?)\b)", re.IGNORECASE)
_SHORTEST_IN_TWO = 8
_SHORTEST_FOREIGN = 7
# Letters with accents as the bare letter, one for one so that places in the text stay: "acétylsalicylique" and "Ödem".
_BARE = {number: unicodedata.normalize("NFKD", chr(number))[0] for number in range(0xC0, 0x17F)}
_BARE |= {ord("ß"): "s", ord("ø"): "o", ord("œ"): "o", ord("æ"): "a", ord("ı"): "i"}
_VOLUME = re.compile(r"^\s*(?:nda\d+\s+)?(?P<volume>\d+(?:\.\d+)?|\.\d+)\s*ml\b", re.IGNORECASE)
# "8 mg in dextrose 5 % 250 mL", "40 mg/0.4 mL": the volume of what is hung or injected as one; a part of 1 mL is one.
_BAG = re.compile(r"\bin (?:[a-z0-9.% -]{0,60} )?(?P<volume>\d{1,2},?\d{3}|\d{1,3}) ?ml\b", re.IGNORECASE)
CARRIERS: Final = frozenset({"9863", "4850", "11295"})
"""Sodium chloride, glucose and water, as RxNorm numbers them."""
# "Newdrug 400 mg in sodium chloride 0.9 %": what stands before the fluid has an amount of its own.
_SOLVED = re.compile(
    r"\s{0,9}[a-z].{0,200}\d ?(?:m?c?g|meq|mmol|[mk]?\S{0,3}units?)\b.{0,200}(?:\bin|\+)\s{0,9}$", re.IGNORECASE
)
_FILLED = re.compile(r"(?:mg|mcg|units?|g|meq|mmol) ?/ ?(?P<volume>\d+(?:[.,]\d+)?|\.\d+) ?ml\b", re.IGNORECASE)
_CONTAINER = re.compile(
    r"\b(?:syringes?|vials?|ampules?|bags?|ivpb|iv|auto-?injector|nebules?|nebuli[sz]er|\w{0,8}spritzen?|seringues?"
    r"|jeringas?|siring[ae]|spuit)\b|(?:mg|ie|i\.e\.|ui|iu|units?) ?/ ?0?[.,]\d+ ?ml\b",
    re.IGNORECASE,
)
# "Fluticasone HFA 110 mcg", "azelastine 137 mcg nasal spray"; the capsule of an inhaler is counted, not its breaths.
_INHALER = re.compile(
    r"^(?![^\n]{0,200}\b(?:capsules?|caps?|nebul\w{0,9}|blisters?)\b)[^\n]{0,200}"
    r"\b(?:hfa|mdi|inhalers?|aerosol|respimat|redihaler|respiclick|nasal spray)\b",
    re.IGNORECASE,
)
# Things that carry a drug's name without being the drug (README of the tables: the usual false matches).
_SUPPLY = re.compile(
    r"\b(needles?|lancets?|swabs?|glucometers?|test strips?|insulin syringes?|alcohol prep|infusion sets?|omnipod"
    r"|pump (?:supplies|cartridges?|reservoirs?|tubing|batter(?:y|ies))|blood[- ](?:glucose|sugar)(?! (?:crash|low))"
    r"|(?:glucose|sugar) (?:meter|monitor|diagnostic))\b",
    re.IGNORECASE,
)
# Fluids, feeds and dialysates that carry no drug of the tables: what is in them is not ordered as a drug.
_FLUID = re.compile(
    r"^\s*(?:lactated ringer'?s?|lr|plasma-?lyte|normosol|prismasate|iv therapy|tpn|sterile water|sw|nepro|ensure)\b"
    r"|^\s*nut\.tx\.",
    re.IGNORECASE,
)
# Words about a drug that are no order of it: "no aspirin", "warfarin clinic visit", "vancomycin level".
_ABOUT_IT = re.compile(
    r"^\s*(?:no(?! doz)|not|avoid|never|without|declin\w+|refus\w+|allergic)\b|\ballerg(?:y|ic) to\b"
    r"|\bintoleran(?:t|ce)\b|\badverse (?:reaction|effect)"
    r"|\b(?!(?:preservatives?|pres|sugar|dye|alcohol|latex|gluten|lactose)-)\w+-free\s*$|\b(?:clinic|visit|appointment|education"
    r"|teaching|counsel\w*|consult\w*|follow[- ]?up|levels?|troughs?)\s*$",
    re.IGNORECASE,
)
_ALLERGY = re.compile(r"\ballerg(?:y|ies)\b", re.IGNORECASE)
# "Zyrtec Allergy" is a name: antihistamines and drugs for the nose and the eyes (ATC R06, R01, S01G).
_FOR_ALLERGY = ("R06", "R01", "S01G")
# RxNorm dose forms first, then the short ones of hospital systems.
_FORM = re.compile(
    r"\b((?:(?:abuse-deterrent|delayed release|extended release|sustained release|immediate release|12 hr|24 hr"
    r"|orally disintegrating|disintegrating|chewable|sublingual|buccal|vaginal|rectal|topical|ophthalmic|otic|nasal"
    r"|inhalation|metered dose|dry powder|mucosal|injectable|prefilled|transdermal|medicated|oral|drug|intrauterine"
    r"|effervescent|auto-)[ -]?){0,6}"
    r"(?:tablets?|capsules?|tabs?|caps?|solution|suspension|elixir|syrup|suppository|granules|powder|film|lozenge"
    r"|cream|ointment|gel|lotion|foam|spray|patch|system|implant|ring|inhaler|injection|injector|syringe|strip|pack"
    r"|packet|enema|liquid|shampoo|paste|drops|vial|bag|neb))\b"
    r"|\b(ophth|neb|nasal|odt|sl|xl|xr|sr|cr|er|ir|ec|dr|iv|ivpb|inj|infusion|inhaler|patch|mdi|viscous|augentropfen|collyre|collirio|colirio|oogdruppels)\b",
    re.IGNORECASE,
)
_LOCAL = re.compile(
    r"\b(creams?|ointments?|oint|(?<!glucose )gels?|lotions?|shampoo|foam|jelly|topical|ophth\w*|eye|otic|ear|nasal"
    r"|nostril|nebs?|nebuli\w*|inhal\w*|inh|hfa|mdi|dpi|diskus|\w{2,9}haler|respimat|ellipta|actuat\w*|enema|vaginal"
    r"|intrauterine|irrigation|intrathecal|epidural|intravitreal|intra-?articular|rinse|mouthwash|viscous|oral paste"
    r"|vernevel\w*|nébulis\w*|augentropfen|augensalbe|collyre|collirio|colirio|oogdruppels|nasenspray|ohrentropfen"
    r"|ögondroppar|øjendråber|øyedråper|silmätipat|do oczu|nässpray|næsespray|nesespray|neusspray|do nosa"
    r"|flush(?! free)|lock|dwell|catheter clearance|priming|iso-osmotic|dental|urojet|glydo)\b",
    re.IGNORECASE,
)
# Said of a brand that is only sold for local use today, these mean another form of it: "Voltaren 75 mg tablet".
_SWALLOWED = re.compile(
    r"\b(tab(?:let)?s?|cap(?:sule)?s?|oral(?! rinse| paste)|po|iv|im|injection)\b"
    r"|\b(?:tabletten?|kapseln?|dragees?|comprim[ée]s?|g[ée]lules?|comprimid[oi]s?|c[aá]psulas?|compress[ae])\b"
    r"|(?:(?<=voltaren )|(?<=voltar[eè]ne )|(?<=lamisil )|(?<=nizoral ))\d+ ?mg\b(?! ?/)"
    r"|(?:(?<=voltaren )|(?<=voltar[eè]ne ))(?:supp\w{0,11}|zäpfchen|retard)\b",
    re.IGNORECASE,
)
# A hormone that these name is put into the uterus and acts there, as the brands that are sold for it alone.
_INTRAUTERINE = re.compile(
    r"\b(?:intra-?ut[eé]rin\w*|(?:lng-?)?iu[ds]s?|iucds?|coils?|(?:hormon\w{0,3}-?)?spiral(?:en?)?|stérilets?|diu|siu"
    r"|mirena|kyleena|jaydess|liletta|levosert|benilexa|skyla|donasert)\b",
    re.IGNORECASE,
)
_LEVONORGESTREL = "6373"
_POWDER = re.compile(r"\bpowder\b", re.IGNORECASE)
_PATCH = re.compile(r"\b(patch|medicated patch)\b", re.IGNORECASE)
# Named without a form these are anesthetics or eye, nose and skin drugs in nearly every order.
_LOCAL_UNLESS_SAID = frozenset({"lidocaine"})
_INJECTED = re.compile(r"\b(inj|injections?|injectable|infusion|vial|iv)\b", re.IGNORECASE)
INTRAUTERINE: Final = "intrauterine system"
"""The form of a hormone coil, whichever words or brand name it."""
UNSAID_INSULIN: Final = "atc-A10A"
"""The key of an insulin of which nothing says which one it is."""
_UNSAID_POTASSIUM: Final = Ingredient("8588", "potassium")
# "Potassium 40 mEq", "Kalium-Brausetabletten": a dose of it whose salt is not said, and no result ("4.1 mmol/L").
_POTASSIUM = re.compile(
    r"\s*(?:potassium|kalium|potas+io)\b"
    r"(?:[- ]?brausetabletten|[^/]{0,40}?\d ?(?:meq|mmol)(?![ /]*(?:/|per|l\b)))",
    re.IGNORECASE,
)
_LOCAL_PATCH = frozenset({"lidocaine", "diclofenac", "capsaicin"})

Members: TypeAlias = tuple[Ingredient, ...]
# Names by their words, a name of one word by that word: 12,000 names take 1.7 MB less than in lists of tuples.
_Phrases: TypeAlias = "Mapping[str | tuple[str, ...], _Meaning]"


class NameReading(Struct, frozen=True, gc=False):
    """What a name says; `strengths` stand beside `ingredients`, None where none is stated or it is not clear whose."""

    ingredients: Members = ()
    strengths: tuple[Strength | None, ...] = ()
    dose_form: str = ""
    systemic: bool | None = None
    millilitres: float | None = None


class _Meaning(Struct, frozen=True, gc=False):
    """What a name means; `is_local` for a brand that is only sold as drops, cream or the like.

    `is_brand` for the brands of RxNorm and of other countries, of which another word makes another product.
    """

    members: Members
    is_local: bool = False
    is_brand: bool = False


class _Mention(Struct, frozen=True, gc=False):
    start: int
    end: int
    meaning: _Meaning

    @property
    def members(self) -> Members:
        return self.meaning.members


def read_name(words: str) -> NameReading:
    """Return the ingredients, strengths and form in a name; a reading without ingredients when it is not recognized.

    >>> [i.name for i in read_name("TraZODone 50 mg tab").ingredients]
    ['trazodone']
    >>> [i.name for i in read_name("Bisoprololfumarat 5 mg").ingredients]
    ['bisoprolol']
    >>> read_name("insulin needles (disposable)").ingredients
    ()
    """
    if len(words) > LONGEST_NAME or _SUPPLY.search(words):
        return NameReading()
    words = _GLUED.sub(r"\1 \2", words)
    # "Tylenol #3" is the third of a series, not Tylenol.
    mentions = _mentions(without_accents(words).replace("#", " no "))
    members = _distinct(mentions)
    if members and CARRIERS.issuperset(m.rxcui for m in members) and _SOLVED.match(words, 0, mentions[0].start):
        return NameReading()  # the drug is not known: its fluid is not what is ordered
    if not members:
        is_potassium = _POTASSIUM.match(words) is not None
        return NameReading((_UNSAID_POTASSIUM,), (None,), systemic=True) if is_potassium else NameReading()
    form = _FORM.search(words)
    is_intrauterine = _is_intrauterine(members, words)
    volume = _VOLUME.match(words) or _BAG.search(words) or (_CONTAINER.search(words) and _FILLED.search(words))
    strengths = _strengths(members, mentions, words)
    if _INHALER.search(words) is not None:
        strengths = tuple(map(_per_actuation, strengths))
    return NameReading(
        members,
        strengths,
        INTRAUTERINE if is_intrauterine else form.group(0) if form else "",
        not (is_intrauterine or is_local(members, words) or _is_local_brand(mentions, words)),
        # "1,000 mL" has a comma of thousands, "0,8 ml" one of decimals.
        float(volume["volume"].replace(",", "" if len(volume["volume"]) > 4 else ".")) if volume else None,
    )


def _per_actuation(strength: Strength | None) -> Strength | None:
    """Micrograms of an inhaler or a nasal spray are those of one actuation; grams are what the canister holds."""
    if strength is not None and strength.per == "unit" and strength.unit == "mg" and strength.amount < 1.0:
        return replace(strength, per="actuation")
    return strength


def read_order_name(words: str) -> NameReading:
    """Read the name of what is ordered: as `read_name`, but nothing where the words are only about a drug.

    >>> read_order_name("no aspirin").ingredients, read_order_name("aspirin allergy").ingredients
    ((), ())
    >>> [i.name for i in read_order_name("Zyrtec Allergy 10 mg").ingredients]
    ['cetirizine']
    """
    if len(words) > LONGEST_NAME or _ABOUT_IT.search(words):
        return NameReading()
    reading = read_name(words)
    if reading.ingredients and _ALLERGY.search(words) and not any(map(_is_for_allergy, reading.ingredients)):
        return NameReading()
    return reading


def _is_for_allergy(ingredient: Ingredient) -> bool:
    return any(code.startswith(_FOR_ALLERGY) for code in atc_codes(ingredient))


def no_drug_kind(words: str) -> Literal["supply", "fluid"] | None:
    """Say what a name that is no drug's is: a supply (needles, test strips) or a fluid, feed or dialysate without drug.

    >>> no_drug_kind("lancets"), no_drug_kind("Lactated Ringers"), no_drug_kind("metformin")
    ('supply', 'fluid', None)
    """
    if len(words) > LONGEST_NAME:
        return None
    if _SUPPLY.search(words):
        return "supply"
    return "fluid" if _FLUID.search(words) else None


def medication_of_code(system: str | None, code: str | None) -> Product | None:
    """Return what a code stands for, by the tables or else by its RxNorm name; None when neither knows it.

    >>> medication_of_code("http://www.nlm.nih.gov/research/umls/rxnorm", "1364447").name
    'apixaban 5 MG Oral Tablet [Eliquis]'
    """
    product = product_of(system, code)
    if product is not None or not code or drug_system(system) != "rxnorm":
        return product
    entry = rxnorm_entry(code.strip()) or _imported_entry(code.strip())
    if entry is None:
        return None
    reading = read_name(entry.name.rpartition(" [")[0] or entry.name)  # "[Sudafed OM]" has no pseudoephedrine
    if not entry.ingredients:
        return Product(reading.ingredients, reading.strengths, reading.dose_form, reading.systemic, entry.name)
    form = _FORM.search(entry.name)
    systemic = not is_local(entry.ingredients, entry.name)
    return Product(entry.ingredients, entry.strengths, form.group(0) if form else "", systemic, entry.name)


def _imported_entry(code: str) -> RxNormEntry | None:
    imported = meaning_of_code("rxnorm", code)
    return RxNormEntry(imported.name) if imported is not None and imported.name else None


def _distinct(mentions: list[_Mention]) -> Members:
    members = tuple(dict.fromkeys(member for mention in mentions for member in mention.members))
    # "Lantus Solostar U-100 Insulin" is one insulin: the bare word says no more than the name before it.
    if len(members) > 1 and any(member.name.startswith("insulin") for member in members):
        stated = tuple(member for member in members if member.rxcui != UNSAID_INSULIN)
        return stated if any(member.name.startswith("insulin") for member in stated) else members
    return members


def _spelled(text: str) -> tuple[str, ...]:
    """Return the words of a name in lower case, without accents."""
    return tuple(map(sys.intern, _WORD.findall(without_accents(text))))


def without_accents(text: str) -> str:
    """Return the text in lower case without accents."""
    lowered = text.replace("İ", "i").lower()  # in small letters the Turkish İ has two characters
    return lowered if lowered.isascii() else lowered.translate(_BARE)


def names_in_text(text: str) -> list[tuple[int, int, Members]]:
    """Where a text of any length names medications: start, end and ingredients of each name, from left to right."""
    lowered = without_accents(text)
    if len(lowered) != len(text):  # a letter whose lower case is longer
        lowered = "".join(sign.lower() if len(sign.lower()) == 1 else sign for sign in text)
    return [(mention.start, mention.end, mention.members) for mention in _mentions(lowered)]


def _mentions(words: str) -> list[_Mention]:
    words_with_places = [(match.group(), match.start(), match.end()) for match in _WORD.finditer(words)]
    spelled = tuple(word for word, _, _ in words_with_places)
    mentions, position = [], 0
    while position < len(words_with_places):
        for length in (*_LENGTHS.get(spelled[position], ()), 1):
            phrase = spelled[position : position + length]
            meaning = _PHRASES.get(phrase) if length > 1 else _PHRASES.get(phrase[0]) or _in_another_language(phrase[0])
            if meaning is not None:
                last = position + len(phrase) - 1
                if not (meaning.is_brand and _is_another_brand(spelled, position, last)):
                    mentions.append(_Mention(words_with_places[position][1], words_with_places[last][2], meaning))
                position = last
                break
        else:
            in_two = _in_two_words(spelled[position : position + 2])
            if in_two is not None:
                position += 1
                mentions.append(_Mention(words_with_places[position - 1][1], words_with_places[position][2], in_two))
        position += 1
    return [mention for mention in mentions if mention.members]


# "Micardis Plus", "Co-Diovan": another product than the brand without it, with one more ingredient.
_WITH_MORE = frozenset(
    {"plus", "comp", "compositum", "composto", "compuesto", "compose", "composito", "duo", "combi", "komb"}
)


def _is_another_brand(spelled: tuple[str, ...], first: int, last: int) -> bool:
    """Whether words beside a brand make another product of it that the tables do not have."""
    after = spelled[last + 1 : last + 3]
    ends = len(after) == 1 or (len(after) == 2 and after[1][0].isdigit())
    return (ends and after[0] in _WITH_MORE) or (first > 0 and spelled[first - 1] == "co")


# German "Nitrendipin", Latin "furosemidum", Spanish "furosemida", Italian "omeprazolo", French "simvastatine"; and what
# products with two drugs and clinicians cut off: "Candesartan-Amlodip", "Ezetimib Atorvast", "clarithro", "levoflox".
# German forms that are swallowed are one word with the name, "Ibuprofensaft"; those for the skin are not taken off.
_ENDINGS: Final[Sequence[tuple[str, str]]] = (
    *(("", "e"), ("um", "e"), ("um", ""), ("a", "e"), ("a", ""), ("o", "e"), ("o", ""), ("e", "")),
    *(("ip", "ipine"), ("vast", "vastatin"), ("praz", "prazole"), ("thro", "thromycin")),
    *(("flox", "floxacin"), ("clox", "cloxacillin")),
    *((form, "") for form in ("tabletten", "kapseln", "dragees", "saft", "tropfen", "zapfchen")),
)


# German, Dutch and Scandinavian names have the salt stuck to them: "Bisoprololfumarat", "metoprololtartraat".
_SALTS: Final = tuple(
    salt + end
    for salts, ends in (
        ("fumar oxal tartr male succin suksin sulf sulph phosph fosf citr acet carbon karbon besil", ("at", "aat")),
        ("besyl mesil mesyl tosil nitr hycl valer propion furo decano enant pamo embon palmit glucon", ("at", "aat")),
        ("lysin xinafo lact malo hydrochlor hydroklor hydrobrom", ("at", "id", "ide")),
        ("chlor klor brom jod iod natrium kalium calcium magnesium axetil proxetil medoxomil", ("", "id", "ide")),
    )
    for salt in salts.split()
    for end in ends
)
_ALL_ENDINGS: Final = (*(ending for ending, _ in _ENDINGS), *_SALTS)
_BEFORE_SALT: Final = ("dihydro", "dihydrogen", "monohydro", "hydrogen", "hemi", "bi", "di")


def _without_salt(word: str) -> str | None:
    """Return the name to which a salt is stuck; None where there is none."""
    if not word.endswith(_SALTS):
        return None
    salt = max((salt for salt in _SALTS if word.endswith(salt)), key=len)
    name = word.removesuffix(salt)
    return next((name.removesuffix(part) for part in _BEFORE_SALT if name.endswith(part)), name)


def _in_another_language(word: str) -> _Meaning | None:
    """Return what an ingredient's name with the ending or the salt of another language means; None for other words."""
    if len(word) < _SHORTEST_FOREIGN or not word.endswith(_ALL_ENDINGS) or not word.isalpha():
        return None
    for ending, english in _ENDINGS:
        if word.endswith(ending):
            meaning = _PHRASES.get(word[: len(word) - len(ending)] + english)
            if meaning is not None and not meaning.is_brand:
                return meaning
    name = _without_salt(word)
    meaning = (_PHRASES.get(name) or _in_another_language(name)) if name else None
    return meaning if meaning is not None and not meaning.is_brand else None


def is_name_of_drug(word: str) -> bool:
    """Whether a word in lower case is by itself the name of a drug."""
    meaning = _PHRASES.get(word) or _in_another_language(word)
    return meaning is not None and bool(meaning.members)


def _in_two_words(pair: tuple[str, ...]) -> _Meaning | None:
    """Return what a name means that is written in two words: "atorva statin", "methyl prednisolone"; else None."""
    if len(pair) < 2 or not all(map(str.isalpha, pair)):
        return None
    name = "".join(pair)
    if len(name) < _SHORTEST_IN_TWO:
        return None
    return _PHRASES.get(name)


def _read_phrases() -> _Phrases:
    by_name = INGREDIENT_BY_NAME
    phrases: dict[str | tuple[str, ...], _Meaning] = {}
    shared: dict[_Meaning, _Meaning] = {}

    def add(text: str, meaning: _Meaning) -> None:
        words = _spelled(text)
        phrases[words if len(words) > 1 else words[0]] = shared.setdefault(meaning, meaning)

    for name, ingredient in by_name.items():
        # Excipients and ions are known by their codes alone: "starch" and "copper" are no names of what is ordered.
        if INGREDIENT_ROWS[ingredient.rxcui].is_word:
            add(name, _Meaning((ingredient,)))
    # What aliases.csv says of a name goes before the brands of RxNorm.
    for table in ("brand_names.csv", "aliases.csv"):
        for row in table_rows(table):
            # Ingredient names may hold commas but no semicolons; an alias that means nothing is read over.
            members = tuple(by_name[name] for name in row["ingredients"].split(";") if name)
            is_brand = "brand" in row["source"] or row["source"].startswith("RxNorm")
            add(row["text"], _Meaning(members, row["local"] == "yes", is_brand))
    return phrases


_PHRASES: Final[_Phrases] = _read_phrases()


def names_of_one_word() -> list[str]:
    """Return the names of drugs that are one word, in lower case, without the many brands of Italy and the Netherlands.

    They are what a misspelt word is corrected to, and an English word can be near to a foreign brand ("converten").
    """
    foreign = {row["text"] for row in table_rows("brand_names.csv") if row["source"].startswith(("IT ", "NL "))}
    return [
        name for name, meaning in _PHRASES.items() if isinstance(name, str) and meaning.members and name not in foreign
    ]


def _read_lengths() -> Mapping[str, tuple[int, ...]]:
    lengths: dict[str, set[int]] = {}
    for phrase in _PHRASES:
        if isinstance(phrase, tuple):
            lengths.setdefault(phrase[0], set()).add(len(phrase))
    shared: dict[tuple[int, ...], tuple[int, ...]] = {}
    descending = {word: tuple(sorted(numbers, reverse=True)) for word, numbers in lengths.items()}
    return {word: shared.setdefault(numbers, numbers) for word, numbers in descending.items()}


_LENGTHS: Final[Mapping[str, tuple[int, ...]]] = _read_lengths()
"""How many words the names of several words have, by their first word, the longest first."""


def _is_local_brand(mentions: list[_Mention], words: str) -> bool:
    return any(mention.meaning.is_local for mention in mentions) and _SWALLOWED.search(words) is None


def _is_intrauterine(members: Members, words: str) -> bool:
    """Whether it is a hormone coil: levonorgestrel alone, which the words or the brand put into the uterus."""
    is_hormone = [member.rxcui for member in members] == [_LEVONORGESTREL]
    return is_hormone and _INTRAUTERINE.search(words) is not None and _SWALLOWED.search(words) is None


def _strengths(members: Members, mentions: list[_Mention], words: str) -> tuple[Strength | None, ...]:
    strengths = list(find_strengths(words))
    between = [_between(index, mentions, strengths) for index in range(len(mentions))]
    if len(members) == 1:
        whole = _sum(between) if "/" in words[mentions[0].end : mentions[-1].start] else None
        return _named_strengths(members, words) or (whole or _nearest(mentions[0], strengths),)
    if len(mentions) == len(members) and all(between):
        return tuple(between)
    stated = [strength.strength for strength in strengths]
    if len(stated) != len(members):
        # "Percocet 5-325 mg (oxycodone 5 mg/acetaminophen 325 mg)" says the same twice.
        stated = list(dict.fromkeys(stated))
    of_name = dict(
        zip(sorted(member.rxcui for member in members), _named_strengths(members, words) or (), strict=False)
    )
    named = tuple(of_name.get(member.rxcui) for member in members)
    if stated and sorted(map(str, stated)) == sorted(map(str, named)):
        return named  # "Truvada 200 mg-300 mg": the strengths of the brand
    if len(stated) == len(members):
        return assign_strengths(members, stated, in_order=len(mentions) == len(members))
    drugs = tuple(member for member in members if member.rxcui not in _BESIDE)
    if 0 < len(drugs) < len(members):
        # "Loestrin Fe 1-20": iron is in the tablets of the fourth week only. "100 units in NS 100 mL" are of the drug.
        has_carrier = any(member.rxcui in CARRIERS for member in members)
        stated = [strength for strength in stated if strength.unit != "%" or not has_carrier]
        written = stated if len(stated) == len(drugs) else strengths_without_unit(drugs, words) or ()
        if written:
            of_drugs = assign_strengths(drugs, written, in_order=False) if len(drugs) > 1 else written
            by_drug: dict[Ingredient, Strength | None] = dict(zip(drugs, of_drugs, strict=True))
            return tuple(by_drug.get(member) for member in members)
    by_first = strengths_by_first(members, stated[0]) if len(stated) == 1 else None
    if by_first is not None:
        return by_first
    unitless = strengths_without_unit(members, words)
    if unitless is not None:
        return assign_strengths(members, unitless)
    return (None,) * len(members) if stated else named


_BESIDE = frozenset({"24941", "24947", "9863", "4850", "3992"})
"""Ferrous fumarate and sulfate, with tablets of their own beside hormones; sodium chloride, glucose; epinephrine."""


def _read_named_strengths() -> Mapping[tuple[str, ...], tuple[tuple[tuple[str, ...], tuple[Strength, ...]], ...]]:
    named_strengths: dict[tuple[str, ...], tuple[tuple[tuple[str, ...], tuple[Strength, ...]], ...]] = {}
    for row in table_rows("named_strengths.csv"):
        codes = tuple(row["ingredients"].split(";"))
        strengths = tuple(read_strengths(text)[0] for text in row["strengths"].split(";"))
        named_strengths[codes] = (*named_strengths.get(codes, ()), (_spelled(row["text"]), strengths))
    return named_strengths


_NAMED_STRENGTHS: Final = _read_named_strengths()
"""Strengths that a name says without a number: "Bactrim DS", "Tylenol #3", and brands that are sold in one strength."""


def _named_strengths(members: Members, words: str) -> tuple[Strength, ...] | None:
    """Return the strengths that are said by a name, in the order of the RxNorm codes."""
    rows = _NAMED_STRENGTHS.get(tuple(sorted(member.rxcui for member in members)), ())
    spelled = _spelled(words.replace("#", " no ")) if rows else ()
    for name, strengths in rows:
        if any(spelled[start : start + len(name)] == name for start in range(len(spelled))):
            return strengths
    return None


def _sum(parts: list[Strength | None]) -> Strength | None:
    """Return the strength of "macrocrystals 25 MG / monohydrate 75 MG": two parts of one ingredient."""
    stated = [part for part in parts if part is not None]
    if len(stated) != len(parts) or len({(part.unit, part.per) for part in stated}) != 1:
        return None
    return replace(stated[0], amount=sum(part.amount for part in stated))


def _nearest(mention: _Mention, strengths: list[FoundStrength]) -> Strength | None:
    after = [strength for strength in strengths if strength.start >= mention.end]
    # "1.62 % gel 20.25 mg/actuation" says how much one of it is.
    after = [strength for strength in after if strength.strength.per == "actuation"] or after
    if after:
        # "20-12.5 mg" after one known name: a combination whose other half we do not know.
        return after[0].strength if not after[0].is_listed else None
    before = {strength.strength for strength in strengths if not strength.is_listed}
    return before.pop() if len(before) == 1 else None


def _between(index: int, mentions: list[_Mention], strengths: list[FoundStrength]) -> Strength | None:
    start = mentions[index].end
    end = mentions[index + 1].start if index + 1 < len(mentions) else float("inf")
    inside = [strength.strength for strength in strengths if start <= strength.start < end]
    return inside[0] if len(inside) == 1 else None


def is_local(members: Members, words: str) -> bool:
    """Whether a product of these ingredients with these words acts where it is put, not on the whole body."""
    names = {member.name for member in members}
    if names & _LOCAL_UNLESS_SAID and _INJECTED.search(words) is None:
        return True
    if _PATCH.search(words):
        return bool(names & _LOCAL_PATCH)
    matched_words = {match.lower() for match in _LOCAL.findall(words)}
    if not matched_words:
        return bool(_POWDER.search(words)) and bool(names & {"miconazole", "nystatin", "clotrimazole"})
    return any(not acts_on_whole_body(names, word) for word in matched_words)
