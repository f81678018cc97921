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
from fhir.record.datatypes import CodeableConcept, parse_time
from fhir.record.measurement import effective_time
from fhir.record.record import PatientRecord
from fhir.terminology.condition_words import is_of_patient
from fhir.terminology.conditions import SYSTEMS

# G6PD deficiency: ICD-10-CM D55.0 and D75.A (README of shared/data/pgx).
_G6PD_ICD10 = ("D550", "D75A")
_G6PD_WORDS = re.compile(
    r"\b(?:g-?6-?pd|glucose[- ]6[- ]phosphate dehydrogenase)[- ](?:deficiency|deficient)\b(?! carrier)", re.IGNORECASE
)
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
    for diagnosis in _g6pd_deficiency(record):
        by_gene.setdefault("G6PD", []).append(diagnosis)
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


def _g6pd_deficiency(record: PatientRecord) -> Iterator[GeneReading]:
    """The diagnosis of G6PD deficiency as a statement about the gene; it does not end."""
    for condition in record.conditions:
        concept: CodeableConcept | None = condition.code
        if concept is not None and _is_g6pd_deficiency(concept):
            text = condition.onsetDateTime or condition.recordedDate
            time = parse_time(text) if text else None
            source = f"Condition/{condition.id}" if condition.id else "Condition without id"
            verified = condition.verificationStatus
            sure = verified is None or not any(map(verified.has, _UNSURE))
            said = f"{concept.words} (diagnosis)"
            yield GeneReading("G6PD", "diagnosis", ("Deficient",), said, source, time, time, sure)
            return


def _is_g6pd_deficiency(concept: CodeableConcept) -> bool:
    """Whether a problem is this diagnosis: by ICD-10-CM, or in words that say it of the patient."""
    codes = ((coding.code or "").replace(".", "").upper() for coding in concept.coding
             if SYSTEMS.get(coding.system or "") == "icd10")  # fmt: skip
    if any(code.startswith(_G6PD_ICD10) for code in codes):
        return True
    said = _G6PD_WORDS.search(concept.words)
    return said is not None and is_of_patient(concept.words, said.start())
