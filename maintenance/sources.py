"""`python -m maintenance.sources`: what a committee can check of each warning and critical row in force, as CSV.

One line for each band with each drug that can make it true, for each pair, and for each maximum dose, whose document is
its own ("alarm": no label was read, and only five times the dose is told, because it can hardly be meant): level, class
of the best source that speaks for the drug (`cards/rules/language/source_classes.csv`), the document that its card
names first with section, quote, year and address, and whether that is the label of the drug itself ("own"), one of its
class ("class") or no label ("none"). Two drugs of a rule for whose pair the label of a third one speaks have a line of
their own ("other"): it is to be none.
"""

import csv
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from cards.rules.engine.rule_book import whole_book
from cards.rules.families.dose.knowledge import ALARM, LIMITS, evidence_of
from cards.rules.families.pairs.family import PAIRS
from cards.rules.language.rule import Band, Evidence, Rule
from cards.rules.language.sources import class_of
from fhir.terminology.medications import CLASS_MEMBERS, INGREDIENTS

HEAD = ("row", "level", "drug", "class", "label", "document", "section and quote", "year", "address")
_LEVELS = frozenset({"critical", "warning", "start"})
_OF_LIMITS = "dose-max"
_OF_PAIRS = "pair-label"
_FOR_CLASS = "whose own label was not read"
"""What a document says that is cited for the other drugs of its class."""


def main() -> None:
    """Print every line, the critical ones first."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(HEAD)
    writer.writerows(source_lines())


def source_lines() -> list[tuple[str, ...]]:
    """Return the lines, whose columns are those of `HEAD`."""
    return sorted([*_bands(), *_pairs(), *_limits()], key=lambda line: (line[1], line[0], line[2]))


def _bands() -> Iterator[tuple[str, ...]]:
    for compiled in whole_book().rules:
        rule = compiled.declared
        for band in (compiled_band.declared for compiled_band in compiled.bands):
            sources = [rule.evidence[position] for position in band.cites] or list(rule.evidence)
            if band.indicator in _LEVELS and rule.id != _OF_LIMITS:
                row = f"{rule.id}/{band.id}"
                for key in drugs_of_band(rule, band) or {""}:
                    yield row, band.indicator, _name(key), *_cited(key, sources)
                for both in _of_third_drug(rule, band, sources):
                    class_, _, *document = _cited("", [source for source in sources if source.rxcui is None])
                    yield row, band.indicator, " + ".join(sorted(map(_name, both))), class_, "other", *document


def drugs_of_band(rule: Rule, band: Band) -> set[str]:
    """Return the drugs of the rule that can make a band true, by what the band says of the draft."""
    drugs = _drugs([to_builtins(selector) for selector in rule.trigger.draft])
    for part in band.when.get("all", [band.when]):
        if (of_band := _drugs([part.get("draft", {}), part.get("long_acting", {})])) and part.keys() != {"not"}:
            drugs &= of_band
        if isinstance(excluded := part.get("not"), dict):
            drugs -= _drugs([excluded.get("draft", {})])
    return drugs


def _of_third_drug(rule: Rule, band: Band, sources: Sequence[Evidence]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of a band whose card cites first the label of one drug, and that is neither of the two."""
    first = next((source for source in sources if source.rxcui is None), None)
    if not rule.trigger.pair or rule.id == _OF_PAIRS or first is None or _FOR_CLASS in first.document:
        return
    text = first.document.lower()
    named = {key for key, drug in INGREDIENTS.items() if re.search(rf"\b{re.escape(drug.name.lower())}\b", text)}
    if first.basis != "label" or not any(text.startswith(_name(key).lower()) for key in named):
        return
    meant = _drugs([part.get("partner_on", {}) for part in band.when.get("all", [band.when])])
    read = named.union(source.rxcui for source in sources if source.rxcui)
    ours, others = (_drugs([to_builtins(selector) for selector in side]) - read for side in rule.trigger.pair)
    yield from (both for both in product(ours, others) if not meant or meant.intersection(both))


def _drugs(selectors: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the ingredients that selectors name, by themselves or by their class."""
    keys = {drug["rxcui"] for selector in selectors for drug in selector.get("ingredients", ())}
    return keys.union(*(CLASS_MEMBERS[name] for selector in selectors for name in selector.get("classes", ())))


def _pairs() -> Iterator[tuple[str, ...]]:
    for keys, pairs in PAIRS.items():
        for pair in (pair for pair in pairs if pair.severity in _LEVELS):
            key = pair.evidence.rxcui or ""
            yield _OF_PAIRS, pair.severity, " + ".join(sorted(map(_name, keys))), *_cited(key, [pair.evidence])


def _limits() -> Iterator[tuple[str, ...]]:
    for limits in LIMITS.values():
        for limit in limits:
            row = f"{_OF_LIMITS}/{'alarm' if limit.is_lead or limit.is_alarm else 'maximum'}"
            is_own = limit.set_id and not limit.label_of
            evidence = ALARM if limit.is_lead else evidence_of(limit)
            evidence = replace(evidence, rxcui=limit.rxcui) if is_own else evidence
            yield row, "warning", limit.drug, *_cited(limit.rxcui, [evidence])


def _cited(key: str, sources: Sequence[Evidence]) -> tuple[str, ...]:
    own = [source for source in sources if source.rxcui == key or (source.rxcui is None and _is_label_of(key, source))]
    speaking = [*own, *(source for source in sources if source.rxcui is None)] or list(sources)
    source = speaking[0]
    label = "own" if own else "class" if source.basis == "label" else "none"
    address = source.link or source.url or ""
    return min(map(class_of, speaking)), label, source.document, source.section, source.year, address


def _is_label_of(key: str, source: Evidence) -> bool:
    """Return whether a document that a row names is the label of the drug: it has its name and a set id."""
    return bool(key) and "set id" in source.document and source.document.lower().startswith(_name(key).lower())


def _name(key: str) -> str:
    return INGREDIENTS[key].name if key in INGREDIENTS else key


if __name__ == "__main__":
    main()
