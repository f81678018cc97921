"""Conclusions of reports and problems that are statements about a gene: only what is certain of this patient counts."""

from typing import Any

from fhir.mapping.genomics.reports import gene_readings
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import record_of

Json = dict[str, Any]


def _read(resource: Json) -> dict[str, set[tuple[tuple[str, ...], bool]]]:
    """The keys of each gene that the resource tells of, each with whether it is final."""
    found = gene_readings(record_of(resource)).by_gene
    assert all(one.source.endswith("/one") and one.time is not None for readings in found.values() for one in readings)
    return {gene: {(one.keys, one.is_final) for one in readings} for gene, readings in found.items()}


def _report(conclusion: str = "", *codes: str, status: str = "final", code: str = "Genetic analysis report") -> Json:
    return builders.report(
        code, status=status, id="one", effectiveDateTime="2026-05-01", conclusionCode=[{"text": each} for each in codes]
    ) | ({"conclusion": conclusion} if conclusion else {})


@for_rows(
    "conclusion",
    [
        "The patient is not a CYP2D6 poor metabolizer.",
        "CYP2C19 *2/*2 was not confirmed on repeat testing.",
        "CYP2C19 *2/*2. This could not be confirmed.",
        "Mother is a CYP2C19 poor metabolizer.",
        "If the patient is a CYP2D6 poor metabolizer, avoid codeine.",
        "Reference: CYP2C19 *1/*1 normal metabolizer. Patient: see the table.",
        "No pharmacogenetic variants detected in CYP2C19.",
        "CYP2C19 result to follow.",
        "HLA-B*15:02 was not tested. CYP2C9 *1/*1 normal metabolizer",
    ],
)
def test_a_conclusion_that_leaves_something_open_tells_nothing(conclusion: str) -> None:
    assert _read(_report(conclusion)) == {}
