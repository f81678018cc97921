"""Whether the patient takes a drug of some kind: present, absent, or not to be said because a drug could not be read.

Every sentence "no anticoagulant found" asks here. A medication that is on the list and that no table knows may be the
one that is looked for, so it is never counted as its absence.
"""

from collections.abc import Set
from typing import Literal, TypeAlias

from msgspec import Struct

from fhir.mapping.medications.active import (
    ActiveMedication,
    active_medications,
    forgotten_orders,
    has_read_medications,
)
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.mapping.medications.uncertain import uncertain_medications
from fhir.record.chart_text import plain
from fhir.record.datatypes import CodeableConcept
from fhir.record.record import PatientRecord
from fhir.terminology.medication_names import is_local, no_drug_kind

State: TypeAlias = Literal["present", "absent", "unreadable", "not-requested"]
_LISTS = ("MedicationRequest", "MedicationStatement", "MedicationDispense", "MedicationAdministration")
_MOST_NAMED = 3
_LONGEST_WORDS = 60


class Presence(Struct, frozen=True):
    """What was found of the drugs that were looked for.

    `state` is `unreadable` where none is on the list, and at least one medication on it could be any drug, or one of
    them stands there of which nobody knows if it is taken (its status is unknown, it was ordered over ten years ago);
    it is `not-requested` where no list of medications came with the call.
    """

    state: State
    medications: tuple[ActiveMedication, ...] = ()
    unreadable: tuple[ActiveMedication, ...] = ()

    @property
    def unreadable_words(self) -> str:
        """The medications that could not be read, in the words of the chart: "Xyzal forte and 2 more"."""
        return words_of_unreadable(self.unreadable)


def presence_of(
    record: PatientRecord, keys: Set[str], *, other_than: Set[str] = frozenset(), systemic: bool = True
) -> Presence:
    """Whether a drug with one of these classes or RxNorm ingredient codes is taken.

    Args:
        record: The patient's facts.
        keys: Names of classes and RxNorm codes of ingredients.
        other_than: RxNorm codes and names of ingredients that do not count, although they are of such a class.
        systemic: Whether only drugs that act on the whole body count.
    """
    medications = tuple(
        medication for medication in active_medications(record) if _is_meant(medication, keys, other_than, systemic)
    )
    if medications:
        return Presence("present", medications)
    unreadable = unreadable_medications(record, systemic=systemic)
    uncertain = (*uncertain_medications(record), *forgotten_orders(record))
    unreadable += tuple(medication for medication in uncertain if _is_meant(medication, keys, other_than, systemic))
    if unreadable:
        return Presence("unreadable", unreadable=unreadable)
    return Presence("absent" if any(map(record.was_requested, _LISTS)) else "not-requested")


def unreadable_medications(record: PatientRecord, *, systemic: bool = True) -> tuple[ActiveMedication, ...]:
    """The medications on the list that could be any drug: no table knows them, and they are no supply or fluid.

    With `systemic` those are left out whose words say that they act only where they are put ("… eye drops").
    """
    unreadable = record.derive(_find_unreadable)
    if not systemic:
        return unreadable
    return tuple(medication for medication in unreadable if not _acts_locally(medication.identity))


def unreadable_codes(record: PatientRecord) -> tuple[str, ...]:
    """The first code of each medication that no table knows: "system|code", or "text"; () where nobody looked."""
    if not has_read_medications(record):
        return ()
    return tuple(
        _first_code(medication.order.medicationCodeableConcept) for medication in unreadable_medications(record)
    )


def _first_code(concept: CodeableConcept | None) -> str:
    codings = concept.coding if concept is not None else ()
    return next((f"{coding.system or ''}|{coding.code}" for coding in codings if coding.code), "text")


def words_of_unreadable(medications: tuple[ActiveMedication, ...]) -> str:
    """The words of the chart for medications that could not be read, at most three of them."""
    words = tuple(dict.fromkeys(map(_words, medications)))
    more = len(words) - _MOST_NAMED
    return "; ".join(words[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _is_meant(medication: ActiveMedication, keys: Set[str], other_than: Set[str], systemic: bool) -> bool:
    identity = medication.identity
    if keys.isdisjoint(identity.keys) or (systemic and identity.systemic is False):
        return False
    return not all(part.rxcui in other_than or part.name in other_than for part in identity.ingredients)


def _find_unreadable(record: PatientRecord) -> tuple[ActiveMedication, ...]:
    return tuple(medication for medication in active_medications(record) if is_unreadable(medication.identity))


def is_unreadable(identity: MedicationIdentity) -> bool:
    """Whether a medication could be any drug: no table knows it, and it is no supply, fluid or feed."""
    return not identity.recognised and no_drug_kind(identity.words) is None


def _acts_locally(identity: MedicationIdentity) -> bool:
    return is_local((), f"{identity.words} {identity.dose_form or ''} {identity.route or ''}")


def _words(medication: ActiveMedication) -> str:
    reference = medication.order.medicationReference
    address = (reference.reference or "") if reference is not None else ""
    words = medication.identity.words.strip()
    if medication.identity.recognised:
        unknown = medication.order.status == "unknown"
        day = medication.authored.date if medication.authored is not None else ""
        return f"{plain(medication.name, _LONGEST_WORDS)}, {'status unknown' if unknown else f'ordered on {day}'}"
    if words in ("", address):
        return f"{medication.source}, {'whose medicine was not sent' if address else 'without a name'}"
    return plain(words, _LONGEST_WORDS)
