"""The recommendations by RxNorm ingredient, read once from `data/` when a drug of theirs is first drafted.

CPIC (tables of 2026-08-13, CC0 1.0) comes first; FDA's Table of Pharmacogenetic Associations is the second source, for
drugs that CPIC has no recommendation for and as an addition to the detail.
"""

import csv
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final, Literal, TypeAlias

from msgspec import Struct

AdviceIndicator: TypeAlias = Literal["silent", "info", "warning", "critical"]

_A_DAY = re.compile(r"(\d+) mg/day")
SEVERITY: Mapping[str, int] = {"silent": 0, "info": 1, "warning": 2, "critical": 3}


class Action(Struct, frozen=True):
    """What to do: class, words, percent of the usual dose that remains, daily limit, whether levels are asked for."""

    name: str
    instruction: str
    percent: tuple[float, float] | None = None
    limit: str = ""
    levels: bool = False
    alternatives: str = ""


class Recommendation(Struct, frozen=True, gc=False):
    """One row: for whom, with which keys, what to do, how severe it is; `source` is CPIC or FDA with the strength."""

    population: str
    keys: tuple[str, ...]
    action: Action
    indicator: AdviceIndicator
    source: str


class GeneDrug(Struct, frozen=True):
    """A drug that genes matter to: its genes in the order of the keys, and its rows by population and keys."""

    rxcui: str
    genes: tuple[str, ...]
    rows: Mapping[tuple[str, tuple[str, ...]], Recommendation]
    populations: tuple[str, ...]


class FdaLine(Struct, frozen=True):
    """A line of FDA's table: the gene, the keys that it is about, its class and printed limit."""

    gene: str
    keys: frozenset[str]
    action: str
    limit: str
    subgroup: str
    indicator: AdviceIndicator

    @property
    def milligrams_a_day(self) -> int | None:
        """The most milligrams a day, where that is how the limit begins."""
        match = _A_DAY.match(self.limit)
        return int(match[1]) if match is not None else None


class TestBefore(Struct, frozen=True):
    """A test before the first course: the genes of which a result is asked for, and how it is required."""

    genes: tuple[str, ...]
    level: str
    when: str
    indicator: AdviceIndicator


def _rows(name: str) -> list[dict[str, str]]:
    text = (files("cards.rules.families.genes") / "data" / name).read_text(encoding="utf-8")
    header, *rows = csv.reader(text.splitlines())
    return [dict(zip(header, row, strict=True)) for row in rows]


def _action(row: Mapping[str, str]) -> Action:
    low = row["start_pct_low"] or row["maint_pct_low"]
    high = row["start_pct_high"] or row["maint_pct_high"]
    return Action(
        row["class"],
        row["instruction"],
        (float(low), float(high or low)) if low else None,
        row["day_mg_limit"] or row["start_mg_max"],
        row["levels"] == "yes",
        row["alternatives"],
    )


_ACTIONS: Final[Mapping[str, Action]] = {row["action"]: _action(row) for row in _rows("actions.csv")}


def _read_gene_drugs() -> Mapping[str, GeneDrug]:
    by_drug: dict[str, dict[tuple[str, tuple[str, ...]], Recommendation]] = {}
    genes: dict[str, tuple[str, ...]] = {}
    for row in _rows("recommendations.csv"):
        keys = tuple(filter(None, (row["key_1"], row["key_2"])))
        genes[row["rxcui"]] = tuple(filter(None, (row["gene_1"], row["gene_2"])))
        by_drug.setdefault(row["rxcui"], {})[row["population"], keys] = Recommendation(
            row["population"],
            keys,
            _ACTIONS[row["action"]],
            row["indicator"],  # type: ignore[arg-type]  # our own table
            f"CPIC: {row['strength']}" if row["cpic_id"] else "CPIC text of 2022, strength not read",
        )
    for rxcui, lines in FDA_LINES.items():
        if rxcui not in by_drug:
            genes[rxcui], by_drug[rxcui] = _of_fda(lines)
    return {
        rxcui: GeneDrug(rxcui, genes[rxcui], rows, tuple(dict.fromkeys(row.population for row in rows.values())))
        for rxcui, rows in by_drug.items()
    }


def _of_fda(
    lines: tuple[FdaLine, ...],
) -> tuple[tuple[str, ...], dict[tuple[str, tuple[str, ...]], Recommendation]]:
    """The lines of one drug as rows; where several are about one gene, the first in FDA's order."""
    gene = lines[0].gene
    rows: dict[tuple[str, tuple[str, ...]], Recommendation] = {}
    for line in lines:
        for key in line.keys if line.gene == gene else ():
            words = f"{line.subgroup}{f', {line.limit}' if line.limit else ''}"
            limit = str(line.milligrams_a_day or "")
            action = Action(line.action, f"FDA's table: {_FDA_WORDS[line.action]} ({words})", limit=limit)
            rows.setdefault(("any", (key,)), Recommendation("any", (key,), action, line.indicator, "FDA's table"))
    return (gene,), rows


_FDA_WORDS = {
    "avoid": "do not use",
    "reduce": "lower dose",
    "limit": "limited dose",
    "alternative": "consider another drug",
    "increase": "higher dose",
    "risk": "higher risk of adverse reactions or of no effect",
    "monitor": "higher exposure; monitor",
}


def _read_fda_lines() -> Mapping[str, tuple[FdaLine, ...]]:
    lines_by_drug: dict[str, tuple[FdaLine, ...]] = {}
    for row in _rows("fda.csv"):
        line = FdaLine(
            row["gene"],
            frozenset(row["keys"].split(";")),
            row["class"],
            row["limit"],
            row["subgroup"],
            row["indicator"],  # type: ignore[arg-type]  # our own table
        )
        lines_by_drug[row["rxcui"]] = (*lines_by_drug.get(row["rxcui"], ()), line)
    return lines_by_drug


FDA_LINES: Final[Mapping[str, tuple[FdaLine, ...]]] = _read_fda_lines()
"""The lines of FDA's table by RxNorm code."""


REQUIRED_TESTS: Final[Mapping[str, TestBefore]] = {
    row["rxcui"]: TestBefore(
        tuple(row["genes"].split(";")),
        row["level"],
        row["when"],
        row["indicator"],  # type: ignore[arg-type]  # our own table
    )
    for row in _rows("test_before.csv")
}
"""The tests that are required or recommended before a drug, by RxNorm code."""


GENE_DRUGS: Final[Mapping[str, GeneDrug]] = _read_gene_drugs()
"""Every drug of CPIC's recommendations, and those of FDA's table that CPIC has none for, by RxNorm code."""
