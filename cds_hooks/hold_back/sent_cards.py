"""The cards of a decision as they were sent, and the answers to them.

What a card says about the patient as a whole: the finding that is compared with what was shown before.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from cards.card import OVERRIDE_REASONS, PATIENT_DECLINES, Indicator
from cards.compose.equation import AFTER_INFARCTION
from cards.compose.high_alert import NOT_COVERED
from cards.compose.medications import GENES_AND_MEDICATIONS, MEDICATION_REVIEW
from cards.extension import EXTENSION_KEY, NOTHING_SAID, CardExtension, Factor, VaccineForecasts
from cds_hooks.decision_views.follow import AnswerRow
from cds_hooks.protocol.hooks import ENCOUNTER_DISCHARGE
from cds_hooks.storage.decision import ANSWERED_ON_PAGE, Decision, FeedbackItem

WORSE_SHARE: Final = 0.20
"""A number that became worse by so much is shown again: KDIGO 2024 (2.1.3) says so of the eGFR."""
WORSE_POINTS: Final = 0.05
"""A model's risk that rose by so much is shown again: 5 points (responsible-ai.md 4.2)."""
DRIVER_SHARE: Final = 0.15
"""From this share of all contributions on an input that raises the estimate is a driver: two marks on the card."""
KNOWN_SHARE: Final = 0.05
"""With less than this share an input was no driver before: no mark on the card. The project's own choice."""

FOLLOW_UP: Final = "follow-up after discharge"
"""The finding of every card that estimates who comes back after discharge, whichever score it names."""

ABNORMAL_RESULTS: Final = "abnormal-results"
"""The finding of the card of abnormal results without a follow-up: no reminder, and it stays until it is answered."""
_NO_INPUTS: Final = (frozenset[str](), frozenset[str]())
_FALLING_IS_WORSE: Final = frozenset({"egfr"})
_OPEN: Final = "Not Complete"  # cards/vaccines/forecasting.py: a series that goes on


class Caller(Struct, frozen=True, gc=False):
    """Who is shown cards about whom, by which service at which hook."""

    client: str
    patient: str
    service: str
    hook: str


class PatientFinding(Struct, frozen=True, gc=False):
    """What a card is about and how bad it is: a band, a number, or the parts that it lists.

    `subject` is the name that a reason for silence has. `asks` says that the card only asks for a test, `reminds` that
    it only reminds of what is due (vaccines, preventive services), `once` that it is shown once and not at each opening
    of a day, `stays` that it is shown at each opening until it is answered. `is_risk` says that the number is a model's
    probability; then `band` is its bin of the reference cohort, `drivers` are the inputs that raise it most, `raising`
    all that raise it visibly. `missing` are inputs without a value. `is_list`: the card lists several findings, and an
    answer to one of them is no answer to the others.
    """

    about: str
    subject: str
    band: str = ""
    number: float | None = None
    is_falling: bool = False
    parts: frozenset[str] = frozenset()
    asks: bool = False
    reminds: bool = False
    once: bool = False
    stays: bool = False
    is_risk: bool = False
    drivers: frozenset[str] = frozenset()
    raising: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    is_list: bool = False

    def is_worse_than(self, before: "PatientFinding") -> bool:
        """Return whether there is a higher band, a clearly worse number, a new driver, or a part that was not listed.

        Clearly worse is a risk that rose by 5 points or more, and any other number that moved by more than a fifth.
        """
        if not self.parts <= before.parts:
            return True
        if self.is_risk and before.is_risk:
            return self._is_higher_risk_than(before)
        if self.number is None or before.number is None:
            return False
        change = (before.number - self.number) if self.is_falling else (self.number - before.number)
        if change <= 0:
            return False
        return self.band != before.band or change > WORSE_SHARE * abs(before.number)

    def has_arrived_since(self, before: "PatientFinding") -> bool:
        """Return whether an input that was missing before has a value now."""
        return not before.missing <= self.missing

    def _is_higher_risk_than(self, before: "PatientFinding") -> bool:
        assert self.number is not None  # noqa: S101 - `_of_model` gives both
        assert before.number is not None  # noqa: S101 - see above
        change = self.number - before.number
        same_model = self.subject == before.subject
        if same_model and not self.drivers <= before.raising:
            return True
        # Both are floats of a model file: 0.25 against 0.30 counts as 5 points.
        return change >= WORSE_POINTS - 1e-9 or (same_model and change > 0 and self.band != before.band)


def patient_finding(extension: CardExtension, hook: str) -> PatientFinding | None:
    """Return the finding of a card with this extension; None for the cards of orders, which have a memory of their own.

    The card of high-alert drugs that no rule is about is the one of orders that is remembered here: by its drugs.
    """
    if extension.output == GENES_AND_MEDICATIONS:
        parts = frozenset(f"{finding.rule} {finding.band}" for finding in extension.findings)
        is_list = len(extension.findings) > 1
        return PatientFinding(GENES_AND_MEDICATIONS, GENES_AND_MEDICATIONS, parts=parts, is_list=is_list)
    if extension.output == MEDICATION_REVIEW:
        # A drug more in a finding that was said is worth saying again; the same drugs, no worse, are not shown again.
        parts = frozenset(f"{finding.rule} {finding.band}" for finding in extension.findings)
        drugs = frozenset(str(fact.value) for fact in extension.facts if fact.name == "draft")
        is_list = len(extension.findings) > 1
        return PatientFinding(MEDICATION_REVIEW, MEDICATION_REVIEW, parts=parts | drugs, is_list=is_list)
    if extension.findings:
        return None
    if extension.output == NOT_COVERED:
        drugs = frozenset(str(fact.value) for fact in extension.facts)
        return PatientFinding(NOT_COVERED, NOT_COVERED, parts=drugs, once=True)
    if extension.vaccines is not None:
        doses = frozenset(_open_doses(extension.vaccines))
        is_list = sum(dose.endswith(" due") for dose in doses) > 1
        return PatientFinding("vaccines due", "vaccines-due", parts=doses, reminds=True, is_list=is_list)
    if extension.preventive is not None:
        due = frozenset(
            f"{service.service} {service.because}"
            for service in extension.preventive.services
            if service.state == "due"
        )
        is_list = len(due) > 1
        return PatientFinding("preventive services", "preventive-services", parts=due, reminds=True, is_list=is_list)
    if extension.results:
        parts = frozenset(f"{result.result} {result.date}" for result in extension.results)
        return PatientFinding(ABNORMAL_RESULTS, ABNORMAL_RESULTS, parts=parts, stays=True, is_list=len(parts) > 1)
    model = extension.model["id"] if extension.model is not None else ""
    if extension.output == AFTER_INFARCTION:
        return PatientFinding(AFTER_INFARCTION, AFTER_INFARCTION)
    if hook == ENCOUNTER_DISCHARGE:
        return PatientFinding(FOLLOW_UP, model)
    if extension.missing and extension.probability is None and extension.value is None:
        return PatientFinding(f"missing {','.join(extension.missing)}", model, asks=True)
    return _of_model(model, extension) if model else _of_guideline(extension)


def _of_model(model: str, extension: CardExtension) -> PatientFinding:
    number = extension.probability if extension.probability is not None else extension.value
    # A model's card has no band of its own: the bin of the reference cohort is what its range is of.
    is_risk = extension.probability is not None and extension.observed is not None
    drivers, raising = _raising(extension.contributions or ()) if is_risk else _NO_INPUTS
    return PatientFinding(
        about=f"{model.removesuffix('_small').removesuffix('_early')} {extension.output or ''}",
        subject=model,
        band=extension.band["id"] if extension.band else repr(extension.observed.rate) if extension.observed else "",
        number=float(number) if isinstance(number, float | int) else None,
        is_risk=is_risk,
        drivers=drivers,
        raising=raising,
        missing=frozenset(extension.missing),
    )


def _raising(factors: Sequence[Factor]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the inputs that raise the estimate, of the sizes of all contributions at least the share of a driver.

    Beside them those that have at least the share of what is visible.
    """
    total = sum(abs(factor.contribution) for factor in factors)
    visible = [factor for factor in factors if factor.contribution > 0 and factor.contribution >= KNOWN_SHARE * total]
    drivers = frozenset(factor.feature for factor in visible if factor.contribution >= DRIVER_SHARE * total)
    return drivers, frozenset(factor.feature for factor in visible)


def _of_guideline(extension: CardExtension) -> PatientFinding | None:
    if extension.output is None or not extension.facts:
        return None
    fact = extension.facts[0]
    return PatientFinding(
        about=extension.output,
        subject=extension.output,
        number=float(fact.value) if isinstance(fact.value, float | int) else None,
        is_falling=fact.name in _FALLING_IS_WORSE,
    )


def _open_doses(due: VaccineForecasts) -> Iterator[str]:
    """Yield each dose that may be given by now; one becomes another part on the day from which it is recommended."""
    for forecast in due.forecasts:
        if forecast.status == _OPEN and forecast.earliest is not None and forecast.earliest <= due.as_of:
            is_due = forecast.recommended is not None and forecast.recommended <= due.as_of
            yield f"{forecast.group} {forecast.dose} {'due' if is_due else 'possible'}"


ACCEPTED: Final = "accepted"
KNOWN_REASONS: Final = frozenset(reason.code for reason in (*OVERRIDE_REASONS, PATIENT_DECLINES)) | {
    "cds-not-applicable"
}
"""Codes of overrides that count whatever the card offered: the project's own, and HL7's parent of "does not fit"."""
LONGEST_DAYS: Final = 365
"""So far back an answer can count: the largest number of days that rules.schema.json lets a site set."""


class _Extension(Struct, rename={"ours": EXTENSION_KEY}):
    ours: CardExtension = NOTHING_SAID


class SentAction(Struct):
    """An action of a suggestion; its resource as it was sent."""

    resource: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class SentSuggestion(Struct):
    """What is needed of a suggestion that was sent."""

    label: str = ""
    uuid: str = ""
    actions: tuple[SentAction, ...] = ()


class SentReason(Struct):
    """A reason for which a clinician may override the card."""

    code: str = ""


class SentCard(Struct):
    """What is needed of a card that was sent."""

    uuid: str = ""
    indicator: Indicator = "info"
    suggestions: tuple[SentSuggestion, ...] = ()
    reasons: tuple[SentReason, ...] = msgspec.field(default=(), name="overrideReasons")
    extension: _Extension = msgspec.field(default_factory=_Extension)

    @property
    def our_extension(self) -> CardExtension:
        """Its extension."""
        return self.extension.ours

    @property
    def findings(self) -> list[tuple[str, str]]:
        """Rule and band of each of its findings."""
        return [(finding.rule, finding.band) for finding in self.our_extension.findings]


class SentCardAnswer(Struct, frozen=True):
    """A clinician's answer to a card that was sent; times in epoch seconds.

    `how` is "accepted" or the code of the override, `reason` the reason of an override in words or as a code, "" where
    none was given, `suggestions` the uuids of those that were accepted. `is_reported` is False for an answer that a
    person gave on the page of the decision.
    """

    client: str
    patient: str
    service: str
    hook: str
    card: SentCard
    how: str
    at: float
    decided_at: float
    reason: str = ""
    suggestions: tuple[str, ...] = ()
    is_reported: bool = True
    user: str = ""
    """To whom the card was shown, as it is recorded; "" where users are not recorded."""

    @property
    def is_known_reason(self) -> bool:
        """Whether it is an override with a reason that the card offered, or that the project knows."""
        offered = {reason.code for reason in self.card.reasons}
        return self.how in offered or self.how in KNOWN_REASONS

    @property
    def is_accepted(self) -> bool:
        """Whether the card was accepted."""
        return self.how == ACCEPTED


class _Response(Struct):
    cards: tuple[SentCard, ...] = ()


class _Basis(Struct):
    as_of: datetime | None = None
    units: tuple[str, ...] = ()


_response: Final = msgspec.json.Decoder(_Response)
_basis: Final = msgspec.json.Decoder(_Basis)


def sent_cards(response: bytes) -> tuple[SentCard, ...]:
    """Return the cards of a response as it was sent."""
    return _response.decode(response).cards


def answer_of(row: AnswerRow) -> SentCardAnswer | None:
    """Return the answer of a row of the record; None where its decision or card is not there."""
    if row.decision is None:
        return None
    sent = row.decision.decision
    card = next((card for card in sent_cards(sent.response) if card.uuid == row.feedback.card), None)
    if card is None:
        return None
    return _answer(row.feedback, sent, card, msgspec.json.decode(row.feedback.accepted_suggestions))


def answers_to(decision: Decision, items: Iterable[FeedbackItem]) -> Iterator[SentCardAnswer]:
    """Yield the answers that came just now to the cards of a decision."""
    cards = {card.uuid: card for card in sent_cards(decision.response)}
    for item in items:
        if (card := cards.get(item.card)) is not None:
            yield _answer(item, decision, card, item.accepted_suggestions)


def _answer(item: Any, decision: Decision, card: SentCard, suggestions: Iterable[str]) -> SentCardAnswer:
    is_accepted = item.outcome == ACCEPTED
    return SentCardAnswer(
        decision.client,
        decision.patient,
        decision.service,
        decision.hook,
        card,
        ACCEPTED if is_accepted else item.override_reason_code or "overridden",
        item.received_at / 1e6,
        decision.decided_at / 1e6,
        "" if is_accepted else item.override_reason_display or item.override_reason_code or "",
        tuple(suggestions) if is_accepted else (),
        not (item.override_reason_system or "").endswith(ANSWERED_ON_PAGE),
        decision.user_id or "",
    )


class ShownDecision(Struct, frozen=True):
    """A decision with cards; `as_of` in epoch seconds, by the clock of its call, `decided_at` by that of the machine.

    `user` is as it is recorded; `units` are the patient's care units.
    """

    client: str
    patient: str
    service: str
    hook: str
    as_of: float
    cards: tuple[SentCard, ...]
    user: str = ""
    units: tuple[str, ...] = ()
    decided_at: float = 0.0

    @property
    def findings(self) -> list[PatientFinding]:
        """What its cards say about the patient as a whole."""
        findings = (patient_finding(card.our_extension, self.hook) for card in self.cards)
        return [finding for finding in findings if finding is not None]


def shown_decision(decision: Decision) -> ShownDecision | None:
    """Return what a decision on record showed; None where it showed no card."""
    if decision.outcome != "cards":
        return None
    basis = _basis.decode(decision.basis)
    if basis.as_of is None:
        return None
    return ShownDecision(
        decision.client,
        decision.patient,
        decision.service,
        decision.hook,
        basis.as_of.timestamp(),
        sent_cards(decision.response),
        decision.user_id or "",
        basis.units,
        decision.decided_at / 1e6,
    )
