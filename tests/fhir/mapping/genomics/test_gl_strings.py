"""HLA results as Genotype List Strings: what they say of the alleles that a drug asks about."""

from fhir.mapping.genomics.words import translate_hla
from tests.each import for_rows

POSITIVE, NEGATIVE, OPEN = ("positive",), ("negative",), ("negative", "positive")


@for_rows(
    ("text", "keys"),
    [
        ("hla#3.25#HLA-B*57:01+HLA-B*08:01", POSITIVE),
        ("HLA-B*57:01:01G+HLA-B*08:01:01G", POSITIVE),
        ("HLA-A*02:01+HLA-A*03:01^HLA-B*57:01+HLA-B*08:01", POSITIVE),
        ("HLA-A*02:01~HLA-B*57:01+HLA-A*03:01~HLA-B*08:01", POSITIVE),
        ("HLA-B*57:01+HLA-B*58:01", POSITIVE),
        ("HLA-B*57:01/HLA-B*57:11+HLA-B*08:01", OPEN),
        ("HLA-B*57:01+HLA-B*08:01|HLA-B*57:02+HLA-B*08:02", OPEN),
        ("HLA-B*07:02+HLA-B*08:01", NEGATIVE),
        ("HLA-B*57:02/HLA-B*57:03+HLA-B*08:01", NEGATIVE),
        ("HLA-A*02:01+HLA-A*03:01", None),
    ],
)
def test_what_a_string_says_of_one_allele(text: str, keys: tuple[str, ...] | None) -> None:
    meanings = {meaning.gene: meaning.keys for meaning in translate_hla("HLA-B", text)}
    assert meanings.get("HLA-B*57:01") == keys
