"""Reads what the Observations (and one diagnosis) of a record say about genes: each statement with date and source.

The forms are those of the HL7 Genomics Reporting guide, old and new (genotype, haplotypes, therapeutic implication),
one observation for each gene with an answer code, the presence of an HLA allele, and plain text. Which gene is meant is
said by the component "gene studied" first: LOINC codes for single genes are wrong in many systems.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

from fhir.mapping.genomics.observation import GeneReading, is_haplotype, readings_of
from fhir.mapping.genomics.translation import translate
from fhir.mapping.genomics.words import genes_named, is_of_another
from fhir.record.datatypes import CodeableConcept, parse_time
from fhir.record.measurement import effective_time
from fhir.record.record import PatientRecord
from fhir.terminology.condition_words import is_of_patient
from fhir.terminology.conditions import SYSTEMS

# G6PD deficiency: ICD-10-CM D55.0 and D75.A (README of shared/data/pgx). Malignant hyperthermia: ICD-10-CM T88.3,
# SNOMED CT 405501007; who had it is susceptible (label of succinylcholine: contraindicated).
_DIAGNOSES = (
    ("G6PD", ("D550", "D75A"), (), "Deficient", re.compile(
        r"\b(?:g-?6-?pd|glucose[- ]6[- ]phosphate dehydrogenase)[- ](?:deficiency|deficient)\b(?! carrier)",
        re.IGNORECASE)),
    ("RYR1", ("T883",), ("405501007",), "Malignant Hyperthermia Susceptibility", re.compile(
        r"\bmalignant hyper(?:thermia|pyrexia)\b(?! screen)", re.IGNORECASE)),
)  # fmt: skip
_UNSURE = ("provisional", "differential", "unconfirmed")


class GeneReadings(Struct, frozen=True):
    """Everything that a record says about genes: the statements by gene, and the therapeutic implications."""

    by_gene: dict[str, tuple[GeneReading, ...]]
    implications: tuple[GeneReading, ...]


def gene_readings(record: PatientRecord) -> GeneReadings:
    """What the record says about genes, read once per record. What was entered in error is not in here."""
    return record.derive(_read)


def _read(record: PatientRecord) -> GeneReadings:
    by_gene: dict[str, list[GeneReading]] = {}
    implications: list[GeneReading] = []
    haplotypes: dict[tuple[str, str], list[GeneReading]] = {}
    for observation in record.genetic_observations():
        time = effective_time(observation)
        if time is not None and time.is_after(record.as_of_epoch):
            continue
        for one in readings_of(observation, time):
            record.note_use(observation)
            if one.drug:
                implications.append(one)
            elif one.kind == "genotype" and not one.keys and is_haplotype(observation):
                haplotypes.setdefault((one.gene, time.date if time else ""), []).append(one)
            else:
                by_gene.setdefault(one.gene, []).append(one)
    for pair in haplotypes.values():
        by_gene.setdefault(pair[0].gene, []).extend(_paired(sorted(pair, key=lambda one: (one.said, one.source))))
    for diagnosis in _diagnoses(record):
        by_gene.setdefault(diagnosis.gene, []).append(diagnosis)
    return GeneReadings({gene: tuple(found) for gene, found in by_gene.items()}, tuple(implications))


def _paired(readings: list[GeneReading]) -> list[GeneReading]:
    """Two haplotypes of one gene and day as one genotype; any other number stays untranslated."""
    if len(readings) != 2:
        return readings
    first, second = readings
    text = f"{_bare(first)}/{_bare(second)}"
    both = first.is_final and second.is_final
    said = [
        GeneReading(one.gene, one.kind, one.keys, text, first.source, first.time, first.entered, both)
        for one in translate(first.gene, text)
    ]
    return said or [GeneReading(first.gene, "genotype", (), text, first.source, first.time, first.entered, both)]


def _bare(reading: GeneReading) -> str:
    said = reading.said.strip()
    return said[len(reading.gene) :].strip() if said.lower().startswith(reading.gene.lower()) else said


def _diagnoses(record: PatientRecord) -> Iterator[GeneReading]:
    """Problems that are statements about a gene, each gene's first; such a diagnosis does not end."""
    found: set[str] = set()
    for condition in record.conditions:
        concept = condition.code
        if concept is None:
            continue
        for gene, keys in _statements(concept):
            if gene in found:
                continue
            found.add(gene)
            text = condition.onsetDateTime or condition.recordedDate
            time = parse_time(text) if text else None
            source = f"Condition/{condition.id}" if condition.id else "Condition without id"
            verified = condition.verificationStatus
            sure = verified is None or not any(map(verified.has, _UNSURE))
            yield GeneReading(gene, "diagnosis", keys, f"{concept.words} (diagnosis)", source, time, time, sure)


def _statements(concept: CodeableConcept) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What a problem says of genes: by a code, by the name of a disease, or as "CYP2C19 poor metabolizer"."""
    codes = [((coding.code or "").replace(".", "").upper(), SYSTEMS.get(coding.system or ""))
             for coding in concept.coding]  # fmt: skip
    for gene, icd10, snomed, key, words in _DIAGNOSES:
        said = words.search(concept.words)
        if (
            any(code.startswith(icd10) for code, system in codes if system == "icd10")
            or any(code in snomed for code, system in codes if system == "snomed")
            or (said is not None and is_of_patient(concept.words, said.start()))
        ):
            yield gene, (key,)
    named = genes_named([concept.words])
    if (
        len(named) == 1
        and not is_of_another([concept.words])
        and is_of_patient(f"{concept.words} ", len(concept.words))
    ):
        said_of = [one for one in translate(named[0], concept.words) if one.kind != "presence" and one.gene == named[0]]
        if said_of and named[0] != "G6PD":
            yield named[0], said_of[0].keys
