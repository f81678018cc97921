"""`python -m maintenance.sources`: what a committee can check of each warning and critical row in force, as CSV.

One line for each band with each drug that its rule names (also one that the condition of the band leaves out), for each
pair, and for each maximum dose, whose document is its own ("alarm": no label was read, and only five times the dose is
told): level, class of the best source that speaks for the drug (`cards/rules/language/source_classes.csv`), the
document that its card names first with section, quote, year and address, and whether that is the label of the drug
itself ("own"), one of its class ("class") or no label ("none").
"""

import csv
import sys
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from cards.rules.engine.rule_book import whole_book
from cards.rules.families.dose.knowledge import LIMITS, evidence_of
from cards.rules.families.pairs.family import PAIRS
from cards.rules.language.rule import Evidence
from cards.rules.language.sources import class_of
from fhir.terminology.medications import CLASS_MEMBERS, INGREDIENTS

_HEAD = ("row", "level", "drug", "class", "label", "document", "section and quote", "year", "address")
_LEVELS = frozenset({"critical", "warning", "start"})
_OF_LIMITS = "dose-max"


def main() -> None:
    """Print every line, the critical ones first."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_HEAD)
    lines: list[tuple[str, ...]] = [*_bands(), *_pairs(), *_limits()]
    lines.sort(key=lambda line: (line[1], line[0], line[2]))
    writer.writerows(lines)


def _bands() -> Iterator[tuple[str, ...]]:
    for compiled in whole_book().rules:
        rule = compiled.declared
        keys = {drug.rxcui for selector in rule.trigger.draft for drug in selector.ingredients}
        keys = keys.union(*(CLASS_MEMBERS[name] for selector in rule.trigger.draft for name in selector.classes))
        for band in (compiled_band.declared for compiled_band in compiled.bands):
            sources = [rule.evidence[position] for position in band.cites] or list(rule.evidence)
            if band.indicator in _LEVELS and rule.id != _OF_LIMITS:
                for key in keys or {""}:
                    yield f"{rule.id}/{band.id}", band.indicator, _name(key), *_cited(key, sources)


def _pairs() -> Iterator[tuple[str, ...]]:
    for keys, pairs in PAIRS.items():
        for pair in (pair for pair in pairs if pair.severity in _LEVELS):
            key = pair.evidence.rxcui or ""
            yield "pair-label", pair.severity, " + ".join(sorted(map(_name, keys))), *_cited(key, [pair.evidence])


def _limits() -> Iterator[tuple[str, ...]]:
    for limits in LIMITS.values():
        for limit in limits:
            row = f"{_OF_LIMITS}/{'alarm' if limit.is_lead or limit.is_alarm else 'maximum'}"
            is_own = limit.set_id and not limit.label_of
            evidence = replace(evidence_of(limit), rxcui=limit.rxcui) if is_own else evidence_of(limit)
            yield row, "warning", limit.drug, *_cited(limit.rxcui, [evidence])


def _cited(key: str, sources: Sequence[Evidence]) -> tuple[str, ...]:
    own = [source for source in sources if source.rxcui is not None and source.rxcui == key]
    speaking = [*own, *(source for source in sources if source.rxcui is None)] or list(sources)
    source = speaking[0]
    label = "own" if own else "class" if source.basis == "label" else "none"
    return min(map(class_of, speaking)), label, source.document, source.section, source.year, source.url or ""


def _name(key: str) -> str:
    return INGREDIENTS[key].name if key in INGREDIENTS else key


if __name__ == "__main__":
    main()
