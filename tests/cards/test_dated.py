"""Every dated table of the cards has a day on which it ends, and says so before a clinician notices."""

from datetime import date, timedelta

from cards.dated import SAID_BEFORE, DatedTable, dated_tables, ending
from cards.rules.engine.rule_book import whole_book
from tests.each import for_rows


def test_every_family_of_rules_vaccines_prevention_and_genes_have_an_end() -> None:
    names = {table.name for table in dated_tables()}
    families = {f"Medication rules, family {rule.family.name}" for rule in whole_book().rules}
    assert (
        families
        | {
            "Vaccines", "Preventive services", "Abnormal results", "Genes and drugs", "Influenza vaccine",
            "COVID-19 vaccine",
        }
        <= names
    )  # fmt: skip


def test_a_table_is_named_thirty_days_before_it_ends_and_from_then_on() -> None:
    for table in dated_tables():
        first_day = table.ends - SAID_BEFORE
        assert table not in ending(first_day - timedelta(days=1))
        assert table in ending(first_day)
        assert table in ending(table.ends + timedelta(days=400))


def test_a_season_that_is_over_says_what_is_not_judged_any_more() -> None:
    influenza = next(table for table in dated_tables() if table.name == "Influenza vaccine")
    assert "the season ends on 2026-06-30; read the next release before" in influenza.sentence(date(2026, 6, 10))
    sentence = influenza.sentence(date(2026, 11, 22))
    assert sentence.endswith("the season ended on 2026-06-30; doses of a later season are not judged.")
    assert influenza in ending(date(2026, 11, 22))


def _table(name: str) -> DatedTable:
    return next(table for table in dated_tables() if table.name == name)


@for_rows(
    ("name", "source", "ends", "is_season"),
    [
        # Two years of 365 days after the date of the data or of the last comparison, or the last day of the season.
        ("Vaccines", "CDC CDSi 4.64, 2025-11-10", date(2027, 11, 10), False),
        ("Influenza vaccine", "CDC CDSi 4.64, 2025-11-10", date(2026, 6, 30), True),
        ("COVID-19 vaccine", "CDC CDSi 4.64, 2025-11-10", date(2026, 8, 27), True),  # begins 2025-08-27: a year
        ("Preventive services", "USPSTF data of 2024-05-02", date(2026, 5, 2), False),
        ("Genes and drugs", "CPIC 2026-08-13", date(2028, 8, 12), False),
    ],
)
def test_a_table_ends_with_its_season_or_two_years_after_its_data(
    name: str, source: str, ends: date, is_season: bool
) -> None:
    assert _table(name) == DatedTable(name, source, ends, is_season)


def test_a_table_that_is_not_of_a_season_is_to_be_compared_with_its_source() -> None:
    table = DatedTable("Rules", "read 2026-11-20", date(2028, 11, 19))
    due = "Rules (read 2026-11-20): {} to be compared with its source again by 2028-11-19."
    assert table.sentence(date(2028, 11, 19)) == due.format("is")
    assert table.sentence(date(2028, 11, 20)) == due.format("was")
    season = DatedTable("Flu", "CDC", date(2026, 6, 30), is_season=True)
    assert season.sentence(date(2026, 6, 30)) == (
        "Flu (CDC): the season ends on 2026-06-30; read the next release before."
    )
    assert season.sentence(date(2026, 7, 1)) == (
        "Flu (CDC): the season ended on 2026-06-30; doses of a later season are not judged."
    )


def test_what_ended_first_is_named_first() -> None:
    assert [table.name for table in ending(date(2026, 8, 1))] == [
        "RSV vaccine", "Preventive services", "Influenza vaccine", "COVID-19 vaccine",
    ]  # fmt: skip
