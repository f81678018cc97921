"""The knowledge files: each names its source, and what refers to something else finds it."""

import csv
from importlib.resources import files

from cards.vaccines.knowledge import Antigen, load_knowledge
from fhir.terminology.conditions import CONDITION_GROUPS
from tests.each import for_rows

KNOWLEDGE = load_knowledge()


@for_rows("antigen", KNOWLEDGE.antigens.values(), ids=KNOWLEDGE.antigens)
def test_every_antigen_names_source_version_and_date(antigen: Antigen) -> None:
    assert antigen.source.startswith("CDC CDSi")
    assert (antigen.version, antigen.date) == (KNOWLEDGE.schedule.version, KNOWLEDGE.schedule.date)


def test_every_antigen_of_a_group_and_of_a_vaccine_is_known() -> None:
    grouped = {antigen for group in KNOWLEDGE.schedule.groups.values() for antigen in group.antigens}
    given = {part.antigen for vaccine in KNOWLEDGE.schedule.vaccines.values() for part in vaccine.antigens}
    assert grouped == set(KNOWLEDGE.antigens)
    assert given <= set(KNOWLEDGE.antigens)


@for_rows("antigen", KNOWLEDGE.antigens.values(), ids=KNOWLEDGE.antigens)
def test_every_observation_of_a_rule_has_a_title(antigen: Antigen) -> None:
    used = {item.observation for series in antigen.series for item in series.indications}
    used |= {item.observation for item in (*antigen.contraindications, *antigen.vaccine_contraindications)}
    used |= antigen.immune_observations | {code for cohort in antigen.immune_births for code in cohort.unless}
    assert used <= set(KNOWLEDGE.schedule.observations)


@for_rows("antigen", KNOWLEDGE.antigens.values(), ids=KNOWLEDGE.antigens)
def test_every_interval_says_what_it_is_counted_from(antigen: Antigen) -> None:
    for series in antigen.series:
        for dose in series.doses:
            for interval in (*dose.intervals, *dose.allowable_intervals):
                starts = (
                    interval.from_previous,
                    interval.from_target_dose is not None,
                    bool(interval.from_most_recent),
                    bool(interval.from_observation),
                )
                assert sum(starts) == 1


@for_rows("antigen", KNOWLEDGE.antigens.values(), ids=KNOWLEDGE.antigens)
def test_every_skip_condition_is_of_a_kind_that_is_evaluated(antigen: Antigen) -> None:
    kinds = {
        condition.kind
        for series in antigen.series
        for dose in series.doses
        for skip in dose.skips
        for each in skip.sets
        for condition in each.conditions
    }
    assert kinds <= {"age", "vaccine count", "interval", "completed series"}


def test_every_condition_of_the_terms_for_charts_is_in_the_tables() -> None:
    table = files("cards.vaccines") / "data" / "chart_terms.csv"
    rows = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    named = {row["key"] for row in rows if row["kind"] in ("condition", "group")}
    assert named
    assert named <= set(CONDITION_GROUPS)
