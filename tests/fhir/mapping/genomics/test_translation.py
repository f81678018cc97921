"""Texts of genetic reports: what each means for its gene, and that nothing is guessed."""

from fhir.mapping.genomics.tables import (
    GENES,
    allele_of,
    table_rows,
)
from fhir.mapping.genomics.translation import translate
from tests.each import for_rows


@for_rows(
    ("gene", "text", "key"),
    [
        ("CYP2C19", "CYP2C19 *2/*17", "Intermediate Metabolizer"),
        ("CYP2C19", "*17/*2", "Intermediate Metabolizer"),
        ("CYP2C19", "CYP2C19*9/CYP2C19*1", "Likely Intermediate Metabolizer"),
        ("CYP2C19", "homozygous *2", "Poor Metabolizer"),
        ("CYP2C19", "Genotype: *1/*2; Phenotype: Intermediate Metabolizer", "Intermediate Metabolizer"),
        ("CYP2C19", "poor metaboliser", "Poor Metabolizer"),
        ("CYP2C19", "Métaboliseur lent du CYP2C19", "Poor Metabolizer"),
        ("CYP2C19", "Ultraschneller CYP2C19-Metabolisierer", "Ultrarapid Metabolizer"),
        ("TPMT", "fehlend (homozygot defizient)", "Poor Metabolizer"),
        ("CYP2C19", "Ultra-rapid metabolizer (UM)", "Ultrarapid Metabolizer"),
        ("CYP2D6", "*1/*41", "1.25"),
        ("CYP2D6", "*10/*41", "0.5"),
        ("CYP2D6", "*36+*10/*41", "0.5"),
        ("CYP2D6", "*10 + *36 / *1", "1.25"),
        ("CYP2D6", "*1/*2x2", "3.0"),
        ("CYP2D6", "*1x≥3/*4", "≥3.0"),
        ("CYP2D6", "Activity Score: ≥3.0", "≥3.0"),
        ("DPYD", "Reference/c.1905+1G>A (*2A)", "1.0"),
        ("DPYD", "c.1905+1G>A heterozygous", "1.0"),
        ("DPYD", "*1/*2A", "1.0"),
        ("DPYD", "c.1129-5923C>G, c.1236G>A (HapB3)/Reference", "1.5"),
        ("DPYD", "activity score 1.5", "1.5"),
        ("DPYD", "1,5", "1.5"),
        ("TPMT", "*1/*3A", "Intermediate Metabolizer"),
        ("UGT1A1", "*28/*28", "Poor Metabolizer"),
        ("CYP3A5", "non-expresser", "Poor Metabolizer"),
        ("NAT2", "slow acetylator", "Poor Metabolizer"),
        ("SLCO1B1", "521 CC", "Poor Function"),
        ("SLCO1B1", "c.521T>C T/C", "Decreased Function"),
        ("ABCG2", "rs2231142 T/T", "Poor Function"),
        ("VKORC1", "-1639 GG", "-1639 GG"),
        ("VKORC1", "C/T", "-1639 AG"),
        ("VKORC1", "rs9923231 variant (T)/rs9923231 variant (T)", "-1639 AA"),
        ("MT-RNR1", "A1555G", "increased risk of aminoglycoside-induced hearing loss"),
        ("G6PD", "G6PD deficiency", "Deficient"),
        ("G6PD", "G6PD deficiency detected", "Deficient"),
        ("TPMT", "TPMT deficiency (homozygous, poor metabolizer)", "Poor Metabolizer"),
        ("TPMT", "heterozygous thiopurine methyltransferase (TPMT) deficiency", "Intermediate Metabolizer"),
        ("NUDT15", "complete nudix hydrolase 15 deficiency", "Poor Metabolizer"),
        ("DPYD", "c.1129-5923C>G/c.1236G>A (HapB3) heterozygous", "1.5"),
        ("DPYD", "p.D949V heterozygous", "1.5"),
        ("SLCO1B1", "rs4149056 T/T", "Normal Function"),
        ("CYP2C19", "inferred phenotype: poor metabolizer", "Poor Metabolizer"),
        ("G6PD", "Deficient with CNSHA", "Deficient with CNSHA"),
        ("RYR1", "Uncertain Susceptibility", "Uncertain Susceptibility"),
        ("RYR1", "MHS", "Malignant Hyperthermia Susceptibility"),
        ("CYP2C19", "Patient is a poor metabolizer", "Poor Metabolizer"),
        ("CYP2C19", "Normal (extensive) metabolizer", "Normal Metabolizer"),
        ("CYP2C19", "CYP2C19 genotype *2/*2 predicts poor metabolizer phenotype", "Poor Metabolizer"),
        ("CYP2C19", "*1/*2 heterozygous", "Intermediate Metabolizer"),
        ("CYP2C19", "*1/*2 (see comment)", "Intermediate Metabolizer"),
        ("CYP2C19", "[*2];[*2]", "Poor Metabolizer"),
        ("CYP2C19", "*2/*2 Poor metabolizer", "Poor Metabolizer"),
        ("CYP2C19", "Poor drug metabolizer due to cytochrome p450 CYP2C19 variant (finding)", "Poor Metabolizer"),
        ("CYP2D6", "*1/*4xN", "1.0"),
        ("CYP2D6", "(*4/*4)xN", "0.0"),
        ("CYP2D6", "*2x3/*1", "≥4.0"),
        ("CYP2D6", "*1/*41x3", "1.75"),
        ("DPYD", "c.[1905+1G>A];[=]", "1.0"),
        ("DPYD", "c.[1905+1G>A];[1905+1G>A]", "0.0"),
        ("SLCO1B1", "rs4149056 CC", "Poor Function"),
        ("SLCO1B1", "c.521T>C homozygous", "Poor Function"),
        ("VKORC1", "c.-1639G>A A/A", "-1639 AA"),
        ("VKORC1", "-1639G>A heterozygous", "-1639 AG"),
        ("CYP2C19", "2/2", "Poor Metabolizer"),
        ("CYP2C19", "2/3, PM", "Poor Metabolizer"),
        ("CYP2C19", "*2-*3", "Poor Metabolizer"),
        ("CYP2C19", "*2 + *2", "Poor Metabolizer"),
        ("CYP2C19", "LOF/LOF", "Poor Metabolizer"),
        ("CYP2C19", "No function / Normal function", "Intermediate Metabolizer"),
        ("CYP2C19", "one no function allele and one increased function allele", "Intermediate Metabolizer"),
        ("CYP2C19", "two nonfunctional alleles", "Poor Metabolizer"),
        ("CYP2D6", "no function/no function", "0.0"),
        ("CYP2D6", "*4-*5", "0.0"),
        ("CYP2D6", "1/2x2", "3.0"),
        ("DPYD", "2A/2A", "0.0"),
        ("DPYD", "normal function/no function", "1.0"),
        ("TPMT", "3A/3A", "Poor Metabolizer"),
        ("UGT1A1", "28/28", "Poor Metabolizer"),
        ("CYP2C19", "Poor metabolizer, consider alternative", "Poor Metabolizer"),
        (
            "CYP2C19",
            "*2/*2 (PM). Avoid clopidogrel if possible; prasugrel or ticagrelor preferred.",
            "Poor Metabolizer",
        ),
        ("CYP2C19", "Patient is a CYP2C19 poor metabolizer and should avoid clopidogrel", "Poor Metabolizer"),
        ("CYP2C19", "Poor metabolizer\nConsider an alternative per CPIC guideline", "Poor Metabolizer"),
        ("CYP2C19", "Normal metabolizer. Use label recommended dosage.", "Normal Metabolizer"),
        ("SLCO1B1", "Poor function - increased risk of myopathy", "Poor Function"),
        ("CYP2C19", "CYP2C19: Poor Metabolizer. Genotype *2/*2. Methodology: PCR.", "Poor Metabolizer"),
        ("CYP2C19", "Poor metabolizer (0 functional alleles)", "Poor Metabolizer"),
        ("CYP2C19", "poor metabolizer*", "Poor Metabolizer"),
        ("CYP2C19", "*2/*2 homozygous variant", "Poor Metabolizer"),
        ("CYP2C19", "*1/*2 heterozygous variant", "Intermediate Metabolizer"),
        ("CYP2C19", "*2 (two copies)", "Poor Metabolizer"),
        ("RYR1", "MH susceptibility", "Malignant Hyperthermia Susceptibility"),
        # The bases of both copies at one variant, on either strand; at one position of SLCO1B1, VKORC1 and ABCG2.
        ("CYP2C19", "rs4244285 A/A", "Poor Metabolizer"),
        ("CYP2C19", "rs4244285 T/T", "Poor Metabolizer"),
        ("DPYD", "rs3918290 T/T", "0.0"),
        ("DPYD", "rs3918290 T/C", "1.0"),
        ("DPYD", "rs3918290 G/A", "1.0"),
        ("SLCO1B1", "V174A homozygous", "Poor Function"),
        ("SLCO1B1", "p.Val174Ala heterozygous", "Decreased Function"),
        ("VKORC1", "-1639G>A homozygous", "-1639 AA"),
        ("ABCG2", "TT", "Poor Function"),
        ("ABCG2", "rs2231142: GT", "Decreased Function"),
        ("ABCG2", "rs2231142 T/rs2231142 G", "Decreased Function"),
        # UGT1A1: six repeats are *1 and not *6; of another gene the numbers are alleles.
        ("UGT1A1", "6/6", "Normal Metabolizer"),
        ("UGT1A1", "6/7", "Intermediate Metabolizer"),
        ("CYP2C19", "5/6", "Poor Metabolizer"),
    ],
)
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


@for_rows(
    ("gene", "text"),
    [
        ("CYP2C19", "*2/*99"),
        ("CYP2C19", "rs4244285 G/G"),
        ("CYP2C19", "rs4244285 A/G"),
        ("CYP2C19", "rs4244285 A/T"),
        ("CYP2C19", "(*1/*2)xN"),
        ("CYP2C19", "GT"),
        ("CYP2C19", "-1639 A/A"),
        ("CYP2C19", "heterozygous *2"),
        ("CYP2C19", "not a poor metabolizer"),
        ("CYP2C19", "*2/*2 heterozygous"),
        ("CYP2C19", "poor metabolizer phenotype excluded"),
        ("CYP2D6", "activity score < 0.5"),
        ("CYP2C19", "father is a poor metabolizer"),
        ("CYP2C19", "*1/*2, second allele not confirmed"),
        ("CYP2D6", "rapid metabolizer"),
        ("CYP2D6", "likely poor metabolizer"),
        ("DPYD", "c.1905+1G>A"),
        ("DPYD", "activity score 1.3"),
        ("MT-RNR1", "m.1555A>G negative"),
        ("HLA-B", "HLA-B*57:01 pending"),
        ("TPMT", "see report"),
        ("TPMT", ""),
        # Two numbers that are no alleles, or repeats in a promoter; two genes on one chromosome; functions of which
        # one is not told, or whose words mean several.
        ("CYP2C19", "2/2/2026"),
        ("CYP2C19", "2/2 not confirmed"),
        ("CYP2D6", "*36+*10"),
        ("CYP2D6", "*36-*10"),
        ("CYP2C19", "no function/no call"),
        ("CYP2C19", "one no function allele"),
        ("CYP2D6", "LOF/LOF"),
        ("CYP2D6", "increased function/normal function"),
        # What stands beside a phenotype and is no advice about a drug, and advice about nobody.
        ("CYP2C19", "Poor metabolizer, consider repeat"),
        ("CYP2C19", "Poor metabolizer, avoid clopidogrel until confirmed"),
        ("CYP2C19", "Poor metabolizers: avoid clopidogrel"),
        ("CYP2D6", "*1/*2, gene duplication"),
        ("CYP2D6", "*1/*2 (3 copies)"),
        ("CYP2C19", "If poor metabolizer, consider alternative"),
        ("CYP2C19", "Normal metabolizer; consider poor metabolizer because of omeprazole"),
        ("CYP2C19", "Poor metabolizer; see amended report"),
        ("CYP2C19", "Poor metabolizer, reduced effect expected with CYP2C9 *3"),
        ("HLA-B", "HLA-B*57:01 positive: avoid abacavir until confirmed"),
        ("DPYD", "c.[1905+1=];[1905+1=]"),
        ("DPYD", "NM_000110.4:c.1905+1G>A not detected"),
        ("CYP2C19", "two copies of *2 not found"),
        ("CYP2C19", "Allele 1: *2, Allele 2: pending"),
        ("CYP2C19", "rs4244285 AG (homozygous)"),
        ("CYP2C19", "*1/*2 homozygous variant"),
        ("CYP2C19", "*2/*2 heterozygous variant"),
        ("CYP2C19", "*2/*2 | not reported"),
        ("CYP2C19", "not PoorMetabolizer"),
        ("G6PD", "not severely deficient"),
        ("RYR1", "not susceptible"),
        ("TPMT", "absent"),  # of a variant, in most laboratories
        ("HLA-B", "not 57:01"),
    ],
)
def test_what_is_not_understood_in_every_part_is_not_translated(gene: str, text: str) -> None:
    assert translate(gene, text) == ()


# Activity scores that come as numbers, and words beside a genotype that say nothing more or are not understood.
