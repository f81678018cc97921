"""The clock of the content: until when each dated table can be trusted, and what a card no longer knows after it.

A table ends on the day that it names itself (the season of a vaccine), else two years after the date of its data or of
the last comparison with its source; the two years are the project's own choice.
"""

import csv
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import Final

from msgspec import Struct

from cards.preventive.abnormal_rows import ABNORMAL_RESULTS
from cards.preventive.knowledge import PREVENTIVE
from cards.rules.engine.prepared import prepared_families
from cards.vaccines.knowledge import load_knowledge

READ_AGAIN: Final = timedelta(days=730)
NOTICE_PERIOD: Final = timedelta(days=30)
"""So long before its end a table is named, so that there is time to read the next release."""


class DatedTable(Struct, frozen=True):
    """A table with its source and the last day on which it holds; `is_season` where the source itself names the day."""

    name: str
    source: str
    ends: date
    is_season: bool = False

    def sentence(self, today: date) -> str:
        """Return what ends or has ended, since when, and what to do."""
        has_ended = self.ends < today
        if self.is_season:
            after = "doses of a later season are not judged" if has_ended else "read the next release before"
            return (
                f"{self.name} ({self.source}): the season {'ended' if has_ended else 'ends'} on {self.ends}; {after}."
            )
        due = "was" if has_ended else "is"
        return f"{self.name} ({self.source}): {due} to be compared with its source again by {self.ends}."


def ending(today: date) -> tuple[DatedTable, ...]:
    """Return the tables that have ended or end within 30 days, the one that ended first in front."""
    due = (table for table in dated_tables() if table.ends <= today + NOTICE_PERIOD)
    return tuple(sorted(due, key=lambda table: (table.ends, table.name)))


@cache
def dated_tables() -> tuple[DatedTable, ...]:
    """Return every dated table of the cards: vaccines and their seasons, prevention, genes, medication rules."""
    return (
        *_of_vaccines(),
        DatedTable(
            "Preventive services",
            f"USPSTF data of {PREVENTIVE.as_of}",
            date.fromisoformat(PREVENTIVE.as_of) + READ_AGAIN,
        ),
        DatedTable(
            ABNORMAL_RESULTS.title,
            f"documents compared on {ABNORMAL_RESULTS.reviewed}",
            date.fromisoformat(ABNORMAL_RESULTS.reviewed) + READ_AGAIN,
        ),
        _of_genes(),
        *_of_rules(),
    )


def _of_vaccines() -> Iterator[DatedTable]:
    knowledge = load_knowledge()
    source = f"CDC CDSi {knowledge.schedule.version}, {knowledge.schedule.date}"
    yield DatedTable("Vaccines", source, knowledge.schedule.date + READ_AGAIN)
    for antigen in knowledge.antigens.values():
        doses = (dose for series in antigen.series for dose in series.doses)
        ends = [dose.season_over for dose in doses if dose.season_over is not None]
        if ends:
            yield DatedTable(f"{antigen.antigen} vaccine", source, max(ends), is_season=True)


def _of_genes() -> DatedTable:
    text = (files("cards.rules.families.genes") / "data" / "recommendations.csv").read_text("utf-8")
    source = min(row["source"] for row in csv.DictReader(text.splitlines()))
    return DatedTable("Genes and drugs", source, date.fromisoformat(source.rpartition(" ")[2]) + READ_AGAIN)


def _of_rules() -> Iterator[DatedTable]:
    """One entry a family: the rule that was compared with its source the longest ago."""
    for name, family in sorted(prepared_families().items()):
        read = min(rule.checked_on for rule in family.rules)
        yield DatedTable(f"Medication rules, family {name}", f"read {read}", date.fromisoformat(read) + READ_AGAIN)
