"""Texts of genetic reports: what each means for its gene, and that nothing is guessed."""

from fhir.mapping.genomics.tables import GENES, allele_of, table_rows
from fhir.mapping.genomics.translation import translate
from tests.each import for_rows


@for_rows(("gene", "text", "key"))
def test_a_text_has_the_key_of_the_tables(gene: str, text: str, key: str) -> None:
    assert {one.keys for one in translate(gene, text)} == {(key,)}


def test_two_possible_genotypes_keep_both_keys() -> None:
    (found,) = translate("CYP2D6", "*1/*4 or *4/*9")
    assert found.keys == ("1.0", "0.25")


def test_the_order_and_the_spaces_of_a_genotype_do_not_matter() -> None:
    for row in table_rows("alleles.csv"):
        gene, name = row["gene"], row["allele"]
        reference = next((one for one in ("*1", "Reference") if allele_of(gene, one) is not None), None)
        if reference is not None and gene != "MT-RNR1" and "(" not in name and "," not in name:
            keys = {translate(gene, text) for text in (f"{name}/{reference}", f" {reference} / {name.lower()} ")}
            assert len(keys) == 1, (gene, name)


def test_every_pair_of_the_tables_has_a_key_that_the_recommendations_use() -> None:
    for row in table_rows("allele_pairs.csv"):
        known = GENES[row["gene"]]
        if known.keys and row["gene"] not in ("CFTR",):
            assert row["key"] in known.keys, row


@for_rows(("gene", "text"))
def test_what_is_not_understood_in_every_part_is_not_translated(gene: str, text: str) -> None:
    assert translate(gene, text) == ()
