"""Statements about one gene become one result: narrowed, contradicting, preliminary or unknown; whole."""

from typing import Any

import pytest

from fhir.mapping.genomics.observation import GeneReading
from fhir.mapping.genomics.reports import GeneReadings
from fhir.mapping.genomics.results import GeneResult, implied_readings, result_of
from fhir.record.datatypes import parse_time

NEW, OLD = "2026-02-01", "2020-02-01"
INTERMEDIATE, POOR = "Intermediate Metabolizer", "Poor Metabolizer"


def reading(*keys: str, when: str | None = NEW, source: str = "Observation/a", wording: str = "x",
            **more: Any) -> GeneReading:  # fmt: skip
    time = parse_time(when) if when is not None else None
    return GeneReading("DPYD", "phenotype", keys, wording, source, time, None, **more)


def test_without_a_statement_there_is_no_result() -> None:
    assert result_of("DPYD", []) is None


def test_statements_that_can_mean_the_same_are_narrowed_to_it() -> None:
    phenotype, score = reading("1.0", "1.5", when=OLD), reading("1.5")
    assert result_of("DPYD", [phenotype, score]) == GeneResult("DPYD", ("1.5",), (score, phenotype), ())
    other = reading("2.0", source="Observation/b")
    assert result_of("DPYD", [other, score]) == GeneResult("DPYD", ("1.5", "2.0"), (score, other), (), conflicts=True)


def test_what_is_final_goes_before_what_is_preliminary() -> None:
    final, early = reading("1.0", when=OLD), reading("2.0", is_final=False)
    assert result_of("DPYD", [early, final]) == GeneResult("DPYD", ("1.0",), (final,), ())
    assert result_of("DPYD", [early]) == GeneResult("DPYD", ("2.0",), (early,), (), is_preliminary=True)


def test_what_cannot_be_translated_stands_beside_or_alone() -> None:
    known, unknown = reading("1.0"), reading(wording="odd")
    early = reading(wording="odd", is_final=False, when=OLD)
    assert result_of("DPYD", [unknown, known]) == GeneResult("DPYD", ("1.0",), (known,), (unknown,))
    alone = result_of("DPYD", [early, unknown])
    assert alone == GeneResult("DPYD", (), (), (unknown, early))
    assert result_of("DPYD", [early]) == GeneResult("DPYD", (), (), (early,), is_preliminary=True)
    assert alone is not None
    assert alone.newest == unknown
    both = result_of("DPYD", [unknown, known])
    assert both is not None
    assert both.newest == known
    assert both.phenotypes == (INTERMEDIATE,)


def test_statements_come_newest_first_and_of_one_instant_by_their_resource() -> None:
    readings = [
        reading("1.0", source="Observation/b"), reading("1.0"), reading("1.0", when=None), reading("1.0", when=OLD),
    ]  # fmt: skip
    result = result_of("DPYD", readings)
    assert result is not None
    assert [(item.source, item.time.date if item.time else None) for item in result.readings] == [
        ("Observation/a", NEW), ("Observation/b", NEW), ("Observation/a", OLD), ("Observation/a", None),
    ]  # fmt: skip


def implication(gene: str, phenotype: str, *drug: str) -> GeneReading:
    time = parse_time(NEW)
    return GeneReading(gene, "implication", (), "avoid", "Observation/i", time, time, False, drug, phenotype)


@pytest.mark.parametrize(
    ("given", "rxcuis", "genes", "implied"),
    [
        (implication("", POOR, "32968"), ["32968"], ["CYP2C19"], [("CYP2C19", (POOR,))]),
        (implication("", POOR, "32968", "1"), ["1", "2"], ["CYP2C19"], [("CYP2C19", (POOR,))]),
        (implication("", POOR, "32968"), ["2"], ["CYP2C19"], []),
        (implication("", POOR, "32968"), ["32968"], ["CYP2C19", "CYP2D6"], []),
        (implication("CYP2C19", POOR, "32968"), ["32968"], ["CYP2C19", "CYP2D6"], [("CYP2C19", (POOR,))]),
        (implication("CYP2C19", POOR, "32968"), ["32968"], ["CYP2D6"], []),
        (implication("HLA-B", "positive", "32968"), ["32968"], ["HLA-B*15:02"], [("HLA-B*15:02", ("positive",))]),
        (implication("HLA-B", "negative", "32968"), ["32968"], ["HLA-B*15:02"], [("HLA-B*15:02", ("negative",))]),
        (implication("HLA-B", POOR, "32968"), ["32968"], ["HLA-B*15:02"], []),
        (implication("HLA-B", "positive", "32968"), ["32968"], ["HLA-B*15:02", "HLA-B*58:01"], []),
        (implication("", "odd", "32968"), ["32968"], ["CYP2C19"], []),
    ],
)
def test_an_implication_is_about_the_one_gene_that_it_can_be_about(
    given: GeneReading, rxcuis: list[str], genes: list[str], implied: list[tuple[str, tuple[str, ...]]]
) -> None:
    readings = implied_readings(GeneReadings({}, (given,)), rxcuis, genes)
    assert readings == [
        GeneReading(gene, "implication", keys, "avoid", "Observation/i", given.time, given.entered, False, given.drug)
        for gene, keys in implied
    ]
