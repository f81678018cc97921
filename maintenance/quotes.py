"""`python -m maintenance.quotes [WORDS]`: whether each quote stands in the section of the label that its row cites.

The labels are those of the project's data (`CDS_DATA_DIR`, `labels/openfda`); the rows, those of every table of rules
that have a set id of one of them. It prints each fault and how many rows there are: the label is of another drug, form
or route than the row, the words stand nowhere in it or in another section, or the row numbers a section of a label that
has no numbers. With WORDS it prints the rows that hold them, each with the passage of the label around its words.
"""

import csv
import json
import lzma
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path

from msgspec import Struct

from cards.rules.engine.rule_book import whole_book
from cards.rules.language.rule import SET_ID, DeclaredSelector

_TABLES = Path(__file__).resolve().parents[1] / "cards"
_NUMBERS = {
    "contraindications": "4",
    "warnings_and_cautions": "5",
    "drug_interactions": "7",
    "dosage_and_administration": "2",
    "indications_and_usage": "1",
}
_WORDS = {
    "boxed_warning": r"\bbox",
    "contraindications": r"contraindic|^4\b|\band 4\b",
    "warnings": r"(?<!boxed )\bwarning|precaution|^5\b|\band 5\b",
    "warnings_and_cautions": r"(?<!boxed )\bwarning|precaution|^5\b|\band 5\b",
    "drug_interactions": r"interaction|^7\b|\band 7\b",
    "dosage_and_administration": r"dosage|^2\b|\band 2\b|^$",
    "indications_and_usage": r"(?<!contra)indication|^1\b",
}
"""What the section of a row says for each section of a label; an empty one of a limit is the dosage."""
_LOCAL = frozenset({"ophthalmic", "topical", "auricular (otic)", "vaginal", "intravitreal", "dental"})
_INJECTED = frozenset(
    {
        "intravenous",
        "intramuscular",
        "subcutaneous",
        "epidural",
        "intrathecal",
        "infiltration",
        "intravascular",
        "submucosal",
    }
)


class Label(Struct, frozen=True):
    """A label: the words that name it, its routes, and the text of each section."""

    names: str
    routes: frozenset[str]
    sections: Mapping[str, str]

    @property
    def is_numbered(self) -> bool:
        """Whether its sections have numbers: labels of the old format have none."""
        return any(
            re.match(rf"{number} [A-Z]", self.sections.get(name, "")) is not None
            or re.search(rf"\b{number}\.1 [A-Z]", self.sections.get(name, "")) is not None
            for name, number in _NUMBERS.items()
        )

    def sections_with(self, words: str) -> set[str]:
        """Return the sections in which words stand, whatever their marks and letters."""
        return {name for name, text in self.sections.items() if _plain(words) in _plain(text)}


class Citation(Struct, frozen=True):
    """A row of a table that quotes a label."""

    place: str
    rule: str
    drug: str
    route: str
    set_id: str
    section: str
    quotes: tuple[str, ...]
    is_firm: bool
    """Of a limit of a dose: it is the label's of the drug, and neither a usual dose nor the label of another drug."""


def main() -> None:
    """Print the figures and the faults, or the rows with WORDS beside their passages."""
    labels = read_labels(Path(os.environ["CDS_DATA_DIR"]))
    rows = [row for row in citations() if row.set_id in labels]
    words = " ".join(sys.argv[1:]).lower()
    for row in rows if words else ():
        if words in " ".join([row.rule, row.drug, row.section, *row.quotes]).lower():
            print(f"{row.place} {row.rule} {row.drug}, {row.section} ({row.set_id}): {' … '.join(row.quotes)}")
            print(*_passages(labels[row.set_id], row.quotes), sep="\n")
    if not words:
        found = [fault for row in rows for fault in faults_of(row, labels[row.set_id])]
        print(*found, f"{len(rows)} rows quote one of {len(labels)} labels; {len(found)} faults", sep="\n")


def read_labels(data_folder: Path) -> Mapping[str, Label]:
    """Return the labels by their set ids."""
    labels: dict[str, Label] = {}
    with lzma.open(data_folder / "labels" / "openfda" / "labels.jsonl.xz", "rt") as lines:
        for written in map(json.loads, lines):
            texts = {name: text if isinstance(text, str) else " ".join(text) for name, text in _sections(written)}
            routes = frozenset(route.lower() for route in written["meta"].get("route", ()))
            names = json.dumps([written["drug"], written["meta"]]).lower()
            labels |= {set_id: Label(names, routes, texts) for set_id in written["meta"].get("spl_set_id", ())}
    return labels


def citations() -> Iterator[Citation]:
    """Yield every row of a table of rules that has a set id and words of a label in quotation marks or as its quote."""
    for path in sorted(_TABLES.rglob("*.csv")):
        for number, row in enumerate(csv.DictReader(path.read_text("utf-8").splitlines()), 2):
            cells = " ".join(row.get(name) or "" for name in ("document", "section", "source"))
            set_ids = set(SET_ID.findall(row.get("set_id") or cells))
            quotes = [row["quote"]] if "quote" in row else re.findall(r"“([^”]+)”", cells)
            parts = tuple(part.strip() for quote in quotes for part in quote.split("…") if part.strip())
            if len(set_ids) == 1 and parts:
                name = row.get("rule") or row.get("name") or row.get("id") or ""
                drug = "" if row.get("within") or row.get("class") else row.get("label_of") or row.get("drug") or ""
                place = f"{path.relative_to(_TABLES)}:{number}"
                is_firm = row.get("is_firm") in ("yes", "narrow") and not row.get("label_of")
                yield Citation(
                    place, name, drug, row.get("route") or "", set_ids.pop(), row.get("section") or "", parts, is_firm
                )


def faults_of(row: Citation, label: Label) -> Iterator[str]:
    """Yield what is wrong of a row, beside where it stands."""
    about = f"{row.place} {row.rule} {row.drug}"
    section = row.section.lower()
    drugs = [drug.split()[0].strip(",").lower() for drug in row.drug.split(";") if drug]
    if drugs and not any(drug in label.names for drug in drugs):
        yield f"{about}: set id {row.set_id} is a label of {label.names[:60]}"
    if re.match(r"\d", section) and not label.is_numbered:
        yield f"{about}: the label has no section {row.section}"
    if label.routes and not _fits(row, label.routes):
        yield f"{about}: the label is for {', '.join(sorted(label.routes))}"
    for quote in row.quotes:
        found = label.sections_with(quote)
        if not any(re.search(_WORDS.get(name, "$^"), section) for name in found):
            yield f"{about}: not in {row.section or 'its section'} (in {', '.join(sorted(found)) or 'none'}): {quote}"


def _fits(row: Citation, routes: frozenset[str]) -> bool:
    """Return whether a label of these routes may speak for a row: for drops none that is not of drops."""
    if row.place.startswith("rules/families/dose/"):
        return not row.is_firm or row.route != "injected" or bool(routes & _INJECTED)
    return not routes <= _LOCAL or row.rule.startswith(_rules_of_local_forms())


@cache
def _rules_of_local_forms() -> tuple[str, ...]:
    rules = [compiled.declared for compiled in whole_book().rules]
    return ("pair-label", *(rule.id for rule in rules if rule.trigger.local_forms or _is_of_local(rule.trigger.draft)))


def _is_of_local(selectors: Iterable[DeclaredSelector]) -> bool:
    return any(selector.systemic is not True for selector in selectors)


def _passages(label: Label, quotes: tuple[str, ...]) -> Iterator[str]:
    for quote in quotes:
        begin = re.escape(quote[:25])
        for name, text in label.sections.items():
            yield from (
                f"    {name}: …{text[max(0, m.start() - 200) : m.end() + 300]}…" for m in re.finditer(begin, text)
            )


def _sections(written: Mapping[str, Mapping[str, str | list[str]]]) -> Iterator[tuple[str, str | list[str]]]:
    return ((name, text) for name, text in written["sections"].items() if text and not name.endswith("_table"))


@lru_cache(maxsize=8192)
def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^a-z0-9%<>=./+≥≤]+", " ", text.lower()).split()).strip(" .")


if __name__ == "__main__":
    main()
