"""What a charted concept means: the groups of its codes, and what its words add, deny, suspect or say of the past.

A coded concept means the groups of its codes, and those of its words that are narrower ("HFrEF" beside a code of heart
failure). Other words are read where no code of the concept is understood: a proprietary code with a text, SNOMED CT
that is in no table, a text alone; and where the code says that there is a heart valve prosthesis without its kind.
What the text denies, suspects, plans or says of somebody else means no group. What it says
of the past means the groups for which the past counts.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from msgspec import Struct

from fhir.record.datatypes import CodeableConcept, Coding
from fhir.terminology.allergens import Allergen, allergen_of_problem
from fhir.terminology.assertions import AssertedText, is_of_patient
from fhir.terminology.caching import remembered
from fhir.terminology.condition_words import code_of_words
from fhir.terminology.conditions import (
    CONDITION_GROUPS,
    code_system,
    condition_groups_of,
    is_known_condition,
    is_not_read,
    with_implied,
)
from fhir.terminology.imported import meaning_of_name
from fhir.terminology.medications import table_rows
from fhir.terminology.phrases import Mention, groups_in_words

_KIND_NOT_STATED = "heart_valve_prosthesis_kind_not_stated"
OF_FAMILY = {"colorectal_cancer": "family_history_colorectal", "mtc_men2": "family_history_mtc"}
"""Groups that say what a relative has had; without them the words of a relative mean nothing for the patient."""
_VALVES = frozenset({"mechanical_valve", "bioprosthetic_heart_valve"})


class MeantGroup(Struct, frozen=True, gc=False):
    """A group that a concept means, with the code that says so (empty: its words do)."""

    group: str
    code: str


class ConceptReading(Struct, frozen=True, gc=False):
    """What was read of a concept: its groups, what its words say of them, and whether it was understood at all."""

    meant: tuple[MeantGroup, ...]
    mentions: tuple[Mention, ...] = ()
    is_understood: bool = False
    coded: tuple[str, ...] = ()
    """The groups of its codes, also those that its words take back."""


NOTHING = ConceptReading(())


def read_concept(concept: CodeableConcept | None) -> ConceptReading:
    """Return the groups that a concept means; an ICD code is understood, also where it means none of them."""
    return NOTHING if concept is None else _reading(concept)


@remembered("readings of concepts", entries=4096, longest=600)
def _reading(concept: CodeableConcept) -> ConceptReading:
    if is_not_read(concept.words, [(coding.system, coding.code) for coding in concept.coding]):
        return ConceptReading((), (), True)
    meant: dict[str, MeantGroup] = {}
    is_whole = is_known = False
    for coding in concept.coding:
        for group in condition_groups_of(coding.system, coding.code):
            meant.setdefault(group, MeantGroup(group, coding.code))
        is_own = not _is_of_words(concept, coding)
        is_whole = is_whole or (is_own and _says_all(coding))
        is_known = is_known or is_known_condition(coding.system, coding.code)
    if (meant or is_whole) and _KIND_NOT_STATED not in meant and not _is_only_of_words(concept):
        kept = tuple([group for group in _not_taken_back(concept, meant) if not _is_past(group, concept)])
        return ConceptReading((*kept, *_refined(concept, kept)), (), True, tuple(meant))
    coded = tuple(meant)
    mentions = _mentions(concept)
    is_coded_valve = _KIND_NOT_STATED in meant
    is_history = any(_tells_of_the_past(coding) for coding in concept.coding)
    for mention in mentions:
        counts = _counts_as_group(mention, concept, is_history=is_history)
        if counts and (not is_coded_valve or mention.group in _VALVES):
            meant.setdefault(mention.group, MeantGroup(mention.group, ""))
        assertion = mention.assertion
        if mention.group in OF_FAMILY and assertion.person == "family" and assertion.polarity == "affirmed":
            meant.setdefault(OF_FAMILY[mention.group], MeantGroup(OF_FAMILY[mention.group], ""))
    if _VALVES & meant.keys():
        meant.pop(_KIND_NOT_STATED, None)
    is_clear = any(mention.assertion.polarity != "unclear" for mention in mentions)
    if not meant and not is_clear:
        meant |= _of_imported_name(concept)
    is_known = is_known or _states_allergy(concept)
    return ConceptReading(tuple(meant.values()), mentions, bool(meant or is_clear or is_known), coded)


# ICD-10-CM titles that say something else than what the words refine: diastolic heart failure, open-angle glaucoma,
# paroxysmal and persistent atrial fibrillation, mild and moderate asthma, type 1 diabetes.
_SPEAKS_AGAINST = {
    "hfref": ("I503",),
    "narrow_angle_glaucoma": ("H401",),
    "afib_permanent": ("I480", "I481"),
    "asthma_severe": ("J452", "J453", "J454"),
}
# Groups of which one excludes the others: types, stages and degrees.
_EXCLUSIVE = (
    ({"dm1", "diabetes_type1"}, {"dm2"}),
    ({"ckd3", "ckd_stage3"}, {"ckd4", "ckd_stage4"}, {"ckd5_or_dialysis", "ckd_stage5_esrd", "dialysis"}),
    ({"av_block_1"}, {"av_block_2"}, {"av_block_3"}),
    ({"hepatitis_b"}, {"hepatitis_c"}),
    ({"stroke_ischaemic"}, {"intracranial_hemorrhage", "intracranial_bleeding"}),
)
# Counted as ischemic, because most strokes are; the title says neither.
_EITHER_STROKE = frozenset({"230690007", "I64"})


# What titles of classifications say of what is in them, which is not said of the patient.
_IS_TITLE = re.compile(
    r"\bunspecified\b|\bnot (?:otherwise |elsewhere )?(?:specified|classified)\b|\bstage 1 through\b"
    r"|\bdue to underlying condition\b",
    re.IGNORECASE,
)


def _refined(concept: CodeableConcept, coded: Iterable[MeantGroup]) -> Iterator[MeantGroup]:
    """Yield the groups of the words that are narrower than a group of the code: "HFrEF" beside heart failure."""
    by_group = {meant.group: meant.code for meant in coded}
    if not by_group:
        return
    is_history = any(_tells_of_the_past(coding) for coding in concept.coding)
    texts = [text for text in concept.texts if not _IS_TITLE.search(text)]
    for mention in (mention for text in texts for mention in groups_in_words(text)):
        group = mention.group
        wider = by_group.keys() & {*with_implied((group,)), *CONDITION_GROUPS[group].beside}
        if group in by_group or not wider or _speaks_against(group, by_group):
            continue
        if _counts_as_group(mention, concept, is_history=is_history):
            by_group[group] = ""
            yield MeantGroup(group, "")


def _speaks_against(group: str, coded: Mapping[str, str]) -> bool:
    codes = [code.replace(".", "").upper() for code in coded.values() if code]
    if any(code.startswith(_SPEAKS_AGAINST.get(group, ())) for code in codes):
        return True
    families = (kinds for kinds in _EXCLUSIVE if any(group in kind for kind in kinds))
    firm = {meant for meant, code in coded.items() if code not in _EITHER_STROKE}
    return any(group not in kind and not kind.isdisjoint(firm) for kinds in families for kind in kinds)


def _of_imported_name(concept: CodeableConcept) -> dict[str, MeantGroup]:
    """Return the groups that the whole text means in the names of the imported releases."""
    imported = meaning_of_name(concept.words)
    return {group: MeantGroup(group, "") for group in with_implied(imported.groups)} if imported is not None else {}


def _states_allergy(concept: CodeableConcept) -> bool:
    """Whether it is read as an allergy (allergies.py)."""
    codings = tuple([(coding.system, coding.code) for coding in concept.coding])
    return allergen_of_problem(concept.words, codings) != Allergen()


# ICD-10: births, what a newborn has, injuries and poisonings, and visits after or because of something that the title
# names and the patient does not have. Beside all other codes of no group the words count ("Schwangerschaft" with Z33).
_CODES_THAT_SAY_ALL = (*"OPSTVWXY", "Z02", "Z08", "Z09", "Z37", "Z40", "Z45", "Z53", "Z91A")


def _says_all(coding: Coding) -> bool:
    """Whether the words beside a code that means no group say nothing that the code does not say."""
    system = code_system(coding.system)
    return system == "icd9" or (system == "icd10" and coding.code.strip().upper().startswith(_CODES_THAT_SAY_ALL))


# ICD-10: titles that name a fear, a fetus, a newborn, a risk or a relative and deny nothing.
_NEVER_TAKEN_BACK_BUT_PREGNANCY = ("F40", "P07", "P57", "P58", "P59", "R761", "Z15", "Z8")
_NEVER_TAKEN_BACK = ("O", *_NEVER_TAKEN_BACK_BUT_PREGNANCY)
_NOT_PREGNANT = re.compile(
    r"\b(?:(?:not|nicht|pas|niet|non|não|ikke|ej|inte) (?:pregnant|schwanger|enceinte|zwanger|incinta|grávida|gravid)"
    r"|no pregnancy|no embarazada)\b",
    re.IGNORECASE,
)


def _not_taken_back(concept: CodeableConcept, meant: Mapping[str, MeantGroup]) -> tuple[MeantGroup, ...]:
    """Return the codes' groups, none where the words take them back: "PE ruled out", "? MI", "Family history of MI"."""
    if not _says_otherwise(concept, meant):
        return tuple(meant.values())
    never = _NEVER_TAKEN_BACK if not _NOT_PREGNANT.search(concept.text) else _NEVER_TAKEN_BACK_BUT_PREGNANCY
    return tuple(coded for coded in meant.values() if coded.code.replace(".", "").startswith(never))


def words_take_back(concept: CodeableConcept, code: str) -> bool:
    """Whether the words beside a code deny or doubt it or say it of somebody else: "PE ruled out" with I26.99."""
    if code.replace(".", "").upper().startswith(_NEVER_TAKEN_BACK):
        return False
    return _says_otherwise(concept, read_concept(concept).coded)


def _says_otherwise(concept: CodeableConcept, coded: Collection[str]) -> bool:
    return any(_is_taken_back(text, coded) for text in concept.texts)


_NEVER_DENIED = frozenset(key for key in CONDITION_GROUPS if "absent" in key) | {
    "asplenia",
    "single_kidney",
    "advance_care_planning",
}
"""Groups that say what is not there, and plans: "no gallbladder" and "consult: advance care planning" deny nothing."""


_OF_TITLE = re.compile(
    r",? without\b.*?(?= with\b|[,;.]|$)|\b(?:of|in) newborn(?=,|$)|\badequacy testing for\b", re.IGNORECASE
)
"""What an ICD title denies has a code of its own ("Calculus of gallbladder without cholecystitis"), and the newborn of
a title is the patient."""


def _is_taken_back(text: str, coded: Collection[str]) -> bool:
    """Whether a text denies or doubts what is coded or says it of somebody else; it need not name it.

    A code says by itself that the patient has it: words that are not clear do not take it back.
    """
    if not _NEVER_DENIED.isdisjoint(coded):
        return False
    read = (groups_in_words(words) for words in (_OF_TITLE.sub("", text), text))
    mentions = next(filter(None, ([mention for mention in named if mention.group in coded] for named in read)), [])
    assertions = [mention.assertion for mention in mentions]
    if any(map(_is_stated_plan, mentions)) or any(
        assertion.is_of_patient or assertion.polarity == "unclear" for assertion in assertions
    ):
        return False
    return bool(assertions) or AssertedText(text).is_all_denied(as_plan=not _PLANS.isdisjoint(coded))


def _is_of_words(concept: CodeableConcept, coding: Coding) -> bool:
    """Whether a code was added because the words name it (fhir/record/facts.py)."""
    return coding.display == concept.words and coding.code == code_of_words(concept.words)


def _is_only_of_words(concept: CodeableConcept) -> bool:
    coded = [coding for coding in concept.coding if condition_groups_of(coding.system, coding.code)]
    return bool(coded) and all(_is_of_words(concept, coding) for coding in coded)


def _mentions(concept: CodeableConcept) -> tuple[Mention, ...]:
    """Return what the text says, else what the displays say, of which the first that names a group is read."""
    return next(filter(None, map(groups_in_words, concept.texts)), ())


def _tells_of_the_past(coding: Coding) -> bool:
    """Whether an ICD-10 code is a history of the patient or of the family (Z80 to Z87)."""
    return code_system(coding.system) == "icd10" and coding.code.strip().upper().startswith("Z8")


# General knowledge: what says that a lasting disease is over. "Past medical history", a former smoker and what has been
# there "since childhood" say nothing of the kind.
_ENDED = re.compile(
    r"\b(?:r[eé]sol\w+|remission\w*|recover\w+|cured|outgr[eo]w\w*|gr(?:ew|own) out|ended|formerly"
    r"|no recurren\w+|in the (?:distant |remote )?past"
    r"|(?<!since )(?<!from )(?:child(?:hood|ren)?|kid|infan(?:t|cy))(?![- ]?(?:onset|pugh))"
    r"|(?<!seit der )(?<!seit )(?:kindheit|jugend)|als kind|som barn|de niñ[oa]"
    r"|da bambin[oa]|étant enfant|kindes\w+|nicht mehr|früher|ausgeheilt|(?<!depuis l.)enfance"
    r"|guéri\w*|ancienne?(?! fum)|(?<!desde la )(?<!dall.)(?<!desde a )inf[aâ]n\w+|antigu?[oa]|curad\w+|resuelt\w+"
    r"|risolt\w+|guarit\w+|genezen|vroeger|(?<!sinds )kindertijd|(?<!sedan )(?<!siden )barndom\w*|tidigare"
    r"|tidligere)\b",
    re.IGNORECASE,
)
# What may stand before such a word in a clause of its own: "asthma, now resolved", "asthma, as a child".
_BEGINS = re.compile(
    r"\W*(?:(?:now|since|fully|completely|has|was|is|been|as|an?|in|of|during|only|mild|als|im?|nur|der|seit|dans|en|l"
    r"|de|la|nell|da|na|som)\W+)*",
    re.IGNORECASE,
)
_SAYS_WHEN = re.compile(r"\W*(?:\d|$|(?:in|at|after|since|with|by|on|only|completely|spontaneously)\b)", re.IGNORECASE)
_CLAUSE_ENDS = re.compile(r"[,;\n]|\.\s|\bbut\b", re.IGNORECASE)


_PLANS = frozenset({"operation_planned", "cataract_operation_planned"})
"""Groups that are a plan: "scheduled for surgery" is no doubt about them."""


def _is_stated_plan(mention: Mention) -> bool:
    assertion = mention.assertion
    is_plan = mention.group in _PLANS and assertion.polarity in ("hypothetical", "possible")
    return is_plan and assertion.person == "patient"


def _counts_as_group(mention: Mention, concept: CodeableConcept, *, is_history: bool) -> bool:
    group = CONDITION_GROUPS[mention.group]
    if not (mention.assertion.is_of_patient or _is_stated_plan(mention)):
        return False
    if _is_ended(MeantGroup(mention.group, ""), concept):
        return False
    if not (is_history or mention.assertion.temporality == "historical") or group.history:
        return True
    is_over = group.is_lasting and (is_history or any(_is_over(mention.group, text) for text in concept.texts))
    return group.history_in_words and not is_over


def _is_over(group: str, text: str) -> bool:
    """Whether a text says that a disease is over, in each clause that names it or at the beginning of the one behind.

    "H/o heart failure, pneumonia resolved" says nothing of the kind of heart failure.
    """
    if not _ENDED.search(text):
        return False
    clauses = _CLAUSE_ENDS.split(text)
    naming = [n for n, clause in enumerate(clauses) if any(group == it.group for it in groups_in_words(clause))]
    behind = [_BEGINS.sub("", clause, count=1) for clause in (*clauses[1:], "")]
    return all(
        _ENDED.search(clauses[n]) or ((over := _ENDED.match(behind[n])) and _SAYS_WHEN.match(behind[n], over.end()))
        for n in naming
    )


class _Ending(Struct, frozen=True, gc=False):
    """An operation that ends a disease, and the words beside which it has not."""

    operation: re.Pattern[str]
    unless: re.Pattern[str]
    other_codes: tuple[str, ...]
    """How codes begin that name another disease of the group: atrial fibrillation, where flutter was ablated."""


def _read_endings() -> dict[str, _Ending]:
    endings: dict[str, _Ending] = {}
    for row in table_rows("ended_by_operations.csv"):
        unless = f"|{row['unless']}" if row["unless"] else ""
        ending = _Ending(
            re.compile(rf"\b(?:{row['operation']})\w*", re.IGNORECASE),
            re.compile(rf"\b(?:(?:{_NOT_ENDED})\w*|(?:{_NOT_ENDED_WORDS}{unless})\b)", re.IGNORECASE),
            tuple(filter(None, row["other_codes"].split("|"))),
        )
        endings.update(dict.fromkeys(row["groups"].split("|"), ending))
    return endings


# How words begin, and whole words, beside which an operation has ended nothing, or is still to come.
_NOT_ENDED = (
    "failed|failing|(?:graft|transplant|ablation) failure|unsuccess|attempt|recur|residu|persist|refract|incomplet"
    "|parti[ae]l|parci|parzial|subtotal|return|relaps|reject|resist|remain|loss|lost|listed|plan|schedul|await|pend"
    "|candidat|consider|declin|refus|refer|offer|evaluat|discuss|work-?up|eligib|bridg|indicat"
    "|rezidiv|recidiv|récidiv|wieder|erneut|erfolglos|frustran|fehlgeschlag|geplant|abgelehnt|vorgeseh|éch(?:ec|ou)"
    "|prévu|attente|rechut|fracas|fall(?:id|ito)|program|pendient|espera|previst|attesa|mislukt|gepland|misslyck|planer"
)
_NOT_ENDED_WORDS = "again|back|still|ongoing|despite|before|prior|pre|list|would|may|if|vor|noch|encore|aún|teil"
_NO_RECURRENCE = re.compile(
    r"\b(?:no|without|free of|kein\w*|ohne|sans|sin|senza|geen|zonder|sem|ingen|uden|utan) (?:\w+ ){0,3}"
    r"(?:recur|residu|relaps|rezidiv|recidiv|récidiv)\w*",
    re.IGNORECASE,
)
_TO_COME = re.compile(r"\b(?:for|needs?|to|zur|zum|pour|para|per|voor|til)(?: \w+){0,2} $", re.IGNORECASE)
_IS_DONE = re.compile(
    r"\b(?:s/?p|s\.p\.|status|post|after|following|since|had|underwent|h/o|hx|history|successful\w*|curative|cured|by"
    r"|z\.? ?n|zustand|nach|erfolgreich\w*|opéré\w*|après|état|apr[eè]s|tras|despu[eé]s|operad[oa]|ap[oó]s|dopo|stato"
    r"|esiti|na|efter|etter|st\.? ?p)\b[^;\n]{0,50}$",
    re.IGNORECASE,
)
# "Ablated", "ablation 2019", "ablation (successful)".
_PARTICIPLE = re.compile(r"(?:ed|iert|ado|ada|ato|ata|ée?)$", re.IGNORECASE)
_WAS_DONE = re.compile(
    r"[^.;\n]{0,40}\b(?:19|20)\d\d\b"
    r"|[ ,(:-]+(?:was |is )?(?:done|performed|success|complete|curative|erfolgreich|réussi)",
    re.IGNORECASE,
)


def _is_past(meant: MeantGroup, concept: CodeableConcept) -> bool:
    """Whether a coded group is ended by an operation or, one that passes, over by every text that names it."""
    return _is_ended(meant, concept) or (
        CONDITION_GROUPS[meant.group].passes
        and any(mention.group == meant.group for text in concept.texts for mention in groups_in_words(text))
        and any(_is_over(meant.group, text) for text in concept.texts)
    )


def _is_ended(meant: MeantGroup, concept: CodeableConcept) -> bool:
    ending = _ENDINGS.get(meant.group)
    if ending is None or (meant.code and meant.code.replace(".", "").startswith(ending.other_codes)):
        return False
    return any(_is_ended_by_operation(ending, text) for text in concept.texts)


def _is_ended_by_operation(ending: _Ending, text: str) -> bool:
    """Whether a text says that an operation which ends the disease was done: "WPW s/p ablation", no failed one."""
    match = ending.operation.search(text)
    if match is None or ending.unless.search(_NO_RECURRENCE.sub("", text[: match.start()] + text[match.end() :])):
        return False
    before, end = text[: match.start()], match.end()
    is_done = _IS_DONE.search(before) or _PARTICIPLE.search(match[0]) or _WAS_DONE.match(text, end)
    return is_done is not None and _TO_COME.search(before) is None and is_of_patient(text, match.start())


_ENDINGS = _read_endings()
