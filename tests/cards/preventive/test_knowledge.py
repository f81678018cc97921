"""Which test a concept names, by the code system of each of its codes or by its words; the order that is drafted."""

from cards.preventive.knowledge import PREVENTIVE, Order, ScreeningTest, order_resource
from cards.preventive.knowledge import tests_named as names_of_tests
from fhir.record.datatypes import CodeableConcept, Coding
from tests.fhir.builders import service_request

LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
TEST = ScreeningTest(
    words="colonoscopy",
    loinc=frozenset({"11-1"}),
    snomed=frozenset({"73761001"}),
    icd9_procedure=("4523",),
    icd10_pcs=("0DJD8ZZ", "0UTC"),
    pattern=r"\bcolonoscop",
    unless="virtual",
    source="by hand",
)
ICD9 = (
    "http://hl7.org/fhir/sid/icd-9-cm",
    "urn:oid:2.16.840.1.113883.6.104",
    "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-procedure-icd9",
)
ICD10 = (
    "http://www.cms.gov/Medicare/Coding/ICD10",
    "http://hl7.org/fhir/sid/icd-10-pcs",
    "urn:oid:2.16.840.1.113883.6.4",
    "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-procedure-icd10",
)


def test_a_code_goes_before_words_that_name_something_else() -> None:
    assert TEST.is_meant_by("Virtual colonoscopy", [(SNOMED, "73761001")]) is True


def test_a_test_without_an_exception_is_named_by_its_pattern_alone() -> None:
    assert ScreeningTest(words="x", pattern="scan", source="by hand").is_meant_by("virtual scan", []) is True


def _named(text: str = "", *codings: Coding) -> frozenset[str]:
    return names_of_tests(CodeableConcept(coding=codings, text=text))


def test_a_concept_names_tests_by_its_text_the_words_of_its_codes_or_its_codes() -> None:
    assert _named("Colonoscopy") == {"colonoscopy"}
    assert _named("", Coding(display="Colonoscopy")) == {"colonoscopy"}
    assert _named("", Coding(system=SNOMED, code="73761001")) == {"colonoscopy"}
    assert _named("", Coding(system=LOINC, code="56888-1")) == {"hiv"}
    assert _named("", Coding(code="56888-1")) == {"hiv"}
    assert _named("", Coding(system=ICD9[0], code="45.23")) == {"colonoscopy"}
    assert _named("", Coding(system=ICD10[0], code="0UTC0ZZ")) == {"hysterectomy_total"}
    assert _named("Mammogram", Coding(system=SNOMED, code="73761001")) == {"mammography", "colonoscopy"}


def test_most_concepts_name_no_test() -> None:
    assert _named() == frozenset()
    assert _named("", Coding(system="urn:x", code="56888-1")) == frozenset()
    assert _named("Appendectomy", Coding(system=SNOMED, code="80146002")) == frozenset()
    assert _named("", Coding(system=ICD9[0], code="47.09"), Coding(system=SNOMED)) == frozenset()


def test_the_order_of_a_recommendation_is_a_draft_for_the_patient_and_the_day() -> None:
    coding = {"system": LOINC, "code": "24606-6", "display": "MG Breast Screening"}
    expected = service_request(
        {"coding": [coding], "text": "Screening mammogram"}, status="draft", patient="p7", authoredOn="2026-11-20"
    )
    assert order_resource(Order("Screening mammogram", (coding,)), "p7", "2026-11-20") == expected
    expected["code"] = {"text": "Screening mammogram"}
    assert (PREVENTIVE.coded(None), PREVENTIVE.coded(Order("Ask"))) == (None, Order("Ask"))
    assert order_resource(Order("Screening mammogram"), "p7", "2026-11-20") == expected
