"""The shape of a check that can hold a card back, and what a check is told of the call.

`chain.py` lists all checks in the order in which they are asked. A guide: docs/adding/hold-back-check.md.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import ClassVar, Final, Literal

from msgspec import Struct, field

from cards.card import Card, Suggestion
from cards.extension import RestingFinding, WorklistEntry
from cards.rules.engine.finding import Finding, Silence
from cards.rules.engine.governance import SiteRules
from cds_hooks.hold_back.memory import LONGEST_ID, PatientMemory
from cds_hooks.hold_back.one_visit import VisitRank
from cds_hooks.hold_back.patient_finding import Caller, PatientFinding, patient_finding
from cds_hooks.hold_back.releases import Origin, Released, Releases

Level = Literal["call", "patient", "model", "finding", "card"]
"""Where a check is asked: before anything is computed, about the patient, about a model, a finding, or a card."""


class Audience(Struct, frozen=True):
    """Who is shown the cards: the user, as it is recorded where it is recorded, and the patient's care units."""

    user: str = ""
    units: tuple[str, ...] = ()


NOBODY: Final = Audience()
"""Nobody who has a budget."""


class Reason(Struct, frozen=True):
    """Why a card is held back, and where a client finds it instead: among what rests, or in the worklist."""

    silence: Silence
    resting: RestingFinding | None = None
    worklist: WorklistEntry | None = None


class CheckedCall(Struct):
    """What the checks of one call are told; `released` and `site` are the acts and the rules file of its beginning.

    `as_of` is in epoch seconds. `units` gives the patient's care units. `silent` says why this caller is shown nothing.
    `answered` takes in the findings that were answered before, `reminders` has the worklist entries of cards by uuid,
    and `visit_rank` is their place in the list of a visit.
    """

    caller: Caller
    as_of: float
    released: Released = field(default_factory=Released)
    site: SiteRules = field(default_factory=SiteRules)
    units: Callable[[], Collection[str]] = tuple
    silent: str | None = None
    audience: Audience = NOBODY
    reminders: Mapping[str, WorklistEntry] = field(default_factory=dict)
    visit_rank: VisitRank = VisitRank.BEFORE_REMINDERS
    answered: list[tuple[Finding, Silence]] = field(default_factory=list)
    findings: dict[str, PatientFinding | None] = field(default_factory=dict)
    """What the cards say about the patient as a whole, by uuid."""
    from_event: bool = False
    """Whether an event made the call and nobody is shown its cards."""
    passed: int = 0
    """How many cards of this call have passed the check that is asked now."""
    recall: Callable[[], PatientMemory] = PatientMemory
    """Reads what is remembered of the patient; asked once, where a check wants to know."""
    recalled: PatientMemory | None = None

    @property
    def memory(self) -> PatientMemory:
        """What was shown and answered about the patient before this call."""
        if self.recalled is None:
            self.recalled = self.recall()
        return self.recalled

    def patient_finding(self, card: Card) -> PatientFinding | None:
        """Returns what the card says about the patient as a whole; None for a card of orders."""
        if card.uuid not in self.findings:
            is_too_long = len(self.caller.patient) > LONGEST_ID
            finding = None if is_too_long else patient_finding(card.own_extension, self.caller.hook)
            self.findings[card.uuid] = finding
        return self.findings[card.uuid]

    def subject_of(self, card: Card) -> str:
        """Returns what a reason against a card is about: its first rule, its model or guideline, else the service."""
        if rules := card.own_extension.findings:
            return rules[0].rule
        finding = patient_finding(card.own_extension, self.caller.hook)
        return finding.subject if finding is not None and finding.subject else self.caller.service


class ActsThen(Struct, frozen=True):
    """The acts up to a decision that is on record, and whose call it was."""

    service: str
    client: str
    releases: Releases


class Check:
    """One reason to hold back. A check that is not asked about findings or cards is declared here and asked elsewhere.

    Critical cards: each check says for itself whether it holds them back.
    """

    codes: ClassVar[tuple[str, ...]]
    """The codes of the reasons that it gives (`Silence.reason`)."""
    level: ClassVar[Level] = "card"
    title: ClassVar[str]
    """What holds the card back, in a few words."""
    lets_through: ClassVar[str]
    """What would let the card through, in a sentence."""
    remembers: ClassVar[bool] = False
    """Whether it goes by what was shown or answered before: a replay takes that from the record of the decision."""
    is_replayed_by_card: ClassVar[bool] = False
    """Whether a decision records which card it held back, so that a replay holds back the same."""
    is_said_once: ClassVar[bool] = False
    """Whether several cards that it holds back for the same reason are one entry of the response."""
    hides_findings: ClassVar[bool] = True
    """Whether something was found that it hides; False where it says that nothing is looked for."""

    def is_idle(self, call: CheckedCall) -> bool:  # noqa: ARG002 - most can always hold something back
        """Returns whether the check can hold nothing back in this call, so that it is not asked."""
        return False

    def check_finding(self, finding: Finding, call: CheckedCall) -> Silence | None:  # noqa: ARG002 - most hold cards
        """Returns why a finding of a medication rule is not shown; None where it is."""
        return None

    async def check(self, card: Card, call: CheckedCall) -> Reason | None:  # noqa: ARG002 - some hold findings only
        """Returns why the card is not shown; None where it is."""
        return None

    def check_suggestion(self, suggestion: Suggestion, card: Card, call: CheckedCall) -> Silence | None:  # noqa: ARG002
        """Returns why a suggestion of a card that is shown is not offered; None where it is."""
        return None

    def order(self, cards: Sequence[Card]) -> Sequence[Card]:
        """Returns the cards in the order in which the check is asked about them."""
        return cards

    @classmethod
    def origin(cls, subject: str, acts: ActsThen) -> Origin | None:  # noqa: ARG003 - most go by no act
        """Which act a recorded reason about this subject comes from; None where it is another check's reason."""
        return Origin()
