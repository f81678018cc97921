"""Charts that were written as an internist would, for each service: what its card must say, or that it stays silent.

They are the project's own: other words and codes than those of the cases that were given.
"""

from typing import Any

from msgspec import Struct

from tests.cds_hooks.services.chart_cases import allergy, dose, drug, operation, patient, problem, request, result, stay
from tests.fhir.builders import SNOMED, medication_statement

Json = dict[str, Any]
_CPT = "http://www.ama-assn.org/go/cpt"


class Chart(Struct, frozen=True):
    """A chart, what the cards must say and must not (patterns; "." for any card), and why."""

    id: str
    resources: list[Json]
    must: str | None
    must_not: str | None
    why: str = ""


def chart(name: str, must: str | None, must_not: str | None, *resources: Json, why: str = "") -> Chart:
    return Chart(name, list(resources), must, must_not, why)


def _coded(resource: Json, system: str, code: str) -> Json:
    resource["code"]["coding"] = [{"system": system, "code": code, "display": resource["code"]["text"]}]
    return resource


def snomed(words: str, code: str, **more: Any) -> Json:
    return {**_coded(problem(words), SNOMED, code), **more}


def _icd9(words: str, code: str) -> Json:
    return _coded(problem(words), "http://hl7.org/fhir/sid/icd-9-cm", code)


def _icd10(words: str, code: str) -> Json:
    return _coded(problem(words), "http://hl7.org/fhir/sid/icd-10", code)


def _procedure(words: str, code: str, system: str, when: str = "2026-01-10", status: str = "completed") -> Json:
    return _coded(operation(words, when, status), system, code)


def answer(loinc: str, value: str, when: str = "2026-10-02", text: str = "") -> Json:
    observation = result(loinc, 0, "1", when)
    del observation["valueQuantity"]
    observation["code"]["text"] = text
    return {**observation, "valueCodeableConcept": {"text": value}}


def _stated(words: str) -> Json:
    return medication_statement(words, patient=None, effectiveDateTime="2026-09-01", dosage=[{"text": words}])


def booked(day: str, status: str = "booked") -> Json:
    begin, end = f"{day}T10:00:00Z", f"{day}T10:30:00Z"
    words = "Follow-up visit with PCP"
    return {"resourceType": "Appointment", "status": status, "description": words, "start": begin, "end": end}


def egfr(value: float, when: str = "2026-10-10") -> Json:
    return result("98979-8", value, "mL/min/{1.73_m2}", when)


def creatinine(value: float, when: str = "2026-11-02") -> Json:
    return result("2160-0", value, "mg/dL", when)


def uacr(value: float, when: str = "2026-11-02") -> Json:
    return result("9318-7", value, "mg/g", when)


def potassium(value: float) -> Json:
    return result("2823-3", value, "mmol/L", "2026-11-18")


def liver(ast: float, alt: float, platelets: float) -> list[Json]:
    return [result("1920-8", ast, "U/L"), result("1742-6", alt, "U/L"), result("777-3", platelets, "10*3/uL")]


def dead(person: Json) -> Json:
    return {**person, "deceasedDateTime": "2026-11-01"}


def stay_that_ends(*more: Json, to: str = "home") -> list[Json]:
    """A stay with a high risk of coming back, and where it ends."""
    disposition = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/discharge-disposition", "code": to}]}
    source = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/admit-source", "code": "emd"}]}
    now = stay(
        "2026-11-14T09:00:00Z", id="stay", hospitalization={"dischargeDisposition": disposition, "admitSource": source}
    )
    before = [stay(f"2026-0{month}-02T09:00:00Z", f"2026-0{month}-08T12:00:00Z") for month in range(2, 8)]
    before = [{**visit, "id": f"before-{number}"} for number, visit in enumerate(before)]
    labs = [result("718-7", 8.9, "g/dL", "2026-11-21"), result("2951-2", 129, "mmol/L", "2026-11-21")]
    return [now, *before, *labs, *more]


ILL = [
    result("1751-7", 2.9, "g/dL"),
    result("6768-6", 150, "U/L"),
    result("3094-0", 40, "mg/dL"),
    creatinine(2.1),
    result("2345-7", 160, "mg/dL"),
    result("1988-5", 30, "mg/L"),
    result("736-9", 9, "%"),
    result("788-0", 17.5, "%"),
    result("787-2", 99, "fL"),
    result("6690-2", 11, "10*3/uL"),
    result("2324-2", 90, "U/L"),
]

# fmt: off
CHARTS: dict[str, list[Chart]] = {
    "anticoagulation-discussion": [
        chart("af1", "CHA2DS2-VASc 3", None, patient(79, "male"), snomed("Permanent atrial fibrillation", "440028005"),
              snomed("Diabetes mellitus type 2", "44054006")),
        chart("af2", "CHA2DS2-VASc 3", None, patient(69, "female"), _icd10("Vorhofflimmern", "I48.1"),
              _icd10("Herzinsuffizienz", "I50.0"), why="ICD-10 WHO words in German"),
        chart("af3", "CHA2DS2-VASc 2", None, patient(72, "male"), _icd9("Atrial fibrillation", "427.31"),
              _icd9("Essential hypertension", "401.9"), why="ICD-9"),
        chart("af4", "CHA2DS2-VASc 2", None, patient(72, "male"), problem("AFib"), problem("HTN"), why="abbreviations"),
        chart("af5", "CHA2DS2-VASc 2", None, patient(72, "male"), problem("A-fib, paroxysmal"), problem("CHF"),
              why="abbreviations"),
        chart("af6", None, ".", patient(81, "female"), problem("Atrial fibrillation", "I48.91"),
              _stated("Eliquis 5 mg twice daily"), why="statement only anticoagulant by brand"),
        chart("af7", None, ".", patient(81, "female"), problem("Atrial fibrillation", "I48.91"),
              drug("Coumadin 2.5 mg tab as directed per INR"), why="warfarin brand"),
        chart("af8", "CHA2DS2", None, patient(81, "female"), problem("Atrial fibrillation", "I48.91"),
              drug("heparin lock flush 10 units/mL syringe"), why="flush no anticoagulation"),
        chart("af9", "CHA2DS2", None, patient(81, "female"), problem("Atrial fibrillation", "I48.91"),
              drug("heparin 5000 units subcutaneous every 8 hours"), why="prophylactic heparin"),
        chart("af10", "CHA2DS2", None, patient(77, "male"), problem("Atrial fibrillation", "I48.91"),
              drug("aspirin 81 mg tablet daily"), why="aspirin is not anticoagulation"),
        chart("af11", "CHA2DS2", None, patient(77, "male"), problem("Atrial fibrillation", "I48.91"),
              drug("dabigatran 150 mg capsule", "", "2024-01-01", "stopped"), why="stopped long ago"),
        chart("af12", None, ".", patient(77, "male"), problem("Atrial fibrillation ruled out"), why="ruled out"),
        chart("af13", None, ".", patient(77, "male"), problem("Rule out atrial fibrillation")),
        chart("af14", None, ".", patient(44, "female"), problem("Atrial fibrillation", "I48.91"),
              why="CHA2DS2-VASc 1 by sex only"),
        chart("af15", "(?i)hypertrophic|cardiomyopathy", None, patient(58, "female"),
              problem("Atrial fibrillation", "I48.91"), problem("Hypertrophic obstructive cardiomyopathy", "I42.1"),
              why="HCM: anticoagulate regardless of score"),
        chart("af16", "(?i)mitral", None, patient(58, "female"), problem("Atrial fibrillation", "I48.91"),
              problem("Rheumatic mitral stenosis, moderate to severe", "I05.0"),
              why="rheumatic MS: warfarin regardless"),
        chart("af17", None, ".", patient(75, "male"), problem("Atrial fibrillation", "I48.91"),
              problem("Hypertension", "I10"),
              _procedure("Percutaneous transcatheter closure of left atrial appendage with endocardial implant",
                         "33340", _CPT, "2025-05-05"),
              why="LAAO CPT"),
        chart("af18", "CHA2DS2", None, patient(75, "male"), problem("Atrial fibrillation", "I48.91"),
              problem("Hypertension", "I10"),
              operation("Left atrial appendage occlusion (Amulet) attempted, not performed", "2025-05-05", "not-done"),
              why="LAAO not done"),
        chart("af19", None, ".", patient(83, "male"), problem("Atrial fibrillation", "I48.91"),
              problem("Palliative care encounter", "Z51.5"), why="palliative"),
        chart("af20", None, "Consider an anticoag|Consider talking about an anticoag", patient(83, "male"),
              problem("Atrial fibrillation", "I48.91"),
              problem("Esophageal varices with bleeding", "I85.01", "2026-05-05"), why="bleeding varices"),
        chart("af21", None, ".", dead(patient(83, "male")), problem("Atrial fibrillation", "I48.91"), why="dead"),
        chart("af22", None, ".", patient(76, "female"), problem("Atrial fibrillation", "I48.91"),
              drug("apixaban 5 mg tablet twice daily", "", "2026-10-01", "active", doNotPerform=True),
              why="an order not to give it"),
        chart("af23", None, ".", patient(66, "male"),
              snomed("Atrial fibrillation", "49436004", verificationStatus={"coding": [{"code": "refuted"}]}),
              problem("Hypertension", "I10"), why="refuted"),
        chart("af24", None, "not found in the chart", patient(66, "male"),
              problem("Postoperative atrial fibrillation after CABG 2019, resolved", "I97.89", "2019-03-03",
                      "resolved"),
              problem("Hypertension", "I10"), problem("Diabetes", "E11.9"), why="post-op"),
    ],
    "statin-discussion": [
        chart("st1", "(?i)statin", None, patient(61, "male"), snomed("Myocardial infarction", "22298006")),
        chart("st1b", None, ".", patient(61, "male"), snomed("Myocardial infarction", "22298006"),
              problem("Decompensated cirrhosis", "K74.60")),
        chart("st1c", "(?i)statin", None, patient(61, "male"), snomed("Myocardial infarction", "22298006"),
              problem("Compensated cirrhosis", "K74.60")),
        chart("st2", "(?i)statin", None, patient(61, "male"), _icd9("Old myocardial infarction", "412")),
        chart("st3", "(?i)statin", None, patient(58, "female"),
              _procedure("Coronary artery bypass graft", "232717009", SNOMED, "2019-05-05"),
              why="CABG only as Procedure"),
        chart("st4", "(?i)statin", None, patient(58, "female"),
              operation("PCI with drug-eluting stent to LAD", "2023-05-05"), why="stent only as procedure"),
        chart("st5", "(?i)statin", None, patient(58, "female"),
              operation("Carotid endarterectomy, right", "2021-05-05"), why="CEA"),
        chart("st6", None, "atherosclerotic", patient(58, "female"),
              operation("Coronary angiography: normal coronaries", "2021-05-05"), why="look-alike"),
        chart("st7", None, "atherosclerotic", patient(58, "female"),
              operation("PCI with stent planned, not performed", "2023-05-05", "not-done"), why="not done"),
        chart("st8", "(?i)statin", None, patient(58, "male"), problem("S/p TIA", "Z86.73"), why="TIA history"),
        chart("st9", None, None, patient(58, "male"), problem("Stroke due to cardioembolism from AF", "I63.4"),
              why="either"),
        chart("st10", None, "atherosclerotic", patient(58, "male"), problem("Hemorrhagic stroke", "I61.9"),
              why="ICH is not ASCVD"),
        chart("st11", None, ".", patient(58, "male"), problem("Coronary artery disease", "I25.10"),
              _stated("Lipitor 40 mg nightly"), why="statement brand"),
        chart("st12", None, ".", patient(58, "male"), problem("Coronary artery disease", "I25.10"),
              drug("ezetimibe 10 mg / simvastatin 40 mg tablet"), why="combination"),
        chart("st13", "(?i)statin", None, patient(58, "male"), problem("Coronary artery disease", "I25.10"),
              drug("nystatin 100000 unit/mL suspension"), why="nystatin is not a statin"),
        chart("st14", None, "found. Consider talking about one", patient(58, "male"),
              problem("Coronary artery disease", "I25.10"), allergy("Lovastatin"), why="allergy to a statin"),
        chart("st15", None, "found. Consider talking about one", patient(58, "male"),
              problem("Coronary artery disease", "I25.10"), problem("Rhabdomyolysis due to statin", "M62.82")),
        chart("st16", None, ".", patient(36, "female"), problem("Coronary artery disease", "I25.10"),
              problem("Pregnancy", "Z33.1", "2026-07-01"), why="pregnant"),
        chart("st17", None, ".", patient(82, "male"), problem("Coronary artery disease", "I25.10"),
              problem("Hospice", "Z51.5"), why="hospice"),
        chart("st18", "(?i)statin", None, patient(46, "male"), snomed("Type 1 diabetes mellitus", "46635009"),
              why="T1DM 40-75"),
        chart("st19", None, "(?i)diabetes.*no statin", patient(46, "male"), problem("Prediabetes", "R73.03"),
              why="prediabetes is not diabetes"),
        chart("st20", None, "(?i)diabetes.*no statin", patient(46, "female"),
              problem("Gestational diabetes", "O24.419", "2020-01-01", "resolved")),
        chart("st21", "(?i)LDL|hypercholesterol", None, patient(27, "male"),
              problem("Familial hypercholesterolemia", "E78.01"), result("13457-7", 210, "mg/dL"), why="FH"),
        chart("st22", "(?i)statin|aneurysm", None, patient(58, "male"), problem("Abdominal aortic aneurysm", "I71.4"),
              why="AAA atherosclerotic"),
    ],
    "nephrology-referral": [
        chart("ne1", "(?i)refer", None, patient(55, "male"), egfr(18), egfr(21, "2026-05-01"),
              snomed("Chronic kidney disease stage 4", "431857002")),
        chart("ne2", "(?i)refer|polycystic", None, patient(55, "male"),
              problem("Autosomal dominant polycystic kidney disease", "Q61.2"), egfr(78), uacr(20), why="ADPKD known"),
        chart("ne3", None, None, patient(55, "male"), egfr(18), egfr(21, "2026-05-01"),
              problem("Kidney transplant status", "Z94.0"), why="transplant"),
        chart("ne4", None, ".", patient(55, "male"), egfr(18), egfr(21, "2026-05-01"),
              problem("Dependence on renal dialysis", "Z99.2"), why="dialysis"),
        chart("ne5", None, ".", patient(55, "male"), egfr(28), egfr(27, "2026-05-01"),
              operation("Hemodialysis session", "2026-11-18"), why="dialysis as procedure"),
        chart("ne6", None, ".", patient(86, "male"), egfr(24), egfr(25, "2026-05-01"),
              problem("Comfort care only", "Z51.5")),
        chart("ne7", None, ".", patient(70, "male"), egfr(52), egfr(54, "2026-05-01"), uacr(12), why="G3a A1 old"),
        chart("ne8", "(?i)acute", None, patient(70, "male"), creatinine(1.0, "2026-10-20"),
              creatinine(3.9, "2026-11-19")),
        chart("ne9", "(?i)refer|albumin", None, patient(44, "female"), egfr(92), uacr(350, "2026-04-01"),
              uacr(380, "2026-11-01"), problem("Lupus nephritis", "M32.14")),
        chart("ne10", None, "Consider a referral", patient(44, "female"), egfr(92), uacr(350, "2026-11-01"),
              problem("Urinary tract infection", "N39.0", "2026-11-01"), why="single ACR during infection"),
        chart("ne11", None, None, patient(67, "male"), egfr(22), egfr(23, "2026-05-01"),
              problem("Under care of nephrology", "Z71.89")),
        chart("ne12", None, ".", patient(67, "male"), egfr(22), egfr(23, "2026-05-01"),
              request("Ambulatory referral to Nephrology", "2026-09-20")),
        chart("ne13", "(?i)refer", None, patient(67, "male"), egfr(22), egfr(23, "2026-05-01"),
              request("Ambulatory referral to Neurology", "2026-09-20"), why="neurology is not nephrology"),
        chart("ne14", "(?i)refer", None, patient(67, "male"), egfr(22), egfr(23, "2026-05-01"),
              request("Referral to nephrology", "2026-09-20", status="revoked"), why="revoked"),
    ],
    "liver-assessment": [
        chart("li1", "FIB-4", None, patient(60, "female"), problem("NAFLD", "K76.0"), *liver(95, 60, 110)),
        chart("li2", "FIB-4", None, patient(60, "female"), snomed("Type 2 diabetes mellitus", "44054006"),
              *liver(95, 60, 110)),
        chart("li3", "FIB-4", None, patient(60, "female"), problem("Morbid obesity", "E66.01"), *liver(95, 60, 110)),
        chart("li4", "FIB-4", None, patient(60, "female"), result("39156-5", 36, "kg/m2"), *liver(95, 60, 110),
              why="BMI measured"),
        chart("li5", None, ".", patient(60, "female"), problem("NAFLD", "K76.0"),
              problem("Decompensated cirrhosis with ascites", "K74.60"), *liver(95, 60, 80)),
        chart("li6", None, ".", patient(60, "female"), problem("NAFLD", "K76.0"), *liver(25, 30, 280), why="low"),
        chart("li7", None, ".", patient(60, "female"), problem("NAFLD", "K76.0"), *liver(95, 60, 110),
              operation("Vibration-controlled transient elastography (FibroScan)", "2026-06-10"), why="already"),
        chart("li8", None, ".", patient(60, "female"), problem("NAFLD", "K76.0"),
              problem("Immune thrombocytopenic purpura", "D69.3"), *liver(95, 60, 60), why="ITP explains platelets"),
        chart("li9", None, "Consider", patient(60, "female"), problem("NAFLD", "K76.0"), *liver(950, 1060, 210),
              why="acute hepatitis"),
        chart("li10", None, "Consider", patient(28, "female"), problem("NAFLD", "K76.0"), *liver(95, 60, 110),
              why="under 35"),
    ],
    "vaccines-due": [
        chart("va1", None, r"\*\*HepB", patient(70, "male"), answer("16935-9", "Positive", text="HBsAb"),
              why="anti-HBs positive"),
        chart("va2", None, r"\*\*HepB", patient(52, "male"), answer("5195-3", "Positive", text="HBsAg"),
              why="HBsAg positive"),
        chart("va3", "(?i)contraindicated|check first", None, patient(66, "female"), allergy("Boostrix"), why="brand"),
        chart("va4", "(?i)contraindicated|check first", None, patient(66, "female"), allergy("tetanus toxoid vaccine")),
        chart("va5", "(?i)contraindicated|check first", None, patient(66, "female"), allergy("Arexvy")),
        chart("va6", "(?i)contraindicated|check first", None, patient(66, "female"), allergy("influenza vaccine")),
        chart("va7", "(?i)contraindicated|check first", None, patient(45, "female"), allergy("Heplisav-B")),
        chart("va8", "(?i)contraindicated|check first", None, patient(66, "female"), allergy("pneumococcal vaccine")),
        chart("va9", "(?i)contraindicated|check first", None, patient(24, "female"), allergy("Gardasil 9")),
        chart("va10", None, "(?i)contraindicated", patient(66, "female"), allergy("Peanut"), why="peanut is nothing"),
        chart("va12", None, "Order Varicella", patient(35, "male"),
              answer("8047-3", "Positive", text="Varicella zoster IgG"), why="VZV IgG"),
        chart("va13", None, "Order MMR", patient(35, "male"), answer("7966-5", "Positive", text="Mumps IgG"),
              answer("5244-9", "Positive", text="Measles IgG"), answer("8014-3", "Positive", text="Rubella IgG"),
              why="MMR IgG"),
        chart("va14", "Tdap", None, patient(29, "female"), problem("Pregnancy, 30 weeks", "Z34.83", "2026-04-01"),
              dose("115", "2020-01-01"), why="Tdap each pregnancy"),
        chart("va15", "(?i)pneumo|mening|hep", None, patient(40, "male"), snomed("HIV infection", "86406008")),
        chart("va16", None, ".", dead(patient(70, "male")), why="dead"),
        chart("va17", None, ".", patient(70, "male"), problem("Hospice care", "Z51.5"), why="hospice"),
        chart("va18", "(?i)mening|pneumo", None, patient(40, "male"), problem("Splenectomy", "Z90.81")),
        chart("va19", "Zoster", None, patient(60, "female"), dose("187", "2024-01-01", "entered-in-error"),
              dose("187", "2024-06-01"), why="error dose does not count"),
        chart("va20", None, "Order MMR|Order Varicella", patient(36, "male"),
              problem("Chemotherapy for lymphoma", "C85.90"), drug("rituximab 375 mg/m2 IV"),
              why="live vaccines with immunosuppression"),
    ],
    "preventive-services": [
        chart("pv1", None, "Colorectal", patient(55, "female"), operation("Colonoscopy", "2021-03-03")),
        chart("pv2", None, "Colorectal", patient(55, "female"),
              _procedure("Colonoscopy, flexible; diagnostic", "45378", _CPT, "2019-03-03"), why="CPT"),
        chart("pv3", "Colorectal", None, patient(55, "female"),
              operation("Colonoscopy not performed: patient refused prep", "2024-03-03"),
              why="words say not performed"),
        chart("pv4", "Colorectal", None, patient(55, "female"),
              operation("Colonoscopy cancelled", "2024-03-03", "not-done")),
        chart("pv5", None, None, patient(55, "female"), operation("Colonoscopy - incomplete, poor prep", "2024-03-03"),
              why="either"),
        chart("pv6", None, "Lung", patient(60, "male"), problem("20 pack-year smoker", "F17.210"),
              problem("Chronic respiratory failure on home oxygen", "Z99.81"), why="home oxygen"),
        chart("pv7", None, "Breast", patient(45, "female"), problem("Pregnancy", "Z33.1", "2026-06-01"),
              why="mammogram in pregnancy"),
        chart("pv8", None, "Breast cancer screening", patient(52, "female"),
              problem("BRCA1 mutation carrier", "Z15.01"), why="BRCA not average risk"),
        chart("pv9", None, "Cervical", patient(30, "female"),
              operation("Total abdominal hysterectomy with cervix removed", "2022-01-01")),
        chart("pv10", "Cervical", None, patient(30, "female"), operation("Supracervical hysterectomy", "2022-01-01"),
              why="cervix stays"),
        chart("pv11", "Colonoscopy after a positive", None, patient(62, "male"),
              answer("57905-2", "Positive", text="FIT"), why="FIT"),
        chart("pv12", "Colonoscopy after a positive", None, patient(62, "male"), answer("77354-9", "Positive"),
              operation("Colonoscopy not performed", "2026-11-02"), why="not performed does not count"),
        chart("pv13", None, "Colorectal", patient(68, "male"), problem("Family history of colon cancer", "Z80.0")),
        chart("pv14", None, "Colorectal", patient(50, "female"), problem("Crohn disease of colon", "K50.10"),
              why="IBD is surveillance"),
    ],
    "medication-review": [
        chart("mr90", "(?i)atorvastatin", "Stop posaconazole", patient(55, "male"), drug("atorvastatin 40 mg daily"),
              drug("posaconazole 300 mg daily")),
        chart("mr91", "(?i)prasugrel", "Stop prasugrel", patient(66, "male"), problem("Ischemic stroke", "I63.9"),
              drug("prasugrel 10 mg daily"), why="label: stopping raises the risk of stent thrombosis"),
        chart("mr1", "(?i)ambien|zolpidem", "Stop Ambien|Stop zolpidem", patient(80, "female"),
              drug("Ambien 10 mg nightly"), problem("Falls", "R29.6")),
        chart("mr2", "(?i)glyburide|sulfonyl", None, patient(80, "female"), drug("glyburide 5 mg tablet daily"),
              why="STOPP J1"),
        chart("mr3", "(?i)glimepiride|sulfonyl", None, patient(80, "female"), drug("glimepiride 4 mg tablet daily"),
              problem("Type 2 diabetes", "E11.9"), why="STOPP J1 v3"),
        chart("mr4", None, ".", patient(80, "female"), drug("gliclazide 60 mg modified release tablet daily"),
              why="gliclazide is not named"),
        chart("mr5", "(?i)ibuprofen|naproxen", None, patient(78, "male"),
              drug("ibuprofen 600 mg tablet three times daily"), drug("naproxen 500 mg tablet twice daily"),
              why="duplicate class A"),
        chart("mr6", "(?i)lisinopril|ramipril", None, patient(78, "male"), drug("lisinopril 20 mg tablet daily"),
              drug("ramipril 5 mg capsule daily"), why="two ACE inhibitors"),
        chart("mr7", "(?i)sertraline|citalopram", None, patient(78, "male"), drug("sertraline 50 mg tablet daily"),
              drug("citalopram 20 mg tablet daily"), why="two SSRIs"),
        chart("mr8", "(?i)furosemide|bumetanide", None, patient(78, "male"), drug("furosemide 40 mg tablet daily"),
              drug("bumetanide 1 mg tablet daily"), why="two loops"),
        chart("mr9", "(?i)omeprazole|pantoprazole", None, patient(78, "male"), drug("omeprazole 20 mg capsule daily"),
              drug("pantoprazole 40 mg tablet daily"), why="two PPI"),
        chart("mr10", None, "(?i)duplicate|twice|same class", patient(78, "male"),
              drug("insulin glargine 100 units/mL 20 units nightly"),
              drug("insulin lispro 100 units/mL 6 units with meals"), why="basal bolus is right"),
        chart("mr11", None, "(?i)duplicate|same class", patient(78, "male"),
              drug("albuterol inhaler 2 puffs every 4 hours as needed"), drug("salmeterol 50 mcg inhaler twice daily"),
              why="SABA+LABA"),
        chart("mr12", None, "(?i)duplicate|same class", patient(78, "male"),
              drug("oxycodone ER 20 mg tablet twice daily"), drug("oxycodone IR 5 mg tablet every 6 hours as needed"),
              problem("Lung cancer", "C34.90"), drug("senna 8.6 mg nightly"), why="long + breakthrough"),
        chart("mr13", "(?i)candesartan", None, patient(30, "female"), problem("Pregnancy", "Z33.1", "2026-07-01"),
              drug("candesartan 8 mg tablet daily")),
        chart("mr14", None, None, patient(30, "female"), problem("Pregnancy", "Z33.1", "2026-07-01"),
              drug("methimazole 10 mg tablet daily"), why="either"),
        chart("mr15", "(?i)eplerenone", None, patient(68, "male"), potassium(6.0),
              drug("eplerenone 50 mg tablet daily")),
        chart("mr16", "(?i)nadolol", "Stop nadolol", patient(40, "male"), snomed("Asthma", "195967001"),
              drug("nadolol 40 mg tablet daily")),
        chart("mr17", "(?i)methadone|ondansetron", "Stop methadone", patient(50, "male"),
              problem("Long QT syndrome", "I45.81"), drug("ondansetron 8 mg tablet as needed"),
              drug("methadone 10 mg tablet three times daily")),
        chart("mr18", None, None, patient(57, "male"), drug("metoprolol tartrate 50 mg tablet twice daily"),
              drug("diltiazem 240 mg ER capsule daily"), why="pair at 57"),
        chart("mr19", "(?i)verapamil|propranolol", "Stop propranolol", patient(57, "male"),
              drug("propranolol 40 mg tablet twice daily"), drug("verapamil 240 mg ER tablet daily"),
              why="A6 pair under 65"),
        chart("mr20", "(?i)lithium|indomethacin", "Stop lithium", patient(57, "male"),
              drug("lithium carbonate 300 mg capsule three times daily"),
              drug("indomethacin 50 mg capsule three times daily"), why="A6 pair"),
        chart("mr21", None, "(?i)aspirin", patient(72, "female"), drug("aspirin 81 mg daily"),
              operation("Drug-eluting stent placement, RCA", "2026-05-05"), why="stent"),
        chart("mr22", None, "(?i)aspirin", patient(72, "female"), drug("aspirin 81 mg daily"),
              problem("Antiphospholipid syndrome", "D68.61")),
        chart("mr23", None, "(?i)aspirin", patient(72, "female"), drug("aspirin 81 mg daily"),
              problem("Essential thrombocythemia", "D47.3")),
        chart("mr24", None, "(?i)without benefit|no artery", patient(72, "female"),
              drug("aspirin 81 mg daily", reasonCode=[{"text": "TIA 2018"}]), why="reason"),
        chart("mr25", "(?i)aspirin", None, patient(72, "female"), drug("aspirin 81 mg daily"),
              why="true primary prevention"),
        chart("mr26", "(?i)aspirin", None, patient(72, "female"), drug("aspirin 81 mg daily"),
              operation("Coronary stent not performed; medical therapy", "2026-05-05", "not-done"),
              why="stent not done"),
        chart("mr27", "(?i)lorazepam", "Stop lorazepam", patient(84, "male"),
              drug("lorazepam 1 mg tablet three times daily", "", "2024-01-01"), why="taper"),
        chart("mr29", None, ".", patient(70, "male"), problem("Hospice", "Z51.5"),
              drug("simvastatin 40 mg tablet daily"), why="hospice"),
        chart("mr30", "(?i)sildenafil|isosorbide", None, patient(66, "male"), drug("sildenafil 50 mg tablet as needed"),
              drug("isosorbide mononitrate 30 mg ER tablet daily")),
        chart("mr31", None, ".", patient(45, "male"), drug("levothyroxine 100 mcg tablet daily"),
              drug("lisinopril 10 mg tablet daily"), why="nothing"),
        chart("mr32", "(?i)digoxin", None, patient(70, "male"), drug("digoxin 0.125 mg tablet daily"),
              result("10535-3", 2.9, "ng/mL", "2026-11-20"), why="toxic level"),
        chart("mr33", "(?i)warfarin|apixaban", None, patient(70, "male"), drug("apixaban 5 mg tablet twice daily"),
              drug("warfarin 5 mg tablet daily"), problem("Atrial fibrillation", "I48.91"), why="two anticoagulants"),
        chart("mr34", "(?i)hydromorphone|alprazolam", "Stop alprazolam|Stop hydromorphone", patient(70, "male"),
              drug("hydromorphone 4 mg tablet every 6 hours", "", "2026-01-01"),
              drug("alprazolam 1 mg tablet three times daily", "", "2026-01-01")),
    ],
    "planning-conversation": [
        chart("pl1", "(?i)plan", None, patient(81, "male"), *ILL, why="sick"),
        chart("pl2", None, ".", patient(81, "male"), *ILL,
              answer("75773-2", "No CPR", when="2026-05-05",
                     text="Goals, preferences, and priorities for medical treatment [Reported]"),
              why="LOINC 75773-2"),
        chart("pl3", None, ".", patient(81, "male"), *ILL, problem("Advance care plan discussed"),
              why="ACP as problem"),
        chart("pl4", None, ".", patient(81, "male"), *ILL, snomed("Has advance care plan", "713603004"),
              why="ACP problem SNOMED"),
        chart("pl5", None, ".", patient(81, "male"), *ILL, problem("Has living will"), why="living will"),
        chart("pl6", None, ".", patient(81, "male"), *ILL,
              problem("Encounter for counseling, advance care planning", "Z71.89")),
        chart("pl7", None, ".", patient(81, "male"), *ILL,
              _procedure("Advance care planning", "99497", _CPT, "2026-06-06"), why="CPT"),
        chart("pl8", "(?i)plan", None, patient(81, "male"), *ILL,
              _procedure("Advance care planning", "99497", _CPT, "2026-06-06", "not-done"), why="not done"),
        chart("pl9", None, None, patient(81, "male"), *ILL, problem("Patient declined advance care planning"),
              why="either"),
        chart("pl10", None, ".", patient(35, "male"), *ILL, why="under 40"),
        chart("pl10b", "Metastatic ovarian cancer on record. Consider a talk", None, patient(61, "female"),
              problem("Metastatic ovarian cancer", "C56.9")),
        chart("pl10c", None, "ovarian", patient(61, "female"), problem("Ovarian cancer, no metastases", "C56.9")),
        chart("pl11", "(?i)plan", None, patient(81, "male"), *ILL, stay("2025-10-01", id="open400"),
              why="left open 400 days"),
        chart("pl12", None, ".", patient(81, "male"), *ILL, stay("2026-11-20", id="now"), why="in hospital"),
        chart("pl13", None, None, patient(81, "male"), *ILL,
              answer("81334-5", "Healthcare agent named", when="2026-05-05",
                     text="Patient Goals, preferences, and priorities under certain health conditions [Reported]"),
              why="either"),
    ],
    "discharge-follow-up": [
        chart("dc1", "HOSPITAL|LACE", None, patient(79, "male"), *stay_that_ends()),
        chart("dc2", None, ".", patient(79, "male"), *stay_that_ends(booked("2026-11-27")), why="booked in 5 days"),
        chart("dc3", "HOSPITAL|LACE", None, patient(79, "male"), *stay_that_ends(booked("2027-01-20")),
              why="booked in 8 weeks"),
        chart("dc4", "HOSPITAL|LACE", None, patient(79, "male"), *stay_that_ends(booked("2026-11-27", "cancelled")),
              why="cancelled"),
        chart("dc5", "HOSPITAL|LACE", None, patient(79, "male"), *stay_that_ends(booked("2026-11-27", "noshow")),
              why="no show"),
        chart("dc6", None, ".", dead(patient(79, "male")), *stay_that_ends(), why="dead"),
        chart("dc7", None, ".", patient(79, "male"), *stay_that_ends(problem("Hospice care", "Z51.5")), why="hospice"),
        chart("dc8", None, ".", patient(79, "male"), *stay_that_ends(to="hosp"), why="discharged to hospice"),
        chart("dc9", None, ".", patient(79, "male"), *stay_that_ends(to="exp"), why="expired"),
        chart("dc10", None, ".", patient(79, "male"), *stay_that_ends(to="snf"), why="SNF"),
    ],
    "discharge-medications": [
        chart("dm60", "(?i)no statin and no antiplatelet", None, patient(61, "male"), *stay_that_ends(),
              problem("Acute STEMI", "I21.3", "2026-11-19"), drug("metoprolol tartrate 25 mg twice daily")),
        chart("dm61", None, "(?i)no statin|no antiplatelet", patient(61, "male"), *stay_that_ends(),
              problem("Acute STEMI", "I21.3", "2026-11-19"), drug("atorvastatin 80 mg daily"),
              drug("aspirin 81 mg daily"), drug("ticagrelor 90 mg twice daily")),
        chart("dm62", None, "(?i)no statin", patient(61, "male"), *stay_that_ends(),
              problem("Acute STEMI", "I21.3", "2026-11-19"), drug("aspirin 81 mg daily"), allergy("Statins")),
        chart("dm66", "(?i)no aspirin is", None, patient(59, "female"), *stay_that_ends(),
              problem("Acute STEMI", "I21.3", "2026-11-19"), drug("atorvastatin 80 mg daily"),
              drug("ticagrelor 90 mg twice daily")),
        chart("dm67", "(?i)no P2Y12 inhibitor is", None, patient(59, "female"), *stay_that_ends(),
              problem("Acute STEMI", "I21.3", "2026-11-19"), drug("atorvastatin 80 mg daily"),
              drug("aspirin 81 mg daily"), problem("Coronary stent", "Z95.5")),
        chart("dm68", None, "(?i)no aspirin|no P2Y12", patient(59, "female"), *stay_that_ends(),
              problem("Acute STEMI", "I21.3", "2026-11-19"), drug("atorvastatin 80 mg daily"),
              drug("clopidogrel 75 mg daily"), drug("apixaban 5 mg twice daily")),
        chart("dm69", None, "(?i)no aspirin|no P2Y12", patient(59, "female"), *stay_that_ends(),
              problem("Acute STEMI", "I21.3", "2026-11-19"), drug("atorvastatin 80 mg daily"),
              drug("clopidogrel 75 mg daily"), allergy("Aspirin")),
        chart("dm63", None, "(?i)antiplatelet", patient(61, "male"), *stay_that_ends(),
              problem("Old myocardial infarction", "I25.2", "2019-11-19"), drug("metoprolol tartrate 25 mg")),
        chart("dm64", "(?i)boxed warning, fatal slow breathing", "(?i)in hospital", patient(60, "female"),
              *stay_that_ends(), drug("oxycodone 5 mg tablet four times daily", when="2026-11-19"),
              drug("lorazepam 1 mg tablet twice daily"), why="it goes home"),
        chart("dm1", "(?i)metformin", None, patient(79, "male"), *stay_that_ends(),
              drug("metformin 1000 mg tablet twice daily"), creatinine(3.4, "2026-11-20")),
        chart("dm2", None, ".", dead(patient(79, "male")), *stay_that_ends(),
              drug("metformin 1000 mg tablet twice daily"), creatinine(3.4, "2026-11-20"), why="dead"),
        chart("dm3", None, ".", patient(79, "male"), *stay_that_ends(to="exp"),
              drug("metformin 1000 mg tablet twice daily"), creatinine(3.4, "2026-11-20"), why="disposition expired"),
        chart("dm4", "contraindicated", "(?i)A1c|statin", patient(79, "male"),
              *stay_that_ends(problem("Hospice care", "Z51.5")), drug("metformin 1000 mg tablet twice daily"),
              creatinine(3.4, "2026-11-20"), why="hospice: only what harms"),
        chart("dm5", None, ".", patient(79, "male"), *stay_that_ends(to="hosp"),
              drug("morphine 5 mg every 4 hours as needed"), drug("lorazepam 0.5 mg every 4 hours as needed"),
              why="hospice comfort pair"),
        chart("dm6", None, ".", patient(79, "male"), *stay_that_ends(problem("Hospice care", "Z51.5")),
              drug("morphine 20 mg/mL oral concentrate 5 mg every 4 hours as needed"),
              drug("lorazepam 0.5 mg tablet every 4 hours as needed"), drug("haloperidol 0.5 mg tablet as needed"),
              why="hospice comfort kit"),
    ],
}
# fmt: on
