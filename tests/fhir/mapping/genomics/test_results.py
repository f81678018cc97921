"""Genetic results in every form: which gene, which key, from which resource; what contradicts or is missing is told."""

from datetime import UTC, datetime
from typing import Any

from fhir.mapping.genomics.observation import GeneReading
from fhir.mapping.genomics.reports import GeneReadings, gene_readings
from fhir.mapping.genomics.results import GeneResult, implied_readings, result_of
from fhir.record.datatypes import parse_time
from fhir.record.record import PatientRecord, read_record
from tests.each import for_rows
from tests.fhir.builders import LOINC, bundle, lean

Json = dict[str, Any]
AS_OF = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
HGNC = {"CYP2C19": "HGNC:2621", "CYP2D6": "HGNC:2625", "TPMT": "HGNC:12014"}


def _concept(code: str | None = None, text: str | None = None, system: str = LOINC) -> Json:
    coding = {"coding": [{"system": system, "code": code}]} if code else {}
    return {**coding, **({"text": text} if text else {})}


def _observation(identity: str = "o1", status: str = "final", date: str = "2024-05-06", **members: Any) -> Json:
    return {
        "resourceType": "Observation", "id": identity, "status": status, "subject": {"reference": "Patient/p"},
        "effectiveDateTime": date, **members,
    }  # fmt: skip


def _gene(symbol: str) -> Json:
    return {
        "code": _concept("48018-6"),
        "valueCodeableConcept": _concept(HGNC[symbol], system="http://www.genenames.org"),
    }


def _record(*resources: Json) -> PatientRecord:
    return read_record({"genomics": lean(bundle(*resources))}, "p", AS_OF)


def _result(gene: str, *resources: Json) -> GeneResult | None:
    return result_of(gene, gene_readings(_record(*resources)).by_gene.get(gene, ()))


def _keys(gene: str, *resources: Json) -> tuple[str, ...]:
    found = _result(gene, *resources)
    return found.keys if found is not None else ()


@for_rows(
    "observation",
    [
        _observation(code=_concept("84413-4"), valueCodeableConcept={"text": "*2/*2"}, component=[_gene("CYP2C19")]),
        _observation(code=_concept("84413-4"), valueString="CYP2C19 *2/*2"),
        _observation(code=_concept("79714-2"), valueCodeableConcept=_concept("LA9657-3")),
        _observation(code={"text": "CYP2C19 metabolizer status"}, valueString="PM"),
        _observation(
            code={"coding": [{"system": "urn:local", "code": "1", "display": "CYP2C19 phenotype"}]},
            valueCodeableConcept={"text": "Poor Metaboliser"},
        ),
        _observation(
            code={"text": "Pharmacogenomic panel"},
            component=[{"code": {"text": "CYP2C19 phenotype"}, "valueString": "poor metabolizer"}],
        ),
    ],
)
def test_a_poor_metabolizer_is_read_from_every_form(observation: Json) -> None:
    assert _keys("CYP2C19", observation) == ("Poor Metabolizer",)


def test_what_was_entered_in_error_and_what_lies_in_the_future_is_no_result() -> None:
    wrong = _observation("a", "entered-in-error", code={"text": "CYP2C19 phenotype"}, valueString="PM")
    future = _observation("b", date="2026-05-01", code={"text": "CYP2C19 phenotype"}, valueString="PM")
    assert _result("CYP2C19", wrong, future) is None


def test_the_same_observation_under_two_keys_counts_once() -> None:
    one = _observation(code=_concept("84414-2"), valueString="CYP2C19 *2")
    found = _result("CYP2C19", one, one)
    assert found is not None
    assert found.keys == ()


@for_rows(("value", "unit", "keys"))
def test_only_an_activity_of_g6pd_that_is_low_under_every_method_is_a_deficiency(
    value: float, unit: str, keys: list[str]
) -> None:
    quantity = {"value": value, "unit": unit}
    over = _observation(code=_concept("32546-4"), valueQuantity=quantity | {"comparator": ">"}, date="2026-01-06")
    found = _result("G6PD", over)
    assert found is None or found.keys == ()
    observation = _observation(code=_concept("32546-4"), valueQuantity=quantity, date="2026-01-06")
    found = _result("G6PD", observation)
    assert list(found.keys if found is not None else ()) == keys


# Statements about one gene become one result: narrowed, contradicting, preliminary or unknown; whole.
NEW, OLD = "2026-02-01", "2020-02-01"
INTERMEDIATE, POOR = "Intermediate Metabolizer", "Poor Metabolizer"


def reading(*keys: str, when: str | None = NEW, source: str = "Observation/a", wording: str = "x",
            **more: Any) -> GeneReading:  # fmt: skip
    time = parse_time(when) if when is not None else None
    return GeneReading("DPYD", "phenotype", keys, wording, source, time, None, **more)


def test_what_is_final_goes_before_what_is_preliminary() -> None:
    final, early = reading("1.0", when=OLD), reading("2.0", is_final=False)
    assert result_of("DPYD", [early, final]) == GeneResult("DPYD", ("1.0",), (final,), ())
    assert result_of("DPYD", [early]) == GeneResult("DPYD", ("2.0",), (early,), (), is_preliminary=True)


def implication(gene: str, phenotype: str, *drug: str) -> GeneReading:
    time = parse_time(NEW)
    return GeneReading(gene, "implication", (), "avoid", "Observation/i", time, time, False, drug, phenotype)


@for_rows(
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
