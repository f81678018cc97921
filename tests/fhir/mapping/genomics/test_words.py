"""Genes that a text names: looking first for a part of each name leaves none out."""

from hypothesis import given
from hypothesis import strategies as st

from fhir.mapping.genomics.words import _PATTERNS, genes_named, parts_by_gene, without_advice
from tests.each import for_rows

_NAMES = st.sampled_from(
    [
        *_PATTERNS,
        *(gene.lower() for gene in _PATTERNS),
        *("CYP 2C9", "cyp-2d6", "cytochrome P450 2C19", "p-450 2b6", "HLA B", "HLAB*57:01", "HLA-B5701", "MT-RNR1"),
        *("glucose-6-phosphate dehydrogenase", "Thiopurine S-methyltransferase", "dihydropyrimidine dehydrogenase"),
    ]
)
_BETWEEN = st.sampled_from([" ", "; ", " *2/*2, ", " poor metabolizer\n", "-", "", "x", " glucose 2c19 hla "])


@given(st.lists(st.tuples(_NAMES, _BETWEEN), max_size=6))
def test_every_gene_that_a_pattern_finds_is_found(parts: list[tuple[str, str]]) -> None:
    text = "".join(name + between for name, between in parts)
    found = [gene for gene, pattern in _PATTERNS.items() if pattern.search(text)]
    assert list(genes_named([text])) == found
    assert {gene for gene, _ in parts_by_gene(text)} <= set(found)


@for_rows(
    ("text", "told"),
    [
        ("Poor metabolizer; ; avoid clopidogrel", "Poor metabolizer"),
        ("*1/*2; 2 copies", "*1/*2; 2 copies"),
        ("c.521T>C; 2 copies", "c.521T>C; 2 copies"),
        ("Poor metabolizer; 2 copies", "Poor metabolizer"),
        ("Poor metabolizer; consider CYP2D6 testing", "Poor metabolizer; consider CYP2D6 testing"),
    ],
)
def test_advice_is_left_out_unless_it_names_a_gene(text: str, told: str) -> None:
    assert without_advice(text) == told


def test_a_text_about_several_genes_is_cut_at_their_names() -> None:
    text = "CYP2C19: *2/*2; cytochrome P450 2D6 poor metabolizer. Thiopurine methyltransferase normal"
    assert list(parts_by_gene(text)) == [("CYP2C19", "*2/*2"), ("CYP2D6", "poor metabolizer"), ("TPMT", "normal")]
