"""Measures how many of a folder's medications are recognised and have a daily dose, and why the others have none."""

import gzip
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from fhir.mapping.medications.daily_dose import daily_dose
from fhir.mapping.medications.identity import MedicationIdentity, Medications, Order, identify, resolve_medication
from fhir.record.datatypes import CodeableConcept
from fhir.record.resources import Bundle, Medication, MedicationRequest, MedicationStatement, decoder
from fhir.terminology.medications import MIMIC_IV_FLUID


class RecognitionCoverage(Struct, frozen=True):
    """Of one kind of medication in one source: how many records and distinct names there are and are recognised.

    `unrecognised` are the names that nothing matched, most frequent first, with their counts.
    """

    source: str
    records: int
    recognised: int
    names: int
    names_recognised: int
    unrecognised: tuple[tuple[str, int], ...]

    @property
    def share(self) -> float:
        """Recognised records per record."""
        return self.recognised / self.records if self.records else 0.0


def medication_coverage(data_folder: Path) -> tuple[RecognitionCoverage, ...]:
    """Coverage over every Bundle (`*.json`, `*.json.gz`) in the subfolders of `data_folder`/fhir, by folder and kind.

    Fluids without a drug ("IV therapy") are counted by themselves: they have no ingredient by nature.
    """
    counts: dict[str, Counter[tuple[str, bool]]] = {}
    for label, _, identity in identified_orders(data_folder):
        counts.setdefault(label, Counter())[identity.words, identity.recognised] += 1
    return tuple(_coverage(label, found) for label, found in counts.items())


def identified_orders(data_folder: Path) -> Iterator[tuple[str, Order, MedicationIdentity]]:
    """Every order and statement of every Bundle with its folder and kind, and the medication that it means."""
    for path in sorted((data_folder / "fhir").glob("*/*.json*")):
        for kind, order, identity in _identities(path):
            yield f"{path.parent.name} {kind}", order, identity


def _coverage(label: str, found: Counter[tuple[str, bool]]) -> RecognitionCoverage:
    missed = Counter({words: count for (words, recognised), count in found.items() if not recognised})
    return RecognitionCoverage(
        label,
        found.total(),
        found.total() - missed.total(),
        len(found),
        len(found) - len(missed),
        tuple(missed.most_common()),
    )


def _identities(path: Path) -> Iterator[tuple[str, Order, MedicationIdentity]]:
    opened = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    try:
        bundle = decoder.decode(opened)
    except msgspec.DecodeError:
        return
    if not isinstance(bundle, Bundle):
        return
    medications: dict[str, Medication] = {}
    for entry in bundle.entry:
        if isinstance(entry.resource, Medication):
            medications[f"Medication/{entry.resource.id}"] = entry.resource
            medications[entry.fullUrl or ""] = entry.resource
    for entry in bundle.entry:
        order = entry.resource
        if isinstance(order, MedicationRequest):
            kind = "IV fluids without drug" if _is_fluid(order, medications) else "requests"
            yield kind, order, identify(order, medications)
        elif isinstance(order, MedicationStatement):
            yield "statements", order, identify(order, medications)


def _is_fluid(order: MedicationRequest, medications: Medications) -> bool:
    concept: CodeableConcept | None = order.medicationCodeableConcept
    if concept is None and order.medicationReference is not None:
        medication = resolve_medication(order.medicationReference.reference or "", medications, order.contained)
        concept = medication.code if medication is not None else None
    return concept is not None and any(coding.system == MIMIC_IV_FLUID for coding in concept.coding)


class DoseCoverage(Struct, frozen=True):
    """Of one kind of order in one source.

    `instructed` have a dosage; `certainties` counts exact, range, maximum_prn and unknown among them; `problems` are
    the reasons for unknown, most frequent first.
    """

    source: str
    orders: int
    instructed: int
    certainties: dict[str, int]
    problems: tuple[tuple[str, int], ...]


def dose_coverage(data_folder: Path) -> tuple[DoseCoverage, ...]:
    """Coverage over every Bundle in the subfolders of `data_folder`/fhir, by folder and kind of order."""
    orders: Counter[str] = Counter()
    certainties: dict[str, Counter[str]] = {}
    problems: dict[str, Counter[str]] = {}
    for source, order, identity in identified_orders(data_folder):
        orders[source] += 1
        dosages = order.dosage if isinstance(order, MedicationStatement) else order.dosageInstruction
        counted = certainties.setdefault(source, Counter())
        if dosages:
            dose = daily_dose(order, identity)
            counted[dose.certainty] += 1
            if dose.problem is not None:
                problems.setdefault(source, Counter())[dose.problem.text] += 1
    return tuple(
        DoseCoverage(
            source,
            orders[source],
            counted.total(),
            dict(sorted(counted.items())),
            tuple(problems.get(source, Counter()).most_common()),
        )
        for source, counted in certainties.items()
    )
