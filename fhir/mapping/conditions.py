"""Which conditions of the tables a patient has, each with its evidence: one pass over the record."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from fhir.mapping.condition_concepts import read_concept
from fhir.mapping.condition_signs import MECHANICAL_VALVE, signs_by_group
from fhir.mapping.pregnancy import (
    FIRST_FERTILE_YEAR,
    is_current_pregnancy,
    may_be_pregnant,
    observed_pregnancy,
    pregnancy_signs,
)
from fhir.record.datatypes import CodeableConcept, FhirTime, first_few, parse_time
from fhir.record.record import PatientRecord, relative_reference
from fhir.record.refusals import Refusal
from fhir.record.resources import Condition, Encounter
from fhir.terminology.conditions import CONDITION_GROUPS
from fhir.terminology.medications import table_rows

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
_INFARCTION_DAYS = 28
_OLD_INFARCTION = re.compile(r"I25\.?2|412|.*\b(?:old|healed|previous|prior)\b", re.IGNORECASE)
# The diagnosis of a stay says nothing of today once such a state must be over; 90 days are the project's own choice.
_SOON_OVER_DAYS = 90
# So does an entry that nobody took off the problem list, after a year; that is the project's own choice, too.
_FORGOTTEN_DAYS = 365
# What such a state shows in, and the values at which it is over: it may last, and so is over only once a result within
# them is there that is later than the year.
_OVER_WITHIN = {
    row["group"]: (row["analyte"], float(row["over_from"] or -math.inf), float(row["over_to"] or math.inf))
    for row in table_rows("passing_results.csv")
}
# A form of such a state that lasts, by its words in many languages, or its code in ICD-10-CM or ICD-9-CM.
_LASTING = re.compile(
    r"\b[ck]h?r[oó]n|r[eé]curr|r[eé]cidiv|rezidiv|przewlek|nawrac|idült|persist|idiopathic|famili|heredit|congenit"
    r"|orthostat|postural|autonom|neurogen|dialysis|alcoholic|parathyr|siadh|inappropriate|malignan|insipidus"
    r"|\bI95\.?[013]|\b458\.?[01]|\bE87\.?22",
    re.IGNORECASE,
)
_ACUTE_ALONE = re.compile(r"(?!.*\bchronic)(?=.*\bacute\b.*\brespiratory failure)", re.IGNORECASE)
# ICD-10: what begins around the birth; it stays on lists of older children, who have it no more.
_OF_NEWBORN = re.compile(
    r"P(?!37|78\.?81)\d\d|.*\b(?:of|in) (?:the )?(?:newborn|neonate)\b(?! screen)"
    r"|(?=.*\b(?:neonatal|newborn|pree?mie|(?:ex-?|former )(?:preterm|premature)))"
    r".*(?:bleed|ha?emorrhage|ha?ematoma|\b(?:ivh|sah|sdh|ich|nec)\b)",
    re.IGNORECASE,
)
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
    # Without `derive`, where it is derived already: 23 of the 4,200 Python calls of an answer (counted by a profile).
    by_group = record.resources.derived.get(_entries_by_group) or record.derive(_entries_by_group)
    for group in groups:
        key = CONDITION_GROUPS[group].key
        if key in by_group.charted:
            hits = by_group.hits
            if key not in hits:
                hits[key] = _group_hit(record, key) or _beside_the_problem_list(record, key)
            if (hit := hits[key]) is not None:
                return hit
    return None


_STATUS = re.compile(r"Z9\d|V4[35]|I25|T82|(?:presence|atherosclerosis) of", re.IGNORECASE)


def dated(hit: ConditionHit | None, record: PatientRecord) -> ConditionHit | None:
    """Return a condition with the date of its event: of a status after an operation (Z95.1) only a procedure has it."""
    is_operation = hit is not None and "Procedure" in CONDITION_GROUPS[hit.key].counts_from
    if hit is not None and is_operation and _STATUS.match(hit.code or hit.words):
        return _beside_the_problem_list(record, hit.key)
    return hit


def find_confirmed(record: PatientRecord, *groups: str) -> ConditionHit | None:
    """Return the condition of the first of these groups that is no tentative diagnosis; None where there is none."""
    charted = charted_groups(record)
    for group in groups:
        hit = find_condition(record, group) if CONDITION_GROUPS[group].key in charted else None
        if hit is not None and not hit.doubt:
            return hit
    return None


_SHOWN_OTHERWISE = frozenset({"pregnancy", "breastfeeding", MECHANICAL_VALVE})
"""What more than the signs of its own group tells of."""


def charted_groups(record: PatientRecord) -> Set[str]:
    """List the groups that `find_condition` can find at all: most of those a table asks for are not among them."""
    return record.derive(_entries_by_group).charted


def problems_of(record: PatientRecord, groups: Iterable[str]) -> list[ConditionHit]:
    """Every entry of the problem list that means one of these groups and is not over, in the order of the groups.

    "History of stroke" is no stroke that began when it was written down.
    """
    entries = record.derive(_entries_by_group).entries
    hits = [
        condition_hit(key, condition, code, record)
        for key in [CONDITION_GROUPS[group].key for group in groups]
        for condition, code in entries.get(key, ())
        if not _is_history_in_words(condition, key)
    ]
    return [hit for hit in hits if hit.status != "past" and not _is_of_the_birth(hit, record)]


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

    __slots__ = ("charted", "entries", "hits", "unread")

    def __init__(self) -> None:
        self.charted: Set[str] = frozenset()
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
    known = by_group.entries.get("infarction_acute", [])
    infarctions = by_group.entries.get("myocardial_infarction", [])
    if new := [entry for entry in infarctions if entry not in known and _is_new_infarction(*entry, record)]:
        by_group.entries["infarction_acute"] = known + new
    by_group.charted = _SHOWN_OTHERWISE.union(by_group.entries, signs_by_group(record))
    return by_group


def _is_new_infarction(condition: Condition, code: str, record: PatientRecord) -> bool:
    """Whether an infarction that is not called acute began within four weeks, as long as ICD-10-CM calls it acute."""
    hit = condition_hit("myocardial_infarction", condition, code, record)
    began = began_by(hit)
    codes = [coding.code or "" for coding in condition.code.coding] if condition.code is not None else []
    is_old = _is_history_in_words(condition, hit.key) or any(map(_OLD_INFARCTION.match, (hit.words, *codes)))
    return (
        hit.is_onset
        and began is not None
        and not is_old
        and 0 <= began.whole_days(record.as_of_epoch) <= _INFARCTION_DAYS
    )


def words_and_code(concept: CodeableConcept | None) -> tuple[str, str]:
    """Return what an entry that means nothing known is called, and the first code that it has."""
    codings = concept.coding if concept is not None else ()
    code = next((f"{coding.system or ''}|{coding.code}" for coding in codings if coding.code), "")
    words = concept.words if concept is not None else ""
    return words or code.rpartition("|")[2] or "an entry without code and text", code or "text"


def _refusal_of_unread(unread: Mapping[str, str]) -> Refusal:
    text = f"{count_unread(len(unread))}: {first_few([*unread], _MOST_NAMED, '; ')}."
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
    best: ConditionHit | None = None
    for condition, code in record.derive(_entries_by_group).entries.get(group, ()):
        hit = condition_hit(group, condition, code, record)
        if not _is_impossible(hit, record) and _counts(hit, record) and is_better_hit(hit, best):
            best = hit
    return best


def _observed_pregnancy(record: PatientRecord) -> ConditionHit | None:
    """Return a pregnancy that a test, a status, a due date or a visit tells."""
    pregnancy = observed_pregnancy(record)
    if pregnancy is None:
        return None
    doubt = "unconfirmed" if pregnancy.how == "period" else ""
    return ConditionHit(
        "pregnancy", pregnancy.words, pregnancy.code, pregnancy.source, pregnancy.time, "active", doubt=doubt
    )


def _observed_feeding(record: PatientRecord) -> ConditionHit | None:
    """Return that she breastfeeds, where the newest answer to the question says so; of a baby it says how it is fed."""
    if _is_fed(record):
        return None
    signs = pregnancy_signs(record)
    answers = sorted((*signs.feeding, *signs.not_feeding), key=lambda sign: sign.time.instant, reverse=True)
    newest = next(iter(answers), None)
    if newest is None or newest in signs.not_feeding or newest.time.whole_days(record.as_of_epoch) > _FEEDING_DAYS:
        return None
    return ConditionHit("breastfeeding", newest.words, newest.code, newest.source, newest.time, "active")


def _is_fed(record: PatientRecord) -> bool:
    age = record.age_years()
    return age is not None and age < FIRST_FERTILE_YEAR


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
    if hit.key == "breastfeeding":
        return _is_fed(record)
    if hit.key != "pregnancy" or may_be_pregnant(record):
        return False
    return hit.time is None or not hit.time.is_after(record.as_of_epoch)


def condition_hit(key: str, condition: Condition, code: str, record: PatientRecord) -> ConditionHit:
    """One condition as a hit of `key`, whether it counts or not."""
    words = condition.code.words if condition.code is not None else ""
    source = condition.source
    is_onset = bool(_onset(condition) or condition.onsetPeriod)
    status = condition_status(condition, record.as_of_epoch)
    time, doubt = condition_time(condition, record), doubt_of(condition)
    return ConditionHit(key, words, code, source, time, status, is_onset, doubt)


def doubt_of(condition: Condition) -> str:
    """Return the verification status of a diagnosis that is tentative or one of several possible ones, else empty."""
    stated = condition.verificationStatus
    codes = [coding.code for coding in stated.coding] if stated is not None else ()
    for doubt in _DOUBTS:
        if doubt in codes:
            return doubt
    return ""


def condition_time(condition: Condition, record: PatientRecord) -> FhirTime | None:
    """When it began: onset, else the date it was recorded, else the start of its encounter."""
    text = _onset(condition) or condition.recordedDate
    if text is None and condition.encounter is not None:
        encounter = record.derive(_encounters_by_reference).get(relative_reference(condition.encounter.reference))
        text = encounter.period.start if encounter is not None and encounter.period is not None else None
    return parse_time(text)


def has_problem_since(record: PatientRecord, day: str) -> bool:
    """Return whether a problem began, or was recorded, on this ISO day or later."""
    times = (condition_time(condition, record) for condition in record.facts(Condition))
    return any(time is not None and time.date >= day for time in times)


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
    ended = parse_time(text)
    if ended is not None:
        return not ended.is_after(as_of_epoch)
    return bool(condition.abatementString) or condition.abatementAge is not None or condition.abatementRange is not None


def _counts(hit: ConditionHit, record: PatientRecord) -> bool:
    is_tissue_valve = hit.key == MECHANICAL_VALVE and _TISSUE_VALVE.search(hit.words) is not None
    if is_tissue_valve or (hit.time is not None and hit.time.is_after(record.as_of_epoch)):
        return False
    if _is_of_the_birth(hit, record):
        return False
    if hit.key == "pregnancy":
        return hit.status != "past" and is_current_pregnancy(record, hit.time)
    if hit.key in _ACUTE_DAYS and (began := began_by(hit)) is not None:
        return hit.status != "past" and began.whole_days(record.as_of_epoch) <= _ACUTE_DAYS[hit.key]
    if _is_long_over(hit, record):
        return False
    history = CONDITION_GROUPS[hit.key].history
    if history == "5 years":
        return _is_recent(hit, record.as_of_epoch) if hit.time is not None else hit.status != "past"
    return hit.status != "past" or history == "any"


def _is_of_the_birth(hit: ConditionHit, record: PatientRecord) -> bool:
    """Whether it began around the birth of a patient who is a year old or more."""
    return bool(record.age_years()) and _OF_NEWBORN.match(hit.code or hit.words) is not None


def _is_long_over(hit: ConditionHit, record: PatientRecord) -> bool:
    """Whether it is a state of days that began long ago: of a stay, or forgotten on the problem list."""
    days = hit.time.whole_days(record.as_of_epoch) if hit.time is not None else 0
    if hit.status == "past" or days <= (_FORGOTTEN_DAYS if hit.status == "active" else _SOON_OVER_DAYS):
        return False
    is_forgotten = hit.status == "active" and hit.key in _OVER_WITHIN
    if is_forgotten and not _is_over_by_result(hit.key, record):
        return False
    if hit.key == "respiratory_failure":
        return _ACUTE_ALONE.match(hit.words) is not None
    if hit.key == "hf_decompensated":  # "Acute on chronic heart failure": it is the decompensation that passes.
        return True
    return (CONDITION_GROUPS[hit.key].passes or is_forgotten) and _LASTING.search(f"{hit.code} {hit.words}") is None


def _is_over_by_result(group: str, record: PatientRecord) -> bool:
    """Whether the newest results of the year lie where the state is over; those of one instant have to agree."""
    analyte, lowest, highest = _OVER_WITHIN[group]
    newest = record.newest_together(analyte, _FORGOTTEN_DAYS)
    return bool(newest) and all(lowest <= measurement.value <= highest for measurement in newest)


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
