"""Questions over the product's own pages: the pages that answer it, the best first, or an abstention.

The sections of docs/ stand in an index of SQLite (FTS5, BM25) in memory. A score does not tell what no page answers
from what one does; a question of kinds that the pages never answer is a list, and so is one whose words no page has.
"""

import csv
import re
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from msgspec import Struct

import cds_hooks


class Pages(Struct, frozen=True):
    """The pages that answer a question, best first; none where the question is not answered."""

    pages: tuple[str, ...]
    reason: str = ""


_MOST: Final = 5
_OF_PATIENTS: Final = re.compile(
    r"\b(?:(?:this|my|the|our) (?:patient|child|mother|father)(?!s)|patient in bed|bed \d|\d+ ?(?:kg|year[- ]old|yo\b)"
    r"|mrs? [A-Z]|(?:his|her) (?:potassium|creatinine|egfr|result|risk|dose|score))\b",
    re.IGNORECASE,
)
_NEVER: Final = re.compile(
    r"\b(?:fee|fees|price|pricing|cost|costs|invoice|discount|subscription|salary|phone number|telephone number"
    r"|address of|joke|poem|weather|recipe|football|stock price|who won|president|capital of|what is the (?:maximum "
    r"|usual |right |best |starting )?dose|dose of \w+ (?:for|in)|how much \w+ (?:should|can|do) (?:i|we) give"
    r"|should (?:i|we) (?:give|prescribe|start|stop|treat)|which (?:drug|antibiotic|medicine|treatment) (?:should"
    r"|is best)|best treatment|treatment (?:of|for) \w+|diagnos(?:e|is) of|will (?:medicare|medicaid|the insurer"
    r"|insurance|aetna|cigna) (?:deny|pay|approve|cover)|when will (?:the )?next (?:version|release)|ignore (?:the|all"
    r"|your|previous)|system prompt|password of|api key|who is the (?:ceo|owner)|(?:iso|soc ?2|hitrust|fda"
    r"|ce)[- ](?:certif\w+|cleared|approved|number)|which hospitals (?:use|run)|how many (?:hospitals|customers"
    r"|users))\b",
    re.IGNORECASE,
)
_STOP: Final = re.compile(
    r"(?:a|an|and|any|are|as|at|be|been|before|but|by|can|could|did|do|does|for|from|get|gets|had|has|have|how|i|if|in"
    r"|into|is|it|its|many|me|much|my|no|not|of|on|one|or|our|out|say|says|see|she|he|so|some|such|than|that|the|their"
    r"|them|then|there|these|they|this|those|to|up|us|was|we|were|what|when|where|which|who|whom|why|will|with|without"
    r"|would|you|your|again|anyone|e|g|use|used|using|am|about|after|all|also|being|both|each|make|made|more|most|need"
    r"|needs|other|over|same|should|two|twice|weeks|want|tell|work|works|go|happen|happens)"
)
_TABLE: Final = Path(__file__).with_name("page_words.csv")


@cache
def _synonyms() -> dict[str, list[str]]:
    """Return the words that the pages have for the words that people ask with."""
    with _TABLE.open(encoding="utf-8", newline="") as file:
        return {row["asked"]: row["pages_say"].split() for row in csv.DictReader(file)}


def pages_folder() -> Path | None:
    """Return the folder of the pages: that of the source; None where only the wheel is installed."""
    folder = Path(cds_hooks.__file__).parent.parent / "docs"
    return folder if (folder / "contents.toml").is_file() else None


def _sections(folder: Path) -> Iterator[tuple[str, str, str, str]]:
    """Each section of each page: its page, the title of the page, its heading and its text."""
    for path in (folder.parent / "README.md", *sorted(folder.rglob("*.md"))):
        name = path.relative_to(folder.parent).as_posix()
        title, heading = "", ""
        lines: list[str] = []
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("#"):
                if lines:
                    yield name, f"{title} {path.stem}", heading, " ".join(lines)
                heading, lines = line.lstrip("# "), []
                title = title or heading
            else:
                lines.append(line)
        yield name, f"{title} {path.stem}", heading, " ".join(lines)


@cache
def _index(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.execute(
        "create virtual table section using fts5(page unindexed, title, heading, text, tokenize='porter')"
    )
    connection.executemany("insert into section values (?, ?, ?, ?)", _sections(folder))
    return connection


# Lists of rules, records of decisions and the reference name everything and explain little.
_LISTS: Final = ("docs/rules/", "docs/decisions/", "docs/reference/", "docs/caches", "docs/conformance", "docs/crd")
_BEST: Final = "select page, bm25(section, 0, 6, 4, 1) from section where section match ? order by 2 limit 60"


def ask_pages(question: str, folder: Path) -> Pages:
    """Return the pages of a folder that answer a question, best first, at most five."""
    text = " ".join(question.split())[:500]
    if _NEVER.search(text) or _OF_PATIENTS.search(text):
        return Pages((), "questions of this kind are not answered by the pages")
    words = [word for word in re.findall(r"[a-z0-9_]+", text.lower()) if len(word) > 1 and not _STOP.fullmatch(word)]
    alike = [other for word in words for other in _synonyms().get(word, ())]
    answered = [word for word in words if _count(folder, word) or word in _synonyms()]
    if not words or len(answered) < len(words) / 2:
        return Pages((), "no page has these words")
    scores: dict[str, float] = {}
    for weight, terms in ((1.0, words), (0.6, alike)):
        if not terms:
            continue
        query = " OR ".join(f'"{term}"' for term in dict.fromkeys(terms))
        of_query: dict[str, list[float]] = {}
        for page, score in _index(folder).execute(_BEST, (query,)):
            of_query.setdefault(page, []).append(-score)
        for page, sections in of_query.items():
            total = sections[0] + 0.25 * sum(sections[1:4])
            scores[page] = scores.get(page, 0.0) + weight * total * (0.6 if page.startswith(_LISTS) else 1.0)
    return Pages(tuple(sorted(scores, key=lambda page: -scores[page])[:_MOST]))


def _count(folder: Path, word: str) -> int:
    query = "select count(*) from section where section match ?"
    return int(_index(folder).execute(query, (f'"{word}"',)).fetchone()[0])
