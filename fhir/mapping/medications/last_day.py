"""The last day of a course as the words of an order name it: "until 2026-10-01", "7-day course" in a note."""

import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

from fhir.mapping.medications.sig import LONGEST_SIG
from fhir.mapping.medications.sig_steps import steps_of
from fhir.record.datatypes import Annotation, Dosage
from fhir.record.text_budget import REMEMBERED
from fhir.terminology.dates import FoundDate, find_dates

_UNTIL: Final = re.compile(
    r"\b(?:until|till?|through|thru|up to|stop(?: on| date)?|ends?(?: on| date)?|end date|last day(?: on| is)?"
    r"|bis(?: zum| einschl(?:ie(?:ß|ss)lich|\.))?|jusqu['’]au|hasta(?: el)?|até|fino al)\b ?:? ?$",
    re.IGNORECASE,
)
_HAS_YEAR: Final = re.compile(r"(?:19|20)\d\d|[./]\d{1,2}[./]\d\d\b")
# "Hold until …", "not before …": what begins again on that day. "Refills valid until …": not the course ends then, and
# "last dose 2026-11-18" says when a drug that goes on was taken. "…, then 5 mg daily": what goes on after it.
_NOT_THE_COURSE: Final = re.compile(
    r"\b(?:hold|held|holding|not|resum\w*|re-?start\w*|start\w*|begin\w*|paus\w*|nicht|ab"
    r"|refill\w*|repeats?|valid|gültig|authori[sz]ed|covered|coverage|insur\w*|suppl\w*|expir\w*|prescription|rezept)\b",
    re.IGNORECASE,
)
# A note says more than directions do ("sick leave until …"): there the sentence has to be about nothing but the end.
_ALONE_IN_NOTE: Final = re.compile(
    r"(?:(?:to be )?(?:take|taken|give|given|continue|continued|treat|use|treatment|therapy|course)\b,? ?)?(?:on )?",
    re.IGNORECASE,
)
_BEFORE: Final = re.compile(r"[;\n]|\.\s")
_GOES_ON: Final = re.compile(
    r"\b(?:then|thereafter|followed by|after that|danach|dann|puis|ensuite|luego|después|depois|poi)\b", re.IGNORECASE
)
_NO_DATE: Final = date.min
_MOST_DATES: Final = 8
"""Each date counts twice, with the month and with the day first."""
# A sentence of a note that says nothing but how long: "7 day course", "Duration: 10 days", "10-day course of therapy".
_LENGTH_ALONE: Final = re.compile(
    r"(?:an? |total |full )*(\d{1,3})[- ]?(days?|d|weeks?|wks?)[- ](?:total )?"
    r"(?:course|treatment|therapy|supply)(?: of (?:treatment|therapy|antibiotics?))?"
    r"|(?:course|treatment|therapy|duration|length)(?: of (?:treatment|therapy|course))?:?(?: of| for| is)? "
    r"(\d{1,3})[- ]?(days?|d|weeks?|wks?)",
    re.IGNORECASE,
)
_SENTENCE: Final = re.compile(r"[.;\n]+")


def last_day_in_words(dosages: Sequence[Dosage], notes: Iterable[Annotation]) -> date | None:
    """Return the last day that the instructions or else a note name, the latest; None where one of them goes on.

    A day of which the order of day and month is not certain ("03/04/2026") is the later one.
    """
    by_dosage = [next(filter(None, map(_last_day, dosage.words)), None) for dosage in dosages]
    last_days = [day for day in by_dosage if day is not None]
    if last_days:
        return max(last_days) if len(last_days) == len(by_dosage) else None
    in_notes = (_last_day(note.text, is_note=True) for note in notes if len(note.text) <= REMEMBERED)
    return max((day for day in in_notes if day is not None), default=None)


def days_in_notes(notes: Iterable[Annotation]) -> float | None:
    """Return how long a course lasts by a sentence of a note that says nothing else, the longest."""
    matches = (
        match
        for note in notes
        if len(note.text) <= REMEMBERED
        for sentence in _SENTENCE.split(note.text)
        if (match := _LENGTH_ALONE.fullmatch(sentence.strip())) is not None
    )
    lengths = (
        float(match[1] or match[3]) * (7.0 if (match[2] or match[4]).lower().startswith("w") else 1.0)
        for match in matches
    )
    return max(lengths, default=None)


def _last_day(text: str, *, is_note: bool = False) -> date | None:
    if len(text) > LONGEST_SIG or _HAS_YEAR.search(text) is None:
        return None  # nearly every instruction
    dates = [date_in_text for order in (True, False) for date_in_text in find_dates(text, _NO_DATE, month_first=order)]
    if len(dates) > _MOST_DATES:
        return None  # a diary
    days = [
        date_in_text.day
        for date_in_text in dates
        if _HAS_YEAR.search(text[date_in_text.start : date_in_text.end])
        and _is_last(text, date_in_text, is_note=is_note)
    ]
    return None if not days or steps_of(text) else max(days)


def _is_last(text: str, date_in_text: FoundDate, *, is_note: bool) -> bool:
    """Whether the words before a date say that the course ends on it, and those after it do not go on."""
    sentence = _BEFORE.split(text[: date_in_text.start])[-1]
    cue = _UNTIL.search(sentence)
    if cue is None or _NOT_THE_COURSE.search(sentence) or _GOES_ON.search(text[date_in_text.end :]):
        return False
    return not is_note or _ALONE_IN_NOTE.fullmatch(sentence[: cue.start()].lstrip()) is not None
