"""Which vaccines a text names: brands, abbreviations and plain words (`data/vaccine_names.csv`)."""

import csv
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Final

from msgspec import Struct

from fhir.terminology.caching import remembered
from fhir.terminology.condition_words import is_of_patient


class NamedVaccine(Struct, frozen=True):
    """A vaccine group by CDC's name, and CDC's observations of a severe reaction to a dose of it."""

    group: str
    severe_reactions: tuple[str, ...]


_VACCINE: Final = re.compile(r"vaccin|immuni[sz]|\bshots?\b|\bjabs?\b|\bboosters?\b", re.IGNORECASE)
_LONGEST: Final = 200


def _read_names() -> tuple[dict[str, NamedVaccine], dict[str, NamedVaccine]]:
    """The vaccines by the names that say it alone, and by those that say it beside the word vaccine."""
    text = (files("cards.vaccines") / "data" / "vaccine_names.csv").read_text(encoding="utf-8")
    alone: dict[str, NamedVaccine] = {}
    with_word: dict[str, NamedVaccine] = {}
    for row in csv.DictReader(text.splitlines()):
        vaccine = NamedVaccine(row["group"], tuple(row["observations"].split(";")))
        alone.update(dict.fromkeys(row["alone"].split(";"), vaccine))
        with_word.update(dict.fromkeys(row["with_vaccine"].split(";"), vaccine))
    return alone, with_word


_ALONE, _WITH_WORD = _read_names()


def _pattern(names: dict[str, NamedVaccine]) -> re.Pattern[str]:
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)


_ALONE_PATTERN: Final = _pattern(_ALONE)
_WITH_WORD_PATTERN: Final = _pattern(_WITH_WORD)


@remembered("vaccines in words", entries=2048, longest=_LONGEST)
def vaccines_named(words: str) -> tuple[NamedVaccine, ...]:
    """The vaccines that a text names of the patient; () for none.

    >>> [vaccine.group for vaccine in vaccines_named("Shingrix")], vaccines_named("family history of shingles")
    (['Zoster'], ())
    >>> [vaccine.group for vaccine in vaccines_named("MMR vaccine")]
    ['MMR']
    """
    return tuple(dict.fromkeys(_matching(words[:_LONGEST])))


def _matching(words: str) -> Iterator[NamedVaccine]:
    patterns = [(_ALONE_PATTERN, _ALONE)]
    if _VACCINE.search(words):
        patterns.append((_WITH_WORD_PATTERN, _WITH_WORD))
    for pattern, names in patterns:
        for match in pattern.finditer(words):
            if is_of_patient(words, match.start()):
                yield names[match[0].lower()]
