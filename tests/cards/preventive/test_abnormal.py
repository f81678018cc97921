"""Abnormal results without a follow-up: which are told, what settles them, and what only looks like one."""

from datetime import timedelta
from typing import Any

from cards.preventive.abnormal import FollowUp, open_results
from cards.preventive.abnormal_rows import ABNORMAL_RESULTS
from fhir.record.record import read_record
from tests.cards.preventive.charts import (
    EVERYTHING,
    MAN,
    Json,
    number,
    person,
    problem,
    procedure,
    report,
    result,
    taking,
)
from tests.each import for_rows
from tests.fhir.builders import AS_OF, bundle, concept, lean, service_request

FIT, PAP, HPV = "57905-2", "10524-7", "82675-0"
HCV_ANTIBODY, HIV = "16128-1", "56888-1"
IRON_DEFICIENCY = number("2276-4", 6, "ng/mL", "2026-11-01"), number("718-7", 9.6, "g/dL", "2026-11-01")
BACTERIA = result("630-4", "Escherichia coli >100,000 CFU/mL", "2026-11-10")
MARKED = number(FIT, 0, "{ratio}") | {"valueQuantity": None, "interpretation": [concept(code="POS")]}
MARKED["code"] |= {"text": "Hemoglobin, fecal, immunologic"}
DECLINED, AAA = {"text": "Colonoscopy declined"}, {"text": "Infrarenal aneurysm of 5.6 cm"}
LOW_BICARBONATE = number("1963-8", 12, "mmol/L", "2026-11-20")
S_AUREUS, TODAY = result("600-7", "Staphylococcus aureus", "2026-11-20"), {"authoredOn": "2026-11-20"}
SPLENECTOMY, MECHANICAL = (
    procedure("Splenectomy", "2026-11-10"),
    problem("Z95.2") | {"code": {"text": "Mechanical valve"}},
)
RH_NEGATIVE = result("882-1", "O NEG"), problem("Z3A.30", onsetDateTime="2026-11-20")
VACCINE: Json = {"resourceType": "Immunization", "id": "i1", "status": "completed", "occurrenceDateTime": "2026-10-20"}
EARLIER = taking("levothyroxine sodium 50 MCG Oral Tablet") | {"authoredOn": "2025-12-01"}
ON_LOSARTAN, BISOPROLOL = taking("losartan 50 mg"), taking("bisoprolol 5 mg") | {"id": "m2"}
MRA, SGLT2 = taking("eplerenone 25 mg") | {"id": "m3"}, taking("Jardiance 10 mg") | {"id": "m4"}
PREP = taking("Descovy") | {"authoredOn": "2026-01-05"}
SUSPICIOUS = report("CT abdomen", "2026-09-01", conclusion="Mass suspicious for renal cell carcinoma")
KIDNEYS_IN_DIABETES = (
    problem("E11.9"),
    number("4548-4", 6.9, "%", "2026-09-01"),
    number("2160-0", 0.9, "mg/dL", "2026-09-01"),
)
ANEURYSM = report("Ultrasound of abdominal aorta", "2024-05-01", conclusion="Infrarenal aneurysm of 5.6 cm")


def opened(*resources: Json, patient: Json | None = None, not_sent: frozenset[str] = frozenset()) -> list[FollowUp]:
    values = {"patient": lean(patient or person()), "rest": lean(bundle(*resources))}
    record = read_record(values, "p1", AS_OF, requested=EVERYTHING - not_sent)
    return list(open_results(record))


ADENOMA, CULTURE = "colonoscopy-advanced-adenoma", "blood-culture-positive"


def rows(*resources: Json, patient: Json | None = None) -> list[str]:
    return [item.row.id for item in opened(*resources, patient=patient)]


def pressure(systolic: float, diastolic: float, when: str = "2026-11-20") -> tuple[Json, Json]:
    return number("8480-6", systolic, "mm[Hg]", when), number("8462-4", diastolic, "mm[Hg]", when)


def lab(loinc: str, value: float, unit: str, side: str = "", **more: Any) -> Json:
    """A result of the day, with a comparator where the laboratory gives only a side."""
    charted = number(loinc, value, unit, "2026-11-20")
    return charted | {"valueQuantity": charted["valueQuantity"] | ({"comparator": side} if side else {})} | more


BY_OID = {"coding": [{"system": "urn:oid:2.16.840.1.113883.6.1", "code": "2823-3"}]}
CRITICAL: Json = {"interpretation": [{"text": "Critical high"}]}
RITUXIMAB, STENT = taking("rituximab 1000 mg infusion"), problem("Z95.5") | {"code": {"text": "Coronary stent"}}
ARTERITIS = problem("M31.6") | {"code": {"text": "Giant cell arteritis"}}
GLIPIZIDE = taking("glipizide 10 mg") | {"authoredOn": "2026-01-01"}
QUIET: list[tuple[Json, ...]] = [
    (ARTERITIS | {"onsetDateTime": "2026-11-10"}, taking("prednisone 60 mg")),
    (ARTERITIS | {"onsetDateTime": "2024-11-10"},),
    (problem("E11.9"), lab("4548-4", 5.6, "%"), GLIPIZIDE),
    (lab("1963-8", 14, "mmol/L"),),
    (problem("B18.1"), RITUXIMAB, taking("entecavir 0.5 mg") | {"id": "m2"}),
    (problem("B18.1"), taking("lisinopril 10 mg")),
    (problem("I26.99", onsetDateTime="2024-11-05"),),
    (problem("Z95.5", recordedDate="2026-09-20"), taking("aspirin 81 mg")),
    (STENT | {"onsetDateTime": "2026-09-20"}, taking("ticagrelor 90 mg")),
    (lab("10839-9", 0.018, "ng/mL"),),
    (lab("718-7", 20.1, "g/dL"), problem("D45")),
    (lab("2345-7", 500, "mg/dL", ">", id="g"), problem("E11.9")),
    (lab("777-3", 40, "10*3/uL", "<"),),
    (result(FIT, "Positive", status="preliminary"),),
    (
        lab("2823-3", 7.2, "mmol/L", id="first", effectiveDateTime="2026-11-20T08:00:00Z"),
        lab("2823-3", 4.2, "mmol/L", id="second", effectiveDateTime="2026-11-20T08:00:00Z", status="corrected"),
    ),
    (lab("2160-0", 9.4, "mg/dL", **CRITICAL), problem("Z99.2")),
    (lab("", 2140, "ng/L", code={"text": "hs-Troponin I"}, **CRITICAL), problem("I21.4", onsetDateTime="2026-11-18")),
    (lab("2692-2", 290, "mosm/kg", interpretation=[{"text": "Within critical limits"}]),),
]


@for_rows("entries", QUIET)
def test_a_side_that_decides_nothing_a_corrected_report_and_what_dialysis_brings_are_quiet(
    entries: tuple[Json, ...],
) -> None:
    assert rows(*entries) == []


TOLD: list[tuple[tuple[Json, ...], Json | None, str]] = [
    ((result(FIT, "Positive"),), None, "stool-positive"),
    ((MARKED,), None, "stool-positive"),
    ((result(PAP, "HSIL"),), None, "cytology-high-grade"),
    ((result(PAP, "ASC-H"),), None, "cytology-high-grade"),
    ((result(PAP, "HSIL", interpretation=[concept(code="N")]),), person("1970"), "cytology-high-grade"),
    ((result(PAP, "Atypical glandular cells"),), None, "cytology-high-grade"),
    ((result(PAP, "Adenocarcinoma in situ (AIS)"),), None, "cytology-high-grade"),
    ((result(PAP, "LSIL"),), None, "cytology-low-grade"),
    ((result(PAP, "ASC-US"),), None, "cytology-asc-us"),
    ((result(PAP, "ASC-US. HPV not detected"),), None, "cytology-asc-us"),
    ((result(PAP, "ASC-US, high-risk HPV positive"),), None, "asc-us-hpv-positive"),
    ((result(PAP, "NILM. HPV 16: detected"),), None, "hpv-16-18-in-cytology"),
    ((result(PAP, "ASC-US"), result(HPV, "Detected")), None, "asc-us-hpv-positive"),
    ((report("Biopsy of cervix", conclusion="CIN 3"),), None, "biopsy-cin-2-3"),
    ((result(HPV, "Detected", "2025-11-10"), result(PAP, "NILM", "2025-11-10")), None, "hpv-repeat"),
    ((result(HPV, "HPV 16 positive"),), None, "hpv-16-18"),
    ((result("61373-7", "Detected"),), None, "hpv-16-18"),
    ((result("61373-7", "HPV 18 was detected"),), None, "hpv-16-18"),
    ((result(HPV, "non-16/18 HPV positive"),), None, "hpv-other"),
    ((result(HPV, "Detected"),), None, "hpv-other"),
    ((report("Mammogram", conclusion="BI-RADS 4B: suspicious"),), None, "birads-suspicious"),
    ((report("Mammogram", conclusion="BI-RADS category 0, incomplete"),), None, "birads-incomplete"),
    ((report("Mammographie", conclusion="ACR II, BI-RADS IV rechts"),), None, "birads-suspicious"),
    ((report("Serología luética", conclusion="RPR 1:32, TPHA positivo"),), None, "syphilis-reactive"),
    (
        (report("Colonscopia", conclusion="Esame incompleto, raggiunto il traverso"),),
        None,
        "colonoscopy-incomplete",
    ),
    ((report("CT chest low dose", conclusion="Lung-RADS 4B"),), None, "lungrads-suspicious"),
    ((report("CT chest low dose", conclusion="Lung-RADS 4A"),), None, "lungrads-4a"),
    ((ANEURYSM,), MAN, "aaa-repair"),
    (
        (
            procedure("Ultrasound of abdominal aorta", "2024-05-01", outcome={"text": "Infrarenal aneurysm of 5.6 cm"}),
            report("Chest radiograph", "2024-05-02", conclusion="Clear lungs"),
        ),
        MAN,
        "aaa-repair",
    ),
    ((report("Echographie de l'aorte", conclusion="Anévrisme de 5,8 cm"),), MAN, "aaa-repair"),
    ((report("CT abdomen", conclusion="Incidental 5.7 cm infrarenal AAA"),), MAN, "aaa-repair"),
    ((problem("K63.5", onsetDateTime="2024-05-01") | {"code": AAA},), MAN, "aaa-repair"),
    ((result(HPV, "No HPV 16; other types", interpretation=[concept(code="POS")]),), None, "hpv-other"),
    ((result(FIT, "Positivo"),), None, "stool-positive"),
    ((report("US aorta", "2024-05-01", conclusion="Aortic aneurysm 52 mm"),), None, "aaa-repair-women"),
    ((result(HCV_ANTIBODY, "Reactive"),), None, "hcv-antibody"),
    *(((result(HIV, f"{words}eactive"),), None, "hiv-reactive") for words in ("R", "Previously negative, now r")),
    ((result("5195-3", "Reactive"),), None, "hbsag-reactive"),
    ((report("Colonoscopy", "2022-11-26", conclusion="15 mm tubular adenoma"),), None, ADENOMA),
    ((report("Colonoscopy", "2022-11-26", conclusion="Two adenomas, one of 12 mm"),), None, ADENOMA),
    ((report("Colonoscopy", "2022-11-26", conclusion="Tubulovillous adenoma 6 mm"),), None, ADENOMA),
    ((number("4548-4", 9.8, "%"),), None, "diabetes-range"),
    ((number("4548-4", 11.2, "%"),), None, "diabetes-severe"),
    (pressure(182, 118), None, "bp-severe"),
    (pressure(182, 118, "2026-09-01"), None, "bp-severe-before"),
    (pressure(164, 92), None, "bp-stage-2"),
    ((*pressure(162, 100), problem("Z34.90")), None, "bp-severe-pregnancy"),
    ((report("DXA bone density", conclusion="T-score of the hip -2.9"),), None, "osteoporosis-dxa"),
    ((procedure("LEEP of cervix", "2026-02-01"),), None, "cervix-treated"),
    ((number("2823-3", 6.6, "mmol/L", "2026-11-20"),), None, "potassium-severe"),
    ((number("2951-2", 124, "mmol/L", "2026-11-20"),), None, "sodium-profound"),
    ((number("718-7", 6.4, "g/dL", "2026-11-18"),), None, "hemoglobin-severe"),
    ((number("718-7", 4.34, "mmol/L", "2026-11-18"),), None, "hemoglobin-severe"),  # 6.993 g/dL
    ((number("777-3", 22, "10*3/uL", "2026-11-18"),), None, "platelets-severe"),
    ((number("17861-6", 12.6, "mg/dL", "2026-11-18"),), None, "calcium-high"),
    ((number("3016-3", 48, "m[IU]/L", "2026-11-01"),), None, "tsh-high"),
    ((number("3016-3", 0.02, "m[IU]/L", "2026-11-01"),), None, "tsh-low"),
    ((number("2857-1", 14.2, "ng/mL", "2026-11-01"),), MAN, "psa-50"),
    ((*IRON_DEFICIENCY,), MAN, "iron-deficiency-men"),
    ((*IRON_DEFICIENCY,), None, "iron-deficiency-women"),
    ((number("2276-4", 1640, "ng/mL", "2026-11-01"),), None, "ferritin-high"),
    ((number("2132-9", 112, "pg/mL", "2026-11-01"),), None, "b12-low"),
    ((number("2571-8", 1250, "mg/dL", "2026-11-01"),), None, "triglycerides-severe"),
    ((result("20507-0", "Reactive 1:64"),), None, "syphilis-reactive"),
    ((BACTERIA, problem("Z34.90")), None, "urine-culture-pregnancy"),
    ((number("2823-3", 6.2, "mmol/L", "2026-11-20"),), None, "potassium-moderate"),
    ((number("2823-3", 2.4, "mmol/L", "2026-11-20"),), None, "potassium-low"),
    ((number("2823-3", 2.9, "mmol/L", "2026-11-20"),), None, "potassium-low-moderate"),
    ((number("17861-6", 6.9, "mg/dL", "2026-11-20"), number("1751-7", 4, "g/dL", "2026-11-20")), None, "calcium-low"),
    ((number("17861-6", 6.2, "mg/dL", "2026-11-20"),), None, "calcium-critical"),
    ((number("3016-3", 8, "m[IU]/L", "2026-11-01"), problem("Z34.90")), None, "tsh-high-pregnancy"),
    ((number("6690-2", 1.5, "10*3/uL", "2026-11-20"),), None, "leukocytes-very-low"),
    ((number("6690-2", 55, "10*3/uL", "2026-11-20"),), None, "leukocytes-high"),
    ((number("777-3", 1200, "10*3/uL", "2026-11-20"),), None, "platelets-high"),
    ((number("2019-8", 82, "mm[Hg]", "2026-11-20"),), None, "pco2-high"),
    ((number("2703-7", 38, "mm[Hg]", "2026-11-20"),), None, "po2-low"),
    ((number("2345-7", 402, "mg/dL", "2026-11-20"), LOW_BICARBONATE, problem("E11.9")), None, "glucose-acidosis"),
    ((number("2345-7", 640, "mg/dL", "2026-11-20"), problem("E11.9")), None, "glucose-hyperosmolar"),
    ((number("6873-4", 4.2, "mmol/L", "2026-11-20"), LOW_BICARBONATE), None, "ketones-high"),
    ((number("2345-7", 41, "mg/dL", "2026-11-20"),), None, "glucose-low"),
    ((number("3016-3", 48, "m[IU]/L", "2026-11-01"), EARLIER), None, "tsh-high-treated"),
    ((report("CT chest", "2026-05-01", conclusion="12 mm nodule in the right upper lobe"),), None, "nodule-over-8"),
    ((report("CT abdomen", "2026-05-01", conclusion="Lung base: nodule of 1.4 x 1.1 cm"),), None, "nodule-over-8"),
    ((report("CT chest", "2026-05-01", conclusion="7 mm nodule in the right upper lobe"),), None, "nodule-6-to-8"),
    ((report("Chest radiograph", "2026-05-01", conclusion="4 cm mass, left upper lobe"),), None, "lung-mass"),
    ((number("718-7", 7.6, "g/dL", "2026-11-18"),), None, "hemoglobin-under-8"),
    ((number("751-8", 0.3, "10*3/uL", "2026-11-18"),), None, "neutrophils-severe"),
    ((number("1742-6", 890, "U/L", "2026-11-18"), number("1975-2", 5, "mg/dL", "2026-11-18")), None, "liver-injury"),
    ((number("8636-3", 540, "ms", "2026-11-18"),), None, "qtc-long"),
    ((number("6301-6", 5.2, "{INR}", "2026-11-20"),), None, "inr-high"),
    ((number("6301-6", 11, "{INR}", "2026-11-20"),), None, "inr-over-10"),
    ((number("2951-2", 164, "mmol/L", "2026-11-20"),), None, "sodium-very-high"),
    ((lab("2345-7", 600, "mg/dL", ">"), problem("E11.9")), None, "glucose-hyperosmolar"),
    ((lab("777-3", 5, "10*3/uL", "<"),), None, "platelets-severe"),
    ((lab("2823-3", 6.6, "mmol/L", code=BY_OID),), None, "potassium-severe"),
    ((lab("2160-0", 9.4, "mg/dL", **CRITICAL), problem("Z99.2"), problem("Z94.0")), None, "laboratory-critical"),
    ((lab("2823-3", 7.2, "mmol/L"), lab("2823-3", 4.2, "mmol/L", status="corrected")), None, "potassium-severe"),
    ((lab("2692-2", 390, "mosm/kg", **CRITICAL),), None, "laboratory-critical"),
    ((number("2951-2", 157, "mmol/L", "2026-11-20"),), None, "sodium-high"),
    ((lab("77307-7", 0.5, "umol/L"),), person("2024-08-14"), "lead-child"),
    ((lab("777-3", 8, "10*3/uL"),), person("2018-08-14"), "child-platelets-severe"),
    ((lab("777-3", 40, "10*3/uL"),), person("2018-08-14"), "child-platelets-low"),
    ((lab("777-3", 6, "10*3/uL"),), person("2026-05-14"), "child-platelets-severe"),
    ((lab("718-7", 7.7, "g/dL"),), person("2012-08-14"), "child-hemoglobin-under-8"),
    ((lab("6873-4", 5.1, "mmol/L"),), None, "ketones-unmeasured"),
    ((lab("751-8", 0.2, "10*3/uL"),), person("2018-08-14"), "child-neutrophils-severe"),
    ((lab("6690-2", 88, "10*3/uL"),), person("2018-08-14"), "child-leukocytes-high"),
    ((lab("17861-6", 6.1, "mg/dL"),), person("2018-08-14"), "child-calcium-low"),
    ((lab("2160-0", 4.1, "mg/dL"),), person("2018-08-14"), "child-creatinine-high"),
    ((lab("2524-7", 6.2, "mmol/L"),), person("2018-08-14"), "child-lactate-high"),
    ((lab("6301-6", 6.2, "{INR}"),), person("2018-08-14"), "child-inr-high"),
    ((lab("1742-6", 1900, "U/L"),), person("2018-08-14"), "alt-very-high"),
    ((lab("77307-7", 62, "ug/dL"),), person("1980-08-14"), "lead-adult"),
    ((lab("77307-7", 8, "ug/dL"),), person("1980-08-14"), "lead-adult-raised"),
    ((number("19123-9", 0.8, "mg/dL", "2026-11-20"),), None, "magnesium-low"),
    ((number("2777-1", 0.8, "mg/dL", "2026-11-20"),), None, "phosphate-very-low"),
    ((number("6598-7", 0.4, "ng/mL", "2026-11-20"),), None, "troponin-high"),
    ((number("2157-6", 9000, "U/L", "2026-11-20"),), None, "creatine-kinase-high"),
    ((number("1742-6", 1900, "U/L", "2026-11-20"),), None, "alt-very-high"),
    ((number("2744-1", 7.08, "[pH]", "2026-11-20"),), None, "ph-low"),
    ((number("2524-7", 6.2, "mmol/L", "2026-11-20"),), None, "lactate-high"),
    ((number("59408-5", 79, "%", "2026-11-20"),), None, "saturation-low"),
    ((result("600-7", "E. coli", "2026-11-20"), taking("Macrobid 100 mg") | TODAY), None, "blood-culture-positive"),
    ((result("600-7", "Gram negative rods", "2026-11-20"),), None, "blood-culture-positive"),
    ((S_AUREUS, taking("cefazolin 2 g injection")), None, "blood-culture-staphylococcus-aureus"),
    ((S_AUREUS, taking("cephalexin 500 mg capsule") | TODAY), None, "blood-culture-staphylococcus-aureus"),
    (
        (result("600-7", "C. albicans", "2026-11-20"), taking("ceftriaxone 2 g injection") | TODAY),
        None,
        "blood-culture-yeast",
    ),
    ((report("Blood culture", "2026-11-19", conclusion="Gram positive cocci", status="preliminary"),), None, CULTURE),
    ((result("43304-5", "Detected", "2026-11-10"),), None, "chlamydia-positive"),
    ((result("24111-7", "Detected", "2026-11-10"),), None, "gonorrhea-positive"),
    ((report("H. pylori stool antigen", conclusion="Positive"),), None, "helicobacter-positive"),
    ((result("71773-6", "Positive"),), None, "igra-positive"),
    ((*RH_NEGATIVE,), None, "rh-negative-pregnancy"),
    ((number("6301-6", 1.3, "{INR}", "2026-11-20"), MECHANICAL), None, "inr-low-mechanical-valve"),
    ((SPLENECTOMY,), None, "spleen-removed"),
    ((report("Dilated retinal examination", "2024-05-01"), problem("E11.9")), None, "eyes-in-diabetes"),
    ((problem("I50.22"),), None, "heart-failure-reduced"),
    ((problem("I25.2"),), None, "infarction-no-antiplatelet"),
    ((procedure("PCI with drug-eluting stent to LAD", "2026-09-01"), taking("aspirin 81 mg")), None, "stent-no-p2y12"),
    ((problem("B20"),), None, "hiv-untreated"),
    ((problem("E10.9"),), None, "diabetes-insulin-missing"),
    ((problem("E27.1"), taking("fludrocortisone 0.1 mg")), None, "adrenal-glucocorticoid-missing"),
    ((MECHANICAL,), None, "mechanical-valve-no-anticoagulant"),
    ((problem("G45.9", onsetDateTime="2026-05-01"),), None, "stroke-no-antithrombotic"),
    ((problem("J44.1", onsetDateTime="2026-10-01"), taking("albuterol inhaler")), MAN, "copd-exacerbation"),
    ((problem("J45.40"), taking("fluticasone 50 mcg nasal spray")), None, "asthma-persistent"),
    ((problem("K74.60"), report("CT abdomen", "2026-01-05", conclusion="No focal lesion")), None, "cirrhosis-imaging"),
    (
        (taking("Plaquenil 200 mg") | {"authoredOn": "2020-05-01"},),
        None,
        "hydroxychloroquine-eyes",
    ),
    (
        (taking("Descovy") | {"authoredOn": "2026-01-05"}, result(HIV, "Negative")),
        None,
        "prep-hiv-test",
    ),
    ((number("2731-8", 138, "pg/mL"), number("17861-6", 11.2, "mg/dL")), None, "hyperparathyroidism"),
    ((number("9813-7", 50, "nmol/L", "2026-11-20"),), None, "cortisol-morning-low"),
    ((number("99046-5", 15, "{score}", "2026-11-20"),), None, "edinburgh-scale"),
    ((result("44260-8", "More than half the days", "2026-11-20"),), None, "thoughts-of-self-harm"),
    ((report("MRI liver", "2026-09-01", conclusion="Lesion concerning for malignancy"),), None, "imaging-suspicious"),
    ((problem("B18.1"), RITUXIMAB), None, "hepatitis-b-anti-cd20"),
    ((problem("I26.99", onsetDateTime="2026-11-05"),), None, "thrombosis-no-anticoagulant"),
    ((STENT | {"onsetDateTime": "2026-09-20"}, taking("aspirin 81 mg")), None, "stent-no-p2y12"),
    ((lab("10839-9", 2.4, "ng/mL"),), None, "troponin-i-high"),
    ((lab("4544-3", 61, "%"), lab("718-7", 20.1, "g/dL", id="hb")), MAN, "hematocrit-very-high"),
    ((lab("718-7", 20.1, "g/dL"),), MAN, "hemoglobin-high"),
    ((lab("1963-8", 9, "mmol/L"),), None, "bicarbonate-very-low"),
    ((ARTERITIS | {"onsetDateTime": "2026-11-10"},), None, "arteritis-no-glucocorticoid"),
    ((problem("E11.9"), lab("4548-4", 5.6, "%"), GLIPIZIDE), person("1940-01-01"), "a1c-low-treated"),
]


@for_rows(("entries", "patient", "row"), TOLD)
def test_an_abnormal_result_that_nothing_followed_is_told(
    entries: tuple[Json, ...], patient: Json | None, row: str
) -> None:
    assert rows(*entries, patient=patient) == [row]


NEWEST = {row.id: row.newest_days for row in ABNORMAL_RESULTS.rows if row.newest_days is not None}


@for_rows(("entries", "patient", "row"), [told for told in TOLD if told[2] in NEWEST])
def test_a_result_is_told_up_to_the_age_of_its_row_and_no_day_longer(
    entries: tuple[Json, ...], patient: Json | None, row: str
) -> None:
    def at_age(days: int) -> list[str]:
        day = (AS_OF - timedelta(days=days)).date().isoformat()
        dated = (
            {name: day if name.endswith("DateTime") else part for name, part in entry.items()} for entry in entries
        )
        return rows(*dated, patient=patient)

    assert row in at_age(NEWEST[row])
    assert row not in at_age(NEWEST[row] + 1)


@for_rows(
    ("entries", "settling"),
    [
        ((result(FIT, "Positive"),), procedure("Colonoscopy", "2026-01-10")),
        ((result(FIT, "Positive"),), procedure("Colonoscopy", "2026")),
        ((result(FIT, "Positive"),), service_request("Colonoscopy", id="o1", authoredOn="2026-11-01")),
        ((result(FIT, "Positive"),), problem("C18.9", onsetDateTime="2026-01-10")),
        ((result(FIT, "Positive"),), problem("Z53.20", recordedDate="2026-05-01") | {"code": DECLINED}),
        (IRON_DEFICIENCY, problem("C18.9", onsetDateTime="2020-02-01")),
        ((result(PAP, "HSIL"),), procedure("Colposcopy", "2026-02-01")),
        ((result(PAP, "HSIL"),), procedure("LEEP of cervix", "2026-09-01")),
        ((result(PAP, "ASC-US"),), result(HPV, "Not detected")),
        ((report("Biopsy of cervix", conclusion="CIN 3"),), procedure("LEEP of cervix", "2026-09-01")),
        ((result(PAP, "HSIL"),), procedure("Biopsy of cervix", "2026-02-01")),
        ((report("Mammogram", conclusion="BI-RADS 4"),), procedure("Core needle biopsy of breast", "2026-02-01")),
        ((report("Mammogram", conclusion="BI-RADS 0"),), procedure("Ultrasound of breast", "2026-02-01")),
        ((ANEURYSM,), procedure("Endovascular repair of abdominal aortic aneurysm", "2024-06-01")),
        ((ANEURYSM,), service_request("Referral to vascular surgery", id="o1", authoredOn="2026-11-01")),
        ((result(HCV_ANTIBODY, "Reactive"),), result("11011-4", "Not detected", "2026-01-12")),
        ((number("4548-4", 9.8, "%"),), problem("E11.9")),
        ((number("4548-4", 9.8, "%"),), taking("metformin 500 MG Oral Tablet")),
        ((number("4548-4", 10.8, "%", "2026-11-01"), problem("E11.9")), problem("Z79.4")),
        (pressure(164, 92), problem("I10")),
        ((number("3016-3", 48, "m[IU]/L", "2026-11-01"),), taking("levothyroxine sodium 50 MCG Oral Tablet")),
        ((number("3016-3", 0.02, "m[IU]/L", "2026-11-01"),), problem("E05.90")),
        ((number("777-3", 22, "10*3/uL", "2026-11-18"),), problem("D69.3")),
        (IRON_DEFICIENCY, taking("ferrous fumarate 210 mg")),
        (IRON_DEFICIENCY, procedure("Colonoscopy", "2026-11-10")),
        # A size that was measured later decides, whatever it is.
        ((ANEURYSM,), report("CT abdomen", "2026-05-01", conclusion="Infrarenal aorta 3.1 cm") | {"id": "later"}),
        ((number("2276-4", 1640, "ng/mL", "2026-11-01"),), problem("E83.110")),
        ((number("2132-9", 112, "pg/mL", "2026-11-01"),), taking("hydroxocobalamin 1 mg")),
        ((result("20507-0", "Reactive 1:2"),), problem("A53.9")),
        ((S_AUREUS,), taking("cefazolin 2 g injection") | TODAY),
        ((result("600-7", "Candida albicans", "2026-11-20"),), taking("fluconazole 400 mg tablet") | TODAY),
        (
            (report("CT chest", "2026-05-01", conclusion="Nodule of 12 mm, right lung"),),
            procedure("PET/CT", "2026-06-01"),
        ),
        ((number("2823-3", 6.2, "mmol/L", "2026-11-20"),), taking("lisinopril 20 MG Oral Tablet")),
        ((SPLENECTOMY,), {**VACCINE, "vaccineCode": {"text": "MenQuadfi"}}),
        ((problem("I50.22"),), number("10230-1", 55, "%", "2026-11-01")),
        ((problem("I25.2"),), taking("clopidogrel 75 mg")),
        ((problem("B20"),), taking("Biktarvy 50-200-25 mg")),
        ((problem("E10.9"),), taking("Humalog 100 units/mL")),
        ((MECHANICAL,), taking("Coumadin 5 mg")),
        ((problem("G45.9", onsetDateTime="2026-05-01"),), problem("Z53.20") | {"code": {"text": "Aspirin declined"}}),
        ((problem("J45.40"),), taking("Symbicort 160-4.5 mcg")),
        ((problem("K74.60"),), report("MRI abdomen", "2026-09-01", conclusion="Cirrhosis")),
        ((number("2731-8", 138, "pg/mL"), number("17861-6", 11.2, "mg/dL")), problem("E21.0")),
        ((*RH_NEGATIVE,), {**VACCINE, "vaccineCode": {"text": "Rho(D)-IG IM"}}),
        ((ON_LOSARTAN, MRA, SGLT2, problem("I50.22")), number("8867-4", 38, "/min", "2026-11-19")),
        ((ON_LOSARTAN, BISOPROLOL, SGLT2, problem("I50.22")), number("2160-0", 3.1, "mg/dL", "2026-11-20")),
        ((problem("G45.9", onsetDateTime="2026-05-01"),), number("777-3", 42, "10*3/uL", "2026-11-18")),
        ((PREP,), taking("Tivicay 50 mg") | {"id": "m2", "authoredOn": "2025-10-01"}),
        ((SUSPICIOUS,), procedure("Partial nephrectomy", "2026-09-20")),
        ((SUSPICIOUS,), procedure("Oncology consultation", "2026-09-20")),
        ((number("4548-4", 6.9, "%", "2025-09-01"), problem("E11.9")), report("Time in range", conclusion="72 %")),
        (KIDNEYS_IN_DIABETES, report("Microalbumin, urine", "2026-09-01", conclusion="8 mg/L")),
    ],
)
def test_what_follows_a_result_settles_it(entries: tuple[Json, ...], settling: Json) -> None:
    assert rows(*entries, patient=MAN if entries == (ANEURYSM,) else None) != []
    assert rows(*entries, settling, patient=MAN if entries == (ANEURYSM,) else None) == []


def test_what_is_lacking_of_several_treatments_is_told_in_one_line() -> None:
    entries = problem("I50.22"), taking("losartan 50 mg"), taking("carvedilol 25 mg") | {"id": "m2"}
    assert opened(*entries)[0].name.endswith(": no aldosterone antagonist, no SGLT2 inhibitor on record")


def test_a_hemoglobin_that_fell_is_told_with_the_higher_one_until_it_rises() -> None:
    before, after = number("718-7", 13.6, "g/dL", "2026-09-01"), number("718-7", 10.9, "g/dL", "2026-11-10")
    assert "10.9 g/dL after Hemoglobin 13.6 g/dL of 2026-09-01" in opened(before, after)[0].name
    assert rows(before, after, number("718-7", 11.2, "g/dL", "2026-11-20")) == []


def test_what_only_resembles_a_treatment_or_a_test_settles_nothing() -> None:
    assert rows(SUSPICIOUS, procedure("Biopsy not done", "2026-09-20")) == ["imaging-suspicious"]
    assert rows(PREP, taking("raltegravir 400 mg") | {"id": "m2", "status": "completed"}) == ["prep-hiv-test"]
    glucose = number("2345-7", 140, "mg/dL", "2026-11-18")
    assert rows(number("4548-4", 6.9, "%", "2025-09-01"), problem("E11.9"), glucose) == ["a1c-overdue"]
    normal = number("2731-8", 48, "pg/mL"), number("17861-6", 11.2, "mg/dL")
    assert rows(*normal) == ["hyperparathyroidism"]
    assert rows(*normal, procedure("Parathyroidectomy", "2026-02-01")) == []


def test_what_was_not_sent_is_not_said_to_be_missing() -> None:
    entries = problem("I50.22"), problem("G45.9", onsetDateTime="2026-05-01"), problem("J45.40")
    assert len(opened(*entries)) == len(entries)
    assert opened(*entries, not_sent=frozenset({"MedicationRequest", "MedicationStatement"})) == []
    assert opened(problem("K74.60"), not_sent=frozenset({"DiagnosticReport"})) == []


def test_a_drug_that_is_lacking_is_told_with_the_medications_that_could_not_be_read() -> None:
    [told] = opened(MECHANICAL, taking("Zyxoprant 5 mg"))
    assert "Zyxoprant 5 mg" in told.text


def test_a_treatment_that_is_lacking_is_told_with_what_shows_that_it_is_asked_for() -> None:
    [told] = opened(problem("I50.9"), number("10230-1", 30, "%", "2026-10-01"))
    assert "Ejection fraction 30 % of 2026-10-01: no ACE inhibitor/ARB/ARNI on record, and 3 more" in told.name
    assert "no beta blocker, no aldosterone antagonist, no SGLT2 inhibitor on record" in told.text
    assert [fact.source for fact in told.facts if fact.source and fact.source.startswith("Observation/")]


def test_a_high_a1c_on_metformin_is_told_through_renewals_and_not_in_its_first_weeks() -> None:
    chart = problem("E11.9"), number("4548-4", 11.4, "%", "2026-11-12")
    renewed = taking("metformin 1000 mg") | {"authoredOn": "2026-10-30"}
    first = renewed | {"id": "m2", "authoredOn": "2026-02-01", "status": "completed"}
    assert rows(*chart, renewed) == []
    assert rows(*chart, renewed, first) == ["a1c-high-metformin"]
    assert rows(*chart, renewed | {"authoredOn": "2026-11-15"}, first) == []


def test_a_very_high_a1c_on_any_treatment_is_told_unless_it_was_changed_lately() -> None:
    chart = problem("E11.9"), number("4548-4", 11.4, "%", "2026-11-12")
    insulin = taking("insulin glargine 10 units") | {"authoredOn": "2025-06-01"}
    metformin = taking("metformin 1000 mg") | {"id": "m2", "authoredOn": "2026-01-01"}
    ozempic = taking("Ozempic 0.5 mg") | {"id": "m3", "authoredOn": "2026-11-01"}
    assert rows(*chart, insulin, metformin) == ["a1c-high-treated"]
    gout = (problem("M10.9"), taking("allopurinol 300 mg") | {"authoredOn": "2026-01-01"})
    assert rows(*gout, number("3084-1", 9.2, "mg/dL", "2026-11-01")) == ["urate-over-target"]
    assert rows(*chart, taking("Janumet 50/1000") | {"authoredOn": "2026-01-01"}) == ["a1c-high-treated"]
    assert rows(*chart, insulin, metformin, ozempic) == []
    assert rows(problem("E11.9"), number("4548-4", 8.9, "%", "2026-11-12"), insulin) == []


def test_what_is_critical_in_a_child_is_told_and_what_is_not_is_quiet() -> None:
    def of_child(*entries: Json, born: str = "2018-05-01") -> list[str]:
        return [row for row in rows(*entries, patient=person(born)) if row.startswith("child-")]

    assert of_child(lab("2823-3", 7.1, "mmol/L")) == ["child-potassium-high"]
    assert of_child(lab("2823-3", 2.3, "mmol/L")) == ["child-potassium-low"]
    assert of_child(lab("2951-2", 116, "mmol/L")) == ["child-sodium-low"]
    assert of_child(lab("2951-2", 162, "mmol/L")) == ["child-sodium-high"]
    assert of_child(lab("2345-7", 38, "mg/dL")) == ["child-glucose-low"]
    acidosis = lab("2345-7", 450, "mg/dL"), lab("1963-8", 9, "mmol/L", id="b")
    assert of_child(*acidosis) == ["child-glucose-acidosis"]
    assert (
        of_child(lab("2823-3", 3.1, "mmol/L"), lab("2951-2", 131, "mmol/L"), lab("2345-7", 61, "mg/dL", id="g")) == []
    )
    assert of_child(lab("2823-3", 7.1, "mmol/L"), born="1980-05-01") == []
    assert of_child(lab("2823-3", 7.1, "mmol/L"), born="2026-11-17") == []


def test_an_operation_that_was_declined_settles_nothing() -> None:
    for words in ("LVAD declined", "Heart transplant refused", "LVAD considered", "Heart transplant evaluation"):
        said = problem("Z53.2", recordedDate="2026-10-01") | {"code": {"text": words}}
        assert rows(problem("I50.22"), said) == ["heart-failure-reduced"], words
    pump = problem("Z53.2", recordedDate="2026-10-01") | {"code": {"text": "Insulin pump declined"}}
    assert rows(problem("E10.9"), pump) == ["diabetes-insulin-missing"]
    insulin = pump | {"code": {"text": "Insulin declined"}}
    assert rows(problem("E10.9"), insulin) == []


def test_a_fall_of_hemoglobin_ends_at_the_limit_of_the_sex_and_calcium_over_14_is_critical() -> None:
    fell = number("718-7", 16.5, "g/dL", "2026-09-01"), number("718-7", 12.3, "g/dL", "2026-11-10")
    assert (rows(*fell), rows(*fell, patient=MAN)) == ([], ["hemoglobin-fall-men"])
    [calcium] = opened(number("17861-6", 14.1, "mg/dL", "2026-11-19"))
    assert calcium.row.indicator == "critical"


def test_a_treatment_that_was_refused_leaves_a_dangerous_result_as_it_is() -> None:
    refused = taking("cefazolin 2 g injection") | {"status": "stopped", "statusReason": {"text": "Patient refused"}}
    assert rows(S_AUREUS, refused | TODAY) == ["blood-culture-staphylococcus-aureus"]


def test_a_refusal_before_the_result_settles_nothing() -> None:
    fell = number("718-7", 14.1, "g/dL", "2026-09-01"), number("718-7", 11.0, "g/dL", "2026-11-10")
    declined = problem("Z53.20", recordedDate="2026-05-01") | {"code": DECLINED}
    assert rows(*fell, declined) == ["hemoglobin-fall"]
    assert rows(*fell, declined | {"recordedDate": "2026-11-12"}) == []


@for_rows(
    ("answer", "is_told"),
    [
        ({"coding": [{"system": "http://loinc.org", "code": "LA6570-1"}]}, True),
        ({"text": "1 = Several days"}, True),
        ({"text": "Not at all (0 = not at all, 1 = several days)"}, False),
        ({"text": "Not often"}, False),
    ],
)
def test_an_answer_about_self_harm_is_read_by_its_code_and_without_its_legend(answer: Json, is_told: bool) -> None:
    item = result("44260-8", "", "2026-11-19") | {"valueCodeableConcept": answer}
    assert rows(item) == ["thoughts-of-self-harm"] * is_told


def test_a_problem_without_a_date_is_told_by_its_words() -> None:
    gout = problem("") | {"code": {"text": "Tophaceous gout"}}
    assert rows({name: part for name, part in gout.items() if not name.endswith("DateTime")}) == ["gout-tophi"]


def test_one_report_is_told_once_by_the_row_that_says_more() -> None:
    assert rows(report("CT chest", "2026-09-01", conclusion="Lung mass 3.2 cm suspicious for malignancy")) == [
        "lung-mass"
    ]
    words = "mass suspicious for cholangiocarcinoma"
    for study in ("US breast", "MRI liver"):
        assert rows(report(study, "2026-09-01", conclusion=words)) == ["imaging-suspicious"]
    nodule = report("US thyroid", "2026-09-01", conclusion="2 cm nodule, TR5, suspicious for malignancy")
    assert rows(nodule) == ["thyroid-nodule-5"]
    assert rows(report("US thyroid", "2026-09-01", conclusion="nodule of 9 x 18 mm, TI-RADS 4")) == ["thyroid-nodule-4"]
    lobe = "Right lobe 5 x 2 x 2 cm. Nodule of 8 mm, TI-RADS 5"
    assert rows(report("US thyroid", "2026-09-01", conclusion=lobe)) == []
    assert rows(report("Echocardiogram", "2026-09-01", conclusion="MR 2+, TR 4+, LA 5.1 cm")) == []
    severe = "Pain is severe as with the last episode"
    assert rows(report("Nurse note", "2026-09-01", conclusion=severe)) == []


def later(words: str, when: str, conclusion: str) -> Json:
    return report(words, when, conclusion=conclusion) | {"id": "later"}


LSIL, STOOL = result(PAP, "LSIL"), problem("R19.5", onsetDateTime="2026-02-01")


def test_a_value_of_another_day_than_the_newest_has_its_own_date() -> None:
    glucose, a1c = number("2345-7", 201, "mg/dL", "2026-11-16"), number("4548-4", 7.1, "%", "2026-11-18")
    assert "201 mg/dL of 2026-11-16" in opened(glucose, a1c)[0].name


def test_no_two_rows_have_one_name() -> None:
    ids = [row.id for row in ABNORMAL_RESULTS.rows]
    assert len(set(ids)) == len(ids)
