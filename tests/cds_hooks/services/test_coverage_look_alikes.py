"""Coverage requirements of orders that look alike: other codes, days before and after a change, doubtful evidence."""

import gzip
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cards.coverage.annotation import coverage_information
from cards.coverage.cards import describe
from cards.coverage.policy import SYSTEMS, load_policies
from cards.coverage.simulation import judge_chart
from tests.cds_hooks.services.coverage_calls import (
    COPD,
    COVERED,
    DIABETES,
    ENDED,
    HOSPITAL,
    HYPERTENSION,
    INSULIN,
    LISTED,
    OPEN,
    PACKS,
    REFUSALS,
    SATISFIED,
    SIXTY,
    SLEEP,
    SMOKER,
    TODAY,
    Json,
    ahi,
    authorization,
    chart,
    concept,
    condition,
    coverage,
    faults_of,
    former,
    medication,
    order,
    patient,
    procedure,
    result,
    saturation,
    visit,
    wrong_answers,
)

EXCLUDED = {"covered": "not-covered"}
NO_CODE = {
    "covered": "conditional", "pa-needed": "conditional", "doc-needed": "clinical", "info-needed": ["OTH"],
    "reason": ["detail-code"],
}  # fmt: skip
WHEN = {"covered": "conditional", "pa-needed": "conditional", "info-needed": ["timeframe"]}
WHERE = {"covered": "conditional", "pa-needed": "conditional", "doc-needed": "clinical", "info-needed": ["location"]}
VALID = authorization("L1844", "2026-10-01", "2027-01-31")
ADVANTAGE = coverage(payor="Sample Advantage Plan (invented)", plan="x")
DIABETES_VISIT = visit("2026-09-20", reasonCode=[concept("http://hl7.org/fhir/sid/icd-10-cm", "E11.65")])
BYPASS = concept("http://snomed.info/sct", "232717009", "Coronary artery bypass graft")
ANAEMIA = condition("D64.81")


def span(code: str, start: str, end: str) -> Json:
    """An order for a span of days of service."""
    return order(code, "", occurrencePeriod={"start": start, "end": end})


def with_status(resource: Json, status: str) -> Json:
    """The resource in another state."""
    return resource | {"status": status}


def doubted(resource: Json, word: str = "provisional") -> Json:
    """A problem that nobody has confirmed."""
    return resource | {
        "verificationStatus": concept("http://terminology.hl7.org/CodeSystem/condition-ver-status", word)
    }


CASES: Mapping[str, tuple[Json, list[Json], Json]] = {
    # the list in force on the day of service
    "orthosis, the day before it joins": (order("L1852", "2026-04-12"), chart(), COVERED),
    "orthosis, the day it joins": (order("L1852", "2026-04-13"), chart(), LISTED),
    "an orthosis of 2024, the day before": (order("L1845", "2024-08-11"), chart(), COVERED),
    "an orthosis of 2024, its day": (order("L1845", "2024-08-12"), chart(), LISTED),
    "ordered before, worn after": (order("L1932", "2026-05-01", authoredOn="2026-04-01"), chart(), LISTED),
    "ordered after, worn before": (order("L1932", "2026-04-01", authoredOn="2026-05-01"), chart(), COVERED),
    "scooter, the day before": (order("K0800", "2022-04-12"), chart(), OPEN),
    "scooter, its day": (order("K0800", "2022-04-13"), chart(), LISTED),
    "facet joint, the last day of a code": (order("64495", "2024-08-04", place="22"), chart(), HOSPITAL),
    "facet joint, the day after": (order("64495", "2024-08-05", place="22"), chart(), COVERED),
    "fusion, the day before": (order("22551", "2021-06-30", place="22"), chart(), COVERED),
    "fusion, its day": (order("22551", "2021-07-01", place="22"), chart(), HOSPITAL),
    "a span that ends before the change": (span("L1844", "2026-04-01", "2026-04-12"), chart(), COVERED),
    "a span that begins with the change": (span("L1844", "2026-04-13", "2026-05-12"), chart(), LISTED),
    "a listing within the span, not at its ends": (
        span("E0748", "2024-08-01", "2024-09-30"), chart(who=patient(state="PA")), WHEN,
    ),
    "that span in another state": (
        span("E0748", "2024-08-01", "2024-09-30"), chart(who=patient(state="NY")), COVERED,
    ),
    "a month as the day of service": (order("L1844", "", occurrenceDateTime="2026-04"), chart(), WHEN),
    "a year as the day of service": (order("L1833", "", occurrenceDateTime="2024"), chart(), WHEN),
    # codes and words
    "E0652 asks": (order("E0652"), chart(condition("I89.0")), LISTED),
    "E0676 in words of E0651": (
        order("E0676") | {"codeCodeableConcept": concept(SYSTEMS["HCPCS"], "E0676", "Pneumatic compressor E0651")},
        chart(condition("I89.0")), EXCLUDED,
    ),
    "the open banded gastroplasty": (order("43842"), chart(DIABETES), EXCLUDED),
    "a hearing aid with an affirmed number": (
        order("V5261"), chart(authorization("V5261", "2026-09-01", "2027-02-01")), EXCLUDED,
    ),
    "an accessory of a chair": (order("E2311"), chart(), COVERED),
    "a device by its SNOMED code only": (
        order("K0823") | {"codeCodeableConcept": concept("http://snomed.info/sct", "228869008")}, chart(), NO_CODE,
    ),
    "a service in words": (order("64493") | {"code": {"text": "Facet injection"}}, chart(), NO_CODE),
    "a code with a letter more": (order("L58560"), chart(), {}),
    "an oxygen code of a payer's own system": (
        order("E1390") | {"codeCodeableConcept": concept("urn:example:devices", "E1390")}, chart(), NO_CODE,
    ),
    "HCPCS beside SNOMED": (
        order("K0823") | {"codeCodeableConcept": {"coding": [
            {"system": "http://snomed.info/sct", "code": "228869008"}, {"system": SYSTEMS["HCPCS"], "code": "K0823"},
        ]}},
        chart(), LISTED,
    ),
    # places
    "a code of 2020 in a surgical centre": (order("67903", place="24"), chart(), COVERED),
    "on campus": (order("67903", place="22"), chart(), HOSPITAL),
    "no place": (order("63650"), chart(), WHERE),
    "the injection without the toxin": (order("64615", place="22"), chart(), COVERED),
    "no place, and an affirmed number": (
        order("63650"), chart(authorization("63650", "2026-10-01", "2027-02-01")), SATISFIED,
    ),
    # prior authorization
    "affirmed for the new list": (order("L1844"), chart(VALID), SATISFIED),
    "affirmed for the neighbour": (order("L1846"), chart(VALID), LISTED),
    "affirmed, of a draft answer": (order("L1844"), chart(with_status(VALID, "draft")), LISTED),
    "affirmed, cancelled": (order("L1844"), chart(with_status(VALID, "cancelled")), LISTED),
    "affirmed, and the processing failed": (order("L1844"), chart(VALID | {"outcome": "error"}), LISTED),
    "affirmed without a number": (
        order("L1844"), chart({name: value for name, value in VALID.items() if name != "preAuthRef"}), LISTED,
    ),
    "two answers, the later affirmed": (
        order("L1844"),
        chart(authorization("L1844", "2026-09-01", "2027-01-01", "A3", "N0"), VALID), SATISFIED,
    ),
    "affirmed for days after the order's": (
        order("L1844", "2026-11-20"), chart(authorization("L1844", "2026-12-01", "2027-03-01")), LISTED,
    ),
    # oxygen
    "saturation of 87 that was entered in error": (
        order("E1390"), chart(COPD, with_status(saturation(87), "entered-in-error"), visit()), OPEN,
    ),
    "saturation without a value": (
        order("E1390"),
        chart(COPD, {name: value for name, value in saturation(87).items() if name != "valueQuantity"}, visit()), OPEN,
    ),
    "saturation below 88 as a bound": (
        order("E1390"),
        chart(COPD, saturation(88, valueQuantity={"value": 88, "comparator": "<", "unit": "%", "code": "%"}), visit()),
        OPEN,
    ),
    "PaO2 of 7.2 kPa": (
        order("E0424"), chart(COPD, saturation(0) | result("2703-7", 7.2, "kPa", "2026-11-10"), visit()), COVERED,
    ),
    "PaO2 of 7.5 kPa": (
        order("E0424"), chart(COPD, saturation(0) | result("2703-7", 7.5, "kPa", "2026-11-10"), visit()), OPEN,
    ),
    "portable liquid oxygen without a visit": (order("E0434"), chart(COPD, saturation(85)), OPEN),
    "portable liquid oxygen after a visit by video": (
        order("E0434"), chart(COPD, saturation(85), visit(kind="VR")), COVERED,
    ),
    "the invented plan, oxygen": (order("E1390"), chart(COPD, saturation(87), visit(), payer=ADVANTAGE), COVERED),
    # sleep
    "a child of 17": (order("E0601"), chart(*SLEEP, ahi(22), who=patient("2009-11-21")), OPEN),
    "central sleep apnoea": (order("E0601"), chart(condition("G47.31"), SLEEP[1], ahi(22)), OPEN),
    "AHI of 5 with insomnia": (order("E0601"), chart(*SLEEP, ahi(5), condition("G47.00")), COVERED),
    "AHI of 4.9 with insomnia": (order("E0601"), chart(*SLEEP, ahi(4.9), condition("G47.00")), OPEN),
    "a sleep test that did not take place": (
        order("E0601"), chart(SLEEP[0], with_status(SLEEP[1], "not-done"), ahi(22)), OPEN,
    ),
    "apnoea that is only suspected": (order("E0601"), chart(doubted(SLEEP[0]), SLEEP[1], ahi(22)), OPEN),
    # lung screening
    "78 years on the day of service, 77 today": (
        order("71271", "2026-12-01"), chart(*SMOKER, PACKS, who=patient("1948-11-25")), OPEN,
    ),
    "50 years on the day of service, 49 today": (
        order("71271", "2026-12-01"), chart(*SMOKER, PACKS, who=patient("1976-11-25")), COVERED,
    ),
    "19.9 pack-years": (
        order("71271"), chart(*SMOKER, result("8664-5", 19.9, "{PackYears}", "2026-11-01"), who=SIXTY), OPEN,
    ),
    "lung cancer": (order("71271"), chart(*SMOKER, PACKS, condition("C34.11"), who=SIXTY), OPEN),
    "stopped exactly 15 years ago": (order("71271"), chart(*former("2011-11-20"), PACKS, who=SIXTY), COVERED),
    "a counselling that was cancelled": (
        order("71271"), chart(SMOKER[0], with_status(SMOKER[1], "not-done"), PACKS, who=SIXTY), OPEN,
    ),
    # glucose monitors
    "insulin, entered in error": (
        order("E2103"), chart(DIABETES, DIABETES_VISIT, medication("274783", "insulin glargine 100 units/mL",
                                                                    "entered-in-error")), OPEN,
    ),
    "insulin that ended": (
        order("A4238"), chart(DIABETES, DIABETES_VISIT, medication("274783", "insulin glargine 100 units/mL",
                                                                    "completed")), OPEN,
    ),
    "prediabetes": (order("E2103"), chart(condition("R73.03"), INSULIN, DIABETES_VISIT), OPEN),
    "diabetes and insulin, and the visit seven months ago": (
        order("E2103"), chart(DIABETES, INSULIN, visit("2026-04-19", reasonCode=[{"text": "Diabetes check"}])), OPEN,
    ),
    "type 1 with a pump of insulin": (order("E2103"), chart(condition("E10.65"), INSULIN, DIABETES_VISIT), COVERED),
    "a low with another's help, in a code alone": (
        order("E2103"), chart(DIABETES, condition("E11.641"), DIABETES_VISIT), OPEN,
    ),
    "before the rule of 2023": (order("E2103", "2023-04-15"), chart(DIABETES, INSULIN, DIABETES_VISIT), {}),
    # cancer, heart, kidneys, feet
    "anaemia of chronic kidney disease": (
        order("J0885"), chart(condition("D63.1"), condition("C50.911"), result("718-7", 9, "g/dL", "2026-11-18")), OPEN,
    ),
    "haemoglobin of 9.9 nine days ago": (
        order("J0881"), chart(ANAEMIA, condition("C50.911"), result("718-7", 9.9, "g/dL", "2026-11-11")), OPEN,
    ),
    "a newer haemoglobin of 10.4": (
        order("J0881"),
        chart(ANAEMIA, condition("C50.911"), result("718-7", 9.4, "g/dL", "2026-11-16"),
              result("718-7", 10.4, "g/dL", "2026-11-19")), OPEN,
    ),
    "myeloma": (
        order("J0881"), chart(ANAEMIA, condition("C90.00"), result("718-7", 9.4, "g/dL", "2026-11-18")), COVERED,
    ),
    "an infarction twelve months ago to the day": (
        order("93797"), chart(condition("I21.9", "resolved", "2025-11-20")), COVERED,
    ),
    "an infarction a day longer ago": (order("93797"), chart(condition("I21.9", "resolved", "2025-11-19")), OPEN),
    "an infarction that was refuted": (
        order("93798"), chart(doubted(condition("I21.4", onset="2026-06-20"), "refuted")), OPEN,
    ),
    "a bypass, long ago": (
        order("93798"), chart(procedure("33533", "2011-05-05") | {"code": BYPASS}), COVERED,
    ),
    "heart failure without an ejection fraction": (order("93798"), chart(condition("I50.22")), OPEN),
    "weight and height, no BMI": (
        order("43775"), chart(DIABETES, result("29463-7", 120, "kg", "2026-11-01"),
                              result("8302-2", 170, "cm", "2026-11-01")), {},
    ),
    "BMI of 40 and hypertension, nothing tried": (
        order("43770"), chart(HYPERTENSION, result("39156-5", 40, "kg/m2", "2026-11-01")), OPEN,
    ),
    "PSA of a woman": (order("G0103"), chart(who=patient("1955-06-15")), OPEN),
    "PSA of a man of 50": (order("G0103"), chart(who=patient("1976-06-15", gender="male")), COVERED),
    "PSA ten months after the last": (
        order("G0103"), chart(procedure("G0103", "2026-01-15"), who=patient("1955-06-15", gender="male")), OPEN,
    ),
    "nutrition therapy with diabetes": (order("97802"), chart(DIABETES), COVERED),
    "nutrition therapy with obesity alone": (order("97803"), chart(condition("E66.9")), OPEN),
    "shoes with an amputated toe": (order("A5500"), chart(DIABETES, condition("Z89.421")), COVERED),
    "shoes without diabetes": (order("A5500"), chart(condition("Z89.421")), OPEN),
    "back pain for eleven weeks": (order("97810"), chart(condition("M54.50", onset="2026-09-04")), OPEN),
    "back pain for thirteen weeks": (order("97810"), chart(condition("M54.50", onset="2026-08-20")), COVERED),
    # coverages
    "a coverage that ended yesterday": (
        order("L5856"), chart(payer=coverage(period={"start": "2020-01-01", "end": "2026-11-19"})), ENDED,
    ),
    "the order's day is after the end": (
        order("L5856", "2027-01-05"), chart(payer=coverage(period={"start": "2020-01-01", "end": "2026-12-31"})), ENDED,
    ),
    "a coverage that was cancelled": (order("L5856"), chart(payer=coverage(status="cancelled")), {}),
    "Medicaid": (order("L5856"), chart(payer=coverage(payor="Medicaid", plan="Ohio Medicaid")), {}),
    "the invented plan, MRI after seven weeks of therapy": (
        order("72141"), chart(procedure("97110", "2026-09-30"), payer=ADVANTAGE), COVERED,
    ),
    "the invented plan, MRI after five weeks": (
        order("72141"), chart(procedure("97110", "2026-10-16"), payer=ADVANTAGE), HOSPITAL,
    ),
    "Medicare asks nothing for the same MRI": (order("72148"), chart(), COVERED),
}  # fmt: skip


def test_look_alikes_are_told_apart(tmp_path: Path) -> None:
    assert wrong_answers(tmp_path, CASES) == {}


# Never a denial


def check_chart(path: Path, payer: str) -> int:
    """Fails on an answer to an order of the chart that refuses anything; returns how many orders were answered.

    Besides its own orders the chart is asked about one code of each rule, so that criteria are judged on real data.
    """
    rules = load_policies()
    opened = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    resources = [entry["resource"] for entry in json.loads(opened)["entry"]]
    patient_id = next((entry["id"] for entry in resources if entry["resourceType"] == "Patient"), "")
    first = {policy.category: policy.code for policy in rules.every() if policy.payer == payer}
    added = [order(code, subject={"reference": f"Patient/{patient_id}"}) for code in sorted(set(first.values()))]
    excluded = {policy.code for policy in rules.every() if policy.basis == "not-covered"}
    as_of = datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC)
    answers = list(judge_chart([*resources, *added], rules, rules.payers[payer], as_of))
    for answer in answers:
        extension = coverage_information(answer, "1", TODAY, TODAY, None)
        assert faults_of(extension) == []
        assert (answer.covered == "not-covered") == (answer.code is not None and answer.code[1] in excluded)
        text = json.dumps([extension, describe(answer), [criterion.question for criterion in answer.missing]]).lower()
        assert not [word for word in REFUSALS if word in text]
    return len(answers)


@pytest.mark.slow
@pytest.mark.outside_data
def test_no_order_of_a_real_chart_is_refused(data_folder: Path) -> None:
    paths = sorted((data_folder / "fhir").glob("*/*.json.gz"))[::40]
    assert sum(check_chart(path, "medicare") for path in paths) > 100


@pytest.mark.slow
@pytest.mark.outside_data
def test_no_order_of_the_charts_of_the_corpus_is_refused(data_folder: Path) -> None:
    paths = sorted((data_folder / "fhir").glob("*/*.json.gz"))
    assert sum(check_chart(path, "medicare") for path in paths[::3]) > 2_000
    assert sum(check_chart(path, "sample-advantage") for path in paths[::10]) > 50
