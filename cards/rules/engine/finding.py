"""What the rules found: findings, silences, and the suggestions that are offered for them."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from cards.card import SEVERITY, Coding, Indicator
from cards.extension import Fact
from cards.rules.engine.compile import CompiledRule, CompiledSuggestion
from cards.rules.language.rule import Evidence, OrderChange
from cards.rules.patient.context import RuleContext
from cards.rules.patient.orders import CurrentMedication


class OfferedSuggestion(Struct, frozen=True):
    """A suggestion whose conditions hold; `orders` are the positions of those of its tests that are not ordered yet.

    `change` is what is changed in this draft, worked out where the rule says only how.
    """

    suggestion: CompiledSuggestion
    is_recommended: bool
    orders: tuple[int, ...]
    change: OrderChange | None = None


class Finding(Struct, frozen=True):
    """A rule has spoken.

    `is_certain` is False where it rests on old or contradicting values, which `notes` tell; `suggestions` are the
    rule's own in its own order; `partners` is what stands on the other side of a pair; findings of one `group` can
    share a line.
    """

    rule: str
    band: str
    indicator: Indicator
    is_certain: bool
    summary: str
    detail: str
    priority: int
    facts: tuple[Fact, ...]
    notes: tuple[str, ...]
    suggestions: tuple[OfferedSuggestion, ...]
    partners: tuple[CurrentMedication, ...]
    evidence: tuple[Evidence, ...]
    override_reasons: tuple[Coding, ...]
    group: str = ""


class Silence(Struct, frozen=True, gc=False):
    """Why something is not shown: `subject` is a rule, a draft or an input, `reason` a code, `text` a sentence."""

    subject: str
    reason: str
    text: str


class _Told(Struct, frozen=True):
    """A finding, the name and position of its draft, and the sources of the drugs that it rests on."""

    finding: Finding
    name: str
    position: int
    drugs: frozenset[str]

    @property
    def preference(self) -> tuple[int, bool, int, int]:
        """The worse one first, then one with a recommended suggestion, then the one with more of them."""
        offers = self.finding.suggestions
        recommended = any(one.is_recommended for one in offers)
        return -SEVERITY[self.finding.indicator], not recommended, -len(offers), self.position

    def tells(self, other: "_Told") -> bool:
        """Whether the other finding is this one seen from another draft and names no drug that this one does not."""
        if self.finding.rule != other.finding.rule or other.name not in self.drugs or self.name not in other.drugs:
            return False
        return other.drugs <= self.drugs | {self.name}


def merge_repeated_findings(
    by_draft: Sequence[tuple[str, Sequence[Finding]]],
) -> tuple[list[list[Finding]], list[Silence]]:
    """The findings of each draft without those that another draft's card shows, and a silence for each of those."""
    told = [
        _Told(finding, name, position, frozenset(_drugs(finding)))
        for position, (name, found) in enumerate(by_draft)
        for finding in found
    ]
    kept: list[_Told] = []
    silences = []
    for one in sorted(told, key=lambda each: each.preference):
        better = next((other for other in kept if other.tells(one)), None)
        if better is None:
            kept.append(one)
        else:
            silences.append(Silence(one.finding.rule, "said-once", f"{one.name}: said on the card of {better.name}."))
    of_draft = [[one.finding for one in kept if one.position == position] for position in range(len(by_draft))]
    return of_draft, silences


def _drugs(finding: Finding) -> Iterable[str]:
    return (fact.source for fact in finding.facts if fact.name == "medication" and fact.source is not None)


def offered_suggestions(
    rule: CompiledRule, suggestions: Iterable[CompiledSuggestion], context: RuleContext, doubtful: bool
) -> tuple[OfferedSuggestion, ...]:
    """The suggestions that fit. While the values are doubtful nothing but asking again is preselected."""
    offers = []
    for suggestion in suggestions:
        if _fits(suggestion, context):
            recommended = not doubtful and suggestion.recommended.test(context) is True
            change = _change(rule, suggestion, context)
            if change is not None or suggestion.declared.change is None:
                offers.append(OfferedSuggestion(suggestion, recommended, _open_orders(suggestion, context), change))
    if doubtful and rule.when_unsure is not None and _open_orders(rule.when_unsure, context):
        # On a renewal nothing that takes a drug away is preselected.
        offers.insert(
            0,
            OfferedSuggestion(rule.when_unsure, context.new_start is True, _open_orders(rule.when_unsure, context)),
        )
    return tuple(offers)


def _change(rule: CompiledRule, suggestion: CompiledSuggestion, context: RuleContext) -> OrderChange | None:
    declared = suggestion.declared.change
    if declared is None or declared.computed is None:
        return declared
    return rule.family.changes[declared.computed](context)


def _fits(suggestion: CompiledSuggestion, context: RuleContext) -> bool:
    if suggestion.only_if is not None and suggestion.only_if.test(context) is not True:
        return False
    return not (suggestion.declared.from_estimate and context.gives_no_dose)


def _applicable_orders(suggestion: CompiledSuggestion, context: RuleContext) -> list[int]:
    return [
        position
        for position, order in enumerate(suggestion.orders)
        if order.only_if is None or order.only_if.test(context) is True
    ]


def _open_orders(suggestion: CompiledSuggestion, context: RuleContext) -> tuple[int, ...]:
    """Positions of the tests that apply and are not ordered yet."""
    where = suggestion.declared.answers or "any"
    return tuple(
        position
        for position in _applicable_orders(suggestion, context)
        if not context.is_ordered(suggestion.orders[position].codes, where)
    )


def is_answered(suggestions: Iterable[CompiledSuggestion], context: RuleContext) -> bool:
    """Whether what one of the suggestions asks for, tests and added drugs, is ordered already."""
    return any(suggestion.declared.answers and _is_done(suggestion, context) for suggestion in suggestions)


def _is_done(suggestion: CompiledSuggestion, context: RuleContext) -> bool:
    applicable = _applicable_orders(suggestion, context)
    if not applicable and not suggestion.declared.create:
        return False
    return not _open_orders(suggestion, context) and _is_added(suggestion, context)


def _is_added(suggestion: CompiledSuggestion, context: RuleContext) -> bool:
    """Whether one of the drugs to add is there; nothing to add is there always."""
    codes = [order.product.rxcui for order in suggestion.declared.create]
    return not codes or any(context.is_beside(code, suggestion.declared.answers) for code in codes)
