"""HLA results as Genotype List Strings: what they say of the alleles that a drug asks about."""

from fhir.mapping.genomics.words import translate_hla
from tests.each import for_rows

POSITIVE, NEGATIVE, OPEN = ("positive",), ("negative",), ("negative", "positive")


@for_rows(("text", "keys"))
def test_what_a_string_says_of_one_allele(text: str, keys: list[str] | None) -> None:
    meanings = {meaning.gene: meaning.keys for meaning in translate_hla("HLA-B", text)}
    assert meanings.get("HLA-B*57:01") == (None if keys is None else tuple(keys))
