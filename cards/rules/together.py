"""What is found about several drafts together is said once: on the draft that most can be done about."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from cards.rules.finding import Finding, Silence

_HARM = {"critical": 0, "warning": 1, "info": 2}


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
        return _HARM[self.finding.indicator], not recommended, -len(offers), self.position

    def tells(self, other: "_Told") -> bool:
        """Whether the other finding is this one seen from another draft and names no drug that this one does not."""
        if self.finding.rule != other.finding.rule or other.name not in self.drugs or self.name not in other.drugs:
            return False
        return other.drugs <= self.drugs | {self.name}


def each_once(by_draft: Sequence[tuple[str, Sequence[Finding]]]) -> tuple[list[list[Finding]], list[Silence]]:
    """The findings of each draft (named) without those that another draft's card tells, and where those are told."""
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
