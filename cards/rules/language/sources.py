"""Gives each source of a rule its class, and lets what is based on it show no more than a source of that class may.

The classes are those of a pharmacy committee. `source_classes.csv` tells them by the words of a document, the first row
that fits; a document that no row names has the class of its kind, in the last rows. `label_quotes.csv` has the
sentences of labels that were read for a rule, or for one of its bands or each ("rule/band", "rule/*"): drug, set id of
DailyMed, route, section and at most 25 words. A rule whose own sources are leads is in force for the drugs whose label
was read, and cites it; the others wait.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from cards.rules.language.rule import SET_ID, Band, DeclaredSelector, Drug, Evidence, Rule
from cards.text import capitalized
from fhir.terminology.country import own_country
from fhir.terminology.medications import CLASS_MEMBERS, INGREDIENTS
from fhir.terminology.package_tables import package_rows

SourceClass = Literal["A", "B", "C", "D", "E", "P"]
CLASSES: Final[Mapping[SourceClass, str]] = {
    "A": "a label that was read, itself or in a copy with its number",
    "B": "a guideline, a notice of an authority, or a copy of a label without its number",
    "C": "explicit criteria, or a study",
    "D": "a label known by a quotation only",
    "E": "a consumer page, an answer page, a compendium, or the formulary of one hospital",
    "P": "no document: the dose or the list of drugs itself cannot be meant",
}
LEADS: Final = frozenset({"D", "E"})
"""The classes that show no card: what is based on them alone waits until a label or a guideline was read."""
_CRITICAL_CLASSES: Final = frozenset({"A", "P"})
"""The classes that may be shown as critical; what is based on a guideline, criteria or a study is at most a warning."""

_NUMBER: Final = re.compile(
    rf"\bset(?: id)? [0-9a-f]{{7}}|{SET_ID.pattern}|\beu/\d/\d\d/\d|\bndc \d{{4,5}}-\d{{3,4}}"
    r"|\b(?:a?nda|bl) \d{6}|\b\d{6}(?:s\d{3})?lbl\b|\bregistration \d|\bdailymed archive \d"
    r"|\bemc(?: product)? \d{3}|\boddb\.org \d{5}"
    r"|\b(?:fda\.report|prescriberpoint\.com)(?:/[\w/]*)?[ -][0-9a-f]{7,8}\b"
)
"""What a committee finds a label by: set id, European Union number, product, application, licence or registration.

The addresses of two sites have the first digits of the set id, those of a third the Swiss registration.
"""


_READ: Final = re.compile(r"\bread (?:in a copy )?\d{4}-")
_LONGEST: Final = 120
"""How many characters a label on a card has at most."""
_COUNTRIES: Final[Mapping[str, re.Pattern[str]]] = {
    "US": re.compile(r"\bUS (?:prescribing|label)|\bFDA\b|FDA-approved|DailyMed|openFDA|\bNDC \d|\b(?:A?NDA|BL) \d{6}"),
    "EU": re.compile(r"\bEU/\d|\bEMA\b|European Medicines Agency|European Commission"),
    "UK": re.compile(r"\bMHRA\b|\beMC\b|\bUK product"),
    "CH": re.compile(r"Swissmedic|\bSwiss\b"),
    "FR": re.compile(r"\bANSM\b|Afssaps"),
    "DE": re.compile(r"\bBfArM\b|Fachinformation"),
    "CA": re.compile(r"Health Canada|\bCanadian\b"),
}
_COUNTRY_NAMED: Final = re.compile(rf"\b(?:{'|'.join(_COUNTRIES)}|FDA|EMA|MHRA|Health Canada|Fachinformation)\b")
_KIND: Final = re.compile(r"^(?:.*?\b(?:labels?|SmPC|information|leaflet)(?=,|$)|[^,]+)")
"""The beginning of a label up to its kind, or up to its first comma: behind it stands the country."""


class _Named(Struct, frozen=True):
    words: str
    source_class: SourceClass

    def stands_in(self, text: str) -> bool:
        """Return whether the words stand in a text in small letters, from the beginning of a word on."""
        return self.words in text and re.search(rf"(?<!\w){re.escape(self.words)}", text) is not None


def label_evidence(
    *, drug: str, set_id: str, section: str, quote: str, read: str, route: str = "", page: str = "", rxcui: str = ""
) -> Evidence:
    """Return the label of a drug as a source: what a card cites, and the sentence that was read.

    `set_id` may be another number of the label, such as "NDC 0006-5028", where the copy at `page` has no set id.
    Without a number the page says of which country the label is (`label_copies.csv`); of others it is not known.
    """
    name = capitalized(drug)
    is_at_dailymed = SET_ID.fullmatch(set_id) is not None
    identity = f", set {set_id[:8]}" if is_at_dailymed else f", {set_id}" if set_id else ""
    how = "read in a copy" if page else "read"
    part = section.lower() if section[:1].isalpha() else f"section {section}"
    form = f" ({route})" if route else ""
    of_class = ", for its class" if rxcui in CLASS_MEMBERS else ""
    place = ", ".join(filter(None, (f"DailyMed set id {set_id}" if is_at_dailymed else set_id, page)))
    country = "US" if is_at_dailymed else country_of(set_id) or _country_of_copy(page)
    return Evidence(
        f"{name}{form}, {country} prescribing information, {place}",
        "FDA-approved label" if country == "US" else f"label, {country}",
        read[:4],
        f"{section}: {quote}",
        f"{name} label ({country}){of_class}, {part}{identity}, {how} {read}",
        "label",
        "label",
        "label",
        f"https://{page}" if page else None,
        rxcui or None,
    )


def dated(evidence: Evidence, day: str) -> Evidence:
    """Return a label with its country and the day on which it was read, as a card cites it; others as they are."""
    if evidence.basis != "label" or not day or _READ.search(evidence.label):
        return evidence
    country = country_of(f"{evidence.document} {evidence.organisation}")
    is_named = not country or _COUNTRY_NAMED.search(evidence.label)
    label = evidence.label if is_named else _KIND.sub(rf"\g<0> ({country})", evidence.label, count=1)
    texts = (f"{label}, read {day}", label)
    return replace(evidence, label=next((text for text in texts if len(text) <= _LONGEST), evidence.label))


def country_of(text: str) -> str:
    """Return the country whose label a document is, by its authority or number; "" where it names none or several."""
    found = [country for country, pattern in _COUNTRIES.items() if pattern.search(text)]
    return found[0] if len(found) == 1 else ""


@cache
def _country_of_copy(page: str) -> str:
    """Return the country whose labels a page has copies of; such a copy has no number and makes at most a warning."""
    copies = package_rows(__package__, "label_copies.csv")
    return next((row["labels_of"] for row in copies if row["page"] in page), "country unknown")


def class_of(evidence: Evidence) -> SourceClass:
    """Return the class of a document by its words, or else by its kind."""
    about = f"{evidence.organisation} | {evidence.label} | {evidence.url}"
    return class_of_document(evidence.document, about, evidence.basis)


def class_of_document(document: str, about: str, basis: str) -> SourceClass:
    """Return the same for a row of a table of documents: `about` has its other words and its address.

    A label that no number identifies is of class B: nobody can look up which label was read.
    """
    named, by_basis = _classes()
    text = f"{document} | {about}".lower()
    source_class = next((row.source_class for row in named if row.stands_in(text)), by_basis[basis])
    return "B" if source_class == "A" and basis == "label" and not _NUMBER.search(text) else source_class


@cache
def _classes() -> tuple[tuple[_Named, ...], Mapping[str, SourceClass]]:
    rows = package_rows(__package__, "source_classes.csv")
    named = tuple(_Named(row["words"].lower(), _checked(row["class"])) for row in rows if row["words"])
    return named, {row["basis"]: _checked(row["class"]) for row in rows if not row["words"]}


def _checked(text: str) -> SourceClass:
    return next(source_class for source_class in CLASSES if source_class == text)


def is_lead(sources: Iterable[Evidence]) -> bool:
    """Return whether all of these are leads: quotations of labels, pages, answers, compendia, foreign formularies."""
    return LEADS.issuperset(map(class_of, sources))


def may_be_critical(sources: Iterable[Evidence]) -> bool:
    """Return whether one of these may be shown as critical: a label that was read, or the chart itself."""
    return not _CRITICAL_CLASSES.isdisjoint(map(class_of, sources))


# A rule


def with_quotes(rule: Rule) -> Rule:
    """Return the rule with the labels that were read for it behind its own sources.

    A band for which labels were read cites them, and so does a critical band, or one that its own sources do not carry,
    of a rule for which they were. A critical band that none of all these carries is a warning.
    """
    rule = replace(rule, evidence=tuple(dated(evidence, rule.audit.date) for evidence in rule.evidence))
    evidence = (*rule.evidence, *_quotes().get(rule.id, ()))
    of_rule = tuple(range(len(rule.evidence), len(evidence)))
    bands = []
    for band in rule.bands:
        read = (*_quotes().get(f"{rule.id}/{band.id}", ()), *_quotes().get(f"{rule.id}/*", ()))
        of_band = tuple(range(len(evidence), len(evidence) + len(read)))
        evidence = (*evidence, *read)
        bands.append(_carried(band, rule, evidence, of_band, of_rule))
    lowered = [band for band, carried in zip(rule.bands, bands, strict=True) if band.indicator != carried.indicator]
    # What asks for the data of the critical bands asks for them when they are warnings, too.
    critical = tuple(band.id for band in rule.bands if band.indicator == "critical")
    missing = tuple(
        replace(entry, bands=critical) if lowered and entry.bands == ("critical",) else entry
        for entry in rule.missing_data
    )
    return replace(rule, evidence=evidence, bands=tuple(bands), missing_data=missing)


def _carried(
    band: Band, rule: Rule, evidence: tuple[Evidence, ...], of_band: tuple[int, ...], of_rule: tuple[int, ...]
) -> Band:
    own = band.cites or tuple(range(len(rule.evidence)))
    sources = _cited(band, rule)
    is_critical = band.indicator == "critical"
    is_carried = not is_lead(sources) and (not is_critical or may_be_critical(sources))
    read = (*of_band, *of_rule) if is_critical or not is_carried else of_band
    if is_lead(sources) and not read:
        return band
    is_too_high = is_critical and not may_be_critical(evidence[position] for position in (*read, *own))
    if is_too_high:  # what is shown as a warning forbids the order all the same
        band = replace(band, indicator="warning", forbids="yes" if band.forbids_order else "no")
    return replace(band, cites=(*read, *own))


@cache
def _quotes() -> Mapping[str, tuple[Evidence, ...]]:
    quotes: dict[str, tuple[Evidence, ...]] = {}
    for row in package_rows(__package__, "label_quotes.csv"):
        if not row["partner"]:
            quotes[row["rule"]] = (*quotes.get(row["rule"], ()), _quoted(row))
    return quotes


def pair_quotes() -> Mapping[frozenset[str], Evidence]:
    """Return the label that was read for each pair of drugs or classes; one of the European Union holds in it only."""
    rows = (row for row in package_rows(__package__, "label_quotes.csv") if row["partner"])
    held = (row for row in rows if own_country().holds("EU" if row["set_id"].startswith("EU/") else ""))
    return {frozenset((row["rxcui"], row["partner"])): _quoted(row) for row in held}


@cache
def harms() -> Mapping[str, str]:
    """Return what too much of a drug does, by its code: a warning of its label."""
    return {row["rxcui"]: row["harm"] for row in package_rows(__package__, "harms.csv")}


def _quoted(row: Mapping[str, str]) -> Evidence:
    names = ("drug", "set_id", "section", "quote", "read", "route", "page", "rxcui")
    return label_evidence(**{name: row[name] for name in names})


def in_force(rule: Rule) -> Rule | None:
    """Return what of a rule may be shown, without the bands that are based on leads; None where nothing is left.

    Where labels were read for a rule whose own sources are leads, only the drugs of these labels activate it.
    """
    quoted = [evidence for evidence in rule.evidence if evidence.rxcui is not None]
    own = [evidence for evidence in rule.evidence if evidence.rxcui is None]
    if not (quoted and is_lead(own) and rule.trigger.draft):
        bands = tuple(band for band in rule.bands if not is_lead(_cited(band, rule)))
        return rule if len(bands) == len(rule.bands) else _with_bands(rule, bands)
    read = {evidence.rxcui for evidence in quoted}
    draft = tuple(narrowed for selector in rule.trigger.draft for narrowed in _only(selector, read))
    bands = tuple(replace(band, cites=()) for band in rule.bands)
    trigger = replace(rule.trigger, draft=draft)
    return replace(rule, trigger=trigger, evidence=tuple(quoted), bands=bands) if draft else None


def waiting_drugs(rule: Rule) -> tuple[str, ...]:
    """Return the drugs for which a rule is not in force, or some of its bands, until their labels were read."""
    own = [evidence for evidence in rule.evidence if evidence.rxcui is None]
    armed = in_force(rule)
    if armed is None or len(armed.bands) < len(rule.bands):
        return _names(rule.trigger.draft) or ("the drugs of the pair",)
    in_use = set(_names(armed.trigger.draft))
    return tuple(name for name in _names(rule.trigger.draft) if name not in in_use) if is_lead(own) else ()


def _names(selectors: Iterable[DeclaredSelector]) -> tuple[str, ...]:
    names = [
        name for selector in selectors for name in (*(drug.name for drug in selector.ingredients), *selector.classes)
    ]
    return tuple(dict.fromkeys(names))


def _cited(band: Band, rule: Rule) -> Iterable[Evidence]:
    return [rule.evidence[position] for position in band.cites] or rule.evidence


def _with_bands(rule: Rule, bands: tuple[Band, ...]) -> Rule | None:
    """Return the rule with these of its bands, and with what asks for data that they need."""
    names = {band.id for band in bands}
    missing = tuple(
        replace(entry, bands=kept) for entry in rule.missing_data if (kept := _names_in(entry.bands, names))
    )
    is_left = any(band.indicator != "silent" for band in bands)
    return replace(rule, bands=bands, missing_data=missing) if is_left else None


def _names_in(bands: tuple[str, ...], names: set[str]) -> tuple[str, ...]:
    return bands if bands == ("critical",) else tuple(name for name in bands if name in names)


def _only(selector: DeclaredSelector, read: set[str | None]) -> Iterator[DeclaredSelector]:
    members = frozenset().union(*(CLASS_MEMBERS[name] for name in selector.classes))
    of_classes = (Drug(rxcui, INGREDIENTS[rxcui].name) for rxcui in sorted(members) if rxcui in INGREDIENTS)
    drugs = {drug.rxcui: drug for drug in (*selector.ingredients, *of_classes) if drug.rxcui in read}
    if drugs:
        yield replace(selector, ingredients=tuple(drugs.values()), classes=())
