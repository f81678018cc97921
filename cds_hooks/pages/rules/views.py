"""The pages of the rules: the list with what waits for a second person, a rule, and the checks."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final

from anyio import CapacityLimiter
from fastapi import Depends, Query
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cards.card import SEVERITY
from cards.rules.engine.coverage import CHECKS, checks_by_name, study_in_words
from cards.rules.engine.family import TableRow, family_named
from cards.rules.engine.governance import RuleVersion, all_rule_versions
from cards.rules.engine.rule_book import rule_book
from cards.rules.language.rule import Evidence, SuggestionTemplate
from cds_hooks.pages.committee.standing import Committee
from cds_hooks.pages.committee.tables import RuleRow, WantedRules
from cds_hooks.pages.rules.approvals import MOST_BYTES, Approvals
from cds_hooks.pages.server import PageServer
from cds_hooks.web.site import Failure, PageRefusal
from cds_hooks.web.visitor import visiting
from fhir.mapping.medications.identity import identify_concept
from fhir.record.datatypes import CodeableConcept
from fhir.terminology.allergens import ALLERGEN_CLASSES, allergen_of_words
from fhir.terminology.medication_names import read_order_name
from fhir.terminology.medications import CLASS_MEMBERS, INGREDIENTS

# One medication rule laid out for reading: what it says when, and what it rests on


class BandRow(Struct, frozen=True):
    """One band: when, how severe, what it says and offers, in words."""

    id: str
    indicator: str
    when: str
    says: str
    offers: tuple[str, ...]


class RulePage(Struct, frozen=True):
    """Everything the page of a rule shows."""

    id: str
    title: str
    family: str
    version: str
    checked: str
    reviewed: str
    status: str
    differs: str | None
    bands: tuple[BandRow, ...]
    silences: tuple[str, ...]
    evidence: tuple[Evidence, ...]


def describe_rule(version: RuleVersion) -> RulePage:
    """Return the facts of a rule."""
    rule, table = version.rule, version.table
    vocabulary = family_named(table.family).vocabulary
    bands = tuple(
        BandRow(band.id, band.indicator, vocabulary.say(band.when), band.summary, _offers(band.suggestions))
        for band in rule.bands
    )
    return RulePage(
        id=rule.id,
        title=rule.title,
        family=table.title,
        version=version.digest,
        checked=f"{rule.audit.verified}: {rule.audit.source}, {rule.audit.date}",
        reviewed=table.reviewed,
        status=table.status,
        differs=rule.audit.differs,
        bands=bands,
        silences=tuple(silence.text for silence in rule.silent_when),
        evidence=rule.evidence,
    )


def _offers(suggestions: Iterable[SuggestionTemplate]) -> tuple[str, ...]:
    return tuple(suggestion.label for suggestion in suggestions)


_NO_RULE: Final = Failure(
    "No such rule", "Not found", "No medication rule of this name is here.", "/rules lists those there are."
)


def _version(rule_id: str) -> RuleVersion:
    version = all_rule_versions().get(rule_id)
    if version is None:
        raise PageRefusal(_NO_RULE)
    return version


class _Rules:
    """The pages of one server."""

    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._approvals = Approvals(server)

    def show_all(self, request: Request, wanted: Annotated[WantedRules, Query()]) -> Response:
        """Show the rules, and what waits for a second person; what was clicked is taken first."""
        approvals: dict[str, Any]
        if request.method == "POST":
            approvals, status = self._approvals.take(request.state.form)
        else:
            approvals, status = self._approvals.values(), 200
        rules = self._server.committee.rules(wanted)
        return self._server.page("rules/rules.html", status=status, **rules, **approvals)

    def show(self, version: Annotated[RuleVersion, Depends(_version)]) -> Response:
        """Show one rule."""
        standing = self._server.committee.rule(version)
        return self._server.page("rules/rule.html", it=describe_rule(version), standing=standing)

    def show_checks(self, drug: Annotated[str, Query(max_length=200)] = "") -> Response:
        """Show which checks exist for a drug, a brand, a class or a test."""
        query = " ".join(drug.split())
        committee = self._server.committee
        calls = committee.refresh() if query else 0
        description = describe_drug(query, committee) if query else None
        reads_decisions = visiting().may_open("decisions")
        return self._server.page(
            "rules/checks.html",
            status=200 if description is not None or not query else 404,
            query=query,
            drug=description,
            classes=CLASSES,
            calls=calls,
            reads_decisions=reads_decisions,
        )


def routes(server: PageServer) -> list[Route]:
    """Return their addresses."""
    pages = _Rules(server)
    limiter = CapacityLimiter(1)
    return [
        server.route("/rules", pages.show_all),
        server.route("/rules", pages.show_all, ["POST"], limiter=limiter, upload=True, most_bytes=MOST_BYTES),
        server.route("/rules/checks", pages.show_checks),
        server.route("/rules/{rule_id}", pages.show),
    ]


# The page of a drug: the checks that exist for an ingredient, brand or class, and those that do not


CLASSES: Final = tuple(sorted(name.replace("_", " ") for name in CLASS_MEMBERS))
"""The names of the classes of drugs."""
_WORD: Final = re.compile(r"[a-z0-9]+")


class CheckedRule(Struct, frozen=True):
    """A rule that makes a check: how it stands here, its limits and sources, and, of a class, whom alone it is about.

    `only` names the members of the class that it is about; () where it is about all of them.
    """

    row: RuleRow
    described: RulePage
    only: tuple[str, ...]
    rows: tuple[TableRow, ...]
    """Of a rule whose knowledge is a table the rows about a drug; () for a class."""


class DrugCheck(Struct, frozen=True):
    """One check that exists, with the rules that make it."""

    check: str
    rules: tuple[CheckedRule, ...]


class DrugPage(Struct, frozen=True):
    """The words, how they were read, and the checks; `members` are the drugs of a class or the parts of a product."""

    query: str
    read_as: str
    members: tuple[str, ...]
    checks: tuple[DrugCheck, ...]

    @property
    def lacks(self) -> tuple[str, ...]:
        """The checks that do not exist."""
        there = {entry.check for entry in self.checks}
        return tuple(check for check in CHECKS if check not in there)


def describe_drug(query: str, committee: Committee) -> DrugPage | None:
    """Return the page of a drug, a product, a class or an order of a test; None where the tables know none of it."""
    reading = read_order_name(query)
    if reading.ingredients:
        names = tuple(ingredient.name for ingredient in reading.ingredients)
        return DrugPage(query, "/".join(names), names, _checks({query: _rules_of(query)}, committee))
    study = study_in_words(query, rule_book().rules)
    if study is not None:
        rules = {rule for of_check in study.checks.values() for rule in of_check}
        return DrugPage(query, "an order of imaging or of a test", (), _checks({query: rules}, committee))
    class_name, codes = _class_of(query)
    if not codes:
        return None
    names = tuple(sorted(INGREDIENTS[code].name for code in codes if code in INGREDIENTS))
    rules_by_member = {name: _rules_of(name) for name in names}
    return DrugPage(query, f"the class {class_name}", names, _checks(rules_by_member, committee))


def _class_of(query: str) -> tuple[str, frozenset[str]]:
    """Return the class that the words name, by its own name or as an allergy list has it, and its ingredients."""
    words = [word.removesuffix("s") if len(word) > 4 else word for word in _WORD.findall(query.lower())]
    if members := CLASS_MEMBERS.get("_".join(words)):
        return " ".join(words), members
    classes = [ALLERGEN_CLASSES[name] for name in sorted(allergen_of_words(query).named_classes)]
    codes = frozenset[str]().union(*(allergen_class.members for allergen_class in classes))
    codes = codes.union(
        *(CLASS_MEMBERS[name] for allergen_class in classes for name in allergen_class.medication_classes)
    )
    return " and ".join(allergen_class.name for allergen_class in classes), codes


def _rules_of(words: str) -> set[str]:
    return {activated.rule.id for activated in rule_book().rules_for(identify_concept(CodeableConcept(text=words)))}


def _checks(rules_by_member: dict[str, set[str]], committee: Committee) -> tuple[DrugCheck, ...]:
    every = frozenset[str]().union(*rules_by_member.values())
    by_check = checks_by_name(rule for rule in rule_book().rules if rule.id in every)
    return tuple(DrugCheck(check, tuple(_checked(ids, rules_by_member, committee))) for check, ids in by_check.items())


def _checked(ids: Iterable[str], rules_by_member: dict[str, set[str]], committee: Committee) -> Iterable[CheckedRule]:
    versions = all_rule_versions()
    for rule in ids:
        about = tuple(member for member, rules in rules_by_member.items() if rule in rules)
        only = about if len(about) < len(rules_by_member) else ()
        version: RuleVersion = versions[rule]
        yield CheckedRule(committee.row(version), describe_rule(version), only, _rows_of(version, rules_by_member))


def _rows_of(version: RuleVersion, rules_by_member: dict[str, set[str]]) -> tuple[TableRow, ...]:
    rows = family_named(version.table.family).rows.get(version.rule.id)
    if rows is None or len(rules_by_member) > 1:
        return ()
    medication = identify_concept(CodeableConcept(text=next(iter(rules_by_member))))
    return tuple(sorted(rows(medication), key=lambda row: (-SEVERITY.get(row.indicator or "info", 0), row.about)))
