"""Measures how many of a folder's medications are recognised and have a daily dose, and why the others have none."""

import csv
import gzip
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from fhir.mapping.medications.daily_dose import DailyDose, daily_dose
from fhir.mapping.medications.identity import MedicationIdentity, Medications, Order, identify, resolve_medication
from fhir.record.datatypes import CodeableConcept, Dosage
from fhir.record.resources import Bundle, Medication, MedicationRequest, MedicationStatement, decoder
from fhir.terminology.medication_names import no_drug_kind, read_order_name
from fhir.terminology.medications import MIMIC_IV_FLUID, RXNORM, RXNORM_SYSTEMS


class RecognitionCoverage(Struct, frozen=True):
    """Of one kind of medication in one source: how many records and distinct names there are and are recognised.

    `unrecognised` are the names that nothing matched, most frequent first, with their counts. `excluded` counts, by
    kind, the records that are no drugs ("supply": needles, test strips; "fluid": fluids, feeds and dialysates without
    a drug): they are in none of the other numbers.
    """

    source: str
    records: int
    recognised: int
    names: int
    names_recognised: int
    unrecognised: tuple[tuple[str, int], ...]
    excluded: dict[str, int] = {}

    @property
    def share(self) -> float:
        """Recognised records per record."""
        return self.recognised / self.records if self.records else 0.0


def medication_coverage(data_folder: Path) -> tuple[RecognitionCoverage, ...]:
    """Coverage over every Bundle (`*.json`, `*.json.gz`) in the subfolders of `data_folder`/fhir, by folder and kind.

    Last come the RxNorm names given in `data_folder`, each read as words without its code. What is no drug (needles,
    "Lactated Ringers", "IV therapy") is counted by itself.
    """
    counts: dict[str, Counter[tuple[str, bool]]] = {}
    excluded: dict[str, Counter[str]] = {}
    for label, _, identity in identified_orders(data_folder):
        kind = None if identity.recognised else no_drug_kind(identity.words)
        counted = counts.setdefault(label, Counter())
        if kind is None:
            counted[identity.words, identity.recognised] += 1
        else:
            excluded.setdefault(label, Counter())[kind] += 1
    names = Counter((name, read_order_name(name).ingredients != ()) for name in rxnorm_names_given(data_folder))
    if names:
        counts["RxNorm names as words"] = names
    return tuple(_coverage(label, recognised, excluded.get(label, Counter())) for label, recognised in counts.items())


def rxnorm_names_given(data_folder: Path) -> tuple[str, ...]:
    """The RxNorm names of `data_folder`: of its medication tables, and of the codings of medications in its JSON files.

    Files that are no JSON are passed over.
    """
    texts: set[str] = set()
    for table, column in _NAME_COLUMNS:
        path = data_folder / "medications" / table
        rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else ()
        texts.update(row[column] for row in rows if _is_rxnorm(row.get("system", RXNORM)))
    for path in sorted(data_folder.rglob("*.json*")):
        opened = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        try:
            texts.update(_coded_names(msgspec.json.decode(opened)))
        except msgspec.DecodeError:
            continue
    return tuple(sorted(texts - {""}))


# Where the medication tables of the data folder hold RxNorm names.
_NAME_COLUMNS = (("ingredients.csv", "name"), ("orderables.csv", "name"), ("products.csv", "display"))
_MEDICATION_FIELDS = frozenset({"medicationCodeableConcept", "itemCodeableConcept"})


def _is_rxnorm(system: object) -> bool:
    return system in RXNORM_SYSTEMS


def _coded_names(resource: object) -> Iterator[str]:
    """The displays of the RxNorm codes by which the medications of any JSON are named."""
    if isinstance(resource, list):
        for element in resource:
            yield from _coded_names(element)
    elif isinstance(resource, dict):
        is_medication = resource.get("resourceType") == "Medication"
        for field, value in resource.items():
            if (field in _MEDICATION_FIELDS or (is_medication and field == "code")) and isinstance(value, dict):
                codings = value.get("coding")
                for coding in codings if isinstance(codings, list) else ():
                    if isinstance(coding, dict) and _is_rxnorm(coding.get("system")):
                        yield str(coding.get("display") or "")
            else:
                yield from _coded_names(value)


def identified_orders(data_folder: Path) -> Iterator[tuple[str, Order, MedicationIdentity]]:
    """Every order and statement of every Bundle with its folder and kind, and the medication that it means."""
    for path in sorted((data_folder / "fhir").glob("*/*.json*")):
        for kind, order, identity in _identities(path):
            yield f"{path.parent.name} {kind}", order, identity


def _coverage(label: str, counts: Counter[tuple[str, bool]], excluded: Counter[str]) -> RecognitionCoverage:
    missed = Counter({words: count for (words, recognised), count in counts.items() if not recognised})
    return RecognitionCoverage(
        label,
        counts.total(),
        counts.total() - missed.total(),
        len(counts),
        len(counts) - len(missed),
        tuple(missed.most_common()),
        dict(sorted(excluded.items())),
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

    `instructed` have a dosage; `certainties` counts exact, range, maximum_prn, once (one dose in all) and unknown
    among them; `problems` are the reasons for unknown, most frequent first.
    """

    source: str
    orders: int
    instructed: int
    certainties: dict[str, int]
    problems: tuple[tuple[str, int], ...]
    untimed: int = 0
    """Of the unknown ones, those in which nothing says how often: neither a Timing nor words."""


def dose_coverage(data_folder: Path) -> tuple[DoseCoverage, ...]:
    """Coverage over every Bundle in the subfolders of `data_folder`/fhir, by folder and kind of order."""
    orders: Counter[str] = Counter()
    certainties: dict[str, Counter[str]] = {}
    problems: dict[str, Counter[str]] = {}
    untimed: Counter[str] = Counter()
    for source, order, identity in identified_orders(data_folder):
        orders[source] += 1
        dosages = order.dosage if isinstance(order, MedicationStatement) else order.dosageInstruction
        counted = certainties.setdefault(source, Counter())
        if dosages:
            dose = daily_dose(order, identity)
            # A single dose is no daily dose, although what is given on its day is known.
            counted["once" if dose.single and dose.certainty != "unknown" else dose.certainty] += 1
            untimed[source] += dose.certainty == "unknown" and _says_no_frequency(dosages, dose)
            if dose.problem is not None:
                problems.setdefault(source, Counter())[dose.problem.text] += 1
    return tuple(
        DoseCoverage(
            source,
            orders[source],
            counted.total(),
            dict(sorted(counted.items())),
            tuple(problems.get(source, Counter()).most_common()),
            untimed[source],
        )
        for source, counted in certainties.items()
    )


def _says_no_frequency(dosages: Iterable[Dosage], dose: DailyDose) -> bool:
    return dose.times_per_day is None and not dose.as_needed and all(dosage.timing is None for dosage in dosages)
