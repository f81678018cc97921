"""Charts that were written as an internist would, for each service: what its card must say, or that it stays silent.

They are the project's own: other words and codes than those of the cases that were given.
"""

from typing import Any

from msgspec import Struct

from tests.cds_hooks.services.chart_cases import allergy, dose, drug, operation, patient, problem, request, result, stay

Json = dict[str, Any]
_SNOMED = "http://snomed.info/sct"
_CPT = "http://www.ama-assn.org/go/cpt"


class Chart(Struct, frozen=True):
    """A chart, what the cards must say and must not (patterns; "." for any card), and why."""

    id: str
    resources: list[Json]
    must: str | None
    must_not: str | None
    why: str = ""


def _coded(resource: Json, system: str, code: str) -> Json:
    resource["code"]["coding"] = [{"system": system, "code": code, "display": resource["code"]["text"]}]
    return resource


def snomed(words: str, code: str, **more: Any) -> Json:
    return {**_coded(problem(words), _SNOMED, code), **more}


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
    return {
        "resourceType": "MedicationStatement",
        "status": "active",
        "medicationCodeableConcept": {"text": words},
        "effectiveDateTime": "2026-09-01",
        "dosage": [{"text": words}],
    }


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

CHARTS: dict[str, list[Chart]] = {
    "anticoagulation-discussion": [
        Chart(
            "af1",
            [
                patient(79, "male"),
                snomed("Permanent atrial fibrillation", "440028005"),
                snomed("Diabetes mellitus type 2", "44054006"),
            ],
            "CHA2DS2-VASc 3",
            None,
        ),
        Chart(
            "af2",
            [patient(69, "female"), _icd10("Vorhofflimmern", "I48.1"), _icd10("Herzinsuffizienz", "I50.0")],
            "CHA2DS2-VASc 3",
            None,
            "ICD-10 WHO words in German",
        ),
        Chart(
            "af3",
            [patient(72, "male"), _icd9("Atrial fibrillation", "427.31"), _icd9("Essential hypertension", "401.9")],
            "CHA2DS2-VASc 2",
            None,
            "ICD-9",
        ),
        Chart("af4", [patient(72, "male"), problem("AFib"), problem("HTN")], "CHA2DS2-VASc 2", None, "abbreviations"),
        Chart(
            "af5",
            [patient(72, "male"), problem("A-fib, paroxysmal"), problem("CHF")],
            "CHA2DS2-VASc 2",
            None,
            "abbreviations",
        ),
        Chart(
            "af6",
            [patient(81, "female"), problem("Atrial fibrillation", "I48.91"), _stated("Eliquis 5 mg twice daily")],
            None,
            ".",
            "statement only anticoagulant by brand",
        ),
        Chart(
            "af7",
            [
                patient(81, "female"),
                problem("Atrial fibrillation", "I48.91"),
                drug("Coumadin 2.5 mg tab as directed per INR"),
            ],
            None,
            ".",
            "warfarin brand",
        ),
        Chart(
            "af8",
            [
                patient(81, "female"),
                problem("Atrial fibrillation", "I48.91"),
                drug("heparin lock flush 10 units/mL syringe"),
            ],
            "CHA2DS2",
            None,
            "flush no anticoagulation",
        ),
        Chart(
            "af9",
            [
                patient(81, "female"),
                problem("Atrial fibrillation", "I48.91"),
                drug("heparin 5000 units subcutaneous every 8 hours"),
            ],
            "CHA2DS2",
            None,
            "prophylactic heparin",
        ),
        Chart(
            "af10",
            [patient(77, "male"), problem("Atrial fibrillation", "I48.91"), drug("aspirin 81 mg tablet daily")],
            "CHA2DS2",
            None,
            "aspirin is not anticoagulation",
        ),
        Chart(
            "af11",
            [
                patient(77, "male"),
                problem("Atrial fibrillation", "I48.91"),
                drug("dabigatran 150 mg capsule", "", "2024-01-01", "stopped"),
            ],
            "CHA2DS2",
            None,
            "stopped long ago",
        ),
        Chart("af12", [patient(77, "male"), problem("Atrial fibrillation ruled out")], None, ".", "ruled out"),
        Chart("af13", [patient(77, "male"), problem("Rule out atrial fibrillation")], None, "."),
        Chart(
            "af14",
            [patient(44, "female"), problem("Atrial fibrillation", "I48.91")],
            None,
            ".",
            "CHA2DS2-VASc 1 by sex only",
        ),
        Chart(
            "af15",
            [
                patient(58, "female"),
                problem("Atrial fibrillation", "I48.91"),
                problem("Hypertrophic obstructive cardiomyopathy", "I42.1"),
            ],
            "(?i)hypertrophic|cardiomyopathy",
            None,
            "HCM: anticoagulate regardless of score",
        ),
        Chart(
            "af16",
            [
                patient(58, "female"),
                problem("Atrial fibrillation", "I48.91"),
                problem("Rheumatic mitral stenosis, moderate to severe", "I05.0"),
            ],
            "(?i)mitral",
            None,
            "rheumatic MS: warfarin regardless",
        ),
        Chart(
            "af17",
            [
                patient(75, "male"),
                problem("Atrial fibrillation", "I48.91"),
                problem("Hypertension", "I10"),
                _procedure(
                    "Percutaneous transcatheter closure of left atrial appendage with endocardial implant",
                    "33340",
                    _CPT,
                    "2025-05-05",
                ),
            ],
            None,
            ".",
            "LAAO CPT",
        ),
        Chart(
            "af18",
            [
                patient(75, "male"),
                problem("Atrial fibrillation", "I48.91"),
                problem("Hypertension", "I10"),
                operation(
                    "Left atrial appendage occlusion (Amulet) attempted, not performed", "2025-05-05", "not-done"
                ),
            ],
            "CHA2DS2",
            None,
            "LAAO not done",
        ),
        Chart(
            "af19",
            [
                patient(83, "male"),
                problem("Atrial fibrillation", "I48.91"),
                problem("Palliative care encounter", "Z51.5"),
            ],
            None,
            ".",
            "palliative",
        ),
        Chart(
            "af20",
            [
                patient(83, "male"),
                problem("Atrial fibrillation", "I48.91"),
                problem("Esophageal varices with bleeding", "I85.01", "2026-05-05"),
            ],
            None,
            "Consider an anticoag|Consider talking about an anticoag",
            "bleeding varices",
        ),
        Chart("af21", [dead(patient(83, "male")), problem("Atrial fibrillation", "I48.91")], None, ".", "dead"),
        Chart(
            "af22",
            [
                patient(76, "female"),
                problem("Atrial fibrillation", "I48.91"),
                drug("apixaban 5 mg tablet twice daily", "", "2026-10-01", "active", doNotPerform=True),
            ],
            None,
            ".",
            "an order not to give it",
        ),
        Chart(
            "af23",
            [
                patient(66, "male"),
                snomed("Atrial fibrillation", "49436004", verificationStatus={"coding": [{"code": "refuted"}]}),
                problem("Hypertension", "I10"),
            ],
            None,
            ".",
            "refuted",
        ),
        Chart(
            "af24",
            [
                patient(66, "male"),
                problem(
                    "Postoperative atrial fibrillation after CABG 2019, resolved", "I97.89", "2019-03-03", "resolved"
                ),
                problem("Hypertension", "I10"),
                problem("Diabetes", "E11.9"),
            ],
            None,
            "not found in the chart",
            "post-op",
        ),
    ],
    "statin-discussion": [
        Chart("st1", [patient(61, "male"), snomed("Myocardial infarction", "22298006")], "(?i)statin", None),
        Chart("st2", [patient(61, "male"), _icd9("Old myocardial infarction", "412")], "(?i)statin", None),
        Chart(
            "st3",
            [patient(58, "female"), _procedure("Coronary artery bypass graft", "232717009", _SNOMED, "2019-05-05")],
            "(?i)statin",
            None,
            "CABG only as Procedure",
        ),
        Chart(
            "st4",
            [patient(58, "female"), operation("PCI with drug-eluting stent to LAD", "2023-05-05")],
            "(?i)statin",
            None,
            "stent only as procedure",
        ),
        Chart(
            "st5",
            [patient(58, "female"), operation("Carotid endarterectomy, right", "2021-05-05")],
            "(?i)statin",
            None,
            "CEA",
        ),
        Chart(
            "st6",
            [patient(58, "female"), operation("Coronary angiography: normal coronaries", "2021-05-05")],
            None,
            "atherosclerotic",
            "look-alike",
        ),
        Chart(
            "st7",
            [patient(58, "female"), operation("PCI with stent planned, not performed", "2023-05-05", "not-done")],
            None,
            "atherosclerotic",
            "not done",
        ),
        Chart("st8", [patient(58, "male"), problem("S/p TIA", "Z86.73")], "(?i)statin", None, "TIA history"),
        Chart(
            "st9", [patient(58, "male"), problem("Stroke due to cardioembolism from AF", "I63.4")], None, None, "either"
        ),
        Chart(
            "st10",
            [patient(58, "male"), problem("Hemorrhagic stroke", "I61.9")],
            None,
            "atherosclerotic",
            "ICH is not ASCVD",
        ),
        Chart(
            "st11",
            [patient(58, "male"), problem("Coronary artery disease", "I25.10"), _stated("Lipitor 40 mg nightly")],
            None,
            ".",
            "statement brand",
        ),
        Chart(
            "st12",
            [
                patient(58, "male"),
                problem("Coronary artery disease", "I25.10"),
                drug("ezetimibe 10 mg / simvastatin 40 mg tablet"),
            ],
            None,
            ".",
            "combination",
        ),
        Chart(
            "st13",
            [
                patient(58, "male"),
                problem("Coronary artery disease", "I25.10"),
                drug("nystatin 100000 unit/mL suspension"),
            ],
            "(?i)statin",
            None,
            "nystatin is not a statin",
        ),
        Chart(
            "st14",
            [patient(58, "male"), problem("Coronary artery disease", "I25.10"), allergy("Lovastatin")],
            None,
            "found. Consider talking about one",
            "allergy to a statin",
        ),
        Chart(
            "st15",
            [
                patient(58, "male"),
                problem("Coronary artery disease", "I25.10"),
                problem("Rhabdomyolysis due to statin", "M62.82"),
            ],
            None,
            "found. Consider talking about one",
        ),
        Chart(
            "st16",
            [
                patient(36, "female"),
                problem("Coronary artery disease", "I25.10"),
                problem("Pregnancy", "Z33.1", "2026-07-01"),
            ],
            None,
            ".",
            "pregnant",
        ),
        Chart(
            "st17",
            [patient(82, "male"), problem("Coronary artery disease", "I25.10"), problem("Hospice", "Z51.5")],
            None,
            ".",
            "hospice",
        ),
        Chart(
            "st18",
            [patient(46, "male"), snomed("Type 1 diabetes mellitus", "46635009")],
            "(?i)statin",
            None,
            "T1DM 40-75",
        ),
        Chart(
            "st19",
            [patient(46, "male"), problem("Prediabetes", "R73.03")],
            None,
            "(?i)diabetes.*no statin",
            "prediabetes is not diabetes",
        ),
        Chart(
            "st20",
            [patient(46, "female"), problem("Gestational diabetes", "O24.419", "2020-01-01", "resolved")],
            None,
            "(?i)diabetes.*no statin",
        ),
        Chart(
            "st21",
            [patient(27, "male"), problem("Familial hypercholesterolemia", "E78.01"), result("13457-7", 210, "mg/dL")],
            "(?i)LDL|hypercholesterol",
            None,
            "FH",
        ),
        Chart(
            "st22",
            [patient(58, "male"), problem("Abdominal aortic aneurysm", "I71.4")],
            "(?i)statin|aneurysm",
            None,
            "AAA atherosclerotic",
        ),
    ],
    "nephrology-referral": [
        Chart(
            "ne1",
            [
                patient(55, "male"),
                egfr(18),
                egfr(21, "2026-05-01"),
                snomed("Chronic kidney disease stage 4", "431857002"),
            ],
            "(?i)refer",
            None,
        ),
        Chart(
            "ne2",
            [patient(55, "male"), problem("Autosomal dominant polycystic kidney disease", "Q61.2"), egfr(78), uacr(20)],
            "(?i)refer|polycystic",
            None,
            "ADPKD known",
        ),
        Chart(
            "ne3",
            [patient(55, "male"), egfr(18), egfr(21, "2026-05-01"), problem("Kidney transplant status", "Z94.0")],
            None,
            None,
            "transplant",
        ),
        Chart(
            "ne4",
            [patient(55, "male"), egfr(18), egfr(21, "2026-05-01"), problem("Dependence on renal dialysis", "Z99.2")],
            None,
            ".",
            "dialysis",
        ),
        Chart(
            "ne5",
            [patient(55, "male"), egfr(28), egfr(27, "2026-05-01"), operation("Hemodialysis session", "2026-11-18")],
            None,
            ".",
            "dialysis as procedure",
        ),
        Chart(
            "ne6",
            [patient(86, "male"), egfr(24), egfr(25, "2026-05-01"), problem("Comfort care only", "Z51.5")],
            None,
            ".",
        ),
        Chart("ne7", [patient(70, "male"), egfr(52), egfr(54, "2026-05-01"), uacr(12)], None, ".", "G3a A1 old"),
        Chart(
            "ne8",
            [patient(70, "male"), creatinine(1.0, "2026-10-20"), creatinine(3.9, "2026-11-19")],
            "(?i)acute",
            None,
        ),
        Chart(
            "ne9",
            [
                patient(44, "female"),
                egfr(92),
                uacr(350, "2026-04-01"),
                uacr(380, "2026-11-01"),
                problem("Lupus nephritis", "M32.14"),
            ],
            "(?i)refer|albumin",
            None,
        ),
        Chart(
            "ne10",
            [
                patient(44, "female"),
                egfr(92),
                uacr(350, "2026-11-01"),
                problem("Urinary tract infection", "N39.0", "2026-11-01"),
            ],
            None,
            "Consider a referral",
            "single ACR during infection",
        ),
        Chart(
            "ne11",
            [patient(67, "male"), egfr(22), egfr(23, "2026-05-01"), problem("Under care of nephrology", "Z71.89")],
            None,
            None,
        ),
        Chart(
            "ne12",
            [
                patient(67, "male"),
                egfr(22),
                egfr(23, "2026-05-01"),
                request("Ambulatory referral to Nephrology", "2026-09-20"),
            ],
            None,
            ".",
        ),
        Chart(
            "ne13",
            [
                patient(67, "male"),
                egfr(22),
                egfr(23, "2026-05-01"),
                request("Ambulatory referral to Neurology", "2026-09-20"),
            ],
            "(?i)refer",
            None,
            "neurology is not nephrology",
        ),
        Chart(
            "ne14",
            [
                patient(67, "male"),
                egfr(22),
                egfr(23, "2026-05-01"),
                request("Referral to nephrology", "2026-09-20", status="revoked"),
            ],
            "(?i)refer",
            None,
            "revoked",
        ),
    ],
    "liver-assessment": [
        Chart("li1", [patient(60, "female"), problem("NAFLD", "K76.0"), *liver(95, 60, 110)], "FIB-4", None),
        Chart(
            "li2",
            [patient(60, "female"), snomed("Type 2 diabetes mellitus", "44054006"), *liver(95, 60, 110)],
            "FIB-4",
            None,
        ),
        Chart("li3", [patient(60, "female"), problem("Morbid obesity", "E66.01"), *liver(95, 60, 110)], "FIB-4", None),
        Chart(
            "li4",
            [patient(60, "female"), result("39156-5", 36, "kg/m2"), *liver(95, 60, 110)],
            "FIB-4",
            None,
            "BMI measured",
        ),
        Chart(
            "li5",
            [
                patient(60, "female"),
                problem("NAFLD", "K76.0"),
                problem("Decompensated cirrhosis with ascites", "K74.60"),
                *liver(95, 60, 80),
            ],
            None,
            ".",
        ),
        Chart("li6", [patient(60, "female"), problem("NAFLD", "K76.0"), *liver(25, 30, 280)], None, ".", "low"),
        Chart(
            "li7",
            [
                patient(60, "female"),
                problem("NAFLD", "K76.0"),
                *liver(95, 60, 110),
                operation("Vibration-controlled transient elastography (FibroScan)", "2026-06-10"),
            ],
            None,
            ".",
            "already",
        ),
        Chart(
            "li8",
            [
                patient(60, "female"),
                problem("NAFLD", "K76.0"),
                problem("Immune thrombocytopenic purpura", "D69.3"),
                *liver(95, 60, 60),
            ],
            None,
            ".",
            "ITP explains platelets",
        ),
        Chart(
            "li9",
            [patient(60, "female"), problem("NAFLD", "K76.0"), *liver(950, 1060, 210)],
            None,
            "Consider",
            "acute hepatitis",
        ),
        Chart(
            "li10",
            [patient(28, "female"), problem("NAFLD", "K76.0"), *liver(95, 60, 110)],
            None,
            "Consider",
            "under 35",
        ),
    ],
    "vaccines-due": [
        Chart(
            "va1",
            [patient(70, "male"), answer("16935-9", "Positive", text="HBsAb")],
            None,
            r"\*\*HepB",
            "anti-HBs positive",
        ),
        Chart(
            "va2",
            [patient(52, "male"), answer("5195-3", "Positive", text="HBsAg")],
            None,
            r"\*\*HepB",
            "HBsAg positive",
        ),
        Chart("va3", [patient(66, "female"), allergy("Boostrix")], "(?i)contraindicated|check first", None, "brand"),
        Chart(
            "va4", [patient(66, "female"), allergy("tetanus toxoid vaccine")], "(?i)contraindicated|check first", None
        ),
        Chart("va5", [patient(66, "female"), allergy("Arexvy")], "(?i)contraindicated|check first", None),
        Chart("va6", [patient(66, "female"), allergy("influenza vaccine")], "(?i)contraindicated|check first", None),
        Chart("va7", [patient(45, "female"), allergy("Heplisav-B")], "(?i)contraindicated|check first", None),
        Chart("va8", [patient(66, "female"), allergy("pneumococcal vaccine")], "(?i)contraindicated|check first", None),
        Chart("va9", [patient(24, "female"), allergy("Gardasil 9")], "(?i)contraindicated|check first", None),
        Chart("va10", [patient(66, "female"), allergy("Peanut")], None, "(?i)contraindicated", "peanut is nothing"),
        Chart(
            "va12",
            [patient(35, "male"), answer("8047-3", "Positive", text="Varicella zoster IgG")],
            None,
            "Order Varicella",
            "VZV IgG",
        ),
        Chart(
            "va13",
            [
                patient(35, "male"),
                answer("7966-5", "Positive", text="Mumps IgG"),
                answer("5244-9", "Positive", text="Measles IgG"),
                answer("8014-3", "Positive", text="Rubella IgG"),
            ],
            None,
            "Order MMR",
            "MMR IgG",
        ),
        Chart(
            "va14",
            [patient(29, "female"), problem("Pregnancy, 30 weeks", "Z34.83", "2026-04-01"), dose("115", "2020-01-01")],
            "Tdap",
            None,
            "Tdap each pregnancy",
        ),
        Chart("va15", [patient(40, "male"), snomed("HIV infection", "86406008")], "(?i)pneumo|mening|hep", None),
        Chart("va16", [dead(patient(70, "male"))], None, ".", "dead"),
        Chart("va17", [patient(70, "male"), problem("Hospice care", "Z51.5")], None, ".", "hospice"),
        Chart("va18", [patient(40, "male"), problem("Splenectomy", "Z90.81")], "(?i)mening|pneumo", None),
        Chart(
            "va19",
            [patient(60, "female"), dose("187", "2024-01-01", "entered-in-error"), dose("187", "2024-06-01")],
            "Zoster",
            None,
            "error dose does not count",
        ),
        Chart(
            "va20",
            [patient(36, "male"), problem("Chemotherapy for lymphoma", "C85.90"), drug("rituximab 375 mg/m2 IV")],
            None,
            "Order MMR|Order Varicella",
            "live vaccines with immunosuppression",
        ),
    ],
    "preventive-services": [
        Chart("pv1", [patient(55, "female"), operation("Colonoscopy", "2021-03-03")], None, "Colorectal"),
        Chart(
            "pv2",
            [patient(55, "female"), _procedure("Colonoscopy, flexible; diagnostic", "45378", _CPT, "2019-03-03")],
            None,
            "Colorectal",
            "CPT",
        ),
        Chart(
            "pv3",
            [patient(55, "female"), operation("Colonoscopy not performed: patient refused prep", "2024-03-03")],
            "Colorectal",
            None,
            "words say not performed",
        ),
        Chart(
            "pv4",
            [patient(55, "female"), operation("Colonoscopy cancelled", "2024-03-03", "not-done")],
            "Colorectal",
            None,
        ),
        Chart(
            "pv5",
            [patient(55, "female"), operation("Colonoscopy - incomplete, poor prep", "2024-03-03")],
            None,
            None,
            "either",
        ),
        Chart(
            "pv6",
            [
                patient(60, "male"),
                problem("20 pack-year smoker", "F17.210"),
                problem("Chronic respiratory failure on home oxygen", "Z99.81"),
            ],
            None,
            "Lung",
            "home oxygen",
        ),
        Chart(
            "pv7",
            [patient(45, "female"), problem("Pregnancy", "Z33.1", "2026-06-01")],
            None,
            "Breast",
            "mammogram in pregnancy",
        ),
        Chart(
            "pv8",
            [patient(52, "female"), problem("BRCA1 mutation carrier", "Z15.01")],
            None,
            "Breast cancer screening",
            "BRCA not average risk",
        ),
        Chart(
            "pv9",
            [patient(30, "female"), operation("Total abdominal hysterectomy with cervix removed", "2022-01-01")],
            None,
            "Cervical",
        ),
        Chart(
            "pv10",
            [patient(30, "female"), operation("Supracervical hysterectomy", "2022-01-01")],
            "Cervical",
            None,
            "cervix stays",
        ),
        Chart(
            "pv11",
            [patient(62, "male"), answer("57905-2", "Positive", text="FIT")],
            "Colonoscopy after a positive",
            None,
            "FIT",
        ),
        Chart(
            "pv12",
            [patient(62, "male"), answer("77354-9", "Positive"), operation("Colonoscopy not performed", "2026-11-02")],
            "Colonoscopy after a positive",
            None,
            "not performed does not count",
        ),
        Chart("pv13", [patient(68, "male"), problem("Family history of colon cancer", "Z80.0")], None, "Colorectal"),
        Chart(
            "pv14",
            [patient(50, "female"), problem("Crohn disease of colon", "K50.10")],
            None,
            "Colorectal",
            "IBD is surveillance",
        ),
    ],
    "medication-review": [
        Chart(
            "mr1",
            [patient(80, "female"), drug("Ambien 10 mg nightly"), problem("Falls", "R29.6")],
            "(?i)ambien|zolpidem",
            "Stop Ambien|Stop zolpidem",
        ),
        Chart(
            "mr2",
            [patient(80, "female"), drug("glyburide 5 mg tablet daily")],
            "(?i)glyburide|sulfonyl",
            None,
            "STOPP J1",
        ),
        Chart(
            "mr3",
            [patient(80, "female"), drug("glimepiride 4 mg tablet daily"), problem("Type 2 diabetes", "E11.9")],
            "(?i)glimepiride|sulfonyl",
            None,
            "STOPP J1 v3",
        ),
        Chart(
            "mr4",
            [patient(80, "female"), drug("gliclazide 60 mg modified release tablet daily")],
            None,
            ".",
            "gliclazide is not named",
        ),
        Chart(
            "mr5",
            [
                patient(78, "male"),
                drug("ibuprofen 600 mg tablet three times daily"),
                drug("naproxen 500 mg tablet twice daily"),
            ],
            "(?i)ibuprofen|naproxen",
            None,
            "duplicate class A",
        ),
        Chart(
            "mr6",
            [patient(78, "male"), drug("lisinopril 20 mg tablet daily"), drug("ramipril 5 mg capsule daily")],
            "(?i)lisinopril|ramipril",
            None,
            "two ACE inhibitors",
        ),
        Chart(
            "mr7",
            [patient(78, "male"), drug("sertraline 50 mg tablet daily"), drug("citalopram 20 mg tablet daily")],
            "(?i)sertraline|citalopram",
            None,
            "two SSRIs",
        ),
        Chart(
            "mr8",
            [patient(78, "male"), drug("furosemide 40 mg tablet daily"), drug("bumetanide 1 mg tablet daily")],
            "(?i)furosemide|bumetanide",
            None,
            "two loops",
        ),
        Chart(
            "mr9",
            [patient(78, "male"), drug("omeprazole 20 mg capsule daily"), drug("pantoprazole 40 mg tablet daily")],
            "(?i)omeprazole|pantoprazole",
            None,
            "two PPI",
        ),
        Chart(
            "mr10",
            [
                patient(78, "male"),
                drug("insulin glargine 100 units/mL 20 units nightly"),
                drug("insulin lispro 100 units/mL 6 units with meals"),
            ],
            None,
            "(?i)duplicate|twice|same class",
            "basal bolus is right",
        ),
        Chart(
            "mr11",
            [
                patient(78, "male"),
                drug("albuterol inhaler 2 puffs every 4 hours as needed"),
                drug("salmeterol 50 mcg inhaler twice daily"),
            ],
            None,
            "(?i)duplicate|same class",
            "SABA+LABA",
        ),
        Chart(
            "mr12",
            [
                patient(78, "male"),
                drug("oxycodone ER 20 mg tablet twice daily"),
                drug("oxycodone IR 5 mg tablet every 6 hours as needed"),
                problem("Lung cancer", "C34.90"),
                drug("senna 8.6 mg nightly"),
            ],
            None,
            "(?i)duplicate|same class",
            "long + breakthrough",
        ),
        Chart(
            "mr13",
            [patient(30, "female"), problem("Pregnancy", "Z33.1", "2026-07-01"), drug("candesartan 8 mg tablet daily")],
            "(?i)candesartan",
            None,
        ),
        Chart(
            "mr14",
            [
                patient(30, "female"),
                problem("Pregnancy", "Z33.1", "2026-07-01"),
                drug("methimazole 10 mg tablet daily"),
            ],
            None,
            None,
            "either",
        ),
        Chart(
            "mr15", [patient(68, "male"), potassium(6.0), drug("eplerenone 50 mg tablet daily")], "(?i)eplerenone", None
        ),
        Chart(
            "mr16",
            [patient(40, "male"), snomed("Asthma", "195967001"), drug("nadolol 40 mg tablet daily")],
            "(?i)nadolol",
            "Stop nadolol",
        ),
        Chart(
            "mr17",
            [
                patient(50, "male"),
                problem("Long QT syndrome", "I45.81"),
                drug("ondansetron 8 mg tablet as needed"),
                drug("methadone 10 mg tablet three times daily"),
            ],
            "(?i)methadone|ondansetron",
            "Stop methadone",
        ),
        Chart(
            "mr18",
            [
                patient(57, "male"),
                drug("metoprolol tartrate 50 mg tablet twice daily"),
                drug("diltiazem 240 mg ER capsule daily"),
            ],
            None,
            None,
            "pair at 57",
        ),
        Chart(
            "mr19",
            [
                patient(57, "male"),
                drug("propranolol 40 mg tablet twice daily"),
                drug("verapamil 240 mg ER tablet daily"),
            ],
            "(?i)verapamil|propranolol",
            "Stop propranolol",
            "A6 pair under 65",
        ),
        Chart(
            "mr20",
            [
                patient(57, "male"),
                drug("lithium carbonate 300 mg capsule three times daily"),
                drug("indomethacin 50 mg capsule three times daily"),
            ],
            "(?i)lithium|indomethacin",
            "Stop lithium",
            "A6 pair",
        ),
        Chart(
            "mr21",
            [
                patient(72, "female"),
                drug("aspirin 81 mg daily"),
                operation("Drug-eluting stent placement, RCA", "2026-05-05"),
            ],
            None,
            "(?i)aspirin",
            "stent",
        ),
        Chart(
            "mr22",
            [patient(72, "female"), drug("aspirin 81 mg daily"), problem("Antiphospholipid syndrome", "D68.61")],
            None,
            "(?i)aspirin",
        ),
        Chart(
            "mr23",
            [patient(72, "female"), drug("aspirin 81 mg daily"), problem("Essential thrombocythemia", "D47.3")],
            None,
            "(?i)aspirin",
        ),
        Chart(
            "mr24",
            [patient(72, "female"), drug("aspirin 81 mg daily", reasonCode=[{"text": "TIA 2018"}])],
            None,
            "(?i)without benefit|no artery",
            "reason",
        ),
        Chart(
            "mr25", [patient(72, "female"), drug("aspirin 81 mg daily")], "(?i)aspirin", None, "true primary prevention"
        ),
        Chart(
            "mr26",
            [
                patient(72, "female"),
                drug("aspirin 81 mg daily"),
                operation("Coronary stent not performed; medical therapy", "2026-05-05", "not-done"),
            ],
            "(?i)aspirin",
            None,
            "stent not done",
        ),
        Chart(
            "mr27",
            [patient(84, "male"), drug("lorazepam 1 mg tablet three times daily", "", "2024-01-01")],
            "(?i)lorazepam",
            "Stop lorazepam",
            "taper",
        ),
        Chart(
            "mr29",
            [patient(70, "male"), problem("Hospice", "Z51.5"), drug("simvastatin 40 mg tablet daily")],
            None,
            ".",
            "hospice",
        ),
        Chart(
            "mr30",
            [
                patient(66, "male"),
                drug("sildenafil 50 mg tablet as needed"),
                drug("isosorbide mononitrate 30 mg ER tablet daily"),
            ],
            "(?i)sildenafil|isosorbide",
            None,
        ),
        Chart(
            "mr31",
            [patient(45, "male"), drug("levothyroxine 100 mcg tablet daily"), drug("lisinopril 10 mg tablet daily")],
            None,
            ".",
            "nothing",
        ),
        Chart(
            "mr32",
            [patient(70, "male"), drug("digoxin 0.125 mg tablet daily"), result("10535-3", 2.9, "ng/mL", "2026-11-20")],
            "(?i)digoxin",
            None,
            "toxic level",
        ),
        Chart(
            "mr33",
            [
                patient(70, "male"),
                drug("apixaban 5 mg tablet twice daily"),
                drug("warfarin 5 mg tablet daily"),
                problem("Atrial fibrillation", "I48.91"),
            ],
            "(?i)warfarin|apixaban",
            None,
            "two anticoagulants",
        ),
        Chart(
            "mr34",
            [
                patient(70, "male"),
                drug("hydromorphone 4 mg tablet every 6 hours", "", "2026-01-01"),
                drug("alprazolam 1 mg tablet three times daily", "", "2026-01-01"),
            ],
            "(?i)hydromorphone|alprazolam",
            "Stop alprazolam|Stop hydromorphone",
        ),
    ],
    "planning-conversation": [
        Chart("pl1", [patient(81, "male"), *ILL], "(?i)plan", None, "sick"),
        Chart(
            "pl2",
            [
                patient(81, "male"),
                *ILL,
                answer(
                    "75773-2",
                    "No CPR",
                    when="2026-05-05",
                    text="Goals, preferences, and priorities for medical treatment [Reported]",
                ),
            ],
            None,
            ".",
            "LOINC 75773-2",
        ),
        Chart("pl3", [patient(81, "male"), *ILL, problem("Advance care plan discussed")], None, ".", "ACP as problem"),
        Chart(
            "pl4",
            [patient(81, "male"), *ILL, snomed("Has advance care plan", "713603004")],
            None,
            ".",
            "ACP problem SNOMED",
        ),
        Chart("pl5", [patient(81, "male"), *ILL, problem("Has living will")], None, ".", "living will"),
        Chart(
            "pl6",
            [patient(81, "male"), *ILL, problem("Encounter for counseling, advance care planning", "Z71.89")],
            None,
            ".",
        ),
        Chart(
            "pl7",
            [patient(81, "male"), *ILL, _procedure("Advance care planning", "99497", _CPT, "2026-06-06")],
            None,
            ".",
            "CPT",
        ),
        Chart(
            "pl8",
            [patient(81, "male"), *ILL, _procedure("Advance care planning", "99497", _CPT, "2026-06-06", "not-done")],
            "(?i)plan",
            None,
            "not done",
        ),
        Chart(
            "pl9", [patient(81, "male"), *ILL, problem("Patient declined advance care planning")], None, None, "either"
        ),
        Chart("pl10", [patient(35, "male"), *ILL], None, ".", "under 40"),
        Chart(
            "pl11",
            [patient(81, "male"), *ILL, stay("2025-10-01", id="open400")],
            "(?i)plan",
            None,
            "left open 400 days",
        ),
        Chart("pl12", [patient(81, "male"), *ILL, stay("2026-11-20", id="now")], None, ".", "in hospital"),
        Chart(
            "pl13",
            [
                patient(81, "male"),
                *ILL,
                answer(
                    "81334-5",
                    "Healthcare agent named",
                    when="2026-05-05",
                    text="Patient Goals, preferences, and priorities under certain health conditions [Reported]",
                ),
            ],
            None,
            None,
            "either",
        ),
    ],
    "discharge-follow-up": [
        Chart("dc1", [patient(79, "male"), *stay_that_ends()], "HOSPITAL|LACE", None),
        Chart("dc2", [patient(79, "male"), *stay_that_ends(booked("2026-11-27"))], None, ".", "booked in 5 days"),
        Chart(
            "dc3",
            [patient(79, "male"), *stay_that_ends(booked("2027-01-20"))],
            "HOSPITAL|LACE",
            None,
            "booked in 8 weeks",
        ),
        Chart(
            "dc4",
            [patient(79, "male"), *stay_that_ends(booked("2026-11-27", "cancelled"))],
            "HOSPITAL|LACE",
            None,
            "cancelled",
        ),
        Chart(
            "dc5",
            [patient(79, "male"), *stay_that_ends(booked("2026-11-27", "noshow"))],
            "HOSPITAL|LACE",
            None,
            "no show",
        ),
        Chart("dc6", [dead(patient(79, "male")), *stay_that_ends()], None, ".", "dead"),
        Chart("dc7", [patient(79, "male"), *stay_that_ends(problem("Hospice care", "Z51.5"))], None, ".", "hospice"),
        Chart("dc8", [patient(79, "male"), *stay_that_ends(to="hosp")], None, ".", "discharged to hospice"),
        Chart("dc9", [patient(79, "male"), *stay_that_ends(to="exp")], None, ".", "expired"),
        Chart("dc10", [patient(79, "male"), *stay_that_ends(to="snf")], None, ".", "SNF"),
    ],
    "discharge-medications": [
        Chart(
            "dm1",
            [
                patient(79, "male"),
                *stay_that_ends(),
                drug("metformin 1000 mg tablet twice daily"),
                creatinine(3.4, "2026-11-20"),
            ],
            "(?i)metformin",
            None,
        ),
        Chart(
            "dm2",
            [
                dead(patient(79, "male")),
                *stay_that_ends(),
                drug("metformin 1000 mg tablet twice daily"),
                creatinine(3.4, "2026-11-20"),
            ],
            None,
            ".",
            "dead",
        ),
        Chart(
            "dm3",
            [
                patient(79, "male"),
                *stay_that_ends(to="exp"),
                drug("metformin 1000 mg tablet twice daily"),
                creatinine(3.4, "2026-11-20"),
            ],
            None,
            ".",
            "disposition expired",
        ),
        Chart(
            "dm4",
            [
                patient(79, "male"),
                *stay_that_ends(problem("Hospice care", "Z51.5")),
                drug("metformin 1000 mg tablet twice daily"),
                creatinine(3.4, "2026-11-20"),
            ],
            "contraindicated",
            "(?i)A1c|statin",
            "hospice: only what harms",
        ),
        Chart(
            "dm5",
            [
                patient(79, "male"),
                *stay_that_ends(to="hosp"),
                drug("morphine 5 mg every 4 hours as needed"),
                drug("lorazepam 0.5 mg every 4 hours as needed"),
            ],
            None,
            ".",
            "hospice comfort pair",
        ),
        Chart(
            "dm6",
            [
                patient(79, "male"),
                *stay_that_ends(problem("Hospice care", "Z51.5")),
                drug("morphine 20 mg/mL oral concentrate 5 mg every 4 hours as needed"),
                drug("lorazepam 0.5 mg tablet every 4 hours as needed"),
                drug("haloperidol 0.5 mg tablet as needed"),
            ],
            None,
            ".",
            "hospice comfort kit",
        ),
    ],
}
