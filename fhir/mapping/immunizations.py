"""The vaccine doses on a record: by CVX code and day, and what could not be read as a dose.

CVX is CDC's code system for vaccines (http://hl7.org/fhir/sid/cvx), MVX that for their manufacturers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from msgspec import Struct

from fhir.record.datatypes import CodeableConcept, FhirTime, parse_time
from fhir.record.record import PatientRecord
from fhir.record.refusals import Refusal
from fhir.record.resources import Immunization
from fhir.terminology.medications import CVX_SYSTEMS, addresses_of
from fhir.terminology.vaccines import families_of_code, families_of_words

_MVX_SYSTEMS = frozenset(addresses_of("mvx"))
# CVX 998: "no vaccine administered", which records a refusal or an immunity.
_NO_VACCINE = frozenset({"998"})


def vaccine_families(concept: CodeableConcept, *, is_vaccine: bool = False) -> frozenset[str]:
    """Find the families of vaccines (tables/vaccine_families.csv) a concept means by its codes, else by its words.

    With `is_vaccine` the name of a disease alone is that of its vaccine, as in an Immunization.
    """
    by_code = frozenset[str]().union(*(families_of_code(coding.system, coding.code) for coding in concept.coding))
    if by_code:
        return by_code
    return frozenset[str]().union(*(families_of_words(text, is_vaccine=is_vaccine) for text in concept.texts))


class VaccineDose(Struct, frozen=True):
    """A vaccine dose that was given: day, vaccine (CVX), manufacturer (MVX) where named, and the record it is from."""

    given: date
    cvx: str
    source: str = ""
    words: str = ""
    manufacturer: str = ""
    substandard: bool = False


@dataclass(frozen=True, slots=True)
class DoseToCheck:
    """An entry without a CVX code or without a day that names its vaccine all the same: it is given, but counts not."""

    families: frozenset[str]
    given: date | None
    source: str
    words: str


@dataclass(frozen=True)
class VaccineHistory:
    """The doses on a record, earliest first, and the entries that could not be used, or only to be checked."""

    doses: tuple[VaccineDose, ...]
    unread: tuple[Refusal, ...]
    to_check: tuple[DoseToCheck, ...] = ()

    @cached_property
    def days(self) -> tuple[date, ...]:
        """The days on which something was given."""
        return tuple(dict.fromkeys(dose.given for dose in self.doses))


def vaccine_history(record: PatientRecord) -> VaccineHistory:
    """Every dose of the record that has a CVX code and a day; two entries of one vaccine on one day are one dose."""
    doses: dict[tuple[str, date], VaccineDose] = {}
    unread: list[Refusal] = []
    to_check: list[DoseToCheck] = []
    for entry in record.facts(Immunization):
        vaccine_dose = _dose(entry, record)
        if isinstance(vaccine_dose, Refusal):
            unread.append(vaccine_dose)
            to_check += _to_check(entry, vaccine_dose, record)
        elif vaccine_dose is not None:
            doses.setdefault((vaccine_dose.cvx, vaccine_dose.given), vaccine_dose)
    return VaccineHistory(tuple(sorted(doses.values(), key=lambda dose: dose.given)), tuple(unread), tuple(to_check))


def _to_check(entry: Immunization, refusal: Refusal, record: PatientRecord) -> Iterator[DoseToCheck]:
    families = vaccine_families(entry.vaccineCode, is_vaccine=True) if entry.vaccineCode is not None else None
    if families:
        time = parse_time(entry.occurrenceDateTime)
        if time is None or not time.is_after(record.as_of_epoch):
            given = time.last_day if time is not None else None
            yield DoseToCheck(families, given, refusal.subject, entry.vaccineCode.words if entry.vaccineCode else "")


def _dose(entry: Immunization, record: PatientRecord) -> VaccineDose | Refusal | None:
    source = entry.source
    if entry.status not in (None, "completed"):
        return None
    cvx = _cvx(entry)
    if cvx is None:
        return Refusal(source, "no-vaccine-code", f"{source} has no CVX code: not counted.")
    if cvx in _NO_VACCINE:
        return None
    time = parse_time(entry.occurrenceDateTime)
    if time is None or time.precision not in ("day", "instant"):
        return Refusal(source, "no-day", f"{source} does not say on which day it was given: not counted.")
    if time.is_after(record.as_of_epoch):
        return Refusal(source, "future", f"{source} lies in the future: not counted.")
    words = entry.vaccineCode.words if entry.vaccineCode is not None else ""
    given = date.fromisoformat(time.date)
    return VaccineDose(given, cvx, source, words, _manufacturer(entry), _is_substandard(entry, time))


def _cvx(entry: Immunization) -> str | None:
    """Return the code in CDC's spelling: at least two digits."""
    for coding in entry.vaccineCode.coding if entry.vaccineCode is not None else ():
        code = coding.code.strip()
        if coding.system in CVX_SYSTEMS and code.isdigit():
            return code.lstrip("0").zfill(2)
    return None


def _manufacturer(entry: Immunization) -> str:
    identifier = entry.manufacturer.identifier if entry.manufacturer is not None else None
    is_named = identifier is not None and identifier.system in _MVX_SYSTEMS
    return identifier.value or "" if identifier is not None and is_named else ""


def _is_substandard(entry: Immunization, given: FhirTime) -> bool:
    """Whether CDC would not evaluate it: subpotent, or given after its lot expired."""
    expired = parse_time(entry.expirationDate)
    return bool(entry.isSubpotent) or (expired is not None and given.date > expired.date and expired.precision == "day")
