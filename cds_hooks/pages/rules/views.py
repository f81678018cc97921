"""The pages of the rules: the list with what waits for a second person, a rule, and the checks."""

import re
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
from cds_hooks.pages.committee.standing import Committee
from cds_hooks.pages.committee.tables import RuleRow, WantedRules
from cds_hooks.pages.rules.approvals import MOST_BYTES, Approvals
from cds_hooks.pages.server import PageServer
from cds_hooks.web.site import Failure, PageRefusal
from fhir.mapping.medications.identity import MedicationIdentity, identify_concept
from fhir.record.datatypes import CodeableConcept
from fhir.terminology.allergens import ALLERGEN_CLASSES, allergen_of_words
from fhir.terminology.medication_names import read_order_name
from fhir.terminology.medications import CLASS_MEMBERS, INGREDIENTS

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
        say = family_named(version.table.family).vocabulary.say
        standing = self._server.committee.rule(version)
        return self._server.page("rules/rule.html", version=version, rule=version.rule, say=say, standing=standing)

    def show_checks(self, drug: Annotated[str, Query(max_length=200)] = "") -> Response:
        """Show which checks exist for a drug, a brand, a class or a test."""
        query = " ".join(drug.split())
        committee = self._server.committee
        calls = committee.refresh() if query else 0
        description = describe_drug(query, committee) if query else None
        return self._server.page(
            "rules/checks.html",
            status=200 if description is not None or not query else 404,
            query=query,
            drug=description,
            classes=CLASSES,
            calls=calls,
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


class DrugPage(Struct, frozen=True):
    """What the tables make of the words: how they were read, and for each check that exists its rules.

    `members` are the drugs of a class or the parts of a product. Each rule comes with how it stands here and, where its
    knowledge is a table, the rows about a drug.
    """

    query: str
    read_as: str
    members: tuple[str, ...]
    checks: dict[str, list[tuple[RuleRow, tuple[TableRow, ...]]]]

    @property
    def lacks(self) -> tuple[str, ...]:
        """The checks that do not exist."""
        return tuple(check for check in CHECKS if check not in self.checks)


def describe_drug(query: str, committee: Committee) -> DrugPage | None:
    """Return the page of a drug, a product, a class or an order of a test; None where the tables know none of it."""
    names = tuple(ingredient.name for ingredient in read_order_name(query).ingredients)
    read_as, rules, medication = "/".join(names), _rules_of(query), _medication(query) if names else None
    if not names:
        study = study_in_words(query, rule_book().rules)
        class_name, codes = _class_of(query)
        if study is not None:
            read_as, rules = "an order of imaging or of a test", set().union(*study.checks.values())
        elif codes:
            names = tuple(sorted(INGREDIENTS[code].name for code in codes if code in INGREDIENTS))
            read_as, rules = f"the class {class_name}", set().union(*map(_rules_of, names))
        else:
            return None
    versions = all_rule_versions()
    by_check = checks_by_name(rule for rule in rule_book().rules if rule.id in rules)
    checks = {
        check: [(committee.row(versions[rule]), _rows_of(versions[rule], medication)) for rule in of_check]
        for check, of_check in by_check.items()
    }
    return DrugPage(query, read_as, names, checks)


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


def _medication(words: str) -> MedicationIdentity:
    return identify_concept(CodeableConcept(text=words))


def _rules_of(words: str) -> set[str]:
    return {activated.rule.id for activated in rule_book().rules_for(_medication(words))}


def _rows_of(version: RuleVersion, medication: MedicationIdentity | None) -> tuple[TableRow, ...]:
    rows = family_named(version.table.family).rows.get(version.rule.id)
    if rows is None or medication is None:
        return ()
    return tuple(sorted(rows(medication), key=lambda row: (-SEVERITY.get(row.indicator or "info", 0), row.about)))
