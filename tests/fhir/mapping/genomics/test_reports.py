"""Which statements about genes a whole record has, each complete: haplotypes, contained results, reports, problems."""

from typing import Any

from fhir.mapping.genomics.observation import GeneReading
from fhir.mapping.genomics.reports import gene_readings
from fhir.record.datatypes import parse_time
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import ICD10, SUBJECT, observation, record_of

Json = dict[str, Any]
DAY, OTHER, FUTURE = "2026-05-01", "2026-06-01", "2027-01-01"
POOR = "Poor Metabolizer"


def _said(*resources: Json) -> dict[str, list[GeneReading]]:
    return {gene: list(readings) for gene, readings in gene_readings(record_of(*resources)).by_gene.items()}


def reading(gene: str, kind: Any, keys: str | tuple[str, ...], wording: str, source: str, when: str | None = DAY,
            entered: str | None = None, **more: Any) -> GeneReading:  # fmt: skip
    time = parse_time(when) if when else None
    named = (keys,) if isinstance(keys, str) else keys
    return GeneReading(gene, kind, named, wording, source, time, parse_time(entered) if entered else time, **more)


def haplotype(name: str, when: str | None = DAY, **more: Any) -> Json:
    return observation("84414-2", when=when, **{"id": f"h{name[1:]}", "valueString": f"CYP2C19 {name}"} | more)


def report(conclusion: str | None = None, *contained: Json, **more: Any) -> Json:
    resource = {
        "resourceType": "DiagnosticReport", "id": "d1", "status": "final", "code": {"text": "Genetic analysis report"},
        "subject": SUBJECT, "effectiveDateTime": DAY, "conclusion": conclusion, "contained": list(contained),
    } | more  # fmt: skip
    return {key: value for key, value in resource.items() if value not in (None, [])}


CONCLUDED, SOURCE = "CYP2C19 *2/*2. Consider an alternative.", "DiagnosticReport/d1"


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


def test_of_two_problems_about_a_gene_the_first_counts() -> None:
    first, second = problem("CYP2C19 PM"), problem("CYP2C19 IM", id="c2")
    assert _said(first, second) == {"CYP2C19": [diagnosed("CYP2C19", POOR, "CYP2C19 PM")]}
    negative, of_mother = problem("HLA-B*57:01 negative"), problem("Mother HLA-B*57:01 negative")
    assert _said(negative)["HLA-B*57:01"][0].keys == ("negative",)
    assert _said(of_mother) == {}
