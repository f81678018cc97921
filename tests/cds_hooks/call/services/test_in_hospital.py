"""What an opening tells on a ward: danger that goes on, and critical results that nothing answers; no reminders."""

import re
from datetime import timedelta
from pathlib import Path

from tests.cds_hooks.call.services.chart_cases import (
    AS_OF,
    VISIT,
    Json,
    allergy,
    answers,
    drug,
    operation,
    patient,
    problem,
    reasons_of,
    request,
    result,
    stay,
    text_of,
)

TODAY, YESTERDAY = AS_OF.date().isoformat(), (AS_OF - timedelta(days=1)).date().isoformat()
REVIEW, RESULTS, ABNORMAL = "medication-review", "preventive-services", "abnormal-results"
_UNITS = {
    "2823-3": "mmol/L", "2951-2": "mmol/L", "2345-7": "mg/dL", "718-7": "g/dL", "2524-7": "mmol/L",
    "2160-0": "mg/dL", "6301-6": "1", "777-3": "10*3/uL", "751-8": "10*3/uL", "1963-8": "mmol/L", "4548-4": "%",
    "8636-3": "ms",
}  # fmt: skip
POTASSIUM, SODIUM, GLUCOSE, HEMOGLOBIN, LACTATE, CREATININE, INR, PLATELETS, NEUTROPHILS, BICARBONATE, A1C, QTC = _UNITS
HEPARIN, CEFTRIAXONE = "heparin 5000 units SC every 8 hours", "ceftriaxone 1 g IV daily"
SLIDING = "insulin lispro by sliding scale SC three times daily"


def lab(code: str, value: float, when: str = TODAY) -> Json:
    return result(code, value, _UNITS[code], when)


def ward(*entries: Json | str, age: int = 67, kind: str = "IMP") -> list[Json]:
    """The chart of somebody who came yesterday; words alone are an order of that day."""
    now = stay(f"{YESTERDAY}T06:00:00Z", id=VISIT)
    now["class"] = {**now["class"], "code": kind}
    ordered = [drug(entry, when=YESTERDAY) if isinstance(entry, str) else entry for entry in entries]
    return [patient(age, "female"), now, *ordered]


def methotrexate(how_often: str) -> Json:
    dosage = {"text": f"15 mg by mouth {how_often}"}
    return drug("methotrexate 2.5 mg tablet", when=YESTERDAY, dosageInstruction=[dosage])


ANEURYSM = {
    "resourceType": "DiagnosticReport",
    "status": "final",
    "code": {"text": "Ultrasound of abdominal aorta"},
    "effectiveDateTime": "2024-05-01",
    "conclusion": "Infrarenal aneurysm of 5.6 cm",
}
CARDIOGENIC_SHOCK = problem("Cardiogenic shock", when=YESTERDAY)
DANGERS: list[tuple[str, str, list[Json]]] = [
    (RESULTS, f"Potassium 6.9.*{TODAY} 08:00", ward(lab(POTASSIUM, 6.9), SLIDING)),
    (RESULTS, "Sodium 114", ward(lab(SODIUM, 114), "hydrochlorothiazide 25 mg daily")),
    (REVIEW, "sodium 114", ward(lab(SODIUM, 114), "hydrochlorothiazide 25 mg daily")),
    (RESULTS, "Sodium 168", ward(lab(SODIUM, 168))),
    (RESULTS, "Glucose 38", ward(lab(GLUCOSE, 38))),
    (REVIEW, "(?i)glucose 38", ward(lab(GLUCOSE, 38), "insulin lispro 10 units SC three times daily")),
    (RESULTS, "Glucose 430", ward(lab(GLUCOSE, 430), lab(BICARBONATE, 11), "insulin glargine 20 units SC daily")),
    (RESULTS, "Hemoglobin 6.2", ward(lab(HEMOGLOBIN, 6.2))),
    (RESULTS, "Hemoglobin 6.2", ward(lab(HEMOGLOBIN, 6.2), operation("Transfusion of red cells", "2026-11-18"))),
    (RESULTS, "Lactate 6", ward(lab(LACTATE, 6), HEPARIN)),
    (RESULTS, "no insulin", ward(CEFTRIAXONE, problem("Type 1 diabetes"))),
    (RESULTS, "no glucocorticoid", ward(CEFTRIAXONE, problem("Addison disease"))),
    (RESULTS, "no anticoagulant", ward(CEFTRIAXONE, problem("Mechanical mitral valve"))),
    (RESULTS, "no anticoagulant", ward(CEFTRIAXONE, problem("Pulmonary embolism", when=YESTERDAY))),
    (RESULTS, "Lactate 6", ward(lab(LACTATE, 6), problem("Sepsis", when=TODAY))),
    (RESULTS, "Hemoglobin 6.2", ward(lab(HEMOGLOBIN, 6.2), problem("Postpartum hemorrhage", when=TODAY))),
    (REVIEW, "QTc 545", ward(lab(QTC, 545), "levofloxacin 750 mg IV daily", "haloperidol 5 mg IV as needed")),
    (
        REVIEW,
        "^Amiodarone is contraindicated .*metoprolol",
        ward("amiodarone 200 mg daily", "metoprolol tartrate 25 mg twice daily", CARDIOGENIC_SHOCK),
    ),
    (REVIEW, "INR 8.1", ward(lab(INR, 8.1), "warfarin 5 mg daily", "amiodarone 200 mg daily")),
    (REVIEW, "(?i)methotrexate", ward(methotrexate("daily"), problem("Psoriasis"))),
    (REVIEW, "(?i)amoxicillin", ward("amoxicillin 500 mg three times daily", allergy("Penicillin"))),
    (REVIEW, "(?i)heparin", ward(HEPARIN, lab(PLATELETS, 60), lab(PLATELETS, 240, "2026-11-16"))),
    (
        REVIEW,
        "(?i)haloperidol",
        ward("haloperidol 2 mg by mouth twice daily", problem("Parkinson disease"), kind="EMER"),
    ),
]
ANSWERED: list[list[Json]] = [
    ward(lab(POTASSIUM, 6.9, YESTERDAY), lab(POTASSIUM, 4.9)),
    ward(lab(POTASSIUM, 6.9), drug("calcium gluconate 1 g IV once", when=TODAY)),
    ward(lab(SODIUM, 114), drug("sodium chloride 3 % 150 mL IV once", when=TODAY)),
    ward(lab(SODIUM, 114), request("Consult to nephrology", TODAY)),
    ward(lab(HEMOGLOBIN, 6.2), operation("Transfusion of packed red cells", TODAY)),
    ward(lab(HEMOGLOBIN, 6.2, "2026-11-17")),
    ward(lab(LACTATE, 6), "norepinephrine 5 mcg/min IV"),
    ward(lab(GLUCOSE, 430), lab(BICARBONATE, 11), "insulin regular 0.1 units/kg/h IV infusion"),
    ward(lab(GLUCOSE, 38), drug("dextrose 50 % 25 g IV once", when=TODAY)),
]
ORDINARY: list[list[Json]] = [
    ward("enoxaparin 40 mg SC daily", "acetaminophen 1 g by mouth every 6 hours", "oxycodone 5 mg as needed",
         "ondansetron 4 mg IV as needed", problem("Hip fracture", when=YESTERDAY), lab(HEMOGLOBIN, 9.1)),
    ward(CEFTRIAXONE, "azithromycin 500 mg IV daily", HEPARIN, "prednisone 40 mg daily", problem("COPD"),
         problem("Pneumonia", when=YESTERDAY), lab(SODIUM, 132)),
    ward(SLIDING, "insulin glargine 20 units SC daily", HEPARIN, "cefazolin 2 g IV every 8 hours",
         problem("Type 2 diabetes"), lab(GLUCOSE, 243), lab(A1C, 8.9), lab(CREATININE, 1.0)),
    ward("furosemide 40 mg IV twice daily", "apixaban 5 mg twice daily", "metoprolol succinate 50 mg daily",
         "potassium chloride 20 mEq daily", problem("Heart failure"), problem("Atrial flutter"), lab(POTASSIUM, 4)),
    ward("hydromorphone 0.5 mg IV every 4 hours as needed", "zolpidem 5 mg at bedtime", "lorazepam 1 mg IV as needed",
         "pantoprazole 40 mg IV daily", problem("Acute pancreatitis", when=YESTERDAY), lab(GLUCOSE, 160)),
    ward("aspirin 81 mg daily", "ticagrelor 90 mg twice daily", "atorvastatin 80 mg daily", HEPARIN,
         problem("Acute myocardial infarction", when=YESTERDAY), lab(POTASSIUM, 4.2)),
    ward("piperacillin-tazobactam 4.5 g IV every 6 hours", "vancomycin 1 g IV every 12 hours", HEPARIN,
         problem("Sepsis", when=YESTERDAY), lab(LACTATE, 2.6), lab(CREATININE, 1.3)),
    ward("octreotide 50 mcg/h IV", CEFTRIAXONE, "lactulose 20 g three times daily", problem("Cirrhosis"),
         problem("Variceal bleeding", when=YESTERDAY), lab(HEMOGLOBIN, 7.8), lab(INR, 1.7), lab(PLATELETS, 72)),
    ward("cefepime 2 g IV every 8 hours", "filgrastim 300 mcg SC daily", problem("Lung cancer"),
         problem("Febrile neutropenia", when=YESTERDAY), lab(NEUTROPHILS, 0.2), lab(HEMOGLOBIN, 7.9)),
    ward("lorazepam 2 mg IV every 4 hours as needed", "thiamine 100 mg IV daily", lab(POTASSIUM, 3.3),
         lab(PLATELETS, 98), problem("Alcohol withdrawal", when=YESTERDAY)),
    ward("ketorolac 15 mg IV every 6 hours", "acetaminophen 1 g IV every 6 hours", "sertraline 100 mg daily",
         operation("Laparoscopic cholecystectomy", TODAY), lab(CREATININE, 0.7), age=44),
    ward(SLIDING, problem("Type 1 diabetes")),
    ward("hydrocortisone 50 mg IV every 6 hours", problem("Addison disease")),
    ward("heparin 18 units/kg/h IV infusion", problem("Mechanical mitral valve")),
    ward("diazepam 5 mg by mouth at bedtime", problem("Fall", "W19")),
    ward("warfarin 5 mg daily", problem("Atrial fibrillation"), lab(INR, 2.4)),
    ward(methotrexate("once weekly"), problem("Psoriasis")),
    ward(lab(A1C, 12, "2026-09-01"), lab(POTASSIUM, 6.9, "2026-11-02"), lab(HEMOGLOBIN, 6.5, "2026-10-30")),
]  # fmt: skip


def test_danger_is_told_on_the_ward(tmp_path: Path) -> None:
    for service in (REVIEW, RESULTS):
        rows = [(pattern, chart) for of, pattern, chart in DANGERS if of == service]
        texts = [text_of(answer) for answer in answers(tmp_path / service, service, [chart for _, chart in rows])]
        assert [row[0] for row, text in zip(rows, texts, strict=True) if not re.search(row[0], text)] == []
        assert [text for text in texts if "emergency department" in text or "in hospital" in text] == []


def test_a_result_is_not_told_where_the_chart_shows_that_somebody_acted(tmp_path: Path) -> None:
    assert [text_of(answer) for answer in answers(tmp_path, RESULTS, ANSWERED)] == [""] * len(ANSWERED)


def test_an_emergency_is_told_what_warns_of_these_days_and_nothing_older(tmp_path: Path) -> None:
    old = ward(lab(A1C, 11.2, "2026-08-10"), problem("Type 2 diabetes"), ANEURYSM, kind="EMER")
    quiet, told = answers(tmp_path, RESULTS, [old, ward(lab(POTASSIUM, 6.2), kind="EMER")])
    assert text_of(quiet) == ""
    assert "Potassium 6.2" in text_of(told)


def test_an_ordinary_stay_is_quiet_and_says_why(tmp_path: Path) -> None:
    for service in (REVIEW, RESULTS):
        given = answers(tmp_path / service, service, ORDINARY)
        assert [text_of(answer) for answer in given] == [""] * len(ORDINARY)
        assert all(map(reasons_of, given))


def test_the_drugs_card_alone_tells_a_result_that_it_is_about(tmp_path: Path) -> None:
    """A card of lower severity does not silence the result, nor one that tells only one of two results.

    A drug's card is as severe as a result that came after the order; one of the same day its prescriber knew. Nor does
    one of which the result is no more than a reason: a weak heart, of two drugs that lengthen QT.
    """
    inr, potassium = lab(INR, 8.1), lab(POTASSIUM, 6.8)
    drugs = drug("warfarin 5 mg daily"), drug("spironolactone 50 mg daily", when=TODAY)
    of_qt = result("10230-1", 30, "%", TODAY), drug("ondansetron 8 mg twice daily"), drug("ciprofloxacin 500 mg daily")
    charts = [[inr, drugs[0]], [inr], [potassium, drugs[1]], [inr, potassium, drugs[0]], [*of_qt]]
    given = answers(tmp_path, "chart-opening", [[patient(67, "female"), *chart] for chart in charts], services=None)
    told = [[c["source"]["topic"]["code"] for c in answer["cards"] if c["indicator"] != "info"] for answer in given]
    assert told == [[REVIEW], [ABNORMAL], [ABNORMAL, REVIEW], [ABNORMAL, REVIEW], [REVIEW, ABNORMAL]]
