"""Whole discharges: what must be told before the patient leaves, how severe it is, and ordinary ones that are quiet."""

import re
from datetime import timedelta
from pathlib import Path

from tests.cds_hooks.call.services.chart_cases import (
    AS_OF,
    Json,
    answers,
    drug,
    operation,
    patient,
    problem,
    result,
    stay,
    text_of,
)

TODAY, LATELY = AS_OF.date().isoformat(), (AS_OF - timedelta(days=3)).date().isoformat()
SERVICE = "discharge-medications"
SYSTOLIC, DIASTOLIC = "8480-6", "8462-4"


def lately(words: str) -> Json:
    return problem(words, when=LATELY)


def home(drugs: dict[str, str], *entries: Json, age: int = 67, sex: str = "female") -> list[Json]:
    """The chart of a stay that ends: medications with their directions, and what else is on it."""
    ordered = [drug(name, when=LATELY, dosageInstruction=[{"text": sig}]) for name, sig in drugs.items()]
    return [patient(age, sex), stay(f"{LATELY}T06:00:00Z", id="stay"), *ordered, *entries]


DAILY, TWICE, THRICE = "1 tablet daily", "1 tablet twice daily", "1 tablet three times daily"
AMLODIPINE = {"amlodipine 5 mg": DAILY}
ASPIRIN_STATIN = {"aspirin 81 mg": DAILY, "atorvastatin 80 mg": DAILY}
STENT = operation("PCI with drug-eluting stent", LATELY)
VALVE, PE, DM1, ADDISON, MI = (
    problem("Mechanical mitral valve"),
    lately("Pulmonary embolism"),
    problem("Type 1 diabetes"),
    problem("Addison disease"),
    lately("Acute myocardial infarction"),
)

DANGERS: list[tuple[str, str, list[Json]]] = [
    ("warning", "no anticoagulant", home(AMLODIPINE, PE)),
    ("warning", "no anticoagulant", home({"heparin 25,000 units in dextrose infusion": "18 units/kg/h IV"}, PE)),
    ("warning", "no anticoagulant", home({"amoxicillin 500 mg": THRICE}, VALVE)),
    ("warning", "no P2Y12 inhibitor", home(ASPIRIN_STATIN, MI, STENT)),
    (
        "warning",
        "Rosuvastatin with rhabdomyolysis",
        home({}, drug("rosuvastatin 10 mg tablet"), lately("Rhabdomyolysis")),
    ),
    ("info", "no P2Y12 inhibitor", home(ASPIRIN_STATIN, MI)),
    ("warning", "no P2Y12 inhibitor", home(ASPIRIN_STATIN, STENT)),
    ("warning", "no insulin", home(AMLODIPINE, DM1)),
    ("warning", "no glucocorticoid", home({"fludrocortisone 0.1 mg": DAILY}, ADDISON)),
    ("info", "no antiplatelet or anticoagulant", home(AMLODIPINE, lately("Ischemic stroke"))),
    ("info", "epinephrine", home({"prednisone 40 mg": DAILY}, lately("Anaphylaxis"))),
    ("info", "no buprenorphine", home(AMLODIPINE, problem("Opioid use disorder"))),
    ("critical", "(?i)methotrexate", home({"methotrexate 2.5 mg": "15 mg by mouth daily"}, problem("Psoriasis"))),
    ("critical", "(?i)spironolactone", home({"spironolactone 50 mg": DAILY}, result("2823-3", 6.2, "mmol/L", TODAY))),
    ("critical", "(?i)propranolol", home({"propranolol 40 mg": TWICE}, lately("Asthma exacerbation"))),
    ("critical", "Sodium 121", home({"sertraline 50 mg": DAILY}, result("2951-2", 121, "mmol/L", TODAY))),
    (
        "critical",
        "Blood pressure 172/112",
        home(
            {"ibuprofen 600 mg": THRICE},
            lately("Preeclampsia with severe features"),
            lately("Postpartum day 1"),
            result(SYSTOLIC, 172, "mm[Hg]", TODAY),
            result(DIASTOLIC, 112, "mm[Hg]", TODAY),
            age=30,
        ),
    ),
]
ORDINARY: list[list[Json]] = [
    home({"apixaban 5 mg": TWICE, **AMLODIPINE}, PE),
    home({"enoxaparin 80 mg": "80 mg SC twice daily"}, PE),
    home({"warfarin 4 mg": DAILY}, VALVE, result("6301-6", 2.9, "1", TODAY)),
    home({**ASPIRIN_STATIN, "ticagrelor 90 mg": TWICE, "metoprolol succinate 50 mg": DAILY}, MI, STENT),
    home({"insulin glargine": "20 units SC daily", "insulin lispro": "5 units SC with meals"}, DM1),
    home({"fludrocortisone 0.1 mg": DAILY, "hydrocortisone 10 mg": THRICE}, ADDISON),
    home({"buprenorphine-naloxone 8/2 mg": TWICE, "naloxone nasal spray": "as needed"}, problem("Opioid use disorder")),
    home({"methotrexate 2.5 mg": "15 mg by mouth once weekly", "folic acid 1 mg": DAILY}, problem("Psoriasis")),
    home({"amoxicillin 500 mg": THRICE}, lately("Pneumonia"), result("2951-2", 134, "mmol/L", TODAY)),
    home({"ibuprofen 400 mg": THRICE, "docusate 100 mg": TWICE}, lately("Postpartum day 1"), age=30),
    home({"morphine 5 mg": "5 mg as needed"}, problem("Hospice care"), PE),
]
_RANK = ("info", "warning", "critical")


def test_a_danger_is_told_before_the_patient_leaves(tmp_path: Path) -> None:
    missed = []
    for (level, pattern, _), answer in zip(
        DANGERS, answers(tmp_path, SERVICE, [chart for _, _, chart in DANGERS]), strict=True
    ):
        told = [card["indicator"] for card in answer["cards"] if re.search(pattern, card["summary"])]
        if not any(_RANK.index(indicator) >= _RANK.index(level) for indicator in told):
            missed.append((level, pattern, text_of(answer)))
    assert missed == []


def test_an_ordinary_discharge_warns_of_nothing_and_ends_no_drug_that_is_needed(tmp_path: Path) -> None:
    given = answers(tmp_path, SERVICE, ORDINARY)
    loud = [card["summary"] for answer in given for card in answer["cards"] if card["indicator"] != "info"]
    assert loud == []
    assert [text for text in map(text_of, given) if "stop hydrocortisone" in text or "ordered for home" in text] == []
