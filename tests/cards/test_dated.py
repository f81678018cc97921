"""Every dated table of the cards has a day on which it ends, and says so before a clinician notices."""

from datetime import date, timedelta

from cards.dated import NOTICE_PERIOD, dated_tables, ending
from cards.rules.engine.rule_book import whole_book


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
        first_day = table.ends - NOTICE_PERIOD
        assert table not in ending(first_day - timedelta(days=1))
        assert table in ending(first_day)
        assert table in ending(table.ends + timedelta(days=400))


def test_a_season_that_is_over_says_what_is_not_judged_any_more() -> None:
    influenza = next(table for table in dated_tables() if table.name == "Influenza vaccine")
    assert "the season ends on 2026-06-30; read the next release before" in influenza.sentence(date(2026, 6, 10))
    sentence = influenza.sentence(date(2026, 11, 22))
    assert sentence.endswith("the season ended on 2026-06-30; doses of a later season are not judged.")
    assert influenza in ending(date(2026, 11, 22))
