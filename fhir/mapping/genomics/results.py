"""Puts the statements about one gene together: one result with its keys, or why there is none."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from fhir.mapping.genomics.observation import GeneReading
from fhir.mapping.genomics.reports import GeneReadings
from fhir.mapping.genomics.tables import keys_of_phenotype, phenotype_of


class GeneResult(Struct, frozen=True):
    """What is known of one gene (or one HLA allele) of a patient.

    `keys` are the lookup keys that it may have: several where only a phenotype was reported that stands for several
    activity scores, where a report leaves two genotypes open, or where results contradict each other (`conflicts`).
    None where only untranslatable statements came. `readings` are the statements that it rests on, newest first;
    `untranslated` those whose words the tables do not have.
    """

    gene: str
    keys: tuple[str, ...]
    readings: tuple[GeneReading, ...]
    untranslated: tuple[GeneReading, ...]
    is_preliminary: bool = False
    conflicts: bool = False

    @property
    def newest(self) -> GeneReading:
        """The newest statement that it rests on."""
        return (self.readings or self.untranslated)[0]

    @property
    def phenotypes(self) -> tuple[str, ...]:
        """What its keys are called, each once."""
        return tuple(dict.fromkeys(phenotype_of(self.gene, key) for key in self.keys))


def result_of(gene: str, readings: Iterable[GeneReading]) -> GeneResult | None:
    """Return the result of the statements about one gene; None where there are none.

    What is final goes before what is preliminary. Statements that can mean the same are narrowed to it: a genotype
    with a score of 0.5 beside "intermediate metabolizer". Those that cannot contradict each other.
    """
    # Of one instant by their resource: in which order a client sends them does not matter.
    ordered = sorted(readings, key=lambda reading: (-_instant(reading), reading.source, reading.keys, reading.wording))
    if not ordered:
        return None
    with_keys = [reading for reading in ordered if reading.keys]
    final = [reading for reading in with_keys if reading.is_final]
    unknown = tuple(reading for reading in ordered if not reading.keys)
    used = final or with_keys
    if not used:
        return GeneResult(gene, (), (), unknown, is_preliminary=not any(reading.is_final for reading in unknown))
    common = [key for key in used[0].keys if all(key in reading.keys for reading in used)]
    every = tuple(dict.fromkeys(key for reading in used for key in reading.keys))
    return GeneResult(gene, tuple(common) or every, tuple(used), unknown, not final, not common)


def implied_readings(gene_readings: GeneReadings, rxcuis: Sequence[str], genes: Sequence[str]) -> list[GeneReading]:
    """Therapeutic implications about one of these drugs, each as a statement about the gene that it can be about.

    `genes` are those by which the drug is judged. An implication that names no gene counts only where exactly one of
    them has such a phenotype; one about another drug never counts.
    """
    readings = []
    for implication in gene_readings.implications:
        if not set(implication.drug) & set(rxcuis):
            continue
        candidate_genes = (
            [gene for gene in genes if gene == implication.gene or gene.startswith(f"{implication.gene}*")]
            if implication.gene
            else genes
        )
        fitting = [(gene, keys) for gene in candidate_genes if (keys := _keys_of(gene, implication.phenotype))]
        if len(fitting) == 1:
            gene, keys = fitting[0]
            readings.append(
                GeneReading(
                    gene,
                    implication.kind,
                    keys,
                    implication.wording,
                    implication.source,
                    implication.time,
                    implication.entered,
                    implication.is_final,
                    implication.drug,
                )
            )
    return readings


def _keys_of(gene: str, phenotype: str) -> tuple[str, ...]:
    if "*" in gene:
        return (phenotype,) if phenotype in ("positive", "negative") else ()
    return keys_of_phenotype(gene, phenotype)


def _instant(reading: GeneReading) -> float:
    return reading.time.instant if reading.time is not None else float("-inf")
