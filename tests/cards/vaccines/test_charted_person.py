"""The person of a chart as CDC's rules ask for it: problems, procedures, allergies, drugs and a pregnancy."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cards.vaccines.knowledge import Period, load_knowledge
from cards.vaccines.patient import (
    ONSET_OF_PREGNANCY,
    PREGNANT,
    ChartedPerson,
    DosesByDay,
    GivenDose,
    LatestDose,
    Person,
    doses_by_antigen,
    read_person,
)
from tests.each import for_rows
from tests.fhir.builders import (
    MAN,
    SNOMED,
    WOMAN,
    allergy,
    condition,
    encounter,
    medication_order,
    observation,
    problem,
    procedure,
    record_of,
)

Json = dict[str, Any]
PROVISIONAL: Json = {"coding": [{"code": "provisional"}]}
CVX = "http://hl7.org/fhir/sid/cvx"
TRANSPLANT, CHICKENPOX, INTUSSUSCEPTION, HEPATITIS_C, NEURO = (
    "234336002", "38907003", "49723003", "50711007", "84757009",
)  # fmt: skip


def _person(*resources: Json, patient: Json | None = None) -> ChartedPerson:
    charted = read_person(record_of(*resources, patient=patient or WOMAN))
    assert charted is not None
    return charted


def _observed(*resources: Json, patient: Json | None = None) -> list[tuple[str, date | None, str]]:
    person = _person(*resources, patient=patient).person
    return [(item.code, item.since, item.source) for item in person.observations]


def _codes(*resources: Json) -> list[str]:
    return [code for code, _, _ in _observed(*resources)]


def _to_check(*resources: Json) -> list[str]:
    return [item.code for item in _person(*resources).to_check]


@pytest.mark.parametrize(
    ("patient", "gender"),
    [({"gender": "female"}, "Female"), ({"gender": "male"}, "Male"), ({"gender": "other"}, "Unknown")],
)
def test_the_person(patient: Json, gender: str) -> None:
    person = _person(patient=WOMAN | patient).person
    assert (person.birth_date, person.gender, person.country) == (date(1956, 11, 20), gender, "")


@pytest.mark.parametrize("born", ["1956-11", "1956", None])
def test_a_birth_date_that_is_no_day_is_none(born: str | None) -> None:
    assert read_person(record_of(patient=WOMAN | {"birthDate": born})) is None


@pytest.mark.parametrize(("written", "country"), [("usa", "U.S."), (" United States ", "U.S."), ("Peru", "Peru")])
def test_the_country_of_birth(written: str, country: str) -> None:
    place = {"url": "http://hl7.org/fhir/StructureDefinition/patient-birthPlace", "valueAddress": {"country": written}}
    assert _person(patient=WOMAN | {"extension": [place]}).person.country == country


# Problems


@for_rows(
    ("words", "codes"),
    [
        ("Anaphylaxis caused by vaccine product containing Hepatitis A virus antigen (disorder)", ["096"]),
        ("anaphylactic shock after MMR vaccine", ["091", "092", "093"]),
        ("mother had anaphylaxis to flu vaccine", []),
        ("no anaphylaxis to influenza vaccine", []),
        ("anaphylaxis to peanut", []),
        ("reaction to MMR vaccine", []),
    ],
)
def test_an_anaphylaxis_to_a_vaccine_counts_from_the_problems_also_when_over(words: str, codes: list[str]) -> None:
    for status in ("active", "resolved"):
        assert _codes(problem({"text": words}, status=status)) == codes


@pytest.mark.parametrize(("start", "codes"), [("2026-11-20", ["024"]), ("2026-11-21", [])])
def test_a_problem_of_a_visit_to_come_is_none_yet(start: str, codes: list[str]) -> None:
    visit = encounter("AMB", "planned", id="e9", period={"start": start})
    undated = condition(CHICKENPOX) | {"encounter": {"reference": "Encounter/e9"}}
    assert _codes(undated, visit) == codes


def test_a_problem_that_is_suspected_is_to_be_checked() -> None:
    suspected = condition(CHICKENPOX, verificationStatus=PROVISIONAL)
    assert (_codes(suspected), _to_check(suspected)) == ([], ["024"])
    assert (_codes(condition(CHICKENPOX), suspected | {"id": "c2"})) == ["024"]
    assert _to_check(condition(CHICKENPOX), suspected | {"id": "c2"}) == []


def test_a_neurologic_disorder_may_be_progressive_or_not() -> None:
    assert (_codes(condition(NEURO)), _to_check(condition(NEURO))) == ([], ["076"])


# Procedures


@pytest.mark.parametrize(("cells", "is_severe"), [(80, True), (199, True), (200, False)])
def test_a_low_cd4_count_says_how_far_hiv_suppresses(cells: float, is_severe: bool) -> None:
    count = observation("24467-3", cells, "/uL")
    assert ("154" in _codes(condition("B20", "http://hl7.org/fhir/sid/icd-10-cm"), count)) is is_severe
    assert "154" not in _codes(count)
    suspected = condition("B20", "http://hl7.org/fhir/sid/icd-10-cm", verificationStatus=PROVISIONAL)
    assert "154" not in _codes(suspected, count)


@pytest.mark.parametrize(("born", "is_severe"), [("2020-11-20", True), ("2020-11-21", False)])
def test_a_low_cd4_count_is_one_of_six_years_and_older(born: str, is_severe: bool) -> None:
    hiv, count = condition("B20", "http://hl7.org/fhir/sid/icd-10-cm"), observation("24467-3", 80, "/uL")
    codes = [code for code, _, _ in _observed(hiv, count, patient=WOMAN | {"birthDate": born})]
    assert ("154" in codes) is is_severe


@pytest.mark.parametrize(
    "concept",
    [
        {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "G61.0"}]},
        {"coding": [{"system": SNOMED, "code": "40956001"}]},
        {"text": "Guillain-Barré syndrome"},
    ],
)
def test_a_guillain_barre_syndrome_by_its_codes_or_its_name(concept: Json) -> None:
    assert _person(problem(concept)).guillain_barre is not None
    assert _person(problem({"text": "No Guillain-Barré syndrome"})).guillain_barre is None


def _procedure(**more: Any) -> Json:
    concept = {"coding": [{"system": SNOMED, "code": TRANSPLANT}], "text": "Stem cell transplant"}
    return procedure(concept, when="2026-03-01", id="p1") | more


def test_a_transplant_is_of_stem_cells_of_any_kind_and_of_a_date() -> None:
    day = date(2026, 3, 1)
    begins = {"157": date(2026, 5, 31)}  # what CDC asks for after a transplant of an organ, from 3 months on
    codes = ("004", "171", "246", "157")
    assert _observed(_procedure()) == [(code, begins.get(code, day), "Procedure/p1") for code in codes]
    period = {"performedDateTime": None, "performedPeriod": {"start": "2026-04-01", "end": "2026-04-02"}}
    assert {since for code, since, _ in _observed(_procedure(**period)) if code != "157"} == {date(2026, 4, 1)}
    assert {since for _, since, _ in _observed(_procedure(performedDateTime=None))} == {None}
    undated = _procedure(performedDateTime=None, id="p2")
    assert [_person(*both).person.observed("004") for both in ((_procedure(), undated), (undated,))] == [day, None]


@pytest.mark.parametrize(("day", "is_open"), [("2026-08-21", True), ("2026-08-22", False)])
def test_pneumococcal_vaccines_begin_three_months_after_a_transplant(day: str, is_open: bool) -> None:
    assert ("157" in _codes(_procedure(performedDateTime=day))) is is_open


@pytest.mark.parametrize(
    "more", [{"status": "not-done"}, {"status": "in-progress"}, {"performedDateTime": "2027-03-01"}]
)
def test_a_procedure_that_was_not_done_is_none(more: Json) -> None:
    assert _codes(_procedure(**more)) == []


# Allergies


def _allergy(words: str = "", codes: tuple[tuple[str, str], ...] = (), **more: Any) -> Json:
    named = {"text": words} if words else {}
    return allergy({"coding": [{"system": system, "code": code} for system, code in codes]} | named, id="a1") | more


_HIGH: Json = {"criticality": "high"}
_LOW: Json = {"criticality": "low"}
_SEVERE = {"reaction": [{"manifestation": [{"text": "Rash"}], "severity": "severe"}]}
_MILD = {"reaction": [{"manifestation": [{"text": "Rash"}], "severity": "mild"}]}


@for_rows(("more", "observed"), [(_HIGH, True), (_SEVERE, True), (_LOW, False), (_MILD, False), ({}, False)])
def test_an_allergy_to_a_coded_vaccine_counts_where_it_was_severe(more: Json, observed: bool) -> None:
    assert _codes(_allergy(codes=((CVX, "3"),), **more)) == (["091", "092", "093"] if observed else [])
    assert _codes(_allergy(codes=((CVX, "03"),), **more)) == (["091", "092", "093"] if observed else [])
    assert _codes(_allergy(codes=(("urn:x", "03"),), **more)) == []
    assert _codes(_allergy(code={"coding": [{"system": CVX}]}, **more)) == []


@pytest.mark.parametrize(
    ("words", "codes"),
    [("MMR vaccine", ["091", "092", "093"]), ("Gelatin", ["102"]), ("Neomycin and yeast", ["107", "110"])],
)
def test_an_allergy_in_words_counts_where_it_was_severe_and_else_is_asked(words: str, codes: list[str]) -> None:
    for more in (_HIGH, _SEVERE):
        assert (_codes(_allergy(words, **more)), _to_check(_allergy(words, **more))) == (codes, [])
    assert (_codes(_allergy(words)), _to_check(_allergy(words))) == ([], codes)
    for more in (_LOW, _MILD):
        assert (_codes(_allergy(words, **more)), _to_check(_allergy(words, **more))) == ([], [])


@pytest.mark.parametrize("words", ["Gelatinous capsules", "Peanut", "Mother: gelatin"])
def test_other_words_are_no_substance_of_a_vaccine(words: str) -> None:
    assert (_codes(_allergy(words, **_HIGH)), _to_check(_allergy(words))) == ([], [])


def test_an_allergy_that_is_over_is_none() -> None:
    over: Json = {"clinicalStatus": {"coding": [{"code": "resolved"}]}}
    assert _codes(_allergy("Gelatin", **(_HIGH | over))) == []


# Medications


def test_a_condition_of_the_chart_s_own_terms() -> None:
    leukaemia = condition("C91.00", "http://hl7.org/fhir/sid/icd-10-cm", onsetDateTime="2025-05-01")
    assert ("178", date(2025, 5, 1), "Condition/c-C91.00") in _observed(leukaemia)
    assert _to_check(leukaemia) == ["246"]
    assert _to_check(medication_order("metformin 500 MG Oral Tablet", authoredOn="2026-11-01")) == []


def test_a_pregnancy_is_counted_from_its_beginning_and_names_the_entry_that_says_so() -> None:
    twenty_weeks = observation("11884-4", 20, "wk", "2026-11-10")
    pregnant = condition("Z33.1", "http://hl7.org/fhir/sid/icd-10-cm")
    (onset,) = [
        seen
        for seen in _observed(pregnant, twenty_weeks, patient=WOMAN | {"birthDate": "1996-11-20"})
        if seen[0] == ONSET_OF_PREGNANCY
    ]
    over = condition("Z33.1", "http://hl7.org/fhir/sid/icd-10-cm", "resolved")
    on_men = [_observed(entry, patient=MAN) for entry in (pregnant, over)]
    assert [PREGNANT in [code for code, *_ in seen] for seen in on_men] == [True, False]
    assert onset == (ONSET_OF_PREGNANCY, date(2026, 11, 10) - timedelta(weeks=20), f"Observation/{twenty_weeks['id']}")


DAYS = st.dates(date(2020, 1, 1), date(2020, 3, 1))
DOSES = st.lists(st.builds(GivenDose, DAYS, st.sampled_from(["03", "08", "21"])), max_size=25).map(
    lambda doses: sorted(doses, key=lambda dose: dose.given)
)
VACCINES = st.frozensets(st.sampled_from(["03", "08", "21", "94"]))
PERIOD = Period(days=5)


@given(DOSES, VACCINES, DAYS, DAYS)
def test_doses_are_counted_from_a_day_and_before_another(
    doses: list[GivenDose], cvx: frozenset[str], begin: date, end: date
) -> None:
    wanted = [one for one in doses if (not cvx or one.cvx in cvx) and begin <= one.given < end]
    assert DosesByDay(doses).count(cvx, begin, end) == len(wanted)
    assert DosesByDay(doses).has_any(cvx) is any(not cvx or one.cvx in cvx for one in doses)


@given(DOSES, VACCINES.filter(bool), DAYS)
def test_the_latest_day_lies_the_period_before(doses: list[GivenDose], cvx: frozenset[str], day: date) -> None:
    days = [one.given for one in doses if one.cvx in cvx and PERIOD.after(one.given) <= day]
    assert DosesByDay(doses).latest_before(cvx, day, PERIOD) == max(days, default=None)


@given(DOSES, st.sets(st.integers(0, 24)))
def test_the_latest_dose_is_neither_itself_nor_one_that_is_left_out(doses: list[GivenDose], numbers: set[int]) -> None:
    latest, left_out = LatestDose(doses), set[int]()
    for number, dose in enumerate(doses):
        before = [one.given for one in doses if one is not dose and id(one) not in left_out and one.given <= dose.given]
        assert latest.up_to(dose, left_out) == max(before, default=None)
        if number in numbers:
            left_out.add(id(dose))
    counted = [one.given for one in doses if id(one) not in left_out]
    assert latest.up_to(None, left_out) == max(counted, default=None)


def test_a_live_zoster_vaccine_counts_as_one_of_varicella_before_fifty() -> None:
    for given_on, antigen in ((date(2006, 11, 19), "Varicella"), (date(2006, 11, 20), "Zoster")):
        dose = GivenDose(given_on, "121")
        person = Person(date(1956, 11, 20), doses=(dose,))
        assert doses_by_antigen(person, load_knowledge().schedule) == {antigen: (dose,)}
