"""Whether a pregnancy can begin and nothing on record prevents it: what a boxed warning asks before a drug is started.

shared/data/medications/rules/pregnancy.json, table status, row childbearing: "female, age 12 to 50, no hysterectomy, no
sterilisation, no long-acting contraceptive"; CLARIFICATIONS: "no contraceptive of any kind on the list".
"""

import re
from collections.abc import Iterable, Iterator

from fhir.mapping.conditions import find_condition
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.mapping.pregnancy import FIRST_FERTILE_YEAR, LAST_FERTILE_YEAR
from fhir.record.datatypes import CodeableConcept, FhirTime, parse_time
from fhir.record.record import PatientRecord
from fhir.record.resources import Condition, Procedure
from fhir.terminology.assertions import is_of_patient
from fhir.terminology.conditions import CONTRACEPTIVE_WORDS, CONTRACEPTIVES, PregnancyMeaning, pregnancy_meaning

# By mouth it is given for other reasons; ATC G03AC06 is the injection.
_ONLY_INJECTED = "6691"
_SWALLOWED = re.compile(r"\boral\b|\btab|\bpo\b|by mouth", re.IGNORECASE)
_IN_WORDS = re.compile(
    "|".join(
        (
            r"contracep[tcç]|birth control|\biuds?\b|intrauterine (?:device|system)|\b(?:21|28|84|91) day pack\b",
            r"kontrazep|\bverhütung|\bmirena|spirale?\b|stérilet|\bdiu\b|contraccezi|anticoncep|antykoncep|\bwkładk|\bspiraal|ehkäisy",
            *(rf"\b{re.escape(word)}\b" for word in CONTRACEPTIVE_WORDS),
        )
    ),
    re.IGNORECASE,
)

# The table: "no hysterectomy, no sterilisation"; charts say it in words as often as by a code.
_INFERTILE_IN_WORDS = re.compile(
    r"hysterectomy|(?:h[yi]|i)st[eé]re[ck]?[ck]?tom(?:ie?|ia|ía)\b|kohdunpoisto|tubal (?:ligation|occlusion)"
    r"|\bsterili[sz]a[tc]|sterylizac|laqueação|(?:ligature|legatura|ligadura) (?:des|delle|de) (?:trompes|tube|trompas)"
    r"|bilateral (?:salpingectomy|oophorectomy)"
    r"|(?<!pre[- ])(?<!peri[- ])\b(?:post-?)?menopaus",
    re.IGNORECASE,
)


_ONLY_TALKED_OF = re.compile(
    r"remov|entfern|retir|rimo[zs]|counsel|berat|conseil|wish|wunsch|want|desire|plan|request|emergency|without|\bno\b"
    r"|kein|sans|senza|\bsin\b|\bsem\b|geen|utan|uden|uten|\bbez\b|\bei\b",
    re.IGNORECASE,
)


def childbearing_no_contraception(record: PatientRecord, medications: Iterable[MedicationIdentity]) -> bool | None:
    """Whether a pregnancy can begin: a woman of 12 to 50, not pregnant, nothing on record that prevents one.

    `taken` is what she is on and what is drafted beside. None where sex, age, problem list or medications are not
    known: their silence means nothing.
    """
    age = record.age_years()
    if record.sex == "male" or (age is not None and not FIRST_FERTILE_YEAR <= age <= LAST_FERTILE_YEAR):
        return False
    if any(is_contraceptive(medication) for medication in medications) or _is_prevented(record):
        return False
    if find_condition(record, "pregnancy") is not None:
        return False
    requested = record.was_requested("Condition") and record.was_requested("MedicationRequest")
    return True if record.sex == "female" and age is not None and requested else None


def is_contraceptive(medication: MedicationIdentity) -> bool:
    """Whether a medication prevents a pregnancy: by its ingredients, or by its words where it is not recognized."""
    rxcuis = CONTRACEPTIVES.intersection(medication.rxcuis)
    if rxcuis == {_ONLY_INJECTED}:
        return _SWALLOWED.search(f"{medication.words} {medication.dose_form} {medication.route}") is None
    return bool(rxcuis) or _IN_WORDS.search(medication.words) is not None


def _is_prevented(record: PatientRecord) -> bool:
    placed = removed = None
    for use, time in _pregnancy_statements(record):
        if use == "infertile":
            return True
        if use == "contraception":
            placed = _later(placed, time)
        elif use == "contraception_ends":
            removed = _later(removed, time)
    return placed is not None and (removed is None or removed.instant < placed.instant)


def _later(fhir_time: FhirTime | None, other: FhirTime) -> FhirTime:
    return other if fhir_time is None or other.instant > fhir_time.instant else fhir_time


def _pregnancy_statements(record: PatientRecord) -> Iterator[tuple[PregnancyMeaning, FhirTime]]:
    """Yield what conditions and procedures say, with the day; without one it counts as long ago."""
    for condition in record.facts(Condition):
        yield from _uses(condition.code, condition.onsetDateTime or condition.recordedDate)
    for procedure in record.facts(Procedure):
        if procedure.status == "completed":
            period = procedure.performedPeriod
            when = procedure.performedDateTime or (period.start if period is not None else None)
            yield from _uses(procedure.code, when)


_LONG_AGO = FhirTime(0.0, "", "year")


def _uses(concept: CodeableConcept | None, when: str | None) -> Iterator[tuple[PregnancyMeaning, FhirTime]]:
    time = (parse_time(when)) or _LONG_AGO
    if concept is None:
        return
    if any(is_of_patient(concept.words, match.start()) for match in _INFERTILE_IN_WORDS.finditer(concept.words)):
        yield "infertile", time
    if _IN_WORDS.search(concept.words) and not _ONLY_TALKED_OF.search(concept.words):
        yield "contraception", time
    for coding in concept.coding:
        use = pregnancy_meaning(coding.system, coding.code)
        if use is not None:
            yield use, time
