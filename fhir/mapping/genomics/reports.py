"""Reads what a record says about genes: its Observations, diagnoses, and conclusions of reports, with date and source.

The forms are those of the HL7 Genomics Reporting guide, old and new (genotype, haplotypes, therapeutic implication),
one observation for each gene with an answer code, the presence of an HLA allele, and plain text, also where the
observations are contained in their report. Which gene is meant is said by the component "gene studied" first: LOINC
codes for single genes are wrong in many systems.

The conclusion of a DiagnosticReport is prose: only a statement that is understood whole counts, the rest means nothing.
"""

import re
from collections.abc import Iterator
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace as replace_fields

from fhir.mapping.conditions import doubt_of
from fhir.mapping.genomics.observation import GeneReading, ReadingKind, is_haplotype, may_tell, readings_of
from fhir.mapping.genomics.tables import HLA_ALLELES, NEGATIVE
from fhir.mapping.genomics.translation import translate
from fhir.mapping.genomics.words import genes_named, is_of_another, parts_by_gene
from fhir.record.datatypes import CodeableConcept, FhirTime, parse_time
from fhir.record.measurement import effective_time
from fhir.record.record import PatientRecord
from fhir.record.resources import Condition, DiagnosticReport, Observation
from fhir.terminology.assertions import AssertedText, states
from fhir.terminology.caching import remembered
from fhir.terminology.conditions import code_system

# G6PD deficiency: ICD-10-CM D55.0 and D75.A (README of shared/data/pgx). Malignant hyperthermia: ICD-10-CM T88.3,
# SNOMED CT 405501007; who had it is susceptible (label of succinylcholine, contraindications).
_DIAGNOSES = (
    ("G6PD", ("D550", "D75A"), (), "Deficient", re.compile(
        r"\b(?:g-?6-?pd|glucose[- ]6[- ]phosphate dehydrogenase)[- ](?:deficiency|deficient)\b(?! carrier)",
        re.IGNORECASE)),
    ("RYR1", ("T883",), ("405501007",), "Malignant Hyperthermia Susceptibility", re.compile(
        r"\bmalignant hyper(?:thermia|pyrexia)\b(?! screen)"
        r"|\b(?:ryr1|cacna1s)[- ](?:gene )?(?:pathogenic|likely pathogenic|mutation)", re.IGNORECASE)),
    # CPIC, MT-RNR1 and aminoglycosides (2021): the three variants of an increased risk.
    ("MT-RNR1", (), (), "increased risk of aminoglycoside-induced hearing loss", re.compile(
        r"\b(?:m\.)?(?:1555 ?A>G|A1555G|1494 ?C>T|C1494T|1095 ?T>C|T1095C)\b", re.IGNORECASE)),
)  # fmt: skip


class GeneReadings(Struct, frozen=True):
    """Everything that a record says about genes: the statements by gene, and the therapeutic implications."""

    by_gene: dict[str, tuple[GeneReading, ...]]
    implications: tuple[GeneReading, ...]

    @property
    def has_any(self) -> bool:
        """Whether anything is said."""
        return bool(self.by_gene or self.implications)


def gene_readings(record: PatientRecord) -> GeneReadings:
    """Return what the record says about genes, read once per record. What was entered in error is not in here."""
    return record.derive(_read)


def _read(record: PatientRecord) -> GeneReadings:
    by_gene: dict[str, list[GeneReading]] = {}
    implications: list[GeneReading] = []
    haplotypes: dict[tuple[str, str], list[GeneReading]] = {}
    for observation, time, readings in (*_observed(record), *_contained(record)):
        for reading in readings:
            if reading.drug:
                implications.append(reading)
            elif not reading.keys and is_haplotype(observation):
                haplotypes.setdefault((reading.gene, time.date if time else ""), []).append(reading)
            else:
                by_gene.setdefault(reading.gene, []).append(reading)
    for pair in haplotypes.values():
        by_gene.setdefault(pair[0].gene, []).extend(
            _paired(sorted(pair, key=lambda reading: (reading.wording, reading.source)))
        )
    for reading in (*_diagnoses(record), *_conclusions(record)):
        by_gene.setdefault(reading.gene, []).append(reading)
    return GeneReadings({gene: tuple(gene_readings) for gene, gene_readings in by_gene.items()}, tuple(implications))


_Observed: TypeAlias = tuple[Observation, FhirTime | None, list[GeneReading]]


def _observed(record: PatientRecord) -> Iterator[_Observed]:
    """Yield the observations that came by themselves, with what they say of genes."""
    for observation in record.genetic_observations():
        if not may_tell(observation):
            continue
        time = effective_time(observation)
        if time is not None and time.is_after(record.as_of_epoch):
            continue
        readings = list(readings_of(observation, time))
        if readings:
            yield observation, time, readings


def _contained(record: PatientRecord) -> Iterator[_Observed]:
    """Yield the observations within reports: of the report's patient and, if they have none of their own, its date."""
    for report in record.facts(DiagnosticReport):
        if report.status not in _WHOLE | _NOT_YET:
            continue
        for inside in report.contained:
            if not isinstance(inside, Observation) or inside.status in _NEVER:
                continue
            about = inside.subject.reference if inside.subject is not None else None
            if about and report.subject is not None and about != report.subject.reference:
                continue
            time = effective_time(inside) or _time_of(report)
            if time is not None and time.is_after(record.as_of_epoch):
                continue
            is_whole = report.status in _WHOLE
            readings = [
                replace_fields(reading, source=report.source, is_final=reading.is_final and is_whole)
                for reading in readings_of(inside, time)
            ]
            yield inside, time, readings


def _time_of(report: DiagnosticReport) -> FhirTime | None:
    period = report.effectivePeriod
    text = report.effectiveDateTime or (period.start if period is not None else None) or report.issued
    return parse_time(text)


def _paired(readings: list[GeneReading]) -> list[GeneReading]:
    """Two haplotypes of one gene and day as one genotype; any other number stays untranslated."""
    if len(readings) != 2:
        return readings
    first, second = readings
    text = f"{_bare(first)}/{_bare(second)}"
    both = first.is_final and second.is_final
    pair_texts = [
        GeneReading(meaning.gene, meaning.kind, meaning.keys, text, first.source, first.time, first.entered, both)
        for meaning in translate(first.gene, text)
    ]
    return pair_texts or [GeneReading(first.gene, "genotype", (), text, first.source, first.time, first.entered, both)]


def _bare(reading: GeneReading) -> str:
    text = reading.wording.strip()
    return text[len(reading.gene) :].strip() if text.lower().startswith(reading.gene.lower()) else text


def _diagnoses(record: PatientRecord) -> Iterator[GeneReading]:
    """Problems that are statements about a gene, each gene's first; such a diagnosis does not end."""
    diagnoses: set[str] = set()
    for condition in record.facts(Condition):
        concept = condition.code
        if concept is None:
            continue
        for gene, keys in _statements(concept):
            if gene in diagnoses:
                continue
            diagnoses.add(gene)
            text = condition.onsetDateTime or condition.recordedDate
            time = parse_time(text)
            source = condition.source
            sentence = f"{concept.words} (diagnosis)"
            yield GeneReading(gene, "diagnosis", keys, sentence, source, time, time, not doubt_of(condition))


@remembered("genes in a problem", entries=2048, longest=400)
def _statements(concept: CodeableConcept) -> list[tuple[str, tuple[str, ...]]]:
    """Return what a problem says of genes: by a code, by the name of a disease, or as "CYP2C19 poor metabolizer"."""
    words = concept.words
    codes = [((coding.code or "").replace(".", "").upper(), code_system(coding.system)) for coding in concept.coding]
    statements: list[tuple[str, tuple[str, ...]]] = [
        (gene, (key,))
        for gene, icd10, snomed, key, pattern in _DIAGNOSES
        if any(code.startswith(icd10) for code, system in codes if system == "icd10")
        or any(code in snomed for code, system in codes if system == "snomed")
        or states(pattern, words)
    ]
    genes = genes_named([words])
    if len(genes) != 1 or genes[0] == "G6PD" or is_of_another([words]):
        return statements
    said_of = translate(genes[0], words)
    # "HLA-B*57:01 negative" is a result, and no denial of one.
    if said_of and (said_of[0].keys == (NEGATIVE,) or AssertedText(words).at(0, len(words)).is_of_patient):
        statements.append((said_of[0].gene, said_of[0].keys))
    return statements


# FHIR R4 diagnostic-report-status: what is whole, and what is not yet.
_WHOLE = frozenset({"final", "amended", "corrected", "appended"})
_NOT_YET = frozenset({"partial", "preliminary"})
_NEVER = frozenset({"entered-in-error", "cancelled"})
# Beside a statement these leave open whether it is one about this patient.
_DOUBTFUL = re.compile(
    r"\b(?:not|no|never|cannot|unable|pending|unconfirmed|repeat\w*|if|could|may|might|possible|suspected|rule[sd]? out"
    r"|history of|reference|example|normally|typically)\b",
    re.IGNORECASE,
)


def _conclusions(record: PatientRecord) -> Iterator[GeneReading]:
    """Yield what conclusions of reports say of genes, where all of it is understood; prose that is not says nothing."""
    for report in record.facts(DiagnosticReport):
        if report.status not in _WHOLE | _NOT_YET:
            continue
        code = report.code.words if report.code is not None else ""
        time = _time_of(report)
        if is_of_another([code]) or (time is not None and time.is_after(record.as_of_epoch)):
            continue
        source = report.source
        entered = parse_time(report.issued) if report.issued else time
        for words in (*(concept.words for concept in report.conclusionCode), report.conclusion or ""):
            for gene, kind, keys, sentence in _concluded(words):
                yield GeneReading(gene, kind, keys, sentence, source, time, entered, report.status in _WHOLE)


def _concluded(words: str) -> list[tuple[str, ReadingKind, tuple[str, ...], str]]:
    """Read a conclusion's statements about each gene that it names: all that follows the name, or its first sentence.

    None where what stands beside them could deny one of them, or be about somebody else.
    """
    if is_of_another([words]):
        return []
    statements: list[tuple[str, ReadingKind, tuple[str, ...], str]] = []
    beside = words
    for gene, rest in parts_by_gene(words):
        for part in dict.fromkeys((rest, re.split(r"[.;\n]\s", rest, maxsplit=1)[0])):
            is_allele = gene in HLA_ALLELES and part.startswith("*")
            wording = f"{gene}{part}" if is_allele else f"{gene} {part}"
            meanings = translate(gene, wording if is_allele else part)
            if meanings:
                statements += [(meaning.gene, meaning.kind, meaning.keys, wording) for meaning in meanings]
                beside = beside.replace(part, " ", 1)
                break
    return [] if _DOUBTFUL.search(beside) else statements
