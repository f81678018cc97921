"""Which findings a site shows: approvals, switches, and overrides that clinicians gave with a reason.

An override with a reason counts for a while; one without a reason does not count. Overrides are read from the record at
the start and every two seconds, so that all workers know them. The client and its patient id, by which they are found,
are in the record only.

Three bounds: nothing older than the longest time for which a site can let an override count is read or kept; what
`of_patient` hands out is never changed afterwards; and each reading asks the database only for rows that are new.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from time import monotonic, time
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import Select, select

from cards.card import SEVERITY, Card
from cards.extension import WorklistEntry
from cards.rules.engine.finding import Finding, Silence
from cards.rules.engine.governance import (
    Override,
    Overrides,
    SiteRules,
    SuppressionCheck,
    SuppressionPolicy,
    all_rule_versions,
    ingredients_of,
    numeric_values,
)
from cds_hooks.hold_back.acceptance import AcceptanceCounts
from cds_hooks.hold_back.approvals import ApprovalBook
from cds_hooks.hold_back.budgets import NOBODY, Audience, Restraint
from cds_hooks.hold_back.patient_finding import Caller
from cds_hooks.hold_back.people import PeopleFileError
from cds_hooks.hold_back.releases import Key
from cds_hooks.hold_back.rules_file import RulesFileError, read_rules_file
from cds_hooks.hold_back.sent_cards import SentCard, ShownDecision, sent_by, sent_cards
from cds_hooks.hold_back.suppression import REST_DAYS, Chosen, SaidOnce
from cds_hooks.hold_back.turns import Claims
from cds_hooks.logs import log
from cds_hooks.storage.decision import ANSWERED_ON_PAGE, Decision, FeedbackItem, RecordUnavailable
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import decisions, feedback

LONGEST_DAYS: Final = 365
"""The longest time for which an override can count: the largest number that rules.schema.json lets a site set."""

_DAY_SECONDS: Final = 86_400.0
_FORGET_SECONDS: Final = 3_600.0
_ROWS_AT_ONCE: Final = 500
_OVERLAP: Final = 64
"""PostgreSQL can commit a smaller sequence number after a larger one: so many are looked at again."""

_NO_OVERRIDES: Final[Overrides] = {}


def findings_of(response: bytes) -> dict[str, list[tuple[str, str]]]:
    """Rule and band of each finding of each card, by the card's uuid."""
    return {card.uuid: _findings(card) for card in sent_cards(response)}


def _findings(card: SentCard) -> list[tuple[str, str]]:
    return [(one.rule, one.band) for one in card.said.findings]


class OverrideMemory:
    """The overrides that can still count. Read from any thread; `read` and `remember` may run at the same time."""

    def __init__(self, now: Callable[[], float] = time) -> None:
        """`now` gives epoch seconds: the clock by which calls are answered."""
        self._now = now
        self._by_patient: dict[tuple[str, str], Overrides] = {}
        self._writing = Lock()
        self._newest_sequence: int | None = None
        self._seen: frozenset[int] = frozenset()
        self._forgot_at = now()

    def of_patient(self, client: str, patient: str) -> Overrides:
        """The overrides of each finding of this client's patient, by rule and band; they never change afterwards."""
        return self._by_patient.get((client, patient), _NO_OVERRIDES)

    def remember(self, client: str, patient: str, sent: SentCard, reason: str, at: float) -> None:
        """Takes the reason (words) that was given at `at` (epoch seconds) against a card that was sent."""
        if self._now() - at > LONGEST_DAYS * _DAY_SECONDS:
            return
        facts = [(fact.name, fact.value) for fact in sent.said.facts]
        override = Override(at, sent.indicator, reason, ingredients_of(facts), numeric_values(facts))
        with self._writing:
            known = self._by_patient.get((client, patient), _NO_OVERRIDES)
            self._by_patient[client, patient] = _with(known, _findings(sent), override)

    def read(self, url: str) -> None:
        """Takes what was stored since the last reading; RecordUnavailable where the record cannot be read."""
        if self._newest_sequence is None:
            oldest = int((self._now() - LONGEST_DAYS * _DAY_SECONDS) * 1e6)
            first = read_rows(url, first_since(oldest))
            self._newest_sequence = first[0].sequence if first else 0
        while rows := read_rows(url, self._query(self._newest_sequence - _OVERLAP)):
            reasons = [(row, row.override_reason_display or row.override_reason_code) for row in rows]
            cards = sent_by(url, (row.id for row, reason in reasons if reason))
            for row, reason in reasons:
                if reason and (sent := cards.get(row.id, {}).get(row.card)) is not None:
                    self.remember(row.client, row.patient, sent, reason, row.received_at / 1e6)
            self._note_read([row.sequence for row in rows])
        if self._now() - self._forgot_at >= _FORGET_SECONDS:
            self._forget()

    def _query(self, after: int) -> Select[Any]:
        answer = [feedback.c[name] for name in ("sequence", "card", "override_reason_code", "override_reason_display")]
        card = [decisions.c[name] for name in ("id", "client", "patient")]
        return (
            select(*answer, feedback.c.received_at, *card)
            .join(decisions, decisions.c.id == feedback.c.decision)
            .where(feedback.c.outcome == "overridden", feedback.c.sequence > after)
            .where(feedback.c.sequence.not_in(self._seen))
            .order_by(feedback.c.sequence)
            .limit(_ROWS_AT_ONCE)
        )

    def _note_read(self, sequences: list[int]) -> None:
        self._newest_sequence = max(self._newest_sequence or 0, *sequences)
        first = self._newest_sequence - _OVERLAP
        self._seen = frozenset(each for each in (*self._seen, *sequences) if each > first)

    def _forget(self) -> None:
        """Leaves out what can no longer count."""
        oldest = self._now() - LONGEST_DAYS * _DAY_SECONDS
        with self._writing:
            kept = {patient: _since(oldest, known) for patient, known in self._by_patient.items()}
            self._by_patient = {patient: known for patient, known in kept.items() if known}
            self._forgot_at = self._now()


def first_since(oldest: int) -> Select[Any]:
    """The sequence number of the first feedback since `oldest` (epoch microseconds); the index by time answers it."""
    since = select(feedback.c.sequence).where(feedback.c.received_at >= oldest)
    return since.order_by(feedback.c.received_at, feedback.c.sequence).limit(1)


def _with(known: Overrides, findings: Iterable[tuple[str, str]], override: Override) -> Overrides:
    """A new mapping with one override more for each of these findings."""
    changed = dict(known)
    for finding in findings:
        overrides = changed.get(finding, ())
        if override not in overrides:
            changed[finding] = (*(one for one in overrides if not _is_replaced(one, override)), override)
    return changed


def _since(oldest: float, known: Overrides) -> Overrides:
    kept = {finding: tuple(one for one in overrides if one.at >= oldest) for finding, overrides in known.items()}
    return {finding: overrides for finding, overrides in kept.items() if overrides}


def _is_replaced(override: Override, newer: Override) -> bool:
    """Whether the newer override counts for everything that the earlier one counts for."""
    is_wider = override.about <= newer.about and SEVERITY[override.indicator] <= SEVERITY[newer.indicator]
    return is_wider and override.at <= newer.at


_LOOK_SECONDS: Final = 1.0
_READ_SECONDS: Final = 2.0


class Governance:
    """Which medication rules may show findings: all without a trust file, with one those that the site has approved."""

    def __init__(
        self,
        file: Path | None,
        *,
        needs_approval: bool,
        approvals: ApprovalBook | None = None,
        clock: Callable[[], float] = monotonic,
        now: Callable[[], float] = time,
        rest_days: float = REST_DAYS,
        claims: Claims | None = None,
        horizons: Mapping[str, float] | None = None,
        resumed: Callable[[], Mapping[Key, float]] = dict,
    ) -> None:
        """RulesFileError where there is a file and it cannot be used; later a bad one changes nothing.

        Where approval is needed, only what two people have signed counts, which `approvals` knows. `rest_days`,
        `claims` and `horizons`: see `SaidOnce`; `resumed`: see `AcceptanceCounts`.
        """
        self._file = file
        self._needs_approval = needs_approval
        self._clock = clock
        self._memory = OverrideMemory(now)
        self.said_once = SaidOnce(now, rest_days, claims, horizons)
        """What was said and answered about patients as a whole."""
        self.restraint = Restraint(lambda: self.site.budgets, now, claims)
        """The budgets of clients, care units and users."""
        self.acceptance = AcceptanceCounts(now, resumed)
        """How often the cards of each rule and service are accepted."""
        self._was_read = asyncio.Event()
        self._approvals = approvals
        self._file_says = read_rules_file(file) if file is not None else SiteRules()
        self._in_force: tuple[object, SiteRules] = (None, SiteRules())
        self._stamp = _stamp(file)
        self._looked_at = clock()

    def suppression_policy(
        self,
        client: str,
        patient: str,
        units: Callable[[], Collection[str]],
        as_of: float,
        noted: list[tuple[Finding, Silence]] | None = None,
    ) -> SuppressionCheck:
        """Which findings are shown in a call of this client about this patient; `as_of` in epoch seconds.

        `units` gives the care units in which the patient is seen; `noted` takes in the findings that were answered.
        """
        return SuppressionPolicy(
            self.site,
            all_rule_versions(),
            needs_approval=self._needs_approval,
            client=client,
            units=units,
            answers=self._memory.of_patient(client, patient),
            as_of=as_of,
            noted=noted,
        )

    def approval_counts(self) -> dict[str, int] | None:
        """How many rules show their findings here and how many run in shadow; None where no approval is needed."""
        if not self._needs_approval:
            return None
        versions = all_rule_versions()
        waiting = len(self.site.not_approved(versions.values()))
        return {"approved": len(versions) - waiting, "not_approved": waiting}

    def remember(self, decision: Decision, answers: Iterable[FeedbackItem]) -> None:
        """Takes clinicians' answers to the cards of a decision at once, so that the next call already knows them."""
        cards = {card.uuid: card for card in sent_cards(decision.response)}
        for item in answers:
            if (sent := cards.get(item.card)) is None:
                continue
            at, reason = item.received_at / 1e6, item.override_reason_display or item.override_reason_code
            if item.outcome == "overridden" and reason:
                self._memory.remember(decision.client, decision.patient, sent, reason, at)
            how = "accepted" if item.outcome == "accepted" else item.override_reason_code or "overridden"
            self.restraint.loops.remember(decision.client, decision.patient, sent, item.accepted_suggestions, at)
            self.said_once.remember(decision.client, decision.patient, decision.hook, sent, how, at)

    async def keep_reading(self, url: str) -> None:
        """Takes what is on record, then what other workers store, every two seconds until cancelled."""
        while True:
            with suppress(RecordUnavailable):  # the record says so itself, to every call
                try:
                    await asyncio.to_thread(self.read_answers, url)
                except PeopleFileError:
                    log().error("file of people refused, what was approved stays")
                await asyncio.to_thread(self.said_once.read_shown, url, self._take_shown)
            self._was_read.set()
            await asyncio.sleep(_READ_SECONDS)

    async def choose(
        self,
        caller: Caller,
        cards: Sequence[Card],
        reminders: Mapping[str, WorklistEntry] | None = None,
        audience: Audience = NOBODY,
    ) -> Chosen:
        """The cards to show now, without what was said or accepted lately and what is beyond a budget, with reasons.

        `reminders` as in `SaidOnce.choose`; `audience` says who has a budget.
        """
        chosen = await self.said_once.choose(caller, cards, reminders)
        if chosen.cards and (self.site.budgets or self.restraint.loops.accepted):
            await self.restraint.withhold(caller, chosen, audience)
        return chosen

    def note_shown(self, caller: Caller, decision_id: str, chosen: Chosen, as_of: float) -> None:
        """Takes what was shown just now and is on record; `as_of` in epoch seconds."""
        if chosen.cards:
            self.said_once.note_shown(caller, decision_id, chosen, as_of)
            told = [(card.indicator, card.own_extension) for card in chosen.cards]
            self.acceptance.note_shown(caller.client, caller.patient, caller.service, told, as_of)

    def _take_shown(self, each: ShownDecision) -> None:
        self.restraint.take_shown(each)
        self.acceptance.take_shown(each)

    def _take_answer(self, row: Any, sent: SentCard) -> None:
        is_accepted = row.outcome == "accepted"
        if is_accepted:
            accepted = msgspec.json.decode(row.accepted_suggestions)
            self.restraint.loops.remember(row.client, row.patient, sent, accepted, row.received_at / 1e6)
        at, decided_at = row.received_at / 1e6, row.decided_at / 1e6
        is_reported = not (row.override_reason_system or "").endswith(ANSWERED_ON_PAGE)
        self.acceptance.take_answer(
            row.client,
            row.patient,
            row.service,
            sent,
            is_accepted=is_accepted,
            at=at,
            decided_at=decided_at,
            reason=row.override_reason_code,
            is_reported=is_reported,
        )

    async def wait_until_read(self, seconds: float) -> None:
        """Returns when the record was read for the first time, at the latest after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._was_read.wait()

    def read_answers(self, url: str) -> None:
        """Takes the answers that are on record; RecordUnavailable where they cannot be read."""
        self._memory.read(url)
        self.said_once.read(url, self._take_answer)
        if self._approvals is not None:
            self._approvals.read()

    @property
    def site(self) -> SiteRules:
        """What the rules file says, as of at most a second ago."""
        now = self._clock()
        if self._file is not None and now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            stamp = _stamp(self._file)
            if stamp != self._stamp:
                self._stamp = stamp
                self._take(self._file)
        return self._signed_for() if self._needs_approval else self._file_says

    def _signed_for(self) -> SiteRules:
        """What the file says, with the approvals that two people have signed instead of the typed ones."""
        said, approvals = self._file_says, self._approvals
        state = (id(said), approvals.state if approvals is not None else None)
        if self._in_force[0] != state:
            signed = approvals.in_force(said) if approvals is not None else replace(said, approvals={})
            self._in_force = (state, signed)
        return self._in_force[1]

    def _take(self, file: Path) -> None:
        try:
            self._file_says = read_rules_file(file)
        except RulesFileError as error:
            log().error("rules file refused, the last good one stays", count=len(error.problems))
        else:
            log().info("rules file read again", count=len(self._file_says.approvals))


def _stamp(file: Path | None) -> tuple[int, int] | None:
    try:
        found = file.stat() if file is not None else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size) if found is not None else None
