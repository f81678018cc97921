"""Each of the twelve services: due, not due for each reason, not known; near each threshold; look-alikes."""

from typing import Any

from tests.cards.preventive.charts import (
    DAILY,
    FORMER,
    OVERWEIGHT,
    RISK,
    SMOKER,
    Json,
    judged,
    number,
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
from tests.fhir.builders import SNOMED, service_request

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
