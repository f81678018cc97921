"""Makes pages from the rules: one of each family for pharmacists, the words of conditions, and what is to be read."""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Final

from msgspec import to_builtins

from cards.rules.conditions.condition import Condition, common_vocabulary, selected
from cards.rules.engine.family import Family, rule_families
from cards.rules.language.rule import (
    Band,
    DeclaredSelector,
    Evidence,
    MissingData,
    Product,
    Rule,
    RuleTable,
    Sig,
    SilentWhen,
    SuggestionTemplate,
    Trigger,
)
from cards.rules.language.sources import (
    CLASSES,
    LEADS,
    SourceClass,
    class_of,
    class_of_document,
    pair_quotes,
    waiting_drugs,
)
from cards.rules.language.table import read_table
from cards.rules.language.trigger import Template
from fhir.terminology.package_tables import package_rows

_BY_RISK: Final = ("critical", "warning", "info")
_INSTEAD = {"silence": "No card", "info": "Only info", "warning": "Only a warning"}


def family_page(table: RuleTable, family: Family) -> str:
    """Return the page in Markdown."""
    lines = [
        f"# {table.title}",
        "",
        f"Made from `cards/rules/families/{table.family}` by `make docs`.",
        f"Compared with its sources on {table.reviewed}. Status: {table.status}.",
        f"Source: {table.source}.",
        "",
        "Bands are evaluated from top to bottom, and the first one that is true counts. Words in braces are filled "
        "from the patient's data ([how a draft is evaluated](README.md#how-a-draft-is-evaluated)). A local form is a "
        "cream, eye drops, an inhaler or another product that acts where it is applied.",
        "",
    ]
    for rule in sorted((rule for rule in table.rules if rule.template is None), key=lambda rule: -rule.priority):
        lines += _rule(rule, family)
    for template in dict.fromkeys(rule.template for rule in table.rules if rule.template is not None):
        lines += _of_table([rule for rule in table.rules if rule.template == template], family)
    return "\n".join(lines).rstrip() + "\n"


def _of_table(rules: list[Rule], family: Family) -> Iterator[str]:
    """Yield the rules of one table: what each band says once, then a row for each rule with its bands."""
    first = rules[0]
    yield f"## Rules made from a table (`{first.template}`, priority {first.priority})"
    yield ""
    yield f"Checked: {first.audit.verified} ({first.audit.source}), {first.audit.date}."
    yield ""
    yield "| Band | Indicator | When | Says | Offers |"
    yield "|---|---|---|---|---|"
    yield from dict.fromkeys(_band(band, family) for rule in rules for band in rule.bands)
    yield ""
    yield from (_silent_when(entry, family) for entry in first.silent_when)
    yield ""
    yield "| Rule | About | Activated by | Bands | Source |"
    yield "|---|---|---|---|---|"
    for rule in rules:
        bands = " ".join(dict.fromkeys(f"`{band.id}`" for band in rule.bands))
        sources = "; ".join(_evidence(evidence) for evidence in rule.evidence)
        yield f"| `{rule.id}` | {rule.title} | {_trigger(rule.trigger)} | {bands} | {sources} |"
    yield ""


def _rule(rule: Rule, family: Family) -> Iterator[str]:
    yield f"## {rule.title} (`{rule.id}`, priority {rule.priority})"
    yield ""
    yields = f" Yields to {', '.join(f'`{name}`' for name in rule.yields_to)}." if rule.yields_to else ""
    yield f"Activated by {_trigger(rule.trigger)}.{yields}"
    yield ""
    yield f"Checked: {rule.audit.verified} ({rule.audit.source}), {rule.audit.date}."
    if rule.audit.differs:
        yield f"Differs from its source: {rule.audit.differs}"
    yield ""
    yield from (f"- {_evidence(evidence)}" for evidence in rule.evidence)
    yield ""
    yield "| Band | Indicator | When | Says | Offers |"
    yield "|---|---|---|---|---|"
    yield from (_band(band, family) for band in rule.bands)
    yield from (_missing(entry, family) for entry in rule.missing_data)
    yield ""
    yield from (_silent_when(entry, family) for entry in rule.silent_when)
    yield from (f"- Asks: {question.text} ({family.vocabulary.say(question.when)})" for question in rule.questions)
    yield ""


def _silent_when(entry: SilentWhen, family: Family) -> str:
    when = f" ({family.vocabulary.say(entry.when)})" if entry.when is not None else ""
    besides = f", not of {', '.join(entry.except_bands)}" if entry.except_bands else ""
    return f"- {_INSTEAD[entry.instead]} (`{entry.code}`{besides}): {entry.text}{when}"


def _trigger(trigger: Trigger) -> str:
    ways = [f"a draft of {_side(trigger.draft)}"] if trigger.draft else []
    if trigger.tests:
        return f"an order of a study or test of the groups {', '.join(trigger.tests)}"
    if trigger.pair:
        first, second = map(_side, trigger.pair)
        ways.append(f"a draft of {first} with {second} taken or drafted, or the other way round")
    if trigger.same_ingredient:
        ways = [f"{way}, beside each other order that holds the same ingredient" for way in ways]
    if trigger.same_class:
        ways = [f"{way}, beside another order of the same class" for way in ways]
    local = "a local form too" if trigger.local_forms else "never a local form"
    return f"{'; by '.join(ways)}; {local}"


def _side(side: Iterable[DeclaredSelector]) -> str:
    return ", ".join(selected(to_builtins(selector)) for selector in side)


def _evidence(evidence: Evidence) -> str:
    address = evidence.link or evidence.url
    name = f"[{evidence.document}]({address})" if address else evidence.document
    graded = f"{evidence.grade} ({evidence.grade_scheme})"
    on_cards = f"{evidence.basis}, on cards: {evidence.label}"
    return f"{name}, {evidence.organisation}, {evidence.year}: {evidence.section}. Grade: {graded}; {on_cards}."


def _band(band: Band, family: Family) -> str:
    unsure = (
        f" Where the facts are old or contradict: **{Template(band.unsure_summary).text}**"
        if band.unsure_summary
        else ""
    )
    says = f"**{Template(band.summary).text}** {Template(band.detail).text}{unsure}"
    cells = (f"`{band.id}`", band.indicator, family.vocabulary.say(band.when), says, _offers(band.suggestions, family))
    return f"| {' | '.join(cells)} |"


def _missing(entry: MissingData, family: Family) -> str:
    when = f"{family.vocabulary.say(entry.when)}, and {' or '.join(entry.bands)} cannot be decided"
    cells = (
        f"`missing` ({entry.id})",
        entry.indicator,
        when,
        f"**{Template(entry.summary).text}** {Template(entry.detail).text}",
        _offers(entry.suggestions, family),
    )
    return f"| {' | '.join(cells)} |"


def _offers(suggestions: Iterable[SuggestionTemplate], family: Family) -> str:
    return "; ".join(_offer(suggestion, family) for suggestion in suggestions) or "nothing"


def _offer(suggestion: SuggestionTemplate, family: Family) -> str:
    text = f"{suggestion.label} / {suggestion.active_label}" if suggestion.active_label else suggestion.label
    if orders := "; ".join(_orders(suggestion, family)):
        text += f" [{orders}]"
    if suggestion.recommended is True:
        text += " (recommended)"
    elif suggestion.recommended:
        text += f" (recommended if {family.vocabulary.say(suggestion.recommended)})"
    return f"{text}, if {family.vocabulary.say(suggestion.only_if)}" if suggestion.only_if is not None else text


def _orders(suggestion: SuggestionTemplate, family: Family) -> Iterator[str]:
    """Yield what is written into the orders, so that who reviews the page sees each dose, product and test."""
    for change in filter(None, (suggestion.change, suggestion.change_partner)):
        yield from [f"computed by `{change.computed}`"] if change.computed else []
        yield from (_product(product) for product in (change.product, *change.products_if_split) if product is not None)
        yield from (_sig(sig) for sig in (change.sig, change.second) if sig is not None)
    yield from (f"{_product(order.product)}, {_sig(order.sig)}" for order in suggestion.create)
    for test in suggestion.orders:
        codes = ", ".join([test.loinc, *test.answered_by])
        day = f" ({codes}) in {test.in_days} days" if test.in_days else f" ({codes})"
        yield f"{test.name}{day}, if {family.vocabulary.say(test.only_if)}" if test.only_if else f"{test.name}{day}"


def _product(product: Product) -> str:
    return f"{product.name}, {product.strength_mg:g} mg" if product.strength_mg is not None else product.name


def _sig(sig: Sig) -> str:
    members = {name: value for name, value in to_builtins(sig).items() if name not in ("text", "is_written")}
    return ", ".join([sig.text, *(f"{name.replace('_', ' ')} {value}" for name, value in members.items())])


# The words of conditions


def words_page() -> str:
    """Return the page of every word of conditions with its meaning: the common ones, then those of each family."""
    lines = ["# Words of conditions", "", "Made from `cards/rules/conditions` by `make docs`.", ""]
    lines += _table_of_words(common_vocabulary())
    for family in rule_families():
        if family.conditions:
            lines += ["", f"Only in `{family.name}`:", "", *_table_of_words(family.conditions)]
    return "\n".join(lines) + "\n"


def _table_of_words(words: Iterable[Condition]) -> Iterator[str]:
    yield "| Word | True when |"
    yield "|---|---|"
    yield from (f"| `{word.word}` | {word.meaning} |" for word in sorted(words, key=lambda word: word.word))


# What waits for its label


def page_of_sources_to_read() -> str:
    """Return the page of what waits because only leads speak for it, what would speak loudest first."""
    listed = [*_waiting_rules(), *_waiting_pairs()]
    lines = [
        "# What waits for its label",
        "",
        "Made from the rules by `make docs`.",
        "",
        "Each source has a class (`cards/rules/language/source_classes.csv`):",
        "",
        *(f"- {source_class}: {meaning}." for source_class, meaning in CLASSES.items()),
        "",
        "Only A and P are shown as critical; B and C are at most a warning. "
        "What has sources of class D or E alone shows no card. It waits here until a label or a guideline was "
        "read: one line in `cards/rules/language/label_quotes.csv` with drug, set id, section and a quote of at most "
        "25 words puts it in force for that drug. The level is the one that it would have. A dose five times over "
        "a maximum of these classes (four times for each kilogram) is told as an alarm by plausibility, which cites no "
        "such page.",
    ]
    for indicator in _BY_RISK:
        of_this = sorted(entry[1:] for entry in listed if entry[0] == indicator)
        lines += ["", f"## {indicator.capitalize()}: {len(of_this)}", ""]
        lines += ["| Class | Family | Rule | Waits for the labels of | Cites |", "|---|---|---|---|---|"]
        lines += [f"| {' | '.join(entry)} |" for entry in of_this]
    for evidence_class, leads in _dose_leads().items():
        lines += [
            "",
            f"## Dose leads of class {evidence_class}: {len(leads)}",
            "",
            "| Drug | Limit | Cites |",
            "|---|---|---|",
        ]
        lines += [f"| {drug} | {limit} | {label} |" for drug, limit, label in sorted(leads)]
    return "\n".join(lines) + "\n"


_Waiting = tuple[str, str, str, str, str, str]
"""Level, class, family, title, drugs whose labels are missing, what it cites."""


def _waiting_rules() -> Iterator[_Waiting]:
    for family in rule_families():
        for rule in read_table(family.name).rules:
            own = [evidence for evidence in rule.evidence if evidence.rxcui is None]
            if drugs := waiting_drugs(rule):
                cites = "; ".join(dict.fromkeys(evidence.label for evidence in own))
                yield _worst(rule), min(map(class_of, own)), family.name, rule.title, ", ".join(drugs), cites


def _waiting_pairs() -> Iterator[_Waiting]:
    quotes = pair_quotes()
    sources = {row["id"]: row for row in package_rows("cards.rules.families.pairs", "sources.csv")}
    for row in package_rows("cards.rules.families.pairs", "pairs.csv"):
        source = sources[row["source"]]
        evidence_class = _class_of_row(source)
        sides = (zip(row[side].split(";"), row[f"{side}_key"].split(";"), strict=True) for side in "ab")
        unread = [(a, b) for (a, a_key), (b, b_key) in product(*sides) if frozenset((a_key, b_key)) not in quotes]
        if evidence_class in LEADS and unread:
            firsts, seconds = (", ".join(dict.fromkeys(names)) for names in zip(*unread, strict=True))
            indicator = "warning" if row["severity"] == "start" else row["severity"]
            yield indicator, evidence_class, "pairs", f"{firsts} with {seconds}", firsts, source["label"]


def _class_of_row(source: dict[str, str]) -> SourceClass:
    return class_of_document(source["document"], f"{source['organisation']} | {source['label']}", source["basis"])


_DOSE_TABLES: Final = ("limits.csv", "label_limits.csv", "leads.csv")


def _dose_leads() -> dict[SourceClass, list[tuple[str, str, str]]]:
    """Return the drug, the limit and the source of each dose that waits for its label, by the class of its evidence."""
    rows = package_rows("cards.rules.families.dose", "sources.csv")
    sources = {row["id"]: (_class_of_row(row), row["label"]) for row in rows}
    leads: dict[SourceClass, list[tuple[str, str, str]]] = {"D": [], "E": []}
    for table in _DOSE_TABLES:
        for row in package_rows("cards.rules.families.dose", table):
            evidence_class, label = sources[row["source"]]
            if evidence_class in LEADS:
                column = next(name for name in row if name.startswith("max_") and row[name])
                limit = f"{column.removesuffix('_mg').replace('_', ' ')} {row[column]} {row.get('unit', 'mg')}"
                leads[evidence_class].append((row["drug"], limit, row.get("page") or label))
    return leads


def _worst(rule: Rule) -> str:
    shown = {band.indicator for band in rule.bands}
    return next((indicator for indicator in _BY_RISK if indicator in shown), _BY_RISK[-1])


def rule_pages() -> dict[str, str]:
    """Return every page that is made from the rules, by its name in docs/rules."""
    pages = {f"{family.name}.md": family_page(read_table(family.name), family) for family in rule_families()}
    return pages | {"sources-to-read.md": page_of_sources_to_read(), "words.md": words_page()}
