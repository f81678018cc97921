"""Each of the twelve services: due, not due for each reason, not known; near each threshold; look-alikes."""

from typing import Any

from tests.cards.preventive.charts import (
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
    state,
    taking,
)
from tests.each import for_rows
from tests.fhir.builders import SNOMED, allergy, service_request

FIRES: dict[str, tuple[tuple[Json, ...], dict[str, Any]]] = {
    "colorectal-cancer": ((), {}), "cervical-cancer": ((), {}), "breast-cancer": ((), {}), "lung-cancer": (SMOKER, {}),
    "abdominal-aortic-aneurysm": ((smoking(FORMER),), {"patient": person("1958-11-20", "male")}),
    "hepatitis-c": ((), {}), "hiv": ((), {}), "osteoporosis": ((), {"patient": person("1958-11-20")}),
    "diabetes": ((OVERWEIGHT,), {}), "statin": (RISK, {"patient": person("1962-11-20", "male")}),
    "tobacco": ((smoking(DAILY),), {}), "hypertension": ((), {}),
}  # fmt: skip


@for_rows("service", FIRES)
def test_it_is_due_where_everything_was_sent_and_no_test_is_in_it(service: str) -> None:
    resources, more = FIRES[service]
    found = judged(service, *resources, **more)
    assert found.state == "due", found.text
    assert (found.order is None) == (service == "hypertension")


@for_rows("service", FIRES)
def test_it_is_not_known_where_what_decides_was_not_sent(service: str) -> None:
    resources, more = FIRES[service]
    found = judged(service, *resources, **more, requested=frozenset({"Encounter"}))
    assert (found.state, found.because) in {("not known", "not-sent"), ("not known", "not-charted")}, found.text


@for_rows("service", FIRES)
def test_without_an_age_nothing_is_known(service: str) -> None:
    assert state(service, patient=person("1970")) == ("not known", "not-charted")


# Done, ordered, declined

DONE: dict[str, tuple[Json, ...]] = {
    "colorectal-cancer": (procedure("Colonoscopy", "2016-11-21", "73761001"),
                          procedure("Flexible sigmoidoscopy", "2021-11-21"),
                          report("CT colonography", "2021-11-21", "79069-1"), result("77354-9", when="2023-11-21"),
                          result("57905-2", when="2025-11-21")),
    "cervical-cancer": (result("10524-7", "NILM", "2023-11-21"), result("82675-0", "Not detected", "2021-11-21"),
                        report("Pap smear", "2024-05-01")),
    "breast-cancer": (procedure("Mammography", "2024-11-21", "71651007"), report("MG Breast", "2025-01-01", "24606-6")),
    "lung-cancer": (procedure("Low dose CT of chest", "2025-11-21"), report("", "2026-01-01", "79086-5")),
    "abdominal-aortic-aneurysm": (procedure("Ultrasound of abdominal aorta", "2003"),),
    "hepatitis-c": (result("13955-0"), procedure("Hepatitis C antibody test", "2001-01-01", "104375008")),
    "hiv": (result("56888-1"), procedure("HIV antigen test", "2001-01-01", "31676001")),
    "osteoporosis": (procedure("Bone density scan", "2010-01-01", "312681000"), report("DXA hip", "2010-01-01")),
    "diabetes": (number("4548-4", 5.4, "%", "2023-11-21"), number("1558-6", 92, "mg/dL", "2024-01-01"),
                 number("2345-7", 99, "mg/dL", "2024-01-01")),
    "statin": (taking("atorvastatin 20 MG Oral Tablet"),),
    "tobacco": (procedure("Smoking cessation education", "2026-01-01", "225323000"),
                taking("nicotine 21 MG/DAY Transdermal System")),
    "hypertension": (number("8480-6", 120, "mm[Hg]", "2025-11-21"),),
}  # fmt: skip


@for_rows(("service", "entry"), [(service, entry) for service, entries in DONE.items() for entry in entries])
def test_a_test_within_its_interval_keeps_it_silent(service: str, entry: Json) -> None:
    resources, more = FIRES[service]
    assert state(service, *resources, entry, **more) == ("not due", "done")


LAST_DAYS = {
    "colorectal-cancer": procedure("Colonoscopy", "2016-11-20", "73761001"),
    "cervical-cancer": result("10524-7", "NILM", "2023-11-20"),
    "breast-cancer": procedure("Mammography", "2024-11-20", "71651007"),
    "lung-cancer": procedure("Low dose CT of chest", "2025-11-20"),
    "diabetes": number("4548-4", 5.4, "%", "2023-11-20"),
    "tobacco": procedure("Smoking cessation education", "2025-11-20"),
    "hypertension": number("8480-6", 120, "mm[Hg]", "2025-11-20"),
}


@for_rows("service", LAST_DAYS)
def test_on_the_day_on_which_the_interval_is_over_it_is_due_again(service: str) -> None:
    resources, more = FIRES[service]
    assert judged(service, *resources, LAST_DAYS[service], **more).state == "due"


@for_rows("service", [name for name in FIRES if name != "hypertension"])
def test_the_order_that_it_suggests_keeps_it_silent(service: str) -> None:
    resources, more = FIRES[service]
    suggested = judged(service, *resources, **more).order
    assert suggested is not None
    coding = {"coding": list(suggested.coding)} if suggested.coding else {}
    request = service_request({**coding, "text": suggested.text}, status="draft", id="s", authoredOn="2026-11-20")
    assert state(service, *resources, request, **more) == ("not due", "ordered")
    for gone in ({"status": "revoked"}, {"authoredOn": "2026-08-01"}, {"intent": "proposal"}, {"intent": "option"}):
        assert judged(service, *resources, request | gone, **more).state == "due"
    assert state(service, *resources, request | {"doNotPerform": True}, **more) == ("not due", "declined")


# Ages and sexes: the last year inside, and the first one outside


@for_rows("service", ["cervical-cancer", "breast-cancer", "osteoporosis", "abdominal-aortic-aneurysm"])
def test_it_is_for_one_sex_and_not_known_where_the_sex_is_not(service: str) -> None:
    born = "1966-11-20" if service in ("cervical-cancer", "breast-cancer") else "1958-11-20"
    other = "female" if service == "abdominal-aortic-aneurysm" else "male"
    assert state(service, smoking(FORMER), patient=person(born, other)) == ("not due", "sex")
    assert state(service, smoking(FORMER), patient=person(born, None)) == ("not known", "not-charted")


# Conditions, and what only looks like them

EXCLUDED = [
    ("colorectal-cancer", problem("C18.2")),
    ("colorectal-cancer", problem("Z80.0")),
    ("lung-cancer", problem("Z99.81")),
    ("colorectal-cancer", problem("Z85.038", status="resolved")),
    ("colorectal-cancer", problem("K51.90")),
    ("colorectal-cancer", problem("D12.6")),
    ("colorectal-cancer", problem("315058005", SNOMED)),
    ("colorectal-cancer", procedure("Total abdominal colectomy", "2001-01-01")),
    ("colorectal-cancer", procedure("x", "2001-01-01", "26390003")),
    ("cervical-cancer", problem("Z90.710")),
    ("cervical-cancer", problem("B20")),
    ("cervical-cancer", problem("D06.9", status="resolved")),
    ("cervical-cancer", problem("Z94.0")),
    ("cervical-cancer", procedure("Total hysterectomy", "1999", "116140006")),
    ("cervical-cancer", procedure("Laparoscopic radical hysterectomy", "1999")),
    ("cervical-cancer", procedure("Vaginoplasty by penile inversion", "2019")),
    ("breast-cancer", problem("C50.911")),
    ("breast-cancer", problem("Z85.3")),
    ("breast-cancer", problem("Z15.01")),
    ("breast-cancer", problem("Z90.13")),
    ("breast-cancer", procedure("Bilateral mastectomy", "2015-01-01", "27865001")),
    ("hepatitis-c", problem("B18.2")),
    ("hepatitis-c", problem("K74.60")),
    ("hiv", problem("B20")),
    ("hiv", problem("Z21")),
    ("diabetes", problem("E11.9")),
    ("diabetes", problem("R73.03")),
    ("diabetes", problem("77386006", SNOMED, onsetDateTime="2026-09-01")),
    ("diabetes", taking("metformin 500 MG Oral Tablet")),
    ("lung-cancer", problem("C34.90")),
    ("tobacco", problem("F99", status="resolved")),
    ("hypertension", problem("I10")),
]


@for_rows(("service", "entry"), [each for each in EXCLUDED if each[0] != "tobacco"])
def test_a_condition_for_which_it_is_not_meant_keeps_it_silent(service: str, entry: Json) -> None:
    resources, more = FIRES[service]
    assert state(service, *resources, entry, **more) == ("not due", "condition")


# What a chart says and leaves open, service by service

CERVIX, AORTA, COLON = "cervical-cancer", "abdominal-aortic-aneurysm", "colorectal-cancer"
OLD_MAN, OLD_WOMAN, YOUNG = person("1958-11-20", "male"), person("1958-11-20"), person("1995-06-01")
POSITIVE_STOOL = result("57905-2", "Positive", "2026-01-10")
UNCLEAR_HYSTERECTOMY = procedure("Hysterectomy", "2010-01-01", "236886002")
PACK_YEARS_WITHIN = {
    "code": {"coding": [{"system": "http://loinc.org", "code": "8664-5"}]},
    "valueQuantity": {"value": 30, "unit": "pack-years"},
}
NUMBERS_OF_RISK = tuple(one for one in RISK if one["resourceType"] == "Observation" and "valueQuantity" in one)


def _asked(words: str, **value: object) -> Json:
    """An answer in words alone to a question in words."""
    return {**result("", when="2026-10-01", code={"text": words}), "valueCodeableConcept": None} | value


STATES: list[tuple[str, tuple[Json, ...], Json | None, str]] = [
    # A problem, an observation and an answer can say that the patient declined.
    ("breast-cancer", (problem("Z53.20", recordedDate="2026-05-01") | {"code": {"text": "Mammogram declined"}},), None,
     "not due: declined"),
    ("hiv", (_asked("HIV test", dataAbsentReason={"coding": [{"code": "asked-declined"}]}),), None,
     "not due: declined"),
    ("hiv", (result("56888-1", "Patient declined", "2026-05-01"),), None, "not due: declined"),
    # Known or treated bone loss, and an aneurysm that is known or repaired.
    ("osteoporosis", (problem("M81.0"),), OLD_WOMAN, "not due: condition"),
    ("osteoporosis", (problem("M80.08XA"),), OLD_WOMAN, "not due: condition"),
    ("osteoporosis", (problem("Z79.52"),), OLD_WOMAN, "not due: condition"),
    ("osteoporosis", (taking("alendronate 70 MG Oral Tablet"),), OLD_WOMAN, "not due: condition"),
    ("osteoporosis", (taking("prednisone 5 MG Oral Tablet"),), OLD_WOMAN, "not due: condition"),
    (AORTA, (smoking(FORMER), problem("I71.4")), OLD_MAN, "not due: condition"),
    (AORTA, (smoking(FORMER), procedure("Endovascular repair of abdominal aortic aneurysm", "2020")), OLD_MAN,
     "not due: condition"),
    # Both breasts may have been removed one after the other.
    ("breast-cancer", (procedure("Left simple mastectomy", "2010-01-01"), problem("Z90.11")), None,
     "not due: condition"),
    # A hysterectomy may have left the cervix, and a smear tells of one whatever the sex is.
    (CERVIX, (UNCLEAR_HYSTERECTOMY,), None, "not known: not-charted"),
    (CERVIX, (UNCLEAR_HYSTERECTOMY, problem("Z90.711")), None, "due: never-seen"),
    (CERVIX, (result("10524-7", "NILM", "2020-01-10"),), person("1990-11-20", "male"), "due: interval-over"),
    # Smears that are abnormal, normal, or no result.
    *((CERVIX, (result(*one),), None, "not due: abnormal-result") for one in (
        ("10524-7", "ASC-US"), ("10524-7", "HSIL; no invasion seen"), ("82675-0", "Positive"),
        ("82675-0", "Detected"))),
    *((CERVIX, (result("10524-7", answer),), None, "not due: done")
      for answer in ("NILM", "Negative for intraepithelial lesion or malignancy", "Not detected")),
    (CERVIX, (result("10524-7", "NILM", effectiveDateTime=None), result("82675-0")), None, "not due: done"),
    *((CERVIX, (result("10524-7", answer),), None, "due: never-seen")
      for answer in ("Unsatisfactory for evaluation", "Not performed", "Specimen insufficient", "Unknown")),
    # The kind of a polyp, the day of a colonoscopy, and what stands beside its name.
    (COLON, (problem("K63.5"),), None, "not known: not-charted"),
    (COLON, (procedure("Colonoscopy", None),), None, "not known: not-charted"),
    (COLON, (procedure("Colonoscopy", "2016"),), None, "not due: done"),
    (COLON, (procedure("Colonoscopy", "2015"),), None, "due: interval-over"),
    *((COLON, (procedure(words),), None, "not due: done")
      for words in ("Colonoscopy without biopsy", "Colonoscopy for family history of polyps",
                    "Colonoscopy due to anaemia")),
    (COLON, (_asked("Date of last colonoscopy", valueDateTime="2019-05-01"),), None, "not due: done"),
    (COLON, (_asked("Date of last colonoscopy", valueDateTime="2012-05-01"),), None, "due: interval-over"),
    (COLON, (_asked("Year of last colonoscopy", valueString="2012"),), None, "due: interval-over"),
    (COLON, (_asked("Most recent colonoscopy", valueString="about 3 years ago"),), None, "not known: not-charted"),
    # A procedure with a result of its own is not that of the report of its day; a report without one is no screening.
    (COLON, (procedure("Colonoscopy", outcome={"text": "Cecum reached"}),
             report("Colonoscopy", conclusion="Inadequate bowel prep")), None, "not due: done"),
    (CERVIX, (report("Pap smear", conclusion="Unsatisfactory for evaluation"),), None, "due: never-seen"),
    ("breast-cancer", (report("Mammogram", conclusion="Incomplete views of the axilla, benign"),), None,
     "not due: done"),
    ("hiv", (), person(sex=None), "due: never-seen"),
    # After a positive stool test nothing is screened until a colonoscopy.
    (COLON, (POSITIVE_STOOL,), None, "not due: abnormal-result"),
    (COLON, (POSITIVE_STOOL, procedure("Colonoscopy", "2026-02-01")), None, "not due: done"),
    (COLON, (POSITIVE_STOOL, procedure("Colonoscopy", "2025-12-01")), None, "not due: abnormal-result"),
    (COLON, (result("57905-2", "Not detected"),), None, "not due: done"),
    # Lung cancer is screened by pack-years and time.
    *(("lung-cancer", entries, None, "not known: not-charted") for entries in (
        (), (smoking(DAILY),), (smoking(FORMER), pack_years(30)), (smoking("266927001"), pack_years(30)))),
    ("lung-cancer", (procedure("Low dose CT of chest", "2026-05-20"),), None, "not due: done"),
    *(("lung-cancer", entries, None, "not due: risk") for entries in (
        (smoking(NEVER),), (smoking(NEVER), pack_years(40)), (smoking(DAILY), pack_years(19.9)),
        (smoking(FORMER, "2011-11-20"), pack_years(30)))),
    *(("lung-cancer", entries, None, "due: never-seen") for entries in (
        (smoking(DAILY), pack_years(20)), (smoking(FORMER), smoking(DAILY, "2012-01-01"), pack_years(30)),
        (problem("F17.210"), pack_years(30)), (smoking(DAILY) | {"component": [PACK_YEARS_WITHIN]},),
        (smoking(DAILY), pack_years(30, code={"coding": [{"system": SNOMED, "code": "401201003"}]})))),
    # Men who never smoked are not screened for an aneurysm; a non-smoker may have smoked.
    (AORTA, (smoking(NEVER),), OLD_MAN, "not due: risk"),
    (AORTA, (), OLD_MAN, "not known: not-charted"),
    (AORTA, (result("72166-2", "Non-smoker"),), OLD_MAN, "not known: not-charted"),
    (AORTA, (result("72166-2", "Non-smoker"), smoking(DAILY, "2001-01-01")), OLD_MAN, "due: never-seen"),
    # Diabetes is screened with overweight and after a normal result.
    ("diabetes", (number("39156-5", 25.0, "kg/m2"),), None, "due: never-seen"),
    ("diabetes", (number("39156-5", 24.9, "kg/m2"),), None, "not due: risk"),
    ("diabetes", (), None, "not known: not-charted"),
    ("diabetes", (problem("E66.9"),), None, "due: never-seen"),
    ("diabetes", (OVERWEIGHT, number("4548-4", 5.7, "%")), None, "not due: abnormal"),
    ("diabetes", (OVERWEIGHT, number("4548-4", 5.6, "%")), None, "not due: done"),
    ("diabetes", (OVERWEIGHT, number("1558-6", 100, "mg/dL")), None, "not due: abnormal"),
    ("diabetes", (OVERWEIGHT, number("1558-6", 5.5, "mmol/L")), None, "not due: done"),
    ("diabetes", (OVERWEIGHT, number("2345-7", 140, "mg/dL")), None, "due: never-seen"),
    ("diabetes", (OVERWEIGHT, number("14771-0", 5.0, "mmol/L", "2025-01-01")), None, "not due: done"),
    # A statin is suggested neither without a risk factor nor under ten in a hundred.
    ("statin", (*NUMBERS_OF_RISK, smoking(NEVER)), person("1951-11-20", "male"), "not due: risk"),
    ("statin", (*NUMBERS_OF_RISK, smoking(NEVER), problem("E78.5")), person("1985-11-20"), "not due: risk"),
    # An HPV test counts from thirty on.
    (CERVIX, (result("82675-0", when="2025-06-01"),), YOUNG, "not due: done"),
    (CERVIX, (result("82675-0", when="2025-05-31"),), YOUNG, "due: never-seen"),
    # What was abnormal is followed up by its result; what the chart says of an organ goes before the sex.
    (CERVIX, (procedure("LEEP of cervix", "2012-02-01"),), None, "not due: abnormal"),
    (CERVIX, (result("10524-7", "Abnormal", "2025-06-01"),), None, "not due: abnormal"),
    (CERVIX, (result("10524-7", "Abnormal", "2020-06-01"), result("82675-0", when="2025-06-01")), None,
     "not due: done"),
    (CERVIX, (_asked("Cervix", valueString="absent"),), None, "not due: condition"),
    (CERVIX, (_asked("Cervix", valueString="absent", status="preliminary"),), None, "due: never-seen"),
    (CERVIX, (_asked("Cervix", valueString="absent"), result("10524-7", "NILM", "2010-06-01")), person(sex="male"),
     "not due: condition"),
    (CERVIX, (_asked("Cervix", valueString="present"),), person(sex="male"), "due: never-seen"),
    ("breast-cancer", (_asked("Breasts", valueString="none"),), None, "not due: condition"),
    # A study of the belly that says how wide the aorta is answers the question.
    *((AORTA, (smoking(FORMER), report(name, conclusion=text)), OLD_MAN, "not due: done") for name, text in (
        ("CT abdomen", "Abdominal aorta 2.1 cm, no aneurysm"), ("CT Abdomen", "Bauchaorta regelrecht weit"),
        ("CT abdomen and pelvis", "Aorta is normal in caliber, 2.1 cm. Appendix normal."),
        ("TC addome", "Aorta addominale di calibro regolare"), ("Scan", "No abdominal aortic aneurysm"))),
    *((AORTA, (smoking(FORMER), report(name, conclusion=text)), OLD_MAN, "due: never-seen") for name, text in (
        ("CT abdomen", "Normal appendix; liver normal"), ("CT chest", "Aorta normal in caliber"),
        ("CT abdomen", "Descending thoracic aorta normal"), ("CT abdomen", "Calcified aorta. Normal kidneys"),
        ("US abdomen", "Aorta obscured by gas, caliber not assessed"),
        ("CT abdomen", "Retroaortic left renal vein, normal kidneys"))),
    ("lung-cancer", (*SMOKER, procedure("Low dose CT of chest", None)), None, "not known: not-charted"),
    ("statin", (*RISK, number("13457-7", 190, "mg/dL")), person("1962-11-20", "male"), "due: risk"),
    ("statin", (*RISK, number("13457-7", 190.1, "mg/dL")), person("1962-11-20", "male"), "not due: condition"),
    # An entry without a code or a value says nothing.
    *((COLON, (entry,), None, "due: never-seen") for entry in (
        procedure("x") | {"code": None}, report("x") | {"code": None},
        service_request("x", id="o1", authoredOn="2026-11-01") | {"code": None})),
    ("hiv", (result("56888-1", valueCodeableConcept=None, valueQuantity={"unit": "S/CO"}),), None, "not due: done"),
    (CERVIX, (_asked("Cervix", valueString="absent", effectiveDateTime="2020-01-10", id="x"),
              _asked("Cervix", valueString="present")), person(sex="male"), "due: never-seen"),
    (CERVIX, (_asked("Cervix", valueString="smooth"),), None, "due: never-seen"),
    ("statin", (*RISK, allergy("atorvastatin")), person("1962-11-20", "male"), "not due: condition"),
]  # fmt: skip


@for_rows(("service", "entries", "patient", "expected"), STATES)
def test_what_a_chart_says_and_leaves_open(
    service: str, entries: tuple[Json, ...], patient: Json | None, expected: str
) -> None:
    kept = [{name: value for name, value in entry.items() if value is not None} for entry in entries]
    assert ": ".join(state(service, *kept, patient=patient)) == expected


@for_rows(("born", "test"), [("1996-11-20", "HPV"), ("1996-11-21", "cytology")])
def test_before_thirty_a_smear_is_suggested(born: str, test: str) -> None:
    suggested = judged(CERVIX, patient=person(born)).order
    assert suggested is not None
    assert test in suggested.text


# Order and duplicates


@for_rows("lacking", ["Condition", "Procedure", "screening", "smoking_status", "hba1c", "sbp"])
def test_what_was_not_sent_is_named(lacking: str) -> None:
    answers = [
        judged(service, *FIRES[service][0], **FIRES[service][1], requested=EVERYTHING - {lacking}) for service in FIRES
    ]
    unknown = [one for one in answers if one.because == "not-sent"]
    assert unknown
    assert all(one.state == "not known" and "not sent" in one.text for one in unknown)


# Services that are due by smoking, weight, pressure, glucose and risk: near each threshold.
# Smoking


@for_rows(
    ("systolic", "diastolic", "when", "born", "expected"),
    [
        (129, 79, "2025-11-20", "1986-11-21", ("not due", "done")),
        (130, 79, "2025-11-20", "1986-11-21", ("due", "interval-over")),
        (129, 80, "2025-11-20", "1986-11-21", ("due", "interval-over")),
        (129, 79, "2025-11-20", "1986-11-20", ("due", "interval-over")),
        (139, 89, "2026-11-10", "1986-11-21", ("not due", "done")),
        (140, 89, "2026-11-10", "1986-11-21", ("not due", "abnormal")),
        (139, 90, "2026-11-10", "1986-11-21", ("not due", "abnormal")),
    ],
)
def test_a_blood_pressure_is_measured_again_each_year_from_forty_or_from_130_over_80(
    systolic: float, diastolic: float, when: str, born: str, expected: tuple[str, str]
) -> None:
    entries = number("8480-6", systolic, "mm[Hg]", when), number("8462-4", diastolic, "mm[Hg]", when)
    assert state("hypertension", *entries, patient=person(born, "female")) == expected


def test_to_ask_is_no_order() -> None:
    assert judged("tobacco").order is None


# Numbers


def test_the_risk_says_by_which_equation() -> None:
    assert "PREVENT" in judged("statin", *RISK, patient=person("1962-11-20", "male")).text


def test_an_answer_by_code_alone_is_said_in_words() -> None:
    assert judged("tobacco", smoking("266919005")).text == "asked: never smoked (2026-01-10)"


# Entries that name a screening test which was not done, not to its end, or elsewhere at another time.


@for_rows(
    "entry",
    [
        procedure("Incomplete colonoscopy"),
        procedure("Incomplete colonoscopy", code="73761001"),
        procedure("Colonoscopy", status="stopped"),
        procedure("Colonoscopy", outcome={"text": "Cecum not reached"}),
        procedure("Colonoscopy", note=[{"text": "Cecum not reached"}, {"authorString": "Dr. Vega"}]),
        report("Colonoscopy", conclusion="Inadequate bowel prep, hepatic flexure only"),
    ],
)
def test_a_colonoscopy_that_was_not_done_to_its_end_is_repeated(entry: Json) -> None:
    found = judged(COLON, entry)
    assert found.because == "abnormal-result"
    assert found.text.startswith("Colonoscopy not complete (2026-01-10): repeat it")
    assert state(COLON, entry, procedure("Colonoscopy", "2026-03-01")) == ("not due", "done")
    assert judged(COLON, entry, patient=person("1945-01-01")).because == "age"


def test_a_test_of_a_year_is_shown_with_the_year_that_the_chart_has() -> None:
    assert judged(COLON, procedure("Colonoscopy", "2019", "73761001")).text.startswith("colonoscopy 2019, ")


AGES = {
    "colorectal-cancer": (45, 75), "cervical-cancer": (21, 65), "breast-cancer": (40, 74), "lung-cancer": (50, 80),
    "abdominal-aortic-aneurysm": (65, 75), "hepatitis-c": (18, 79), "hiv": (15, 65), "osteoporosis": (65, None),
    "diabetes": (35, 70), "statin": (40, 75), "tobacco": (18, None), "hypertension": (18, None),
}  # fmt: skip


@for_rows("service", AGES)
def test_the_ages_are_those_of_the_recommendation(service: str) -> None:
    low, high = AGES[service]
    sex = "male" if service == "abdominal-aortic-aneurysm" else "female"
    resources, _ = FIRES[service]

    def reason(born: str) -> str:
        return judged(service, *resources, patient=person(born, sex)).because

    assert reason(f"{2026 - low}-11-21") == "age"  # tomorrow
    assert reason(f"{2026 - low}-11-20") != "age"  # today
    if high is not None:
        assert reason(f"{2026 - high - 1}-11-21") != "age"
        assert reason(f"{2026 - high - 1}-11-20") == "age"
