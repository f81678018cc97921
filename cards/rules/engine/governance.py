"""What a site says of the rules, and what their findings are compared with: versions, approvals, switches, answers.

A rule has a version: the digest of its declaration. Where approval is required, a version that the site has not
approved runs in shadow: it is evaluated and counted, and nothing is shown. A switch can silence the milder bands of a
rule; its critical bands are silenced only with the whole rule, and only with a note that says why."""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date
from functools import cache
from itertools import chain
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

from msgspec import Meta, Struct, field

from cards.card import SEVERITY, Indicator
from cards.extension import Fact
from cards.rules.engine.finding import RuleFinding
from cards.rules.engine.prepared import PreparedRule, digest_of, prepared_families
from cards.rules.language.rule import Rule, RuleTable
from fhir.record.refusals import WhyNot

SuppressionCheck: TypeAlias = Callable[[RuleFinding], WhyNot | None]
"""Says why a finding is not shown; None where it is shown."""

SHADOW: Final = "shadow"
SWITCHED_OFF: Final = "switched-off"
ACKNOWLEDGED: Final = "acknowledged"

SUPPRESSION_DAYS: Final[Mapping[str, int]] = {"info": 90, "warning": 30, "critical": 1}
"""How long a clinician's answer to a finding counts, where neither the rule nor the site says otherwise.

No document gives such a period. These are the project's own: an answer to a critical finding counts for the session,
a warning is repeated with the next month's prescription, and an information with the next quarter's.
"""


def suppress_nothing(_finding: RuleFinding) -> WhyNot | None:
    """Show every finding."""
    return None


class Approval(Struct, frozen=True):
    """A site has reviewed a version of a rule and shows its findings."""

    rule: str
    digest: str
    by: str
    role: str
    on: date
    note: str = ""


Named: TypeAlias = Annotated[str, Meta(min_length=1)]
"""A name, or a sentence, that a site's rules file has to give."""


class Switch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a site takes away from a rule, or from each rule of a family, for some clients and units or for all.

    `off` silences the whole rule, `speak_from` what is quieter, `bands_off` these bands unless they are critical.
    """

    note: Named
    rule: str = ""
    family: str = ""
    off: bool = False
    speak_from: Literal["warning", "critical"] | None = None
    bands_off: frozenset[Named] = frozenset()
    clients: frozenset[Named] = frozenset()
    units: frozenset[Named] = frozenset()

    def holds_for(self, client: str, units: Collection[str]) -> bool:
        """Whether a call of this client from one of these units is meant."""
        return (not self.clients or client in self.clients) and (not self.units or not self.units.isdisjoint(units))

    def silences(self, band: str, indicator: Indicator) -> bool:
        """Whether a finding of this band and severity is not shown."""
        if self.off:
            return True
        if indicator == "critical":
            return False
        quieter = self.speak_from is not None and SEVERITY[indicator] < SEVERITY[self.speak_from]
        return quieter or band in self.bands_off


class Budget(Struct, frozen=True, forbid_unknown_fields=True):
    """The most cards that each client, a care unit or each user is shown in a day (UTC) or in one call.

    Critical cards are neither counted nor withheld. `names` are the clients that it is for (empty: each one), or the
    names and ids of one care unit. At least one of the two numbers is given.
    """

    of: Literal["client", "unit", "user"]
    note: Named
    cards_per_day: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    cards_per_call: Annotated[int, Meta(ge=0, le=100)] | None = None
    names: frozenset[Named] = frozenset()

    @property
    def words(self) -> str:
        """The numbers and for whom they are: "20 cards a day for each user"."""
        limits = ((self.cards_per_day, "a day"), (self.cards_per_call, "a call"))
        text = " and ".join(
            f"{most} card{'' if most == 1 else 's'} {when}" for most, when in limits if most is not None
        )
        whom = f"the {self.of} {', '.join(sorted(self.names))}" if self.names else f"each {self.of}"
        return f"{text} for {whom}"


class SiteRules(Struct, frozen=True):
    """What a site says of the rules: approvals and switches by rule, how long an answer counts, budgets, who orders."""

    approvals: Mapping[str, Approval] = field(default_factory=dict)
    switches: Mapping[str, tuple[Switch, ...]] = field(default_factory=dict)
    quiet_days: Mapping[str, int] = field(default_factory=dict)
    budgets: tuple[Budget, ...] = ()
    orders: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What a role may order where the site's file says it: medications, vaccines, services."""
    orders_nothing: ClassVar[frozenset[str]] = frozenset({"nurse", "pharmacist", "trainee", "allied-health"})
    """The roles that order nothing where the site's file does not say otherwise; every other role orders everything.

    The project's own choice, to be made by each site: laws and standing orders differ. In the United States nurses and
    pharmacists may give vaccines by a protocol where the law of the state allows it (CDC, MMWR 2003;52(4):69).
    """

    def may_order(self, roles: Iterable[str]) -> frozenset[str] | None:
        """Return what somebody with these roles may order; None for everything."""
        nothing: frozenset[str] = frozenset()
        of_roles = [self.orders.get(role, nothing if role in self.orders_nothing else None) for role in roles]
        allowed = [kinds for kinds in of_roles if kinds is not None]
        return nothing.union(*allowed) if allowed and len(allowed) == len(of_roles) else None

    def is_approved(self, rule: str, digest: str) -> bool:
        """Whether this version of the rule is approved."""
        approval = self.approvals.get(rule)
        return approval is not None and approval.digest == digest

    def not_approved(self, versions: Mapping[str, "RuleVersion"]) -> "list[RuleVersion]":
        """Those of the versions, by rule, that this site has not approved: behind a trust file they run in shadow."""
        return [version for rule, version in versions.items() if not self.is_approved(rule, version.digest)]

    def days_of(self, rule: Rule | None, indicator: Indicator) -> int:
        """For how many days an answer to such a finding of the rule counts; never longer than what is usual."""
        usual = self.quiet_days.get(indicator, SUPPRESSION_DAYS[indicator])
        return usual if rule is None or rule.quiet_days is None else min(usual, rule.quiet_days)


def finding_key(finding: RuleFinding) -> str:
    """Return by what a finding of a call is told from others: its rule, its band, and the drafts that it is about."""
    return " ".join((finding.rule, finding.band, *sorted(drafts_of(finding.facts))))


def drafts_of(facts: Iterable[Fact]) -> frozenset[str]:
    """Return the drafts that facts are about, by reference."""
    return frozenset(fact.source for fact in facts if fact.name == "draft" and fact.source)


class RuleVersion:
    """A rule with its digest and its family's table; the rule is read when it is first asked for."""

    def __init__(self, rule: Rule | PreparedRule, table: RuleTable, digest: str) -> None:
        self._rule = rule
        self.table = table
        self.digest = digest

    @property
    def rule(self) -> Rule:
        """What the rule declares."""
        return self._rule.rule if isinstance(self._rule, PreparedRule) else self._rule


NEEDS_NOTE: Final[Literal["needs label check"]] = "needs label check"
"""A rule with this verification status is approved only with a note that says how the label was checked."""


_further_tables: dict[str, tuple[RuleTable, ...]] = {}


def govern(kind: str, tables: Iterable[RuleTable]) -> None:
    """Names tables that are approved and switched off as rules are and that other code evaluates.

    Such are policies of payers and packages from outside. They take the place of those of this kind named before.
    """
    _further_tables[kind] = tuple(tables)
    all_rule_versions.cache_clear()


@cache
def all_rule_versions() -> Mapping[str, RuleVersion]:
    """Every rule of the project and of its site with its version, by id."""
    shipped = {
        prepared.outline.id: RuleVersion(prepared, family.table, prepared.digest)
        for family in prepared_families().values()
        for prepared in family.rules
    }
    further = chain.from_iterable(_further_tables.values())
    return shipped | {
        rule.id: RuleVersion(rule, table, digest_of(rule, table)) for table in further for rule in table.rules
    }
