"""Which conditions of the tables a patient has, each with its evidence: one pass over the record."""

import re
from collections.abc import Iterable, Mapping, Set
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from fhir.mapping.beside_problems import MECHANICAL_VALVE, Sign, signs_by_group
from fhir.mapping.concepts import read_concept
from fhir.mapping.pregnancy import is_current_pregnancy, observed_pregnancy
from fhir.record.datatypes import CodeableConcept, FhirTime, parse_time
from fhir.record.reading import relative_reference
from fhir.record.record import PatientRecord
from fhir.record.refusals import Refusal
from fhir.record.resources import Condition, Encounter
from fhir.terminology.conditions import CONDITION_GROUPS

ConditionStatus: TypeAlias = Literal["active", "unstated", "past"]

# FHIR R4 condition-clinical: active, recurrence and relapse are states of being ill; inactive, remission and resolved
# are not. con-4: what has an abatement in the past is not active, whatever the status says.
_ILL = ("active", "recurrence", "relapse")
# FHIR R4 condition-ver-status. Refuted and entered-in-error ones are no facts of a record at all.
_DOUBTS = ("provisional", "differential", "unconfirmed")
_FIVE_YEARS_DAYS = 5 * 365.25
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


def find_condition(record: PatientRecord, *groups: str) -> ConditionHit | None:
    """The newest condition of the first of these groups that the record has (tables/condition_groups.csv), or None.

    Of a pregnancy it is the earliest entry that belongs to it.

    Raises KeyError for a group that the table does not have: a misspelt rule must not be a silent one.
    """
    by_group = record.derive_checked(_entries_by_group)
    for group in groups:
        key = CONDITION_GROUPS[group].key
        hit = _group_hit(record, by_group, key) if key in by_group.entries else None
        if hit is None and key not in _SHOWN_OTHERWISE:
            if by_group.signs is None:
                by_group.signs = signs_by_group(record)
            if key not in by_group.signs:
                continue
        hit = _beside_the_problem_list(record, key) if hit is None else hit
        if hit is not None:
            return hit
    return None


_SHOWN_OTHERWISE = frozenset({"pregnancy", MECHANICAL_VALVE})
"""What more than the signs of its own group tells of."""


def charted_groups(record: PatientRecord) -> Set[str]:
    """The groups that `find_condition` can find at all: most of those that a table asks for are not among them."""
    by_group = record.derive_checked(_entries_by_group)
    return _SHOWN_OTHERWISE.union(by_group.entries, signs_by_group(record))


def problems_of(record: PatientRecord, groups: Iterable[str]) -> list[ConditionHit]:
    """Every entry of the problem list that means one of these groups and is not over, in the order of the groups.

    "History of stroke" is no stroke that began when it was written down.
    """
    entries = record.derive_checked(_entries_by_group).entries
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
    """The conditions among these facts of a rule ("condition:" and a key), where none of them is confirmed."""
    keys = sorted([use.removeprefix("condition:") for use in uses if use.startswith("condition:")])
    hits = [hit for key in keys if (hit := find_condition(record, key)) is not None]
    return hits if all(hit.doubt for hit in hits) else []


def doubtful_problems(record: PatientRecord) -> Mapping[str, tuple[str, str]]:
    """The words and the verification status of each problem that is not confirmed, by its Type/id."""
    return record.derive(_doubtful)


def _doubtful(record: PatientRecord) -> dict[str, tuple[str, str]]:
    return {
        f"Condition/{condition.id}": (condition.code.words if condition.code is not None else "", doubt)
        for condition in record.conditions
        if (doubt := doubt_of(condition))
    }


def _beside_the_problem_list(record: PatientRecord, key: str) -> ConditionHit | None:
    """What tells of a condition that no entry of the problem list names."""
    if key == "pregnancy":
        return _observed_pregnancy(record)
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


def _is_tissue_valve(hit: ConditionHit) -> bool:
    return hit.key == MECHANICAL_VALVE and _TISSUE_VALVE.search(hit.words) is not None


class _EntriesByGroup:
    """The conditions of a record, each with its code, by the groups that its codes or its words mean."""

    __slots__ = ("entries", "hits", "signs", "unread")

    def __init__(self, unread: tuple[str, ...] = ()) -> None:
        self.unread = unread
        self.entries: dict[str, list[tuple[Condition, str]]] = {}
        # What has been found of them so far: most groups are never asked for.
        self.hits: dict[str, ConditionHit | None] = {}
        self.signs: Mapping[str, tuple[Sign, ...]] | None = None
        """What stands beside the problem list, once somebody has asked for it."""


def _entries_by_group(record: PatientRecord) -> tuple[_EntriesByGroup, tuple[Refusal, ...]]:
    by_group = _EntriesByGroup()
    unread: dict[str, str] = {}
    for condition in record.conditions:
        reading = read_concept(condition.code)
        for meant in reading.meant:
            by_group.entries.setdefault(meant.group, []).append((condition, meant.code))
        if not reading.is_understood:
            unread.setdefault(*words_and_code(condition.code))
    by_group.unread = tuple(unread)
    return by_group, (_refusal_of_unread(unread),) if unread else ()


def words_and_code(concept: CodeableConcept | None) -> tuple[str, str]:
    """What an entry that means nothing known is called, and the first code that it has."""
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
    """The words of the problems that mean nothing known, each once: no code of the tables and no phrase.

    Who asks for a group, and finds none, does not know whether one of these is in it.
    """
    return record.derive_checked(_entries_by_group).unread


def _group_hit(record: PatientRecord, by_group: _EntriesByGroup, group: str) -> ConditionHit | None:
    if group == "pregnancy":
        record.derive_checked(_impossible_pregnancies)
    if group not in by_group.hits:
        best: ConditionHit | None = None
        for condition, code in by_group.entries[group]:
            hit = condition_hit(group, condition, code, record)
            if not _is_impossible(hit, record) and _counts(hit, record) and is_better_hit(hit, best):
                best = hit
        by_group.hits[group] = best
    return by_group.hits[group]


def _observed_pregnancy(record: PatientRecord) -> ConditionHit | None:
    """A pregnancy that a test, a status, a due date or a visit tells."""
    pregnancy = observed_pregnancy(record)
    if pregnancy is None:
        return None
    return ConditionHit("pregnancy", pregnancy.words, pregnancy.code, pregnancy.source, pregnancy.time, "active")


def _impossible_pregnancies(record: PatientRecord) -> tuple[None, tuple[Refusal, ...]]:
    if record.sex != "male":
        return None, ()
    entries = record.derive_checked(_entries_by_group).entries.get("pregnancy", ())
    hits = (condition_hit("pregnancy", condition, code, record) for condition, code in entries)
    return None, tuple(dict.fromkeys(_impossible(hit) for hit in hits if _is_impossible(hit, record)))


def _is_impossible(hit: ConditionHit, record: PatientRecord) -> bool:
    if hit.key != "pregnancy" or record.sex != "male":
        return False
    return hit.time is None or not hit.time.is_after(record.as_of_epoch)


def _impossible(hit: ConditionHit) -> Refusal:
    return Refusal(hit.source, "impossible", f"{hit.source}: a pregnancy code on a man's record: not used.")


def condition_hit(key: str, condition: Condition, code: str, record: PatientRecord) -> ConditionHit:
    """One condition as a hit of `key`, whether it counts or not."""
    words = condition.code.words if condition.code is not None else ""
    source = f"Condition/{condition.id}" if condition.id else "Condition without id"
    is_onset = bool(condition.onsetDateTime or condition.onsetPeriod)
    status = condition_status(condition, record.as_of_epoch)
    time, doubt = condition_time(condition, record), doubt_of(condition)
    return ConditionHit(key, words, code, source, time, status, is_onset, doubt)


def doubt_of(condition: Condition) -> str:
    """The verification status of a diagnosis that is tentative or one of several possible ones, else empty."""
    stated = condition.verificationStatus
    if stated is not None:
        for doubt in _DOUBTS:
            if stated.has(doubt):
                return doubt
    return ""


def condition_time(condition: Condition, record: PatientRecord) -> FhirTime | None:
    """When it began: onset, else the date it was recorded, else the start of its encounter."""
    period = condition.onsetPeriod
    text = condition.onsetDateTime or (period.start if period is not None else None) or condition.recordedDate
    if text is None and condition.encounter is not None:
        encounter = record.derive(_encounters_by_reference).get(relative_reference(condition.encounter.reference or ""))
        text = encounter.period.start if encounter is not None and encounter.period is not None else None
    return parse_time(text) if text else None


def _encounters_by_reference(record: PatientRecord) -> dict[str, Encounter]:
    return {f"Encounter/{encounter.id}": encounter for encounter in record.encounters}


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
    return "active" if (stated.text or "").lower() in _ILL else "past"


def _is_abated(condition: Condition, as_of_epoch: float) -> bool:
    period, text = condition.abatementPeriod, condition.abatementDateTime
    if not text and period is not None:
        text = period.end or period.start
    ended = parse_time(text) if text else None
    if ended is not None:
        return not ended.is_after(as_of_epoch)
    return bool(condition.abatementString) or condition.abatementAge is not None or condition.abatementRange is not None


def _counts(hit: ConditionHit, record: PatientRecord) -> bool:
    if _is_tissue_valve(hit) or (hit.time is not None and hit.time.is_after(record.as_of_epoch)):
        return False
    if hit.key == "pregnancy":
        return hit.status != "past" and is_current_pregnancy(record, hit.time)
    history = CONDITION_GROUPS[hit.key].history
    if history == "5 years":
        return _is_recent(hit, record.as_of_epoch) if hit.time is not None else hit.status != "past"
    return hit.status != "past" or history == "any"


def _is_recent(hit: ConditionHit, as_of_epoch: float) -> bool:
    return hit.time is not None and hit.time.whole_days(as_of_epoch) <= _FIVE_YEARS_DAYS


def is_better_hit(hit: ConditionHit, other_hit: ConditionHit | None) -> bool:
    """Whether a hit is to be used in place of the one found so far (None: there is none)."""
    if other_hit is None:
        return True
    if hit.key == "pregnancy" and hit.time is not None and other_hit.time is not None:
        # A complication is charted weeks after the pregnancy began: the earliest entry of this pregnancy dates it.
        return hit.time.instant < other_hit.time.instant
    return _weight(hit) > _weight(other_hit)


def _weight(hit: ConditionHit) -> tuple[bool, bool, float]:
    """What is confirmed goes before what is not, a stated status before an unstated one, then the later date."""
    return not hit.doubt, hit.status == "active", hit.time.instant if hit.time else 0.0


def condition_hits(record: PatientRecord) -> Mapping[str, ConditionHit]:
    """The condition of each group that the record has and that counts at `as_of`, computed once per record.

    What is resolved counts only in groups whose history counts; what begins after `as_of` never does.
    """
    return record.derive(_all_hits)


def _all_hits(record: PatientRecord) -> dict[str, ConditionHit]:
    by_group = record.derive_checked(_entries_by_group)
    return {group: hit for group in by_group.entries if (hit := _group_hit(record, by_group, group)) is not None}
