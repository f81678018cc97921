"""Vaccines of a season: influenza from six months of age, RSV in weeks 32 to 36 of a pregnancy; the order of a dose."""

from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any, cast

from cards.compose.vaccines import vaccine_order
from cards.vaccines.due import DueVaccine
from cards.vaccines.due import _is_for_season as is_for_season
from cards.vaccines.patient import ONSET_OF_PREGNANCY, PREGNANT, PatientObservation, Person
from tests.each import for_rows


@for_rows("month", range(1, 13))
def test_influenza_is_given_from_september_to_march(month: int) -> None:
    adult = Person(date(1980, 1, 1))
    assert is_for_season("Influenza", adult, date(2026, month, 15)) is (month in (9, 10, 11, 12, 1, 2, 3))
    assert is_for_season("MMR", adult, date(2026, month, 15)) is False


def test_influenza_is_given_from_six_months_on() -> None:
    born = date(2026, 5, 20)
    assert is_for_season("Influenza", Person(born), date(2026, 11, 20)) is True
    assert is_for_season("Influenza", Person(born), date(2026, 11, 19)) is False


def _pregnant(day: date, days: int) -> Person:
    onset = PatientObservation(ONSET_OF_PREGNANCY, day - timedelta(days=days))
    return Person(date(1995, 1, 1), "Female", (), (PatientObservation(PREGNANT), onset))


@for_rows(("days", "is_due"), [(223, False), (224, True), (258, True), (259, False)])
def test_rsv_is_given_in_weeks_32_to_36(days: int, is_due: bool) -> None:
    assert is_for_season("RSV", _pregnant(date(2026, 11, 20), days), date(2026, 11, 20)) is is_due


@for_rows("month", range(1, 13))
def test_a_child_under_eight_months_has_the_rsv_antibody_from_october_to_march(month: int) -> None:
    day = date(2026, month, 15)
    child = Person(day - timedelta(days=60))
    assert is_for_season("RSV", child, day) is (month in (10, 11, 12, 1, 2, 3))
    assert is_for_season("COVID-19", child, day) is False
    of_vaccinated = Person(child.birth_date, "Female", (), (PatientObservation("278"),))
    assert is_for_season("RSV", of_vaccinated, day) is False


def test_the_rsv_antibody_ends_with_eight_months() -> None:
    day = date(2026, 11, 20)
    assert is_for_season("RSV", Person(date(2026, 3, 21)), day) is True
    assert is_for_season("RSV", Person(date(2026, 3, 20)), day) is False


@for_rows("month", range(1, 13))
def test_rsv_is_given_in_pregnancy_from_september_to_january(month: int) -> None:
    day = date(2026, month, 15)
    assert is_for_season("RSV", _pregnant(day, 230), day) is (month in (9, 10, 11, 12, 1))


def test_rsv_waits_where_no_pregnancy_or_no_beginning_is_known() -> None:
    day, pregnant = date(2026, 11, 20), PatientObservation(PREGNANT)
    onset = PatientObservation(ONSET_OF_PREGNANCY, day - timedelta(days=230))
    for observed in ((), (pregnant,), (onset,)):
        assert is_for_season("RSV", Person(date(1995, 1, 1), "Female", (), observed), day) is False


def _due(vaccines: tuple[str, ...], *, for_pregnancy: bool) -> DueVaccine:
    forecast = SimpleNamespace(dose_number=2, vaccines=vaccines)
    return cast(DueVaccine, SimpleNamespace(name="HepB", for_pregnancy=for_pregnancy, forecast=forecast))


def test_an_order_names_the_one_vaccine_that_is_recommended() -> None:
    def code(vaccines: tuple[str, ...], **more: Any) -> Any:
        return vaccine_order(_due(vaccines, **more), "p1", date(2026, 11, 20))["code"]

    text = "HepB vaccine, dose 2"
    coding = {"system": "http://hl7.org/fhir/sid/cvx", "code": "43", "display": "HepB"}
    assert code(("43",), for_pregnancy=False) == {"text": text, "coding": [coding]}
    assert code(("43", "44"), for_pregnancy=False) == {"text": text}
    assert code((), for_pregnancy=True) == {"text": "Tdap vaccine"}
