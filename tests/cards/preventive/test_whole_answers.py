"""The whole answer of a service: its sentence, the newest test, the day from which it is due again, facts and order."""

from datetime import date
from typing import Any

from cards.extension import Fact
from tests.cards.preventive.charts import (
    ALL_TYPES,
    DAILY,
    EVERYTHING,
    FORMER,
    NEVER,
    OVERWEIGHT,
    RISK,
    SMOKER,
    Json,
    judged,
    number,
    pack_years,
    person,
    problem,
    procedure,
    report,
    result,
    smoking,
    taking,
)
from tests.each import for_rows
from tests.fhir.builders import ICD10, LOINC, SNOMED

WOMAN_68, MAN_68 = {"patient": person("1958-11-20")}, {"patient": person("1958-11-20", "male")}
MAN_64 = {"patient": person("1962-11-20", "male")}
FIT, PAP, HPV = "57905-2", "10524-7", "82675-0"
UNREADABLE = taking("study drug")
PREGNANT = problem("77386006", SNOMED, onsetDateTime="2026-09-01")
QUIT = result("74010-0", valueDateTime="2015-03-01")
del QUIT["valueCodeableConcept"]


def coded(loinc: str, words: str, answer: str, when: str = "2026-01-10") -> Json:
    """A result with the name of its test."""
    return result(loinc, answer, when, code={"coding": [{"system": LOINC, "code": loinc}], "text": words})


def undated(entry: Json) -> Json:
    """The entry without its day."""
    return {name: value for name, value in entry.items() if name != "effectiveDateTime"}


ANSWERS: list[tuple[str, tuple[Json, ...], dict[str, Any], str]] = [
    # Colon
    ("colorectal-cancer", (procedure("Total colectomy", "2001-05-06"),), {}, "the colon was removed (2001-05-06)"),
    ("colorectal-cancer", (procedure("Total colectomy", None),), {}, "the colon was removed"),
    (
        "colorectal-cancer",
        (coded(FIT, "FIT", "Positive"),),
        {},
        "Positive stool blood test (FIT or high-sensitivity guaiac) (2026-01-10): colonoscopy within 180 days, "
        "even if a later stool test is negative",
    ),
    (
        "colorectal-cancer",
        (result("77354-9", "Positive", "2026-02-01"), coded(FIT, "FIT", "Positive", "2026-01-31")),
        {},
        "Positive stool DNA test (2026-02-01): colonoscopy within 180 days, even if a later stool test is negative",
    ),
    (
        "colorectal-cancer",
        (problem("K63.5"),),
        {},
        "a polyp is on record, and whether it was an adenoma is not said: then follow-up is another",
    ),
    ("colorectal-cancer", (), {}, "no test on record here"),
    # Cervix
    (
        "cervical-cancer",
        (procedure("Total hysterectomy", "1999-02-03", "116140006"),),
        {},
        "hysterectomy with removal of the cervix (1999-02-03)",
    ),
    (
        "cervical-cancer",
        (result(PAP, "HSIL", "2026-01-10"), result(HPV, "Not detected", "2025-12-01")),
        {},
        "High-grade cytology of the cervix (HSIL) (2026-01-10): colposcopy, or treatment at once where the risk is "
        "high (not in pregnancy, not under 25), within 60 days",
    ),
    (
        "cervical-cancer",
        (result(PAP, "NILM", "2025-12-01"), result(HPV, "Detected", "2026-01-10")),
        {},
        "High-risk HPV positive (2026-01-10): cytology (reflex) decides: with ASC-US or worse colposcopy, with "
        "normal cytology a repeat in 1 year",
    ),
    (
        "cervical-cancer",
        (result(PAP, "NILM", "2026-01-10"), result(HPV, "Detected", "2025-12-01")),
        {},
        "High-risk HPV positive, cytology normal (2025-12-01): HPV test again 1 year after it",
    ),
    (
        "cervical-cancer",
        (procedure("Hysterectomy", "2010-01-01", "236886002"),),
        {},
        "hysterectomy (2010-01-01): whether the cervix was removed is not said",
    ),
    ("cervical-cancer", (), {}, "no test on record here"),
    # Breast
    ("breast-cancer", (procedure("Bilateral mastectomy", "2015-01-01"),), {}, "both breasts were removed (2015-01-01)"),
    (
        "breast-cancer",
        (procedure("Left mastectomy", "2015-01-01"), procedure("Right mastectomy", "2016-01-01")),
        {},
        "both breasts were removed",
    ),
    ("breast-cancer", (procedure("Mammography", "2025-01-02"),), {}, "mammogram 2025-01-02, due again 2027-01-02"),
    ("breast-cancer", (procedure("Mammography", "2020-01-02"),), {}, "last mammogram 2020-01-02, due since 2022-01-02"),
    ("breast-cancer", (procedure("Mammography", None),), {}, "mammogram on record without a date"),
    ("breast-cancer", (), {}, "no test on record here"),
    # Lung
    ("lung-cancer", (), {}, "smoking status not on record"),
    ("lung-cancer", (smoking(NEVER),), {}, "never smoked (2026-01-10)"),
    ("lung-cancer", (undated(smoking(NEVER)),), {}, "never smoked"),
    ("lung-cancer", (smoking(DAILY), pack_years(19.5)), {}, "19.5 pack-years on record, under 20"),
    ("lung-cancer", (smoking(DAILY),), {}, "pack-years not on record"),
    (
        "lung-cancer",
        (smoking(FORMER, "2011-11-20"), pack_years(30)),
        {},
        "stopped smoking 15 years ago or more (by 2011-11-20)",
    ),
    ("lung-cancer", (smoking(FORMER), pack_years(30)), {}, "when the patient stopped smoking is not on record"),
    # Whether they still smoked fifteen years ago or one day later is what decides.
    (
        "lung-cancer",
        (smoking(FORMER), smoking(DAILY, "2011-11-20"), pack_years(30)),
        {},
        "when the patient stopped smoking is not on record",
    ),
    (
        "lung-cancer",
        (smoking(FORMER), smoking(DAILY, "2011-11-21"), pack_years(30)),
        {},
        "30 pack-years, stopped smoking within 15 years; no test on record here",
    ),
    (
        "lung-cancer",
        (smoking(FORMER), pack_years(20), QUIT),
        {},
        "20 pack-years, stopped smoking within 15 years; no test on record here",
    ),
    (
        "lung-cancer",
        (*SMOKER, procedure("Low dose CT of chest", "2024-03-04")),
        {},
        "30 pack-years, smokes; last low-dose chest CT 2024-03-04, due since 2025-03-04",
    ),
    (
        "lung-cancer",
        (*SMOKER, procedure("Low dose CT of chest", "2026-03-04")),
        {},
        "low-dose chest CT 2026-03-04, due again 2027-03-04",
    ),
    # Aorta
    ("abdominal-aortic-aneurysm", (), MAN_68, "smoking status not on record"),
    (
        "abdominal-aortic-aneurysm",
        (smoking(NEVER),),
        MAN_68,
        "never smoked (2026-01-10): no A or B recommendation",
    ),
    (
        "abdominal-aortic-aneurysm",
        (procedure("Endovascular repair of abdominal aortic aneurysm", "2020"),),
        MAN_68,
        "an aneurysm was repaired (2020)",
    ),
    (
        "abdominal-aortic-aneurysm",
        (smoking(FORMER), procedure("Ultrasound of abdominal aorta", "2003")),
        MAN_68,
        "ultrasound of the abdominal aorta 2003",
    ),
    (
        "abdominal-aortic-aneurysm",
        (smoking(FORMER), procedure("Ultrasound of abdominal aorta", None)),
        MAN_68,
        "ultrasound of the abdominal aorta, no date",
    ),
    # Bones
    ("osteoporosis", (taking("alendronate 70 MG Oral Tablet"),), WOMAN_68, "treated with alendronate"),
    (
        "osteoporosis",
        (taking("prednisone 5 MG Oral Tablet"),),
        WOMAN_68,
        "takes prednisone: bone loss by a drug is judged otherwise",
    ),
    (
        "osteoporosis",
        (UNREADABLE,),
        WOMAN_68,
        "no test on record here; not readable on the medication list: study drug",
    ),
    (
        "osteoporosis",
        (UNREADABLE, report("DXA hip", "2010-01-01")),
        WOMAN_68,
        "bone density measurement (DXA) 2010-01-01",
    ),
    # Diabetes
    ("diabetes", (PREGNANT,), {}, "not meant in pregnancy"),
    ("diabetes", (taking("metformin 500 MG Oral Tablet"),), {}, "takes metformin"),
    ("diabetes", (), {}, "body mass index not on record"),
    ("diabetes", (number("39156-5", 24.96, "kg/m2"),), {}, "body mass index 24.96 kg/m², under 25"),
    (
        "diabetes",
        (OVERWEIGHT,),
        {},
        "body mass index 27 kg/m²; no HbA1c or fasting glucose of the last 3 years",
    ),
    (
        "diabetes",
        (problem("E66.9"), UNREADABLE),
        {},
        "obesity on record; no HbA1c or fasting glucose of the last 3 years; not readable on the medication list: "
        "study drug",
    ),
    (
        "diabetes",
        (OVERWEIGHT, number("4548-4", 5.7, "%")),
        {},
        "HbA1c 5.7 % (2026-01-10) is not normal and no diabetes is on record: confirm and follow up",
    ),
    ("diabetes", (number("4548-4", 5.6, "%"),), {}, "HbA1c 5.6 % (2026-01-10), due again 2029-01-10"),
    # A glucose of the last day counts, a raised one that was not taken fasting says nothing.
    (
        "diabetes",
        (number("2345-7", 99, "mg/dL", "2026-03-01"), number("4548-4", 5.6, "%", "2026-02-01")),
        {},
        "Glucose 99 mg/dL (2026-03-01), due again 2029-03-01",
    ),
    (
        "diabetes",
        (number("2345-7", 100, "mg/dL", "2026-03-01"), number("4548-4", 5.6, "%", "2026-02-01")),
        {},
        "HbA1c 5.6 % (2026-02-01), due again 2029-02-01",
    ),
    # Statin
    ("statin", (*RISK, taking("rosuvastatin 10 MG Oral Tablet")), MAN_64, "a statin is taken"),
    ("statin", (*RISK, PREGNANT), {"patient": person("1980-11-20")}, "not meant in pregnancy"),
    (
        "statin",
        (*RISK, number("13457-7", 191, "mg/dL")),
        MAN_64,
        "LDL cholesterol over 190 mg/dL: other guidelines hold",
    ),
    (
        "statin",
        (smoking(NEVER),),
        MAN_64,
        "no risk factor (cholesterol, diabetes, hypertension, smoking) on record",
    ),
    ("statin", RISK, MAN_64 | {"requested": EVERYTHING - {"MedicationRequest"}}, "problems or medications not sent"),
    # Tobacco
    ("tobacco", (), {}, "no smoking status on record: ask"),
    ("tobacco", (smoking(FORMER),), {}, "asked: smoked formerly (2026-01-10)"),
    (
        "tobacco",
        (smoking(DAILY), taking("nicotine 21 MG/DAY Transdermal System")),
        {},
        "treated with nicotine",
    ),
    (
        "tobacco",
        (smoking(DAILY), procedure("Smoking cessation education", "2026-01-01", "225323000")),
        {},
        "advice to stop smoking 2026-01-01, due again 2027-01-01",
    ),
    (
        "tobacco",
        (smoking(DAILY), UNREADABLE),
        {},
        "smokes (2026-01-10); no advice or treatment to stop on record in the last year; "
        "not readable on the medication list: study drug",
    ),
    # Pressure
    ("hypertension", (), {}, "no blood pressure on record here"),
    (
        "hypertension",
        (number("8480-6", 118, "mm[Hg]", "2026-02-03"),),
        {},
        "118 mmHg (2026-02-03), due again 2027-02-03",
    ),
    (
        "hypertension",
        (number("8480-6", 118, "mm[Hg]", "2024-02-03"), number("8462-4", 79, "mm[Hg]", "2024-02-03")),
        {},
        "last 118/79 mmHg (2024-02-03), due since 2025-02-03",
    ),
    (
        "hypertension",
        (number("8480-6", 118, "mm[Hg]", "2024-02-03"), number("39156-5", 24.9, "kg/m2")),
        {"patient": person("1990-01-01")},
        "118 mmHg (2024-02-03), due again 2029-02-03",
    ),
    (
        "hypertension",
        (number("8480-6", 118, "mm[Hg]", "2024-02-03"), number("39156-5", 25, "kg/m2")),
        {"patient": person("1990-01-01")},
        "last 118 mmHg (2024-02-03), due since 2025-02-03",
    ),
    # For whom it is, and what settles it
    ("hiv", (), {"patient": person("1970")}, "the age is not known"),
    ("breast-cancer", (), {"patient": person(sex=None)}, "the sex is not known"),
    ("breast-cancer", (), {"patient": person(sex="male")}, "for women"),
    ("abdominal-aortic-aneurysm", (), {"patient": person("1958-11-20")}, "for men"),
    ("hiv", (), {"requested": ALL_TYPES - {"Condition"}}, "problems and screening results not sent"),
    (
        "breast-cancer",
        (problem("C50.911", onsetDateTime="2020-04-01"),),
        {},
        "for people at average risk, not meant with condition C50.911 (2020-04-01)",
    ),
    (
        "breast-cancer",
        (problem("C50.911") | {"code": {"coding": [{"system": ICD10, "code": "C50.911"}]}},),
        {},
        "for people at average risk, not meant with C50.911",
    ),
    (
        "breast-cancer",
        (procedure("Mammography", "2026-03-01", status="not-done", statusReason={"text": "Patient declined"}),),
        {},
        "mammogram declined (2026-03-01)",
    ),
]  # fmt: skip


@for_rows(("service", "entries", "more", "text"), ANSWERS)
def test_an_answer_is_said_in_one_sentence(
    service: str, entries: tuple[Json, ...], more: dict[str, Any], text: str
) -> None:
    assert judged(service, *entries, **more).text == text


def test_an_undated_test_does_not_hide_one_within_its_interval() -> None:
    entries = (procedure("Colonoscopy", None), procedure("Flexible sigmoidoscopy", "2025-05-01"))
    assert judged("colorectal-cancer", *entries).text == "flexible sigmoidoscopy 2025-05-01, due again 2030-05-01"


def test_under_thirty_nothing_is_drafted_where_nothing_is_due() -> None:
    assert judged("cervical-cancer", result(PAP, "NILM"), patient=person("2000-01-01")).order is None


def test_an_hpv_test_without_a_date_leaves_it_open() -> None:
    found = judged("cervical-cancer", undated(result(HPV, "Not detected")))
    assert (found.state, found.text) == ("not known", "HPV test on record without a date")


def test_the_fact_of_a_glucose_and_of_a_pressure_is_the_measurement() -> None:
    a1c = number("4548-4", 5.6, "%") | {"id": "a1"}
    found = judged("diabetes", a1c)
    assert found.facts == (Fact(name="hba1c", value=5.6, unit="%", effective="2026-01-10", source="Observation/a1"),)
    assert found.next_due == date(2029, 1, 10)
    raised = judged("diabetes", a1c | {"valueQuantity": {"value": 5.7, "unit": "%", "code": "%"}})
    assert (raised.because, raised.next_due, [fact.value for fact in raised.facts]) == ("abnormal", None, [5.7])
    for when, state in (("2026-02-03", "not due"), ("2024-02-03", "due")):
        pressure = judged("hypertension", number("8480-6", 118, "mm[Hg]", when) | {"id": "p1"})
        assert (pressure.state, pressure.next_due) == (state, date(int(when[:4]) + 1, 2, 3))
        assert pressure.facts == (Fact(name="sbp", value=118, unit="mm[Hg]", effective=when, source="Observation/p1"),)
    nothing = judged("hypertension")
    assert (nothing.because, nothing.order, nothing.facts) == ("never-seen", None, ())


@for_rows(
    ("entries", "factors"),
    [
        ((problem("E78.5"), smoking(NEVER)), "high cholesterol"),
        ((problem("E11.9"), smoking(NEVER)), "diabetes"),
        ((problem("I10"), smoking(NEVER)), "hypertension"),
        ((smoking(DAILY),), "smoking"),
        ((problem("I10"), problem("E11.9"), problem("E78.5"), smoking(DAILY)),
         "high cholesterol, diabetes, hypertension, smoking"),
    ],
)  # fmt: skip
def test_a_statin_that_is_due_names_the_risk_and_every_risk_factor(entries: tuple[Json, ...], factors: str) -> None:
    numbers = tuple(one for one in RISK if "valueQuantity" in one)
    found = judged("statin", *numbers, *entries, patient=person("1952-11-20", "male"))
    risk, _, rest = found.text.partition(", ")
    assert (found.state, found.because, rest) == ("due", "risk", f"{factors}, no statin found")
    assert 10 <= float(risk.removeprefix("10-year risk ").removesuffix(" in 100 (PREVENT)")) <= 60


def test_a_risk_that_cannot_be_computed_says_what_is_missing_without_the_name_of_the_equation() -> None:
    entries = tuple(one for one in RISK if one["code"]["coding"][0]["code"] != "2093-3")
    found = judged("statin", *entries, patient=person("1962-11-20", "male"))
    assert (found.state, found.because) == ("not known", "not-charted")
    assert found.text.startswith("10-year risk not computed: ")
    assert "PREVENT" not in found.text
    assert not found.text.endswith(".")
