"""What a site decides of its cards at this moment: its rules file, its approvals, and the chain of checks.

What clinicians answered and what was shown is read from the record at the start and every two seconds, so that all
workers know it; each reading asks the database only for rows that are new. At the start the newest 100,000 decisions
with cards are read (some 7 s, beside the calls); what was shown before them is shown once more.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic, time
from typing import Final

from msgspec.structs import replace

from cards.card import Card
from cards.rules.engine.governance import SiteRules, SuppressionCheck, all_rule_versions
from cds_hooks.hold_back.acceptance import AcceptanceCounts
from cds_hooks.hold_back.acts import Key
from cds_hooks.hold_back.approvals import ApprovalBook
from cds_hooks.hold_back.budgets import Budgets
from cds_hooks.hold_back.chain import Chain, Chosen
from cds_hooks.hold_back.checks import CheckedCall
from cds_hooks.hold_back.claims import Claims
from cds_hooks.hold_back.loop_guard import LoopGuard
from cds_hooks.hold_back.overrides import Acknowledged, NotApproved
from cds_hooks.hold_back.people import PeopleFileError
from cds_hooks.hold_back.rules_file import RulesFileError, read_rules_file
from cds_hooks.hold_back.sent_cards import LONGEST_DAYS, Answer, AnsweredRows, ShownRows, answers_to
from cds_hooks.hold_back.suppression import REST_DAYS, ShownBefore
from cds_hooks.hold_back.turns import TEST_DAYS, OneReminder
from cds_hooks.logs import log
from cds_hooks.storage.decision import Decision, FeedbackItem, RecordUnavailable

_LOOK_SECONDS: Final = 1.0
_READ_SECONDS: Final = 2.0
_FORGET_SECONDS: Final = 3_600.0
_OWN_DECISIONS: Final = 20_000
"""So many decisions of this process are known by their id, so that their content is not read back from the record."""


class Governance:
    """The rules of one site, and the checks that hold cards back there, with what they remember."""

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
        visit_seconds: float = 0.0,
    ) -> None:
        """RulesFileError where there is a file and it cannot be used; later a bad one changes nothing.

        Where approval is needed, only what two people have signed counts, which `approvals` knows. `now` gives epoch
        seconds by the clock of the calls. `rest_days` and `horizons`: see `ShownBefore`; `resumed`: see
        `AcceptanceCounts`; `claims` where there are several workers; `visit_seconds`: see `OneReminder`.
        """
        self._file = file
        self._needs_approval = needs_approval
        self._clock = clock
        self._now = now
        self.budgets = Budgets(lambda: self.site.budgets, now, claims)
        """The budgets of clients, care units and users."""
        self.chain = Chain.of_site(
            NotApproved(needs_approval=needs_approval),
            Acknowledged(now),
            ShownBefore(now, rest_days, horizons),
            OneReminder(now, claims, visit_seconds),
            LoopGuard(now),
            self.budgets,
        )
        """Every check that can hold a card back."""
        self.acceptance = AcceptanceCounts(now, resumed)
        """How often the cards of each rule and service are accepted."""
        self._rest_days = rest_days
        self._begin_reading()
        self._own: dict[str, None] = {}
        self._forgot_at = now()
        self._was_read = asyncio.Event()
        self._approvals = approvals
        self._typed = read_rules_file(file) if file is not None else SiteRules()
        self._in_force: tuple[object, SiteRules] = (None, SiteRules())
        self._stamp = _stamp(file)
        self._looked_at = clock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="governance")

    def check_findings(self, call: CheckedCall) -> SuppressionCheck:
        """Returns what says of a finding why it is not shown in this call."""
        return self.chain.check_findings(call)

    async def hold_back(self, cards: Sequence[Card], call: CheckedCall) -> Chosen:
        """Returns the cards to show now, and the reason against each of the others."""
        return await self.chain.hold_back(cards, call)

    def approval_counts(self) -> dict[str, int] | None:
        """How many rules show their findings here and how many run in shadow; None where no approval is needed."""
        if not self._needs_approval:
            return None
        versions = all_rule_versions()
        waiting = len(self.site.not_approved(versions.values()))
        return {"approved": len(versions) - waiting, "not_approved": waiting}

    def remember(self, decision: Decision, items: Iterable[FeedbackItem]) -> None:
        """Takes clinicians' answers to the cards of a decision at once, so that the next call already knows them."""
        for answer in answers_to(decision, items):
            self._take_answer(answer)

    def _take_answer(self, answer: Answer) -> None:
        for check in self.chain.checks:
            check.take_answer(answer)

    def note_shown(self, decision_id: str, cards: Sequence[Card], call: CheckedCall) -> None:
        """Takes what was shown just now and is on record."""
        if not cards:
            return
        for check in self.chain.checks:
            check.note_shown(cards, call)
        self.acceptance.note_shown(cards, call)
        self._own[decision_id] = None
        if len(self._own) > _OWN_DECISIONS:
            self._own.pop(next(iter(self._own)))

    async def keep_reading(self, url: str) -> None:
        """Takes what is on record, then what other workers store, every two seconds until cancelled.

        It has a thread of its own: an approval never waits behind uploads or messages.
        """
        in_thread = partial(asyncio.get_running_loop().run_in_executor, self._thread)
        while True:
            with suppress(RecordUnavailable):  # the record says so itself, to every call
                try:
                    await in_thread(self.read_answers, url)
                except PeopleFileError:
                    log().error("file of people refused, what was approved stays")
                await in_thread(self.read_shown, url)
            self._was_read.set()
            await asyncio.sleep(_READ_SECONDS)

    async def wait_until_read(self, seconds: float) -> None:
        """Returns when the record was read for the first time, at the latest after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._was_read.wait()

    def _begin_reading(self) -> None:
        self._answered = AnsweredRows(LONGEST_DAYS)
        self._shown = ShownRows(max(TEST_DAYS, self._rest_days))

    def read_answers(self, url: str) -> None:
        """Takes the answers that are on record; RecordUnavailable where they cannot be read.

        Where a standby took over without the last ones, or a backup was restored, the record is taken from its
        beginning, since new rows have the numbers of those that are lost.
        """
        if self._answered.has_lost_rows(url) or self._shown.has_lost_rows(url):
            log().error("the record lost decisions or answers that were read: they are read and counted anew")
            self._begin_reading()
            self.acceptance.clear()
        for answer in self._answered.read(url, self._now()):
            self.acceptance.take_answer(answer)
            self._take_answer(answer)
        if self._now() - self._forgot_at >= _FORGET_SECONDS:
            self._forgot_at = self._now()
            for check in self.chain.checks:
                check.forget()
        if self._approvals is not None:
            self._approvals.read()

    def read_shown(self, url: str) -> None:
        """Takes what others showed since the last reading; RecordUnavailable where it cannot be read."""
        for decision in self._shown.read(url, self._own):
            self.acceptance.take_shown(decision)
            for check in self.chain.checks:
                check.take_shown(decision)

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
        return self._signed() if self._needs_approval else self._typed

    def _signed(self) -> SiteRules:
        """Returns what the file says, with the approvals that two people have signed instead of the typed ones."""
        approvals = self._approvals
        state = (id(self._typed), approvals.state if approvals is not None else None)
        if self._in_force[0] != state:
            signed = approvals.in_force(self._typed) if approvals is not None else replace(self._typed, approvals={})
            self._in_force = (state, signed)
        return self._in_force[1]

    def _take(self, file: Path) -> None:
        try:
            self._typed = read_rules_file(file)
        except RulesFileError as error:
            log().error("rules file refused, the last good one stays", count=len(error.problems))
        else:
            log().info("rules file read again", count=len(self._typed.approvals))


def _stamp(file: Path | None) -> tuple[int, int] | None:
    try:
        stat = file.stat() if file is not None else None
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_size) if stat is not None else None
