"""The card of the vaccines due as a clinician reads it: ages, dates of a risk, each line, what was not looked at."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from cards.card import Card, CardIdentity
from cards.compose.vaccines import _days, forecast_entries, immunization_recommendation, vaccines_card
from cards.extension import VaccineForecast, VaccineForecasts
from cards.vaccines.course import DoseStatus
from cards.vaccines.due import DueVaccine, ForbiddenVaccine, VaccinesDue, VaccineToCheck, vaccines_due
from cards.vaccines.evidence import DeclinedVaccine
from cards.vaccines.forecasting import Forecast, SeriesStatus
from cards.vaccines.groups import GroupForecast
from cards.vaccines.knowledge import (
    Ages,
    AntigenAtAge,
    Period,
    Schedule,
    Vaccine,
    VaccineGroup,
    VaccineKnowledge,
    load_knowledge,
)
from cards.vaccines.patient import PREGNANT, ChartedPerson, PatientObservation, Person, read_person
from fhir.mapping.immunizations import VaccineDose, VaccineHistory
from fhir.record.record import read_record
from tests.cards.vaccines.small_series import BORN, course_of, due, given, rule
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import bundle, concept, lean, made, medication_order, quantity, subject_of

CVX, SNOMED, ICD10 = "http://hl7.org/fhir/sid/cvx", "http://snomed.info/sct", "http://hl7.org/fhir/sid/icd-10-cm"
Json = dict[str, Any]
KNOWLEDGE = load_knowledge()


def doses(cvx: str, *days: str) -> list[Json]:
    dose = {"status": "completed", "vaccineCode": concept(code=cvx, system=CVX), "patient": subject_of("p")}
    return [made("Immunization", id=f"dose-{cvx}-{day}", occurrenceDateTime=day, **dose) for day in days]


def problem(system: str, code: str, since: str, words: str, **more: Any) -> Json:
    return builders.problem(words, code, system, patient="p", id=f"problem-{code}", onsetDateTime=since) | more


def _found(as_of: datetime, born: str, resources: list[Json]) -> tuple[VaccinesDue, ChartedPerson]:
    person: Json = {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": born}
    charted = read_person(read_record({"all": lean(bundle(person, *resources))}, "p", as_of))
    assert charted is not None
    return vaccines_due(charted, as_of.date(), KNOWLEDGE), charted


def card_of(as_of: datetime, born: str, *resources: Json) -> Card:
    found, charted = _found(as_of, born, list(resources))
    identity = CardIdentity("uuid", lambda number: f"suggestion-{number}", "https://cds.example/explain")
    return vaccines_card(found, charted, "p", identity, KNOWLEDGE)


def test_tetanus_is_called_dtap_under_seven_and_tdap_from_then_on(as_of: datetime) -> None:
    assert "DTaP" in card_of(as_of, "2026-09-15").summary
    older = card_of(as_of, "2015-05-01")
    assert "DTaP" not in older.summary + (older.detail or "")
    assert "**Tdap/Td, dose 1**" in (older.detail or "")


def test_an_adult_with_one_recent_tdap_is_asked_for_the_childhood_series_first(as_of: datetime) -> None:
    card = card_of(as_of, "1976-01-10", *doses("115", "2020-02-01"))
    assert "Tdap" not in card.summary
    assert "To catch up, Tdap/Td: only doses of an adult are on record (2020-02-01)" in (card.detail or "")


def test_an_adult_whose_last_tetanus_dose_is_ten_years_old_is_due(as_of: datetime) -> None:
    assert "Tdap/Td, dose 2" in str(card_of(as_of, "1976-01-10", *doses("115", "2016-11-19")).detail)
    assert "Tdap/Td, dose 2" not in str(card_of(as_of, "1976-01-10", *doses("115", "2016-11-21")).detail)


def test_what_may_be_on_record_elsewhere_is_not_preselected(as_of: datetime) -> None:
    card = card_of(as_of, "1996-03-01")
    assert card.summary.startswith("4 to catch up")
    assert not any(one.is_recommended for one in card.suggestions)


def test_a_removed_spleen_is_read_by_its_icd_code_and_dates_what_it_makes_due(as_of: datetime) -> None:
    card = card_of(as_of, "1981-02-01", problem(ICD10, "Z90.81", "2026-05-04", "Acquired absence of spleen"))
    lines = (card.detail or "").splitlines()
    assert "due since 2026-05-04. Because of Acquired absence of spleen." in lines[0]
    assert "- **Meningococcal ACWY, dose 1**: due since 2026-05-04. Same reason." in lines
    assert "Meningococcal B" in card.summary


@pytest.mark.parametrize(("drug", "is_due"), [("Soliris 300 mg", True), ("Zilbrysq 32.4 mg", True), ("Humira", False)])
def test_a_complement_inhibitor_makes_the_meningococcal_vaccines_due(as_of: datetime, drug: str, is_due: bool) -> None:
    detail = card_of(as_of, "1990-03-01", medication_order(drug, patient="p", authoredOn="2026-11-01")).detail or ""
    assert ("**Meningococcal ACWY, dose 1**" in detail and "**Meningococcal B, dose 1**" in detail) == is_due


def test_a_history_of_intussusception_forbids_rotavirus_though_it_is_over(as_of: datetime) -> None:
    over = problem(SNOMED, "49723003", "2026-09-30", "Intussusception", abatementDateTime="2026-10-02")
    card = card_of(as_of, "2026-08-10", over)
    assert "Contraindicated: Rotavirus (Intussusception (2026-09-30))" in (card.detail or "")
    assert "Order Rotavirus dose 1" not in [one.label for one in card.suggestions]


def test_a_dose_that_soon_cannot_be_given_any_more_comes_first_with_its_last_day(as_of: datetime) -> None:
    # CDC: the first dose of rotavirus vaccine before 15 weeks of age.
    card = card_of(as_of, "2026-09-08", *doses("08", "2026-09-08"))
    assert card.summary.startswith("6 vaccines are due: Rotavirus, HepB, ")
    assert "**Rotavirus, dose 1**: due (recommended 2026-11-08), not after 2026-12-21." in (card.detail or "")
    assert [one.label for one in card.suggestions if one.is_recommended] == ["Order Rotavirus dose 1"]
    too_old = card_of(as_of, "2026-08-07", *doses("08", "2026-08-07"))
    assert "Rotavirus" not in too_old.summary + (too_old.detail or "")


def test_vaccines_that_one_entry_forbids_share_a_line(as_of: datetime) -> None:
    pregnant = problem(SNOMED, "77386006", "2026-04-24", "Pregnancy")
    detail = card_of(as_of, "1998-02-01", pregnant).detail or ""
    (line,) = [one for one in detail.splitlines() if "Contraindicated" in one]
    assert "MMR" in line
    assert "Varicella" in line


def test_tdap_in_pregnancy_is_one_dose_whatever_was_given_before(as_of: datetime) -> None:
    weeks = problem(ICD10, "Z3A.30", "2026-11-19", "30 weeks gestation")
    pregnant = problem(SNOMED, "77386006", "2026-04-24", "Pregnancy")
    card = card_of(as_of, "1998-02-01", weeks, pregnant, *doses("115", "2019-04-01"))
    assert "Tdap (in pregnancy)" in card.summary
    assert "One dose in each pregnancy, whatever was given before it (last 2019-04-01)" in (card.detail or "")
    assert card.suggestions[0].label == "Order Tdap"


@for_rows(
    ("week", "given", "waits", "labels"),
    [
        (14, (), True, []),
        (14, ("2012-04-01",), True, []),  # a booster after ten years
        (26, ("2022-05-01",), True, []),
        (26, (), True, []),
        (27, (), False, ["Order Tdap"]),
        (14, ("2026-09-01",), False, []),  # a series that has begun: the registry is asked first
        (14, ("2022-09-01", "2022-10-15", "2023-06-01"), True, []),  # Td only: Tdap is due
    ],
)
def test_a_first_dose_or_a_booster_against_tetanus_waits_for_tdap_in_week_27(
    as_of: datetime, week: int, given: tuple[str, ...], *, waits: bool, labels: list[str]
) -> None:
    """MMWR Recomm Rep 2018;67(RR-2): Tdap in weeks 27 to 36, preferred for a booster; a primary series is not late."""
    weeks = problem(ICD10, f"Z3A.{week}", "2026-11-20", f"{week} weeks gestation")
    pregnant = problem(SNOMED, "77386006", "2026-10-24", "Pregnancy")
    card = card_of(as_of, "1998-02-01", weeks, pregnant, *doses("09", *given))
    assert ("Tdap in weeks 27 to 36 of this pregnancy" in (card.detail or "")) is waits
    assert [offer.label for offer in card.suggestions if "Tdap" in offer.label] == labels


def test_hpv_after_26_years_is_a_shared_decision_with_hiv_too(as_of: datetime) -> None:
    hiv = problem(SNOMED, "86406008", "2024-01-01", "HIV infection")
    card = card_of(as_of, "1986-02-01", hiv)
    assert "Shared decision: HPV" in (card.detail or "")
    assert "HPV" not in card.summary
    # The code does not say how far the immune system is suppressed: live vaccines are to be checked.
    assert "Check first: HIV infection (2024-01-01). Do not vaccinate if" in (card.detail or "")
    assert "severely immunocompromised. This is about MMR, Varicella.\n" in (card.detail or "")


def test_a_dose_of_last_season_does_not_hide_that_this_season_is_not_known(as_of: datetime) -> None:
    for earlier in ([], doses("150", "2025-10-02")):
        detail = card_of(as_of, "1976-01-10", *earlier).detail or ""
        assert "COVID-19 (to 2026-08-27), where the release ends" in detail
        assert "no dose since 2026-06-30" in detail


def test_preferred_vaccines_and_a_dose_that_does_not_count_are_named(as_of: datetime) -> None:
    card = card_of(as_of, "2025-09-15", *doses("03", "2026-10-01"), *doses("21", "2026-10-11"))
    detail = card.detail or ""
    assert "**Pneumococcal (PCV15 or PCV20), dose 1**" in detail
    assert "Also due: Varicella dose 1 (the dose of 2026-10-11 does not count (live virus conflict))" in detail
    assert "Vaccinations of 2 days on record" in detail
    assert "Vaccinations of 1 day on" in (card_of(as_of, "2026-09-15", *doses("08", "2026-09-15")).detail or "")


def test_a_season_without_an_end_lasts_a_year_to_the_day() -> None:
    """CDC's release begins the COVID-19 season on 2025-08-27 and names no end."""
    for day, known in ((26, True), (27, True), (28, False)):
        found, _ = _found(datetime(2026, 8, day, 9, tzinfo=UTC), "1950-01-10", [])
        seasons = dict(found.seasons_over)
        assert (seasons.get("COVID-19") is None) is known, day
        assert seasons["Influenza"] == date(2026, 6, 30)
    assert seasons["COVID-19"] == date(2026, 8, 27)


def test_a_vaccine_is_overdue_from_the_day_after_its_last_recommended_day(as_of: datetime) -> None:
    found, _ = _found(as_of, "2025-09-15", [])
    overdue = [item.label for item in found.due if item.is_overdue(found.as_of)]
    assert overdue == ["HepB", "DTaP", "Hib", "Pneumococcal", "Polio"]
    detail = card_of(as_of, "2025-09-15").detail or ""
    assert detail.count("overdue since") == 5
    assert "overdue since 2025-10-12 (recommended" in detail


def _steroid(mg: float) -> Json:
    timing = {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}
    dosage = {"timing": timing, "doseAndRate": [{"doseQuantity": quantity(mg, "mg")}]}
    return medication_order(
        "prednisone 10 MG Oral Tablet", patient="p", id="steroid", authoredOn="2026-11-01", dosageInstruction=[dosage]
    )


def test_prednisone_suppresses_from_twenty_milligrams_a_day_on(as_of: datetime) -> None:
    # CDC, General Best Practice Guidelines, altered immunocompetence: 20 mg a day or more for 14 days.
    charted = [_found(as_of, "1980-05-01", [_steroid(mg)])[1] for mg in (19.0, 20.0)]
    assert [[entry.source for entry in person.to_check] for person in charted] == [[], ["MedicationRequest/steroid"]]


def test_of_more_than_four_doses_the_earlier_ones_are_counted(as_of: datetime) -> None:
    days = ["2015-06-01", "2017-06-01", "2019-06-01", "2021-06-01", "2023-06-01"]
    for count, beginning in ((4, "2015-06-01, "), (5, "1 earlier, 2017-06-01, ")):
        due, _ = _found(as_of, "1950-05-01", doses("115", *days[:count]))
        evaluations = tuple(
            evaluation
            for item in due.forecasts
            for candidate in item.best
            for evaluation in candidate.course.evaluations
            if item.group == "DTaP/Tdap/Td"
        )
        counted = [item for item in evaluations if item.status is DoseStatus.VALID]
        assert len({item.dose.given for item in counted}) == count
        assert _days(evaluations).startswith(beginning)


AS_OF = date(2010, 1, 1)
EMPTY = VaccinesDue(AS_OF, (), (), (), (), (), (), (), (), ())
IDENTITY = CardIdentity("uuid", lambda number: f"suggestion-{number}", "https://cds.example/explain")
MADE_KNOWLEDGE = VaccineKnowledge(
    Schedule(
        "source",
        "4.64",
        date(2025, 11, 1),
        groups={"A": VaccineGroup(("A",)), "B": VaccineGroup(("B",))},
        vaccines={
            "10": Vaccine("ten", (AntigenAtAge("A"),)),
            "89": Vaccine("A, unspecified formulation", (AntigenAtAge("A"),)),
        },
        conflicts=(),
        observations={},
    ),
    {},
)
BASIS = "No vaccination on record; not seen: doses given elsewhere, travel, occupation."


def person(*doses: VaccineDose) -> ChartedPerson:
    return ChartedPerson(Person(BORN, "Female"), VaccineHistory(doses, ()))


def answer(*items: DueVaccine, **fields: Any) -> VaccinesDue:
    return replace(EMPTY, due=items, **fields)


def lines(found: VaccinesDue, charted: ChartedPerson | None = None) -> list[str]:
    card = vaccines_card(found, charted or person(), "p1", IDENTITY, MADE_KNOWLEDGE)
    assert card.detail is not None
    return card.detail.split("\n")


def summary(found: VaccinesDue) -> str:
    return vaccines_card(found, person(), "p1", IDENTITY, MADE_KNOWLEDGE).summary


def labelled(*labels: str, **fields: Any) -> tuple[DueVaccine, ...]:
    return tuple(due(label=label, group=label, dose_number=1, **fields) for label in labels)


SPLEEN = PatientObservation("014", date(2009, 6, 1), "Condition/1", "no spleen")
PREGNANCY = PatientObservation(PREGNANT, date(2009, 7, 1), "Condition/2", "pregnancy")
ON: dict[str, Any] = {"dose_number": 1, "earliest": date(2009, 1, 1), "recommended": date(2009, 1, 1)}


@for_rows(
    ("items", "more", "expected"),
    [
        (("A",), {}, "1 vaccine is due: A."),
        (("A", "B"), {}, "2 vaccines are due: A, B."),
        ((), {"catch_up": labelled("C", "D")}, "2 to catch up: C, D."),
        (("A",), {"catch_up": labelled("C")}, "1 vaccine is due: A. 1 to catch up."),
        (
            (),
            {"of_season": (("Influenza", AS_OF), ("RSV", AS_OF))},
            "This season: Influenza, RSV.",
        ),
    ],
)
def test_the_headline_counts_what_is_due(items: tuple[str, ...], more: dict[str, Any], expected: str) -> None:
    assert summary(answer(*labelled(*items), **more)) == expected


def test_the_headline_names_four_vaccines_and_tdap_of_a_pregnancy_without_a_number() -> None:
    five = summary(answer(*labelled("A", "B", "C", "D", "E")))
    assert five.startswith("5 vaccines are due: A, B, C")
    assert ", E" not in five
    assert summary(answer(due(reasons=(PREGNANCY,)))) == "1 vaccine is due: Tdap (in pregnancy)."


@for_rows(
    ("item", "line"),
    [
        (
            due(**ON),
            "- **label, dose 1**: due (recommended 2009-01-01).",
        ),
        (
            due(**ON | {"earliest": date(2008, 1, 1)}),
            "- **label, dose 1**: due (recommended 2009-01-01).",
        ),
        (due(**ON | {"earliest": None}), "- **label, dose 1**: due (recommended 2009-01-01)."),
        (
            due(**ON, past_due=date(2009, 12, 31)),
            "- **label, dose 1**: overdue since 2009-12-31 (recommended 2009-01-01).",
        ),
        (
            due(Forecast(SeriesStatus.NOT_COMPLETE, latest=date(2010, 2, 1)), **ON),
            "- **label, dose 1**: due (recommended 2009-01-01), not after 2010-02-01.",
        ),
        # Without a dose a date of over a year ago is that of an age alone, as is one of over five years.
        (due(**ON | {"recommended": date(2008, 12, 31), "earliest": None}), "- **label, dose 1**: due."),
        (
            due(**ON | {"recommended": date(2005, 1, 2)}, past_due=date(2006, 1, 1)),
            "- **label, dose 1**: overdue since 2006-01-01 (recommended 2005-01-02).",
        ),
        (
            due(**ON | {"recommended": date(2005, 1, 1)}, past_due=date(2006, 1, 1)),
            "- **label, dose 1**: overdue.",
        ),
        # Risk: not before its reason.
        (
            due(**ON, reasons=(SPLEEN,)),
            "- **label, dose 1**: due since 2009-06-01. Because of no spleen.",
        ),
        (
            due(**ON | {"recommended": date(2009, 6, 1)}, reasons=(SPLEEN,)),
            "- **label, dose 1**: due (recommended 2009-06-01). "
            "Because of no spleen (2009-06-01).",
        ),
        (  # a year ago to the day
            due(**ON | {"recommended": date(2008, 12, 1), "earliest": None},
                reasons=(PatientObservation("014", date(2009, 1, 1), "Condition/1", "no spleen"),)),
            "- **label, dose 1**: due since 2009-01-01. Because of no spleen.",
        ),
        (
            due(**ON, reasons=(PatientObservation("014"),)),
            "- **label, dose 1**: due. Because of 014.",
        ),
        # Vaccines
        (due(**ON, vaccines=("label",)), "- **label, dose 1**: due (recommended 2009-01-01)."),
        (
            due(**ON, vaccines=("Pneumococcal conjugate PCV 15", "PCV 20")),
            "- **label (PCV15 or PCV20), dose 1**: due (recommended 2009-01-01).",
        ),
        # Doses
        (
            due(**ON | {"dose_number": 2}, doses=(given("2008-05-01"),)),
            "- **label, dose 2**: due (recommended 2009-01-01). Doses that count: 2008-05-01.",
        ),
        (
            due(**ON, doses=(given("2008-05-01", "99"),)),
            "- **label, dose 1**: due (recommended 2009-01-01). No dose on record counts. "
            "The dose of 2008-05-01 does not count (not a preferable or allowable vaccine).",
        ),
        (
            due(**ON, doses=(given("2000-05-01"),), rules=(rule(ages=(Ages(absolute_minimum=Period(years=1)),)),)),
            "- **label, dose 1**: due (recommended 2009-01-01). No dose on record counts. "
            "The dose of 2000-05-01 does not count (too young).",
        ),
        (
            due(**ON | {"dose_number": 2}, doses=(given("2008-05-01"), given("2008-06-01", substandard=True))),
            "- **label, dose 2**: due (recommended 2009-01-01). Doses that count: 2008-05-01. "
            "The dose of 2008-06-01 does not count (sub-standard).",
        ),
        # Pregnancy
        (
            due(**ON | {"recommended": date(2009, 8, 1)}, reasons=(PREGNANCY,), doses=(given("2005-01-01"),
                given("2007-01-01"))),
            "- **Tdap in this pregnancy**: due (recommended 2009-08-01). One dose in each "
            "pregnancy, whatever was given before it (last 2007-01-01). Because of pregnancy (2009-07-01).",
        ),
        (
            due(**ON | {"recommended": date(2009, 8, 1)}, reasons=(PREGNANCY,)),
            "- **Tdap in this pregnancy**: due (recommended 2009-08-01). One dose in each "
            "pregnancy, whatever was given before it. Because of pregnancy (2009-07-01).",
        ),
    ],
)  # fmt: skip
def test_what_is_due_has_a_line(item: DueVaccine, line: str) -> None:
    assert lines(answer(item)) == [line, "", BASIS]


def test_six_vaccines_have_lines_and_the_others_share_one() -> None:
    said = lines(answer(*labelled(*"ABCDEF", **{"recommended": AS_OF})))
    assert [line[:7] for line in said[:6]] == [f"- **{label}, " for label in "ABCDEF"]
    assert said[6] == ""
    wrong = due(label="H", dose_number=2, doses=(given("2008-05-01", "99"),))
    said = lines(answer(*labelled(*"ABCDEFG"), wrong))
    assert said[6:8] == [
        "- Also due: G dose 1; H dose 2 (the dose of 2008-05-01 does not count (not a preferable or allowable "
        "vaccine)).",
        "",
    ]


def test_everything_beside_what_is_due_has_its_line() -> None:
    child, adult = labelled("C", "D"), due(label="Tdap/Td", dose_number=2, doses=(given("2009-05-01"),))
    found = answer(
        catch_up=(*child, adult),
        of_season=(("Influenza", date(2009, 6, 30)),),
        declined=(DeclinedVaccine("X", "2009-11-01"), DeclinedVaccine("Y", "2009-12-01")),
        ordered=("HPV", "MMR"),
        to_discuss=labelled("E", "F"),
        forbidden=(ForbiddenVaccine("G", (PREGNANCY,)), ForbiddenVaccine("H", ()), ForbiddenVaccine("I", (PREGNANCY,))),
        to_check=(VaccineToCheck(SPLEEN, "Do not vaccinate (See table 4).", ("J", "K"), ()),),
        seasons_over=(("Influenza", date(2009, 6, 30)), ("RSV", date(2009, 1, 31))),
        not_judged=("L: why", "M: why"),
    )
    assert lines(found, person(VaccineDose("10", date(2009, 5, 1), "I/1"), VaccineDose("3", date(2009, 5, 1), "I/2"),
                               VaccineDose("3", date(2009, 6, 1), "I/3"))) == [
        "- **Influenza (this season)**: no dose since 2009-06-30, where the release ends; one each season (ACIP).",
        "- To catch up, no dose that counts: C, D. Ask the registry first.",
        "- To catch up, Tdap/Td: only doses of an adult are on record (2009-05-01). Ask the registry for the "
        "childhood series; without one, dose 2 is due.",
        "- Declined by the patient within a year: X (2009-11-01), Y (2009-12-01).",
        "- Ordered already: HPV, MMR.",
        "- Shared decision: E, F.",
        "- Contraindicated: G, I (pregnancy (2009-07-01)).",
        "- Contraindicated: H.",
        "- Check first: no spleen (2009-06-01). Do not vaccinate. This is about J, K.",
        "",
        "Vaccinations of 2 days on record; not seen: doses given elsewhere, travel, occupation.",
        "Not judged: RSV (to 2009-01-31), where the release ends; L: why; M: why.",
    ]  # fmt: skip


def test_a_dose_whose_product_is_not_recorded_is_said_for_the_group_that_is_due() -> None:
    doses = (("89", 5), ("89", 6), ("10", 7), ("99", 8))
    charted = person(*(VaccineDose(cvx, date(2009, month, 1), "Immunization/1") for cvx, month in doses))
    said = lines(answer(due(group="A", label="Alpha", **ON), due(group="B", label="Beta", **ON)), charted)
    assert [line for line in said if "unspecified" in line] == [
        "- Alpha: the formulation of the dose of 2009-05-01, 2009-06-01 is not recorded (unspecified), so it cannot "
        "be judged. Look for the product before another dose."
    ]
    catch_up = lines(answer(catch_up=(due(group="A", label="Alpha"),)), charted)
    assert len([line for line in catch_up if line.startswith("- Alpha: the formulation")]) == 1


def offers(found: VaccinesDue, charted: ChartedPerson | None = None) -> list[tuple[str, bool]]:
    card = vaccines_card(found, charted or person(), "p1", IDENTITY, MADE_KNOWLEDGE)
    return [(one.label, one.is_recommended) for one in card.suggestions]


WHOLE = ("Save the forecast", False)


def test_four_vaccines_can_be_ordered_and_the_first_that_is_due_is_preselected() -> None:
    assert offers(answer(*labelled("A", "B"), catch_up=labelled("C", "D", "E"))) == [
        ("Order A dose 1", True),
        ("Order B dose 1", False),
        ("Order C dose 1", False),
        ("Order D dose 1", False),
        WHOLE,
    ]
    assert offers(answer(catch_up=labelled("C"))) == [("Order C dose 1", False), WHOLE]
    assert offers(answer(due(reasons=(PREGNANCY,)))) == [("Order Tdap", True), WHOLE]


def test_what_is_to_be_asked_or_checked_first_is_not_offered() -> None:
    adult = due(label="T", dose_number=2, doses=(given("2009-05-01"),))
    assert offers(answer(catch_up=(adult,))) == [WHOLE]
    check = VaccineToCheck(SPLEEN, "text", ("A", "B"), ("A",))
    assert offers(answer(*labelled("A", "B"), to_check=(check,))) == [("Order B dose 1", True), WHOLE]
    unspecified = person(VaccineDose("89", date(2009, 5, 1), "I/1"))
    assert offers(answer(*labelled("A")), unspecified) == [("Order A dose 1", False), WHOLE]


def test_a_forecast_is_written_as_a_recommendation_of_fhir_and_into_the_extension() -> None:
    doses = (given("2008-05-01", source="Immunization/1"), given("2008-06-01", "99", source="Immunization/2"),
             given("2008-07-01", source="v2-message"))  # fmt: skip
    course = course_of((rule(), rule()), *doses)
    best = due(doses=doses).forecast.best
    assert [one.status for one in best[0].course.evaluations] == [one.status for one in course.evaluations]
    forecast = GroupForecast(
        "A", "Standard", SeriesStatus.NOT_COMPLETE, best, dose_number=2, earliest=date(2009, 1, 1),
        recommended=date(2009, 2, 1), past_due=date(2009, 12, 31), vaccines=("10", "77"),
    )  # fmt: skip
    bare = GroupForecast("B", "Risk", SeriesStatus.COMPLETE, ())
    aged_out = GroupForecast("C", "Standard", SeriesStatus.AGED_OUT, ())
    found = answer(forecasts=(forecast, bare, aged_out))

    def criterion(code: str, display: str, value: str) -> dict[str, Any]:
        coding = {"system": "http://loinc.org", "code": code, "display": display}
        return {"code": {"coding": [coding]}, "value": value}

    def status(code: str) -> dict[str, Any]:
        system = "http://terminology.hl7.org/CodeSystem/immunization-recommendation-status"
        return {"coding": [{"system": system, "code": code}]}

    cvx = {"system": "http://hl7.org/fhir/sid/cvx", "code": "10", "display": "ten"}
    assert immunization_recommendation(found, "p1", MADE_KNOWLEDGE) == {
        "resourceType": "ImmunizationRecommendation",
        "patient": {"reference": "Patient/p1"},
        "date": "2010-01-01",
        "recommendation": [
            {
                "vaccineCode": [{"coding": [cvx], "text": "A"}],
                "forecastStatus": status("overdue"),
                "series": "s",
                "dateCriterion": [
                    criterion("30981-5", "Earliest date to give", "2009-01-01"),
                    criterion("30980-7", "Date vaccine due", "2009-02-01"),
                    criterion("59778-1", "Date when overdue for immunization", "2009-12-31"),
                ],
                "doseNumberPositiveInt": 2,
                "supportingImmunization": [{"reference": "Immunization/1"}],
            },
        ],
    }
    on_time = answer(forecasts=(replace(forecast, past_due=AS_OF),))
    written = immunization_recommendation(on_time, "p1", MADE_KNOWLEDGE)["recommendation"]
    assert written[0]["forecastStatus"] == status("due")
    assert forecast_entries(answer(forecasts=(forecast, bare)), MADE_KNOWLEDGE) == VaccineForecasts(
        release="4.64",
        released="2025-11-01",
        as_of="2010-01-01",
        forecasts=(
            VaccineForecast(
                group="A",
                type="Standard",
                status="Not Complete",
                series=("s",),
                dose=2,
                earliest="2009-01-01",
                recommended="2009-02-01",
                past_due="2009-12-31",
            ),
            VaccineForecast(group="B", type="Risk", status="Complete", series=()),
        ),
    )
