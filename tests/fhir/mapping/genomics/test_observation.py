"""What one Observation says about genes, whole: gene, kind, keys, wording, source, dates and whether it is final."""

from typing import Any

import msgspec

from fhir.mapping.genomics.observation import GeneReading, readings_of
from fhir.record.datatypes import parse_time
from fhir.record.resources import Observation
from tests.each import for_rows

Json = dict[str, Any]
TIME, LATER = parse_time("2024-05-06"), parse_time("2024-05-09T10:00:00Z")
RXNORM, HGNC = "http://www.nlm.nih.gov/research/umls/rxnorm", "http://www.genenames.org"
POOR, INTERMEDIATE = "Poor Metabolizer", "Intermediate Metabolizer"
CLOPIDOGREL, WARFARIN = "32968", "11289"


def coded(code: str, system: str = "http://loinc.org", **more: str) -> Json:
    return {"coding": [{"system": system, "code": code}], **more}


def words(text: str) -> Json:
    return {"text": text}


def component(code: Json, value: str | Json | None = None, **more: Any) -> Json:
    key = "valueString" if isinstance(value, str) else "valueCodeableConcept"
    return {"code": code, **({} if value is None else {key: value}), **more}


def observation(code: Json, value: str | Json | None = None, *components: Json, **more: Any) -> Observation:
    members = component(code, value, component=components, **more)
    return msgspec.convert({"resourceType": "Observation", "id": "o1", "status": "final", **members}, Observation)


def reading(gene: str, kind: Any, keys: tuple[str, ...], wording: str, **more: Any) -> GeneReading:
    members = {"source": "Observation/o1", "time": TIME, "entered": TIME, "is_final": True} | more
    return GeneReading(gene, kind, keys, wording, **members)


GENE = coded("48018-6")
GENOTYPE, PHENOTYPE, PANEL = words("CYP2C19 genotype"), words("CYP2C19 phenotype"), words("Pharmacogenomic panel")
STUDIED = component(GENE, coded("HGNC:2621", HGNC))


_PRESENT, _ABSENT = {"valueCodeableConcept": coded("LA9633-4")}, {"valueCodeableConcept": coded("LA9634-2")}
_HLA = [
    (_PRESENT, "positive"), (_ABSENT, "negative"),
    ({"valueCodeableConcept": coded("260385009", "http://snomed.info/sct")}, "negative"),
    ({"valueCodeableConcept": coded("LA19542-2")}, "negative"),
    ({"valueBoolean": True}, "positive"), ({"valueBoolean": False}, "negative"),
    ({"valueString": "Detected"}, "positive"),
    ({"valueString": "Negative. Abacavir may be used."}, "negative"),
    ({"interpretation": [coded("POS", "urn:x")]}, "positive"),
    ({"interpretation": [coded("A", "urn:x"), coded("NEG", "urn:x")]}, "negative"),
]  # fmt: skip


@for_rows(("value", "sign"), _HLA)
def test_an_allele_that_the_code_asks_about_is_there_or_not(value: Json, sign: str) -> None:
    expected = reading("HLA-B*57:01", "presence", (sign,), f"HLA-B*57:01 {sign}")
    assert list(readings_of(observation(coded("50956-2"), **value), TIME)) == [expected]
    if "valueBoolean" not in value:  # a component of FHIR R4 may have one; it is not read
        panel = observation(PANEL, None, component(words("HLA-B*57:01"), **value))
        assert list(readings_of(panel, TIME)) == [expected]


def one(gene: str, kind: Any, keys: str | tuple[str, ...], wording: str) -> list[GeneReading]:
    return [reading(gene, kind, (keys,) if isinstance(keys, str) else keys, wording)]


PAIR, RATE = one("CYP2C19", "genotype", POOR, "*2/*2"), one("CYP2C19", "phenotype", POOR, "PM")
FOUND, NAME, STATE = coded("LA9633-4", text="Present"), coded("81252-9"), coded("53034-5")
NOT_UNDERSTOOD = one("CYP2C19", "genotype", (), "Present")


IMPLICATION, LEGACY, DRUG = coded("therapeutic-implication", "urn:x"), coded("53040-2"), coded("51963-7")


def implied(gene: str, keys: tuple[str, ...], wording: str, phenotype: str, *drug: str) -> GeneReading:
    return reading(gene, "implication", keys, wording, drug=drug or (CLOPIDOGREL,), phenotype=phenotype)


@for_rows(
    ("given", "expected"),
    [
        # An allele that is asked about, without an answer that is understood; and a typed pair.
        (observation(coded("57979-7"), "equivocal"), one("HLA-B*15:02", "genotype", (), "equivocal")),
        (observation(coded("57979-7"), "pending"), []),
        (observation(coded("57979-7"), interpretation=[coded("A", "urn:x")]), one("HLA-B*15:02", "genotype", (), "A")),
        (
            observation(words("HLA-B typing"), "B*57:01/B*15:02"),
            [
                reading("HLA-B*15:02", "genotype", ("positive",), "B*57:01/B*15:02"),
                reading("HLA-B*57:01", "genotype", ("positive",), "B*57:01/B*15:02"),
                reading("HLA-B*58:01", "genotype", ("negative",), "B*57:01/B*15:02"),
            ],
        ),
        # A coded answer goes before words; an answer code of another gene's kind says nothing.
        (observation(PHENOTYPE, coded("LA9657-3", text="PM")), RATE),
        (observation(PHENOTYPE, coded("LA9657-3")), one("CYP2C19", "phenotype", POOR, POOR)),
        (observation(PHENOTYPE, coded("LA9657-3", text="low")), one("CYP2C19", "phenotype", POOR, "low")),
        (observation(PHENOTYPE, coded("LA25394-0")), one("CYP2C19", "genotype", (), "Poor Function")),
        # The interpretation is read beside the value, and counts alone where the value is not understood.
        (
            observation(GENOTYPE, "*2/*2", interpretation=[words("poor metabolizer")]),
            [*PAIR, *one("CYP2C19", "phenotype", POOR, "poor metabolizer")],
        ),
        (
            observation(GENOTYPE, "*2/*99", interpretation=[words("poor metabolizer")]),
            one("CYP2C19", "phenotype", POOR, "poor metabolizer"),
        ),
        (observation(GENOTYPE, interpretation=[words("odd")]), one("CYP2C19", "genotype", (), "odd")),
        (observation(GENOTYPE, "pending", interpretation=[words("odd")]), []),
        (observation(GENOTYPE), []),
        # The code completes the value.
        (observation(words("SLCO1B1 c.521T>C"), "C/C"), one("SLCO1B1", "genotype", "Poor Function", "C/C")),
        (
            observation(words("SLCO1B1 c.521T>C"), "heterozygous"),
            one("SLCO1B1", "genotype", "Decreased Function", "heterozygous"),
        ),
        (observation(words("SLCO1B1 c.521T>C"), "odd"), one("SLCO1B1", "genotype", (), "odd")),
        (observation(words("TPMT enzyme activity"), "low"), one("TPMT", "phenotype", POOR, "low")),
        (observation(words("TPMT activity score"), "low"), one("TPMT", "genotype", (), "low")),
        (observation(words("TPMT enzyme"), "low"), one("TPMT", "genotype", (), "low")),
        # An activity score.
        (
            observation(words("DPYD activity score"), valueQuantity={"value": 0.5}),
            one("DPYD", "score", "0.5", "activity score 0.5"),
        ),
        (
            observation(words("DPYD Activity Score"), valueInteger=2),
            one("DPYD", "score", "2.0", "activity score 2.0"),
        ),
        (observation(words("TPMT enzyme activity"), "G/G"), one("TPMT", "genotype", (), "G/G")),
        # Which gene: its component, the words of the code, the value, the code.
        (observation(coded("84413-4"), "*2/*2", component(GENE, coded("CYP2C19", text="the gene"))), PAIR),
        (observation(coded("84413-4"), "*2/*2", component(GENE, coded("zz", text="CYP2C19"))), PAIR),
        (observation(coded("79715-9", text="CYP2D6 phenotype"), "PM", STUDIED), RATE),
        (observation(coded("79715-9", text="CYP2C19 phenotype"), "PM"), RATE),
        (
            observation(words("CYP2C19 and CYP2D6"), "CYP2C19 PM"),
            one("CYP2C19", "phenotype", POOR, "CYP2C19 PM"),
        ),
        (observation(coded("79714-2"), "PM"), RATE),
        (observation(coded("79468-5"), "deficient"), one("TPMT", "phenotype", (POOR, INTERMEDIATE), "deficient")),
        (observation(coded("84413-4"), "*2/*2", component(GENE, coded("2621", HGNC))), PAIR),
        (observation(coded("84413-4"), "*2/*2", component(GENE, coded("CYP2C19"))), PAIR),
        (observation(coded("84413-4"), "*2/*2", component(GENE, words("gene CYP2C19"))), PAIR),
        (observation(coded("84413-4"), "*2/*2", component(GENE, "CYP2C19")), PAIR),
        (observation(coded("84413-4"), "*2/*2", component(words("Gene symbol"), "CYP2C19")), PAIR),
        (observation(coded("84413-4"), "*2/*2", component(GENE, "CYP2C19, CYP2D6")), []),
        (observation(coded("84413-4"), "*2/*2", component(GENE, words("CYP2C19, CYP2D6"))), []),
        (observation(coded("84413-4"), "*2/*2", component(GENE)), []),
        # Of somebody else.
        (observation(words("CYP2C19 genotype of the donor"), "*2/*2"), []),
        # Several genes in one text.
        (
            observation(PANEL, "CYP2C19 *2/*2; CYP2D6 poor metabolizer; TPMT *1/*99; DPYD pending"),
            [
                reading("CYP2C19", "genotype", (POOR,), "CYP2C19 *2/*2"),
                reading("CYP2D6", "phenotype", ("0.0",), "CYP2D6 poor metabolizer"),
                reading("TPMT", "genotype", (), "TPMT *1/*99"),
            ],
        ),
        (
            observation(PANEL, "HLA-A* 31:01 negative; HLA-B 57:01 positive"),
            [
                reading("HLA-A*31:01", "presence", ("negative",), "HLA-A* 31:01 negative"),
                reading("HLA-B*57:01", "presence", ("positive",), "HLA-B 57:01 positive"),
            ],
        ),
        (
            observation(PANEL, "HLA-A*31:01 odd; TPMT *3A/*3A"),
            [reading("HLA-A", "genotype", (), "HLA-A*31:01 odd"), reading("TPMT", "genotype", (POOR,), "TPMT *3A/*3A")],
        ),
        # A variant that was found, with its zygosity.
        (
            observation(coded("69548-6"), coded("LA9633-4"), STUDIED, component(NAME, "rs4244285"),
                        component(STATE, words("Homozygous"))),
            one("CYP2C19", "genotype", POOR, "rs4244285 homozygous"),
        ),
        (  # the other copy may have another variant
            observation(coded("69548-6"), FOUND, STUDIED, component(coded("48004-6"), "rs4244285"),
                        component(STATE, words("Heterozygous"))),
            one("CYP2C19", "genotype", (), "rs4244285 heterozygous"),
        ),
        (
            observation(coded("69548-6"), coded("LA9634-2", text="Absent"), STUDIED, component(NAME, "rs4244285"),
                        component(STATE, words("Homozygous"))),
            one("CYP2C19", "genotype", (), "Absent"),
        ),
        (observation(coded("69548-6"), FOUND, STUDIED, component(NAME, "rs4244285")), NOT_UNDERSTOOD),
        (
            observation(coded("69548-6"), FOUND, STUDIED, component(NAME, "rs4244285"),
                        component(STATE, words("Homozygous")), component(STATE, words("Heterozygous"))),
            NOT_UNDERSTOOD,
        ),
        (observation(coded("69548-6"), FOUND, STUDIED, component(STATE, words("Homozygous"))), NOT_UNDERSTOOD),
        (
            observation(coded("69549-4"), FOUND, STUDIED, component(NAME, "rs4244285"),
                        component(STATE, words("Homozygous"))),
            NOT_UNDERSTOOD,
        ),
        # Two components that are only called the first and the second allele.
        (
            observation(GENOTYPE, None, component(words("Allele 1"), "CYP2C19*2"), component(words("allele b"), "*2")),
            PAIR,
        ),
        (
            observation(GENOTYPE, None, component(words("Allele A"), "*2"), component(words("Haplotype B"), "*99")),
            one("CYP2C19", "genotype", (), "*2/*99"),
        ),
        (observation(GENOTYPE, None, component(words("Allele 1"), "*2")), []),
        # Components that each tell of a gene.
        (
            observation(
                PANEL,
                None,
                component(words("CYP2C19 phenotype"), "poor metabolizer"),
                component(coded("79719-1"), coded("LA9657-3")),
                component(coded("57979-7"), coded("LA9634-2")),
                component(coded("84413-4"), "*2/*2"),
                component(words("Phenotype"), "poor metabolizer"),
                component(words("CYP2C19/CYP2D6 phenotype"), "poor metabolizer"),
                component(coded("84413-4", text="TPMT genotype"), "*1/*99"),
            ),
            [
                reading("CYP2C19", "phenotype", (POOR,), "poor metabolizer"),
                reading("DPYD", "phenotype", ("0.0", "0.5"), POOR),
                reading("HLA-B*15:02", "presence", ("negative",), "HLA-B*15:02 negative"),
                reading("TPMT", "genotype", (), "*1/*99"),
            ],
        ),
        (
            observation(
                coded("51969-4"),
                None,
                STUDIED,
                component(coded("84413-4"), "*2/*2"),
                component(words("Metabolizer status"), "PM"),
                component(words("CYP2C19/CYP2D6 phenotype"), "PM"),
                component(words("Comment"), "PM"),
            ),
            [reading("CYP2C19", "genotype", (POOR,), "*2/*2"), reading("CYP2C19", "phenotype", (POOR,), "PM")],
        ),
        (observation(IMPLICATION, None, component(DRUG, coded(CLOPIDOGREL, RXNORM)), component(LEGACY, "PM")),
         [implied("", (), "PM", "poor metabolizer")]),
        (observation(IMPLICATION, None, component(DRUG, "clopidogrel"), component(LEGACY, "poor metabolizer")),
         [implied("", (), "poor metabolizer", "poor metabolizer")]),
        (observation(words("CYP2C19 rs4244285"), "homozygous variant"),
         one("CYP2C19", "genotype", POOR, "homozygous variant")),
        (observation(words("CYP2C19 rs4244285"), "homozygous common allele"),
         one("CYP2C19", "genotype", (), "homozygous common allele")),
        (observation(coded("57979-7"), None, component(words("Result"), "Negative")),
         [reading("HLA-B*15:02", "presence", ("negative",), "HLA-B*15:02 negative")]),
        (observation(IMPLICATION, None, component(DRUG, coded(CLOPIDOGREL, RXNORM, text="warfarin")),
                     component(LEGACY, "PM")),
         [implied("", (), "PM", "poor metabolizer", CLOPIDOGREL)]),
        (observation(IMPLICATION, None, component(DRUG, {"coding": [{"display": "no drug"}]}),
                     component(LEGACY, "PM")), []),
        (observation(IMPLICATION, None, component(DRUG, coded("zz", "urn:x", text="no drug")), component(LEGACY, "PM")),
         [implied("", (), "PM", "poor metabolizer", "zz")]),
        (observation(IMPLICATION, None, component(DRUG, "clopidogrel"), component(DRUG, words("warfarin")),
                     component(DRUG, coded(CLOPIDOGREL, RXNORM)), component(LEGACY, "PM")),
         [implied("", (), "PM", "poor metabolizer", CLOPIDOGREL, WARFARIN)]),
        (observation(IMPLICATION, None, component(DRUG), component(LEGACY, "PM")), []),
        (observation(IMPLICATION, None, component(DRUG, "clopidogrel"), STUDIED, component(LEGACY, "poor metabolizer")),
         [implied("CYP2C19", (POOR,), "poor metabolizer", "poor metabolizer")]),
        (observation(IMPLICATION, None, component(DRUG, "clopidogrel"), component(LEGACY, "CYP2C19 poor metabolizer")),
         [implied("CYP2C19", (POOR,), "CYP2C19 poor metabolizer", "poor metabolizer")]),
        (observation(IMPLICATION, None, component(DRUG, "clopidogrel"), component(LEGACY, "CYP2C19 CYP2D6 PM")), []),
        (observation(IMPLICATION, None, component(DRUG, "clopidogrel"), component(words("Gene"), "CYP2C19"),
                     component(LEGACY, "poor metabolizer")),
         [implied("CYP2C19", (POOR,), "poor metabolizer", "poor metabolizer")]),
        (observation(IMPLICATION, None, component(DRUG, "clopidogrel"), STUDIED, component(LEGACY, coded("LA9657-3"))),
         [implied("CYP2C19", (POOR,), POOR, POOR)]),
        (observation(IMPLICATION, None, component(DRUG, "clopidogrel"), component(IMPLICATION, words("positive"))),
         [implied("", (), "positive", "positive")]),
        (observation(IMPLICATION, None, component(DRUG, "clopidogrel"), component(LEGACY, "avoid")), []),
        (observation(IMPLICATION, None, component(DRUG, "clopidogrel"), component(words("phenotype"), "PM")), []),
        (observation(LEGACY, "PM", component(DRUG, "clopidogrel")), [implied("", (), "PM", "poor metabolizer")]),
        (observation(IMPLICATION, "PM", component(DRUG, "clopidogrel")), []),
    ],
)  # fmt: skip
def test_what_an_observation_says_of_genes_and_their_drugs(given: Observation, expected: list[GeneReading]) -> None:
    assert list(readings_of(given, TIME)) == expected
