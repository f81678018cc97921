"""The lines of the card of the vaccines due, each from one answer that is written by hand."""

from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace

from cards.card import CardIdentity
from cards.compose.vaccines import forecast_entries, immunization_recommendation, vaccines_card
from cards.extension import VaccineForecast, VaccineForecasts
from cards.vaccines.due import DueVaccine, ForbiddenVaccine, VaccinesDue, VaccineToCheck
from cards.vaccines.evidence import DeclinedVaccine
from cards.vaccines.forecasting import Forecast, SeriesStatus
from cards.vaccines.groups import GroupForecast
from cards.vaccines.knowledge import Ages, AntigenAtAge, Period, Schedule, Vaccine, VaccineGroup, VaccineKnowledge
from cards.vaccines.patient import PREGNANT, ChartedPerson, PatientObservation, Person
from fhir.mapping.immunizations import VaccineDose, VaccineHistory
from tests.cards.vaccines.small_series import BORN, course_of, due, given, rule

AS_OF = date(2010, 1, 1)
EMPTY = VaccinesDue(AS_OF, (), (), (), (), (), (), (), (), ())
IDENTITY = CardIdentity("uuid", lambda number: f"suggestion-{number}", "https://cds.example/explain")
KNOWLEDGE = VaccineKnowledge(
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
    card = vaccines_card(found, charted or person(), "p1", IDENTITY, KNOWLEDGE)
    assert card.detail is not None
    return card.detail.split("\n")


def summary(found: VaccinesDue) -> str:
    return vaccines_card(found, person(), "p1", IDENTITY, KNOWLEDGE).summary


def labelled(*labels: str, **fields: Any) -> tuple[DueVaccine, ...]:
    return tuple(due(label=label, group=label, dose_number=1, **fields) for label in labels)


SPLEEN = PatientObservation("014", date(2009, 6, 1), "Condition/1", "no spleen")
PREGNANCY = PatientObservation(PREGNANT, date(2009, 7, 1), "Condition/2", "pregnancy")
ON: dict[str, Any] = {"dose_number": 1, "earliest": date(2009, 1, 1), "recommended": date(2009, 1, 1)}


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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
    card = vaccines_card(found, charted or person(), "p1", IDENTITY, KNOWLEDGE)
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
    doses = (given("2008-05-01", source="Immunization/1"), given("2008-06-01", "99", source="Immunization/2"))
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
    assert immunization_recommendation(found, "p1", KNOWLEDGE) == {
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
    written = immunization_recommendation(on_time, "p1", KNOWLEDGE)["recommendation"]
    assert written[0]["forecastStatus"] == status("due")
    assert forecast_entries(answer(forecasts=(forecast, bare)), KNOWLEDGE) == VaccineForecasts(
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
