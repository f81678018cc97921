"""The gestational age of a current pregnancy: by its due date, a measurement, a code or words, or its onset.

shared/data/medications/rules/pregnancy.json, table gestation.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

from fhir.mapping.condition_concepts import read_concept
from fhir.mapping.conditions import condition_status
from fhir.mapping.pregnancy import PregnancySign, beginning, has_ended, pregnancy_signs, weeks_by
from fhir.record.datatypes import DAY_SECONDS, FhirTime, parse_time
from fhir.record.record import PatientRecord
from fhir.record.resources import Condition, Encounter
from fhir.terminology.conditions import weeks_of_code

# tables of the pregnancy rules: gestational age from "onset date of the condition minus two weeks".
_WEEKS_BEFORE_ONSET = 2.0
# Before these days an onset and the weeks in words are near each other by chance.
_LEAST_DAYS = 28.0
# "unless the text says otherwise": "20 weeks gestation", "IUP 24w3d", "G2P1 at 32+4", "24/40", "22. SSW", "28 SA",
# "28 semanas", "28 settimane", "28. Woche", "28 weken", "28 tygodni", "SSW 28", "uge 28", "semana 28".
_WEEKS_IN_WORDS = re.compile(
    r"\b(\d{1,2})(?:[ -]?(?:weeks?|wks?|w)(?:\d ?d)?\b|\+[0-6]\b|/40\b"
    r"|[ea\u00aa\u00ba.]{0,2} ?(?:ssw|sa|sdg|sem\w{0,5}|settiman[ae]|wochen?|week|weken?|u[gk]er?|veckor|tyg\w*|hbd"
    r"|t[yý]d\w*|hafta\w*|hét|het(?:es|i|[eé]ben)|raskausviik\w*)\b)"
    r"|\b(?:ssw|sa|sg|sw|rv|uge|uke|vecka|v\.|semana|settimana|semaine|raskausviikko|tydzień|hbd) ?(\d{1,2})\b",
    re.IGNORECASE,
)
# "3rd trimester", "T3 pregnancy"; so is labor, which is charted with its weeks where it begins before week 28.
_THIRD_TRIMESTER = re.compile(
    r"\b(?:3|iii|third|terzo|tercer|terceiro|troisi[eè]me|dritte[sn]?|derde|tredje)(?:rd|de|e|er|ème|eme|º|°|ª|\.)?"
    r" ?trim(?:est\w{1,4}|enon)|\btrimest(?:er|re) ?(?:3|iii)\b|\b(?:pregnan\w{2,3}|grossesse),? ?t3\b"
    r"|\b[89](?:\.|e|ème|eme|º|°|th)? ?(?:mois|mes(?:es|i|e)?|(?:schwangerschafts)?monat|months?|maand\w*|miesi[aą]c\w*"
    r"|hónap\w*|měsíc\w*)\b"
    r"|(?<!not )(?<!not yet )\b(?:(?:in|active|established|spontaneous|early) labou?r\b|labou?r and delivery\b"
    r"|en travail\b|in travaglio|trabajo de parto|trabalho de parto|unter (?:der )?geburt|in partu\b)"
    r"|\bZ34\.?[089]3\b|\bO09\.?\w{1,3}3\b",
    re.IGNORECASE,
)
_SECOND_TRIMESTER = re.compile(
    r"\b(?:2|ii|second|secondo|segundo|deuxi[eè]me|zweite[sn]?|tweede|ande[nt]|andre)(?:nd|de|e|er|ème|eme|º|°|ª|\.)?"
    r" ?trim(?:est\w{1,4}|enon)|\btrimest(?:er|re) ?(?:2|ii)\b|\bZ34\.?[089]2\b|\bO09\.?\w{1,3}2\b",
    re.IGNORECASE,
)
_LAST_WEEK = 43
_TRIMESTERS = (
    ("third trimester", _THIRD_TRIMESTER, 28, _LAST_WEEK),
    ("second trimester", _SECOND_TRIMESTER, 14, 27),
)
"""With the first and the last week that each can mean on the day on which it was written down."""


class Gestation(Struct, frozen=True, gc=False):
    """The gestational age: completed weeks, the basis in words, the resource of the basis, and completed days.

    Where only a trimester is on record, `weeks` and `days` are the least that it leaves, and `most` the most weeks.
    """

    weeks: int
    words: str
    source: str | None
    days: int
    most: int

    @property
    def week(self) -> str:
        """The week, or the weeks in which it may be: "22", "14 to 27", "28 or later"."""
        if self.weeks == self.most:
            return str(self.weeks)
        return f"{self.weeks} or later" if self.most == _LAST_WEEK else f"{self.weeks} to {self.most}"


def gestation(record: PatientRecord, since: FhirTime | None, source: str | None = None) -> Gestation | None:
    """Return the gestational age of a current pregnancy; None where nothing on record gives it.

    By the estimated due date, else a gestational age that was measured or charted as ICD-10 Z3A or in the words of a
    condition, else the onset `since` of the condition (`source`), which counts as two weeks into the pregnancy. A
    trimester that the onset contradicts goes before it: such an onset is the day on which somebody wrote it down.
    """
    signs = pregnancy_signs(record)
    for sign in (*signs.due, *signs.gestation, *_charted_weeks(record), *signs.periods[:1]):
        weeks = weeks_by(sign, record)
        if weeks is not None and not has_ended(record, beginning(sign)):
            return Gestation(int(weeks), _basis(sign), sign.source, _whole_days(weeks), int(weeks))
    by_onset = _by_onset(record, since, source)
    present = [one for one in record.facts(Condition) if condition_status(one, record.as_of_epoch) != "past"]
    by_trimester = (_by_trimester(condition, by_onset, record) for condition in present)
    return max(filter(None, by_trimester), key=lambda found: (found.weeks, found.most), default=by_onset)


def _by_onset(record: PatientRecord, since: FhirTime | None, source: str | None) -> Gestation | None:
    if since is None or since.precision not in ("day", "instant") or since.instant > record.as_of_epoch:
        return None
    weeks = (record.as_of_epoch - since.instant) / DAY_SECONDS / 7.0 + _WEEKS_BEFORE_ONSET
    return Gestation(int(weeks), f"onset {since.date}", source, _whole_days(weeks), int(weeks))


def _by_trimester(condition: Condition, by_onset: Gestation | None, record: PatientRecord) -> Gestation | None:
    """Return the weeks that the trimester of a problem leaves now, or those by the onset where they lie in it."""
    if (concept := condition.code) is None:
        return None
    texts = " ".join([*concept.texts, *(coding.code for coding in concept.coding)])
    named = next((row for row in _TRIMESTERS if row[1].search(texts)), None)
    if named is None or not any(meant.group == "pregnancy" for meant in read_concept(concept).meant):
        return None
    words, _, first, last = named
    entered = parse_time(condition.recordedDate) or _visit_time(condition, record)
    time = entered or parse_time(condition.onsetDateTime)  # an onset may be the day of the entry, or before it
    passed = max(record.as_of_epoch - time.instant, 0.0) / DAY_SECONDS / 7.0 if time is not None else 0.0
    least = first + passed if entered else float(first)
    most = min(int(last + passed), _LAST_WEEK) if time is not None else _LAST_WEEK
    if by_onset is not None and int(least) <= by_onset.weeks <= most:
        return by_onset
    if first + passed > _LAST_WEEK or has_ended(record, record.as_of_epoch - least * 7.0 * DAY_SECONDS):
        return None
    on = f" on {entered.date}" if entered is not None else ", without a date"
    return Gestation(int(least), words + on, condition.source, _whole_days(least), most)


def _basis(sign: PregnancySign) -> str:
    """Return what the weeks are counted from: the date of birth expected, weeks on a day, or the last period."""
    if sign.due is not None:
        return f"due {sign.due.date}"
    if sign.how == "period":
        return f"last period {sign.time.date}"
    return f"week {int(sign.weeks)} on {sign.time.date}"


def _whole_days(weeks: float) -> int:
    """Return the completed days; a part of a second that is lost in dividing by seven is no day."""
    return int(weeks * 7.0 + 1e-6)


def _charted_weeks(record: PatientRecord) -> list[PregnancySign]:
    """Weeks that a condition names by ICD-10 Z3A or in its words, the newest first."""
    signs = [sign for condition in record.facts(Condition) for sign in _weeks_of(condition, record)]
    return sorted(signs, key=lambda sign: sign.time.instant, reverse=True)


def _weeks_of(condition: Condition, record: PatientRecord) -> Iterator[PregnancySign]:
    if condition.code is None:
        return
    time = parse_time(condition.recordedDate or condition.onsetDateTime) or _visit_time(condition, record)
    if time is None:
        return
    coded = [weeks_of_code(coding.system, coding.code) for coding in condition.code.coding]
    weeks = next((week for week in coded if week is not None), None)
    if weeks is None and any(meant.group == "pregnancy" for meant in read_concept(condition.code).meant):
        match = _WEEKS_IN_WORDS.search(condition.code.words)
        weeks = int(match[1] or match[2]) if match is not None else None
    if weeks is not None:
        source, days = condition.source, (record.as_of_epoch - time.instant) / DAY_SECONDS
        # "Pregnant, 20 weeks" with an onset 20 weeks ago and no date of its recording: that is how it began.
        is_of_today = condition.recordedDate is None and abs(days / 7.0 - weeks) <= _WEEKS_BEFORE_ONSET
        weeks_then = weeks - days / 7.0 if is_of_today and days >= _LEAST_DAYS else float(weeks)
        yield PregnancySign("gestation", condition.code.words, "", source, time, weeks=weeks_then)


def _visit_time(condition: Condition, record: PatientRecord) -> FhirTime | None:
    visit = condition.encounter.reference.rpartition("/")[2] if condition.encounter is not None else ""
    period = next((encounter.period for encounter in record.facts(Encounter) if encounter.id == visit), None)
    return period.begin if period is not None else None
