"""How many of a folder's medications are recognised: the measurement behind "new names are added in a data file"."""

import gzip
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from fhir.mapping.medications import Identity, Medications, Order, identify, resolve
from fhir.record.resources import (
    Bundle,
    CodeableConcept,
    Medication,
    MedicationRequest,
    MedicationStatement,
    decoder,
)
from fhir.terminology.medications import MIMIC_IV_FLUID


class Coverage(Struct, frozen=True):
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


def medication_coverage(data_folder: Path) -> tuple[Coverage, ...]:
    """Coverage over every Bundle (`*.json`, `*.json.gz`) in the subfolders of `data_folder`/fhir, by folder and kind.

    Fluids without a drug ("IV therapy") are counted by themselves: they have no ingredient by nature.
    """
    counts: dict[str, Counter[tuple[str, bool]]] = {}
    for label, _, identity in identified_orders(data_folder):
        counts.setdefault(label, Counter())[identity.words, identity.recognised] += 1
    return tuple(_coverage(label, found) for label, found in counts.items())


def identified_orders(data_folder: Path) -> Iterator[tuple[str, Order, Identity]]:
    """Every order and statement of every Bundle with its folder and kind, and the medication that it means."""
    for path in sorted((data_folder / "fhir").glob("*/*.json*")):
        for kind, order, identity in _identities(path):
            yield f"{path.parent.name} {kind}", order, identity


def _coverage(label: str, found: Counter[tuple[str, bool]]) -> Coverage:
    missed = Counter({words: count for (words, recognised), count in found.items() if not recognised})
    return Coverage(
        label,
        found.total(),
        found.total() - missed.total(),
        len(found),
        len(found) - len(missed),
        tuple(missed.most_common()),
    )


def _identities(path: Path) -> Iterator[tuple[str, Order, Identity]]:
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
        medication = resolve(order.medicationReference.reference or "", medications, order.contained)
        concept = medication.code if medication is not None else None
    return concept is not None and any(coding.system == MIMIC_IV_FLUID for coding in concept.coding)
