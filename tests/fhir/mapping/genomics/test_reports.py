"""Which statements about genes a whole record has, each complete: haplotypes, contained results, reports, problems."""

from typing import Any

from fhir.mapping.genomics.observation import GeneReading
from fhir.mapping.genomics.reports import GeneReadings, gene_readings
from fhir.record.datatypes import parse_time
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import ICD10, SNOMED, SUBJECT, observation, record_of

Json = dict[str, Any]
DAY, OTHER, FUTURE = "2026-05-01", "2026-06-01", "2027-01-01"
POOR = "Poor Metabolizer"
SUSCEPTIBLE = "Malignant Hyperthermia Susceptibility"


def _said(*resources: Json) -> dict[str, list[GeneReading]]:
    return {gene: list(readings) for gene, readings in gene_readings(record_of(*resources)).by_gene.items()}


def reading(gene: str, kind: Any, keys: str | tuple[str, ...], wording: str, source: str, when: str | None = DAY,
            entered: str | None = None, **more: Any) -> GeneReading:  # fmt: skip
    time = parse_time(when) if when else None
    named = (keys,) if isinstance(keys, str) else keys
    return GeneReading(gene, kind, named, wording, source, time, parse_time(entered) if entered else time, **more)


def haplotype(name: str, when: str | None = DAY, **more: Any) -> Json:
    return observation("84414-2", when=when, **{"id": f"h{name[1:]}", "valueString": f"CYP2C19 {name}"} | more)


def unpaired(name: str, when: str | None = DAY) -> GeneReading:
    return reading("CYP2C19", "genotype", (), f"CYP2C19 {name}", f"Observation/h{name[1:]}", when)


@for_rows(
    ("resources", "expected"),
    [
        ([haplotype("*3"), haplotype("*2")], [reading("CYP2C19", "genotype", POOR, "*2/*3", "Observation/h2")]),
        ([haplotype("*2", None), haplotype("*3", None)],
         [reading("CYP2C19", "genotype", POOR, "*2/*3", "Observation/h2", None)]),
        ([haplotype("*2"), haplotype("*99")], [reading("CYP2C19", "genotype", (), "*2/*99", "Observation/h2")]),
        *(([haplotype("*2", status=first), haplotype("*3", status=second)],
           [reading("CYP2C19", "genotype", POOR, "*2/*3", "Observation/h2", is_final=False)])
          for first, second in (("preliminary", "final"), ("final", "preliminary"))),
        ([haplotype("*2"), haplotype("*3", OTHER)], [unpaired("*2"), unpaired("*3", OTHER)]),
        ([haplotype("*2"), haplotype("*3", None)], [unpaired("*2"), unpaired("*3", None)]),
        ([haplotype("*2"), haplotype("*3"), haplotype("*17")], [unpaired("*17"), unpaired("*2"), unpaired("*3")]),
        # What is no single allele is not waiting for a second one.
        ([haplotype("*2"), haplotype("*3", valueString="CYP2C19 *2/*3")],
         [reading("CYP2C19", "genotype", POOR, "CYP2C19 *2/*3", "Observation/h3"), unpaired("*2")]),
        ([haplotype("*2"), haplotype("*3", valueString="CYP2C19 PM")],
         [reading("CYP2C19", "phenotype", POOR, "CYP2C19 PM", "Observation/h3"), unpaired("*2")]),
        ([haplotype("*2"), haplotype("*3", code={"text": "CYP2C19 allele"})],
         [reading("CYP2C19", "genotype", (), "CYP2C19 *3", "Observation/h3"), unpaired("*2")]),
    ],
)  # fmt: skip
def test_two_haplotypes_of_a_gene_and_day_are_a_genotype(resources: list[Json], expected: list[GeneReading]) -> None:
    assert _said(*resources) == {"CYP2C19": expected}


def report(conclusion: str | None = None, *contained: Json, **more: Any) -> Json:
    resource = {
        "resourceType": "DiagnosticReport", "id": "d1", "status": "final", "code": {"text": "Genetic analysis report"},
        "subject": SUBJECT, "effectiveDateTime": DAY, "conclusion": conclusion, "contained": list(contained),
    } | more  # fmt: skip
    return {key: value for key, value in resource.items() if value not in (None, [])}


CONCLUDED, SOURCE = "CYP2C19 *2/*2. Consider an alternative.", "DiagnosticReport/d1"


def concluded(source: str = SOURCE, when: str | None = DAY, **more: Any) -> GeneReading:
    return reading("CYP2C19", "genotype", POOR, "CYP2C19 *2/*2. Consider an alternative", source, when, **more)


def inside(when: str | None = None, **more: Any) -> Json:
    return haplotype("*2", when, valueString="CYP2C19 *2/*2", subject=None, id=None, **more)


def of_report(when: str | None = DAY, source: str = SOURCE, **more: Any) -> GeneReading:
    return reading("CYP2C19", "genotype", POOR, "CYP2C19 *2/*2", source, when, **more)


@for_rows(
    ("given", "expected"),
    [
        (report(None, inside()), of_report()),
        (report(None, inside(OTHER)), of_report(OTHER)),
        (report(None, inside(), id=None), of_report(source="DiagnosticReport without id")),
        (report(None, inside(), effectiveDateTime=None), of_report(None)),
        (report(None, inside(), status="partial"), of_report(is_final=False)),
        (report(None, inside(status="preliminary")), of_report(is_final=False)),
        (report(None, inside() | {"subject": SUBJECT}), of_report()),
        (report(None, inside() | {"subject": {"display": "the patient"}}), of_report()),
        (report(None, inside() | {"subject": {"reference": "Patient/other"}}), None),
        (report(None, inside(FUTURE)), None),
        (report(None, inside(status="cancelled")), None),
        (report(None, inside(), status="cancelled"), None),
        (report(None, {"resourceType": "Device", "id": "x"}), None),
    ],
)
def test_a_result_within_a_report_is_of_the_report(given: Json, expected: GeneReading | None) -> None:
    assert _said(given) == ({"CYP2C19": [expected]} if expected else {})


def problem(words: str, code: str = "", system: str = ICD10, **more: Any) -> Json:
    coding = {"coding": [{"system": system, "code": code}]} if code else {}
    resource = (
        builders.problem({"text": words, **coding}, status="resolved", id="c1", onsetDateTime="2024-01-01") | more
    )
    return {key: value for key, value in resource.items() if value is not None}


def diagnosed(gene: str, key: str, words: str, source: str = "Condition/c1", when: str | None = "2024-01-01",
              **more: Any) -> GeneReading:  # fmt: skip
    return reading(gene, "diagnosis", key, f"{words} (diagnosis)", source, when, **more)


@for_rows(
    ("given", "expected"),
    [
        (report(CONCLUDED), concluded()),
        (report(CONCLUDED, id=None), concluded("DiagnosticReport without id")),
        (report(CONCLUDED, status="appended"), concluded()),
        (report(CONCLUDED, status="partial"), concluded(is_final=False)),
        (report(CONCLUDED, status="preliminary"), concluded(is_final=False)),
        (report(CONCLUDED, issued=OTHER), concluded(entered=OTHER)),
        (report(CONCLUDED, effectiveDateTime=None, issued=OTHER), concluded(when=OTHER)),
        (report(CONCLUDED, effectiveDateTime=None, effectivePeriod={"start": DAY}, issued=OTHER),
         concluded(entered=OTHER)),
        (report(CONCLUDED, effectiveDateTime=None, effectivePeriod={"end": DAY}, issued=OTHER), concluded(when=OTHER)),
        (report(CONCLUDED, effectiveDateTime=None), concluded(when=None)),
        (report(CONCLUDED, code=None), concluded()),
        (report(CONCLUDED, effectiveDateTime=FUTURE), None),
        (report(CONCLUDED, status="registered"), None),
        (report(CONCLUDED, code={"text": "Report of the donor"}), None),
        (report(conclusionCode=[{"text": "CYP2C19 PM"}]), reading("CYP2C19", "phenotype", POOR, "CYP2C19 PM", SOURCE)),
        (report("HLA-B*57:01 positive"),
         reading("HLA-B*57:01", "presence", "positive", "HLA-B*57:01 positive", SOURCE)),
        (report("HLA-B* 57:01 positive"),
         reading("HLA-B*57:01", "presence", "positive", "HLA-B* 57:01 positive", SOURCE)),
        (report("HLA-B 57:01 negative"),
         reading("HLA-B*57:01", "presence", "negative", "HLA-B 57:01 negative", SOURCE)),
        (problem("MH", "T88.3XXS"), diagnosed("RYR1", SUSCEPTIBLE, "MH")),
        (problem("MH", "405501007", SNOMED), diagnosed("RYR1", SUSCEPTIBLE, "MH")),
        (problem("MH", "T88.3XXS", SNOMED), None),
        (problem("MH", "405501007"), None),
        (problem("x", "d55.0"), diagnosed("G6PD", "Deficient", "x")),
        (problem("Malignant hyperpyrexia"), diagnosed("RYR1", SUSCEPTIBLE, "Malignant hyperpyrexia")),
        (problem("No malignant hyperthermia"), None),
        (problem("RYR1 pathogenic variant"), diagnosed("RYR1", SUSCEPTIBLE, "RYR1 pathogenic variant")),
        (problem("RYR1 likely benign variant"), None),
        (problem("G6PD normal"), None),
        (problem("CYP2C19 PM"), diagnosed("CYP2C19", POOR, "CYP2C19 PM")),
        (problem("CYP2C19 PM", id=None), diagnosed("CYP2C19", POOR, "CYP2C19 PM", "Condition without id")),
        (problem("CYP2C19 PM", onsetDateTime=None, recordedDate=DAY),
         diagnosed("CYP2C19", POOR, "CYP2C19 PM", when=DAY)),
        (problem("CYP2C19 PM", onsetDateTime=None), diagnosed("CYP2C19", POOR, "CYP2C19 PM", when=None)),
        (problem("CYP2C19 PM", verificationStatus={"coding": [{"code": "provisional"}]}),
         diagnosed("CYP2C19", POOR, "CYP2C19 PM", is_final=False)),
        (problem("CYP2C19 PM") | {"code": None}, None),
        # Advice is taken out of a text; what it says of somebody else, or leaves open, is not.
        (problem("CYP2C19 PM; avoid clopidogrel for the child"), None),
        (problem("CYP2C19 PM; do not use clopidogrel"), None),
        (problem("CYP2C19 PM, CYP2D6 PM"), None),
    ],
)  # fmt: skip
def test_conclusions_and_problems_are_statements_with_their_dates(given: Json, expected: GeneReading | None) -> None:
    assert _said(given) == ({expected.gene: [expected]} if expected else {})


def test_of_two_problems_about_a_gene_the_first_counts() -> None:
    first, second = problem("CYP2C19 PM"), problem("CYP2C19 IM", id="c2")
    assert _said(first, second) == {"CYP2C19": [diagnosed("CYP2C19", POOR, "CYP2C19 PM")]}
    negative, of_mother = problem("HLA-B*57:01 negative"), problem("Mother HLA-B*57:01 negative")
    assert _said(negative)["HLA-B*57:01"][0].keys == ("negative",)
    assert _said(of_mother) == {}


def test_a_statement_or_an_implication_is_something_that_is_said() -> None:
    assert not GeneReadings({}, ()).has_any
    assert GeneReadings({"CYP2C19": (concluded(),)}, ()).has_any
    assert GeneReadings({}, (concluded(),)).has_any
