"""Which conditions of the tables a patient has, each with its evidence: one pass over the record.

A coded concept means the groups of its codes, and those of its words that are narrower ("HFrEF" beside a code of heart
failure). Other words are read where no code of the concept is understood: a proprietary code with a text, SNOMED CT
that is in no table, a text alone; and where the code says that there is a heart valve prosthesis without its kind.
What the text denies, suspects, plans or says of somebody else means no group. What it says
of the past means the groups for which the past counts.

Beside the problem list operations, devices, flags, plans and reasons tell of a condition, where its group counts them
(column `counts_from` of tables/condition_groups.csv). An operation counts when it was done, a device while it is not
inactive, a flag, a plan of care and a consent while they are active, a document while it is current, what near
relatives have had for a group of family history, and a reason where the order of a medication is active or the visit
was in the last year: what it is for, the patient has, unless the words deny, doubt or only prevent it. Why a test is
ordered does not count: it is often what is suspected. What is asked for in an active order counts for treatments that
last, such as oxygen at home; what kind of visit it is, for palliative care.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from datetime import timedelta
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from fhir.mapping.pregnancy import is_current_pregnancy, may_be_pregnant, observed_pregnancy, pregnancy_signs
from fhir.record.datatypes import CodeableConcept, Coding, FhirTime, Period, parse_time
from fhir.record.opting_out import Consent, Flag
from fhir.record.record import PatientRecord, relative_reference
from fhir.record.refusals import Refusal
from fhir.record.resources import (
    CarePlan,
    Condition,
    Device,
    DocumentReference,
    Encounter,
    FamilyMemberHistory,
    MedicationRequest,
    Procedure,
    ServiceRequest,
)
from fhir.terminology.allergens import Allergen, allergen_of_problem
from fhir.terminology.assertions import AssertedText, is_of_patient, states
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
# What is of the organ of the code's group or a kind of it and implies it not: WPW beside atrial fibrillation,
# a transplant beside kidney disease, cirrhosis beside hepatitis; and what comes with it, as kidney disease with
# hypertension. Own table, by organ and by the parents of SNOMED CT.
_OF_SAME_ORGAN = {
    "mtc_men2": {"thyroid_cancer"},
    "wpw": {"afib"},
    "mitral_stenosis": {"afib", "heart_valve_disease"},
    "hypertrophic_cardiomyopathy": {"heart_failure"},
    "g6pd": {"anemia"},
    "sickle_cell": {"anemia"},
    "antiphospholipid": {"thrombophilia"},
    "intracranial_hemorrhage": {"stroke", "stroke_ischaemic"},
    "intracranial_bleeding": {"stroke", "stroke_ischaemic"},
    "parkinson": {"dementia"},
    "dementia": {"parkinson"},
    "bipolar": {"depression"},
    "kidney_transplant": {"ckd_any"},
    "transplant": {"ckd_any"},
    "single_kidney": {"ckd_any"},
    "nephrotic_syndrome": {"ckd_any"},
    "ketoacidosis_ever": {"diabetes"},
    "gastroparesis": {"diabetes"},
    "cirrhosis": {"hepatitis_b", "hepatitis_c", "liver_mild", "alcohol_use"},
    "liver_severe": {"hepatitis_b", "hepatitis_c", "liver_mild", "alcohol_use"},
    "hepatic_impairment": {"hepatitis_b", "hepatitis_c", "liver_mild", "alcohol_use"},
    "hepatic_coma": {"hepatic_impairment"},
    "toxic_megacolon": {"inflammatory_bowel"},
    "suicidality": {"depression", "bipolar", "schizophrenia"},
    "respiratory_failure": {"copd", "asthma"},
    "hypercapnic_respiratory_failure": {"copd", "asthma"},
    "veno_occlusive_lung": {"pulmonary_hypertension"},
    "ebv_negative": {"transplant"},
    "preeclampsia_eclampsia": {"pregnancy"},
    "ckd_any": {"diabetes", "hypertension"},
    "renal_insufficiency": {"diabetes", "hypertension"},
    "ckd3": {"diabetes", "hypertension"},
    "ckd4": {"diabetes", "hypertension"},
    "ckd5_or_dialysis": {"diabetes", "hypertension"},
    "dialysis": {"diabetes", "hypertension"},
}
# Counted as ischaemic, because most strokes are; the title says neither.
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
        wider = by_group.keys() & {*with_implied((group,)), *_OF_SAME_ORGAN.get(group, ())}
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


# ICD-10: titles that name a fear, a fetus, a risk or a relative and deny nothing.
_NEVER_TAKEN_BACK_BUT_PREGNANCY = ("F40", "R761", "Z15", "Z8")
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


_OF_ANOTHER_CODE = "without mention of"
"""What an ICD-9-CM title denies has a code of its own: "Calculus of bile duct without mention of cholecystitis"."""


def _is_taken_back(text: str, coded: Collection[str]) -> bool:
    """Whether a text denies or doubts what is coded or says it of somebody else; it need not name it.

    A code says by itself that the patient has it: words that are not clear do not take it back.
    """
    if not _NEVER_DENIED.isdisjoint(coded) or _OF_ANOTHER_CODE in text:
        return False
    mentions = [mention for mention in groups_in_words(text) if mention.group in coded]
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


_ACUTE = frozenset(
    [
        "acute_hepatitis",
        "aki",
        "acute_kidney_injury",
        "hyperkalemia",
        "hypokalemia",
        "hyponatremia",
        "hypernatremia",
        "hypocalcemia",
        "hypercalcemia",
        "hypomagnesemia",
        "ketoacidosis",
        "sepsis",
        "clostridioides",
        "delirium",
        "bowel_obstruction",
        "rhabdomyolysis",
        "serotonin_syndrome",
        "hypoglycemia",
        "pneumothorax",
        "mononucleosis",
        "dengue",
        "urosepsis_uti",
        "influenza",
        "pulmonary_edema",
        "status_epilepticus",
        "meningococcal",
        "endocarditis",
        "shock",
        "cardiogenic_shock",
        "hypotension",
        "dehydration",
        "metabolic_acidosis",
        "anuria",
        "coma",
        "hypertension_crisis",
        "asthma_acute",
        "hf_decompensated",
        "alcohol_intoxication",
        "antidepressant_overdose",
        "gi_perforation",
        "toxic_megacolon",
        "necrotizing_enterocolitis",
        "dic",
        "hemoptysis",
    ]
)
"""Groups that pass: "hepatitis A, recovered" is over although its code is active, unlike a leukemia in remission."""


def _is_past(meant: MeantGroup, concept: CodeableConcept) -> bool:
    """Whether a coded group is ended by an operation or, one that passes, over by every text that names it."""
    return _is_ended(meant, concept) or (
        meant.group in _ACUTE
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


MECHANICAL_VALVE = "mechanical_valve"
# ICD-10-PCS 02R, replacement of a valve of the heart (F aortic, G mitral, H pulmonary, J tricuspid) with device J, a
# synthetic substitute: a mechanical valve. Devices 7, 8 and K are tissue.
_VALVE_CODE = re.compile(r"02R[FGHJ][0-4]JZ")
_VALVE_WORDS = re.compile(r"\bmechanical\b.*\bvalve|\bvalve\b.*\bmechanical\b|\bmechanical [am]vr\b", re.IGNORECASE)
# What is ordered to prevent a disease is not ordered because of it.
_PREVENTION = re.compile(r"\bprevent|prophyla|\brisk\b|\bscreen", re.IGNORECASE)
_VISITS = frozenset({"arrived", "triaged", "in-progress", "finished"})
_VISIT_DAYS = 365.25


class Sign(Struct, frozen=True, gc=False):
    """Something beside the problem list that says that the patient has a condition of a group."""

    group: str
    words: str
    code: str
    source: str
    time: FhirTime | None


def signs_by_group(record: PatientRecord) -> Mapping[str, tuple[Sign, ...]]:
    """Return what the record has beside the problem list, by group, of the kinds of resources that count for it."""
    return record.derive(_by_group)


def _by_group(record: PatientRecord) -> dict[str, tuple[Sign, ...]]:
    """All groups at once: most charts have nothing of this kind, and a call asks for dozens of groups."""
    by_kind = {kind: signs for kind, read in _READERS.items() if (signs := read(record))}
    by_group: dict[str, tuple[Sign, ...]] = {}
    for group in {group for signs in by_kind.values() for group in signs}:
        kinds = CONDITION_GROUPS[group].counts_from
        by_group[group] = tuple(sign for kind in kinds for sign in by_kind.get(kind, {}).get(group, ()))
    if (implanted := _implanted_valve(record)) is not None:
        by_group[MECHANICAL_VALVE] = (implanted, *by_group.get(MECHANICAL_VALVE, ()))
    return by_group


_Signs = dict[str, list[Sign]]


def _means_group(concept: CodeableConcept | None) -> bool:
    """Whether it means anything at all; most concepts do not, and then their dates are not read."""
    return bool(read_concept(concept).meant)


# Groups that a procedure means only while it goes on and for so many days afterwards. Who is on dialysis has several
# sessions a week; that one of the last two weeks counts, and palliative care of the last year, is the project's own
# choice.
_PASSING_DAYS = {"neuraxial_procedure": 1, "dialysis": 14, "palliative_or_hospice": 365, "ventilator": 0}


def _operations(record: PatientRecord) -> _Signs:
    signs: _Signs = {}
    for procedure in record.facts(Procedure):
        if procedure.status in ("completed", "in-progress") and _means_group(procedure.code):
            time = _performed(procedure)
            if time is None or not time.is_after(record.as_of_epoch):
                left_out = _groups_not_meant(procedure, time, record.as_of_epoch)
                _add(signs, procedure.code, _name("Procedure", procedure.id), time, left_out)
    return signs


def _groups_not_meant(procedure: Procedure, time: FhirTime | None, as_of_epoch: float) -> frozenset[str]:
    """Find the groups the procedure does not mean: those that pass, when it is over, and the others until it is."""
    if procedure.status == "in-progress":
        return frozenset(CONDITION_GROUPS) - _PASSING_DAYS.keys()
    period = procedure.performedPeriod
    end = parse_time(period.end) if period is not None and period.end else None
    last = end if end is not None and not end.is_after(as_of_epoch) else time
    days = last.whole_days(as_of_epoch) if last is not None else None
    is_over = last is end and end is not None and end.precision == "instant"
    return frozenset(
        group for group, most in _PASSING_DAYS.items() if days is None or days > most or (is_over and not most)
    )


def _devices(record: PatientRecord) -> _Signs:
    signs: _Signs = {}
    for device in record.facts(Device) if record.was_requested("Device") else ():
        if device.status not in ("inactive", "entered-in-error"):
            names = [CodeableConcept(text=name.name) for name in device.deviceName]
            for concept in (device.type, *names):
                _add(signs, concept, _name("Device", device.id), None)
    return signs


def _flags(record: PatientRecord) -> _Signs:
    signs: _Signs = {}
    for flag in record.facts(Flag) if record.was_requested("Flag") else ():
        _add_in_force(signs, (flag.code,), _name("Flag", flag.id), flag.status, flag.period, record)
    return signs


def _plans(record: PatientRecord) -> _Signs:
    signs: _Signs = {}
    for plan in record.facts(CarePlan) if record.was_requested("CarePlan") else ():
        details = [activity.detail.code for activity in plan.activity if activity.detail is not None]
        concepts = (CodeableConcept(text=plan.title), *plan.category, *details)
        _add_in_force(signs, concepts, _name("CarePlan", plan.id), plan.status, plan.period, record)
    return signs


def _relatives(record: PatientRecord) -> _Signs:
    """Return what near relatives have had, if the groups say that it counts; who is not said to be distant is near."""
    signs: _Signs = {}
    for relative in record.facts(FamilyMemberHistory) if record.was_requested("FamilyMemberHistory") else ():
        relation = relative.relationship
        if relative.status in ("entered-in-error", "health-unknown") or (relation and _is_distant(relation)):
            continue
        for condition in relative.condition:
            for meant in read_concept(condition.code).meant:
                group = OF_FAMILY.get(meant.group)
                if group is not None and condition.code is not None:
                    who = relation.words if relation is not None else ""
                    words = f"{who}: {condition.code.words}" if who else condition.code.words
                    source = _name("FamilyMemberHistory", relative.id)
                    signs.setdefault(group, []).append(Sign(group, words, meant.code, source, None))
    return signs


# Relatives of the second degree and further, and those who are no blood relatives: words, and codes of HL7 v3 RoleCode.
_DISTANT = re.compile(
    r"grand|\baunt|\buncle|cousin|niece|nephew|half|step|in-law|adopt|foster|spouse|husband|wife|partner", re.IGNORECASE
)
_DISTANT_CODES = (
    *(
        "GR",
        "MGR",
        "PGR",
        "GGR",
        "MGGR",
        "PGGR",
        "AUNT",
        "MAUNT",
        "PAUNT",
        "UNCLE",
        "MUNCLE",
        "PUNCLE",
        "COUSN",
        "MCOUSN",
    ),
    *("PCOUSN", "NIENEPH", "NIECE", "NEPHEW", "HBRO", "HSIB", "HSIS", "STP", "ADOPT", "FOST", "HUSB", "WIFE", "SPS"),
    *("DOMPART", "INLAW", "BROINLAW", "SISINLAW", "MTHINLAW", "FTHINLAW", "SONINLAW", "DAUINLAW"),
)


def _is_distant(relation: CodeableConcept) -> bool:
    codes = (coding.code for coding in relation.coding)
    return _DISTANT.search(relation.words) is not None or any(code.startswith(_DISTANT_CODES) for code in codes)


def _consents(record: PatientRecord) -> _Signs:
    signs: _Signs = {}
    for consent in record.facts(Consent) if record.was_requested("Consent") else ():
        _add_in_force(signs, consent.category, _name("Consent", consent.id), consent.status, None, record)
    return signs


def _documents(record: PatientRecord) -> _Signs:
    signs: _Signs = {}
    for document in record.facts(DocumentReference) if record.was_requested("DocumentReference") else ():
        if document.status == "current":
            for concept in (document.type, CodeableConcept(text=document.description)):
                time = parse_time(document.date) if document.date else None
                _add(signs, concept, _name("DocumentReference", document.id), time)
    return signs


def _add_in_force(
    signs: _Signs,
    concepts: Iterable[CodeableConcept | None],
    source: str,
    status: str | None,
    period: Period | None,
    record: PatientRecord,
) -> None:
    if status == "active" and _is_begun_and_not_over(period, record.as_of_epoch):
        time = parse_time(period.start) if period is not None and period.start else None
        for concept in concepts:
            _add(signs, concept, source, time)


def _orders(record: PatientRecord) -> _Signs:
    signs: _Signs = {}
    for order in record.facts(MedicationRequest) if record.was_requested("MedicationRequest") else ():
        if order.reasonCode and order.status == "active" and not order.is_only_proposed:
            _add_reasons(signs, order.reasonCode, _name("MedicationRequest", order.id), order.authoredOn, record)
    return signs


def _requests(record: PatientRecord) -> _Signs:
    signs: _Signs = {}
    for request in record.facts(ServiceRequest) if record.was_requested("ServiceRequest") else ():
        is_ordered = request.status == "active" and not request.is_only_proposed and not request.doNotPerform
        if not is_ordered or not _means_group(request.code):
            continue
        time = parse_time(request.authoredOn or "")
        if time is None or not time.is_after(record.as_of_epoch):
            _add(signs, request.code, _name("ServiceRequest", request.id), time)
    return signs


def _visits(record: PatientRecord) -> _Signs:
    return _visits_by(record, lambda visit: visit.reasonCode)


def _kinds_of_visits(record: PatientRecord) -> _Signs:
    return _visits_by(record, lambda visit: (*visit.type, *filter(None, (visit.serviceType,))))


def _visits_by(record: PatientRecord, concepts: Callable[[Encounter], Sequence[CodeableConcept]]) -> _Signs:
    signs: _Signs = {}
    earliest = (record.as_of - timedelta(days=_VISIT_DAYS + 2)).date().isoformat()  # in every time zone
    for visit in record.facts(Encounter) if record.was_requested("Encounter") else ():
        start = visit.period.start if visit.period is not None else None
        if visit.status not in _VISITS or start is None or start < earliest:
            continue
        stated = concepts(visit)
        if any(map(_means_group, stated)):
            time = parse_time(start)
            if time is not None and time.whole_days(record.as_of_epoch) <= _VISIT_DAYS:
                _add_reasons(signs, stated, _name("Encounter", visit.id), start, record)
    return signs


def _add_reasons(
    signs: _Signs, reasons: Iterable[CodeableConcept], source: str, written: str | None, record: PatientRecord
) -> None:
    time = parse_time(written) if written else None
    if time is None or not time.is_after(record.as_of_epoch):
        for reason in reasons:
            if not _PREVENTION.search(reason.words):
                _add(signs, reason, source, time)


_READERS = {
    "Procedure": _operations,
    "Device": _devices,
    "Flag": _flags,
    "CarePlan": _plans,
    "FamilyMemberHistory": _relatives,
    "Consent": _consents,
    "DocumentReference": _documents,
    "order": _orders,
    "request": _requests,
    "visit": _visits,
    "kind of visit": _kinds_of_visits,
}
KINDS = frozenset(_READERS)
"""What the column `counts_from` may name."""


def _add(
    signs: _Signs,
    concept: CodeableConcept | None,
    source: str,
    time: FhirTime | None,
    left_out: frozenset[str] = frozenset(),
) -> None:
    for meant in read_concept(concept).meant:
        if meant.group in left_out:
            continue
        words = concept.words if concept is not None else ""
        signs.setdefault(meant.group, []).append(Sign(meant.group, words, meant.code, source, time))


def _name(kind: str, identity: str | None) -> str:
    return f"{kind}/{identity}" if identity else f"{kind} without id"


def _performed(procedure: Procedure) -> FhirTime | None:
    period = procedure.performedPeriod
    text = procedure.performedDateTime or (period.start if period is not None else None)
    return parse_time(text) if text else None


def _is_begun_and_not_over(period: Period | None, as_of_epoch: float) -> bool:
    start = parse_time(period.start) if period is not None and period.start else None
    end = parse_time(period.end) if period is not None and period.end else None
    has_begun = start is None or not start.is_after(as_of_epoch)
    return has_begun and (end is None or end.is_after(as_of_epoch))


def _implanted_valve(record: PatientRecord) -> Sign | None:
    """Return the operation by which the patient got a mechanical valve, where it is charted as a procedure."""
    for procedure in record.facts(Procedure):
        code = procedure.code
        if code is None or procedure.status != "completed":
            continue
        coded = _mechanical_valve(code)
        if coded is None:
            continue
        time = _performed(procedure)
        if time is None or not time.is_after(record.as_of_epoch):
            return Sign(MECHANICAL_VALVE, code.words, coded, _name("Procedure", procedure.id), time)
    return None


def _mechanical_valve(concept: CodeableConcept) -> str | None:
    """Return the code that names the operation, "" where its words do; None where it is another one."""
    for coding in concept.coding:
        if coding.code and _VALVE_CODE.fullmatch(coding.code):
            return coding.code
    words = concept.text or concept.words
    return "" if states(_VALVE_WORDS, words) else None


ConditionStatus: TypeAlias = Literal["active", "unstated", "past"]

# FHIR R4 condition-clinical: active, recurrence and relapse are states of being ill; inactive, remission and resolved
# are not. con-4: what has an abatement in the past is not active, whatever the status says.
_ILL = ("active", "recurrence", "relapse")
# FHIR R4 condition-ver-status. Refuted and entered-in-error ones are no facts of a record at all.
_DOUBTS = ("provisional", "differential", "unconfirmed")
_FIVE_YEARS_DAYS = 5 * 365.25
# Labels speak of six months after an infarction (fingolimod, vardenafil) or of its acute phase, ICD-10 of four weeks.
# Gestational hypertension and pre-eclampsia begin after week 20 and are over twelve weeks after the birth (ACOG 222).
_OF_PREGNANCY_DAYS = (42 - 20 + 12) * 7
_ACUTE_DAYS = {
    "infarction_acute": 183,
    **dict.fromkeys(("preeclampsia_eclampsia", "hellp", "gestational_hypertension"), _OF_PREGNANCY_DAYS),
}
# The diagnosis of a stay says nothing of today once such a state must be over; 90 days are the project's own choice.
_SOON_OVER_DAYS = 90
# A form of such a state that lasts, by its words in many languages, or its code in ICD-10-CM or ICD-9-CM.
_LASTING = re.compile(
    r"\b[ck]h?r[oó]n|recurr|persist|idiopathic|orthostat|postural|autonom|neurogen|dialysis|alcoholic"
    r"|\bI95\.?[013]|\b458\.?[01]|\bE87\.?22",
    re.IGNORECASE,
)
_ACUTE_ALONE = re.compile(r"(?!.*\bchronic)(?=.*\bacute\b.*\brespiratory failure)", re.IGNORECASE)
_YEAR = re.compile(
    r"(?<![\d.,/-])(?:\d{1,2}[/.]){0,2}((?:19|20)\d\d)(?:-\d\d){0,2}(?![\d%/-]|[.,]\d"
    r"| ?(?:mg|mcg|ml|iu|units?|kcal|g)\b)",
    re.IGNORECASE,
)
# WHO and UNICEF: breastfeeding up to two years; what was answered a year ago is asked again.
_FEEDING_DAYS = 365
_MOST_NAMED = 3
PROBLEMS_UNREADABLE = "problems-unreadable"
"""The reason of what is not known because entries of the problem list could not be read."""


class ConditionHit(Struct, frozen=True, gc=False):
    """A condition that counts: its key, the words and code of the chart, the resource and the date.

    `status` is "unstated" for encounter diagnoses without a clinical status; `time` is onset, else the recorded
    date, else the start of the encounter it was made in; `is_onset` says that it is the onset. `doubt` is the
    verification status of a diagnosis that is not confirmed ("provisional"), else empty.
    """

    key: str
    words: str
    code: str
    source: str
    time: FhirTime | None
    status: ConditionStatus
    is_onset: bool = False
    doubt: str = ""

    @property
    def in_brackets(self) -> str:
        """Its date as it stands after its words: " (2026-11-01)", or nothing without one."""
        return f" ({self.time.date})" if self.time is not None else ""


def find_condition(record: PatientRecord, *groups: str) -> ConditionHit | None:
    """Find the newest condition of the first of these groups the record has (tables/condition_groups.csv), or None.

    Of a pregnancy it is the earliest entry that belongs to it.

    Raises KeyError for a group that the table does not have: a misspelt rule must not be a silent one.
    """
    charted = record.derive(charted_groups)
    for group in groups:
        key = CONDITION_GROUPS[group].key
        if key in charted and (hit := _group_hit(record, key) or _beside_the_problem_list(record, key)) is not None:
            return hit
    return None


def find_confirmed(record: PatientRecord, *groups: str) -> ConditionHit | None:
    """Return the condition of the first of these groups that is no tentative diagnosis; None where there is none."""
    hits = (find_condition(record, group) for group in groups)
    return next((hit for hit in hits if hit is not None and not hit.doubt), None)


_SHOWN_OTHERWISE = frozenset({"pregnancy", "breastfeeding", MECHANICAL_VALVE})
"""What more than the signs of its own group tells of."""


def charted_groups(record: PatientRecord) -> Set[str]:
    """List the groups that `find_condition` can find at all: most of those a table asks for are not among them."""
    return _SHOWN_OTHERWISE.union(record.derive(_entries_by_group).entries, signs_by_group(record))


def problems_of(record: PatientRecord, groups: Iterable[str]) -> list[ConditionHit]:
    """Every entry of the problem list that means one of these groups and is not over, in the order of the groups.

    "History of stroke" is no stroke that began when it was written down.
    """
    entries = record.derive(_entries_by_group).entries
    hits = [
        condition_hit(key, condition, code, record)
        for key in (CONDITION_GROUPS[group].key for group in groups)
        for condition, code in entries.get(key, ())
        if not _is_history_in_words(condition, key)
    ]
    return [hit for hit in hits if hit.status != "past"]


def _is_history_in_words(condition: Condition, group: str) -> bool:
    mentions = read_concept(condition.code).mentions
    return any(mention.group == group and mention.assertion.word == "historical" for mention in mentions)


def doubted_conditions(record: PatientRecord, uses: Iterable[str]) -> list[ConditionHit]:
    """Return the conditions among these facts of a rule ("condition:" and a key), where none of them is confirmed."""
    keys = sorted([use.removeprefix("condition:") for use in uses if use.startswith("condition:")])
    hits = [hit for key in keys if (hit := find_condition(record, key)) is not None]
    return hits if all(hit.doubt for hit in hits) else []


def doubtful_problems(record: PatientRecord) -> Mapping[str, tuple[str, str]]:
    """Return the words and the verification status of each problem that is not confirmed, by its Type/id."""
    return record.derive(_doubtful)


def _doubtful(record: PatientRecord) -> dict[str, tuple[str, str]]:
    return {
        f"Condition/{condition.id}": (condition.code.words if condition.code is not None else "", doubt)
        for condition in record.facts(Condition)
        if (doubt := doubt_of(condition))
    }


def _beside_the_problem_list(record: PatientRecord, key: str) -> ConditionHit | None:
    """Return what tells of a condition that no entry of the problem list names."""
    if key == "pregnancy":
        return _observed_pregnancy(record)
    if key == "breastfeeding":
        return _observed_feeding(record)
    best: ConditionHit | None = None
    for sign in signs_by_group(record).get(key, ()):
        is_onset = sign.source.startswith("Procedure")
        hit = ConditionHit(key, sign.words, sign.code, sign.source, sign.time, "active", is_onset=is_onset)
        best = hit if is_better_hit(hit, best) else best
    if best is not None or key != MECHANICAL_VALVE:
        return best
    # Where nobody says of what kind a prosthesis is, what must not meet a mechanical one is warned of.
    of_any_kind = find_condition(record, "heart_valve_prosthesis_kind_not_stated")
    return of_any_kind and replace(of_any_kind, key=MECHANICAL_VALVE)


# ICD-10-CM Z95.2 is any prosthetic valve, and what a chart calls so after TAVR: a valve of tissue is no mechanical one.
_TISSUE_VALVE = re.compile(
    r"bio-?prosthe|\btissue\b|porcine|bovine|pericardial|xeno(?:graft|genic)|homograft|allograft|\btav[ri]\b|transcatheter",
    re.IGNORECASE,
)


class _EntriesByGroup:
    """The conditions of a record, each with its code, by the groups that its codes or its words mean."""

    __slots__ = ("entries", "hits", "unread")

    def __init__(self) -> None:
        self.unread: dict[str, str] = {}
        """The words of the entries that mean nothing known, with the first code of each."""
        self.entries: dict[str, list[tuple[Condition, str]]] = {}
        # What has been found of them so far: most groups are never asked for.
        self.hits: dict[str, ConditionHit | None] = {}


def _entries_by_group(record: PatientRecord) -> _EntriesByGroup:
    by_group = _EntriesByGroup()
    for condition in record.facts(Condition):
        reading = read_concept(condition.code)
        for meant in reading.meant:
            by_group.entries.setdefault(meant.group, []).append((condition, meant.code))
        if not reading.is_understood:
            by_group.unread.setdefault(*words_and_code(condition.code))
    return by_group


def words_and_code(concept: CodeableConcept | None) -> tuple[str, str]:
    """Return what an entry that means nothing known is called, and the first code that it has."""
    codings = concept.coding if concept is not None else ()
    code = next((f"{coding.system or ''}|{coding.code}" for coding in codings if coding.code), "")
    words = concept.words if concept is not None else ""
    return words or code.rpartition("|")[2] or "an entry without code and text", code or "text"


def _refusal_of_unread(unread: Mapping[str, str]) -> Refusal:
    more = f" and {len(unread) - _MOST_NAMED} more" if len(unread) > _MOST_NAMED else ""
    text = f"{count_unread(len(unread))}: {'; '.join(list(unread)[:_MOST_NAMED])}{more}."
    return Refusal("problems", PROBLEMS_UNREADABLE, text, code=" ".join(unread.values()))


def count_unread(count: int) -> str:
    """So many problems could not be read, in words.

    >>> count_unread(1), count_unread(3)
    ('1 problem could not be read', '3 problems could not be read')
    """
    return f"{count} problem{'' if count == 1 else 's'} could not be read"


def unread_problems(record: PatientRecord) -> tuple[str, ...]:
    """Return the words of the problems that mean nothing known, each once: no code of the tables and no phrase.

    Who asks for a group, and finds none, does not know whether one of these is in it.
    """
    return tuple(record.derive(_entries_by_group).unread)


def _group_hit(record: PatientRecord, group: str) -> ConditionHit | None:
    by_group = record.derive(_entries_by_group)
    if group not in by_group.hits:
        best: ConditionHit | None = None
        for condition, code in by_group.entries.get(group, ()):
            hit = condition_hit(group, condition, code, record)
            if not _is_impossible(hit, record) and _counts(hit, record) and is_better_hit(hit, best):
                best = hit
        by_group.hits[group] = best
    return by_group.hits[group]


def _observed_pregnancy(record: PatientRecord) -> ConditionHit | None:
    """Return a pregnancy that a test, a status, a due date or a visit tells."""
    pregnancy = observed_pregnancy(record)
    if pregnancy is None:
        return None
    doubt = "unconfirmed" if pregnancy.is_supposed else ""
    return ConditionHit(
        "pregnancy", pregnancy.words, pregnancy.code, pregnancy.source, pregnancy.time, "active", doubt=doubt
    )


def _observed_feeding(record: PatientRecord) -> ConditionHit | None:
    """Return that she breastfeeds, where the newest answer to the question says so."""
    signs = pregnancy_signs(record)
    answers = sorted((*signs.feeding, *signs.not_feeding), key=lambda sign: sign.time.instant, reverse=True)
    newest = next(iter(answers), None)
    if newest is None or newest in signs.not_feeding or newest.time.whole_days(record.as_of_epoch) > _FEEDING_DAYS:
        return None
    return ConditionHit("breastfeeding", newest.words, newest.code, newest.source, newest.time, "active")


def refused_problems(record: PatientRecord) -> Iterator[Refusal]:
    """Yield what of the problem list cannot be used: the entries that mean nothing known, a pregnancy of a man."""
    unread = record.derive(_entries_by_group).unread
    if unread:
        yield _refusal_of_unread(unread)
    text = "{}: a pregnancy code on a man's record: not used."
    for source in dict.fromkeys(hit.source for hit in _impossible_hits(record)):
        yield Refusal(source, "impossible", text.format(source))


def _impossible_hits(record: PatientRecord) -> list[ConditionHit]:
    entries = record.derive(_entries_by_group).entries.get("pregnancy", ())
    hits = (condition_hit("pregnancy", condition, code, record) for condition, code in entries)
    return [hit for hit in hits if _is_impossible(hit, record)]


def doubted_pregnancy(record: PatientRecord) -> ConditionHit | None:
    """Return a pregnancy that is not used because of the administrative gender alone: no sex at birth is charted."""
    hits = _impossible_hits(record) if record.charted_sex is None else []
    return next((hit for hit in hits if _counts(hit, record)), None)


def _is_impossible(hit: ConditionHit, record: PatientRecord) -> bool:
    if hit.key != "pregnancy" or may_be_pregnant(record):
        return False
    return hit.time is None or not hit.time.is_after(record.as_of_epoch)


def condition_hit(key: str, condition: Condition, code: str, record: PatientRecord) -> ConditionHit:
    """One condition as a hit of `key`, whether it counts or not."""
    words = condition.code.words if condition.code is not None else ""
    source = f"Condition/{condition.id}" if condition.id else "Condition without id"
    is_onset = bool(_onset(condition) or condition.onsetPeriod)
    status = condition_status(condition, record.as_of_epoch)
    time, doubt = condition_time(condition, record), doubt_of(condition)
    return ConditionHit(key, words, code, source, time, status, is_onset, doubt)


def doubt_of(condition: Condition) -> str:
    """Return the verification status of a diagnosis that is tentative or one of several possible ones, else empty."""
    stated = condition.verificationStatus
    if stated is not None:
        for doubt in _DOUBTS:
            if stated.has(doubt):
                return doubt
    return ""


def condition_time(condition: Condition, record: PatientRecord) -> FhirTime | None:
    """When it began: onset, else the date it was recorded, else the start of its encounter."""
    text = _onset(condition) or condition.recordedDate
    if text is None and condition.encounter is not None:
        encounter = record.derive(_encounters_by_reference).get(relative_reference(condition.encounter.reference))
        text = encounter.period.start if encounter is not None and encounter.period is not None else None
    return parse_time(text) if text else None


def _onset(condition: Condition) -> str | None:
    """Return the date of the onset; words that are a date ("2019-03") are one."""
    if condition.onsetDateTime is not None or condition.onsetPeriod is not None:
        return condition.onsetDateTime or (condition.onsetPeriod.start if condition.onsetPeriod is not None else None)
    words = condition.onsetString
    return words if words and parse_time(words) is not None else None


def _encounters_by_reference(record: PatientRecord) -> dict[str, Encounter]:
    return {f"Encounter/{encounter.id}": encounter for encounter in record.facts(Encounter)}


def condition_status(condition: Condition, as_of_epoch: float) -> ConditionStatus:
    """Whether the condition is active, past, or has no stated status."""
    if _is_abated(condition, as_of_epoch):
        return "past"
    stated = condition.clinicalStatus
    if stated is None or not (stated.coding or stated.text):
        return "unstated"
    for coding in stated.coding:
        if coding.code in _ILL:
            return "active"
    return "active" if stated.text.lower() in _ILL else "past"


def _is_abated(condition: Condition, as_of_epoch: float) -> bool:
    period, text = condition.abatementPeriod, condition.abatementDateTime
    if not text and period is not None:
        text = period.end or period.start
    ended = parse_time(text) if text else None
    if ended is not None:
        return not ended.is_after(as_of_epoch)
    return bool(condition.abatementString) or condition.abatementAge is not None or condition.abatementRange is not None


def _counts(hit: ConditionHit, record: PatientRecord) -> bool:
    is_tissue_valve = hit.key == MECHANICAL_VALVE and _TISSUE_VALVE.search(hit.words) is not None
    if is_tissue_valve or (hit.time is not None and hit.time.is_after(record.as_of_epoch)):
        return False
    if hit.key == "pregnancy":
        return hit.status != "past" and is_current_pregnancy(record, hit.time)
    if hit.key in _ACUTE_DAYS and (began := began_by(hit)) is not None:
        return hit.status != "past" and began.whole_days(record.as_of_epoch) <= _ACUTE_DAYS[hit.key]
    if _is_long_over(hit, record.as_of_epoch):
        return False
    history = CONDITION_GROUPS[hit.key].history
    if history == "5 years":
        return _is_recent(hit, record.as_of_epoch) if hit.time is not None else hit.status != "past"
    return hit.status != "past" or history == "any"


def _is_long_over(hit: ConditionHit, as_of_epoch: float) -> bool:
    """Whether it is a state of days, an encounter's diagnosis of long ago without a status of its own."""
    if hit.key == "respiratory_failure":
        is_brief = _ACUTE_ALONE.match(hit.words) is not None
    else:  # "Acute on chronic heart failure": it is the decompensation that passes.
        is_brief = hit.key in _ACUTE and (
            hit.key == "hf_decompensated" or _LASTING.search(f"{hit.code} {hit.words}") is None
        )
    is_old = hit.time is not None and hit.time.whole_days(as_of_epoch) > _SOON_OVER_DAYS
    return is_brief and is_old and hit.status == "unstated"


def _is_recent(hit: ConditionHit, as_of_epoch: float) -> bool:
    return (began := began_by(hit)) is not None and began.whole_days(as_of_epoch) <= _FIVE_YEARS_DAYS


def began_by(hit: ConditionHit) -> FhirTime | None:
    """Return the last day on which it can have begun: its onset, else the end of a year in its words ("STEMI 2010").

    Without either it is the date on which it was recorded, None where that is not known.
    """
    years = () if hit.is_onset else _YEAR.findall(hit.words)
    if len(years) == 1 and (hit.time is None or years[0] < hit.time.text[:4]):
        return parse_time(f"{years[0]}-12-31")
    return hit.time


def is_better_hit(hit: ConditionHit, other_hit: ConditionHit | None) -> bool:
    """Whether a hit is to be used in place of the one found so far (None: there is none)."""
    if other_hit is None:
        return True
    if hit.key == "pregnancy" and hit.time is not None and other_hit.time is not None:
        # A complication is charted weeks after the pregnancy began: the earliest entry of this pregnancy dates it.
        return hit.time.instant < other_hit.time.instant
    return _weight(hit) > _weight(other_hit)


def _weight(hit: ConditionHit) -> tuple[bool, bool, float]:
    """Return what is confirmed goes before what is not, a stated status before an unstated one, then the later date."""
    return not hit.doubt, hit.status == "active", hit.time.instant if hit.time else 0.0


def condition_hits(record: PatientRecord) -> Mapping[str, ConditionHit]:
    """Return the condition of each group that the record has and that counts at `as_of`, computed once per record.

    What is resolved counts only in groups whose history counts; what begins after `as_of` never does.
    """
    return record.derive(_all_hits)


def _all_hits(record: PatientRecord) -> dict[str, ConditionHit]:
    by_group = record.derive(_entries_by_group)
    return {group: hit for group in by_group.entries if (hit := _group_hit(record, group)) is not None}
