"""What a site decides of its cards at this moment: its rules file, its approvals, and the checks.

What clinicians answered and what was shown is read from the views of the record (`memory.py`), which all workers share.

The rules file, and lists of reviewed rules, are read here; what is wrong with them is said in sentences.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.resources import files
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from msgspec.structs import replace

from cards.card import Card
from cards.compose.high_alert import NOT_COVERED
from cards.rules.engine.governance import (
    NEEDS_NOTE,
    Budget,
    RuleVersion,
    SiteRules,
    SuppressionCheck,
    Switch,
    all_rule_versions,
)
from cds_hooks.decision_views.file import Views
from cds_hooks.decision_views.follow import newest_numbers
from cds_hooks.hold_back.approvals import ApprovalBook
from cds_hooks.hold_back.budgets import BudgetClaims, Budgets
from cds_hooks.hold_back.checks import (
    CHECKS,
    Check,
    CheckedCall,
    Chosen,
    Shared,
    check_findings,
    choose_cards,
    with_sentences,
)
from cds_hooks.hold_back.memory import REST_DAYS, Memory
from cds_hooks.hold_back.sent_cards import answers_to
from cds_hooks.logs import log
from cds_hooks.storage.decision import Decision, FeedbackItem, RecordUnavailable, is_trial
from fhir.terminology.toml_file import TomlFault, read_toml

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator


class RulesFileError(Exception):
    """The file cannot be used; the message is one sentence for each mistake."""

    what_cannot_be_used: ClassVar[str] = "The rules file"

    def __init__(self, path: Path, *problems: str) -> None:
        super().__init__(f"{path}: " + "; ".join(problems))
        self.problems = problems


def read_rules_file(path: Path, versions: Mapping[str, RuleVersion] | None = None) -> SiteRules:
    """Return what the file says; RulesFileError with every mistake that was found."""
    rule_versions = all_rule_versions() if versions is None else versions
    document = _document(path)
    problems = [_error_sentence(error) for error in _validator().iter_errors(document)]
    problems = problems or list(_problems(document, rule_versions))
    if problems:
        raise RulesFileError(path, *problems)
    switches: defaultdict[str, list[Switch]] = defaultdict(list)
    for row in document.get("switch", ()):
        for rule in _switched(row, rule_versions):
            switches[rule].append(_switch(rule, row))
    return SiteRules(
        switches={rule: tuple(switch) for rule, switch in switches.items()},
        quiet_days=document.get("quiet_days", {}),
        budgets=tuple(_budget(budget) for budget in document.get("budget", ())),
        orders={row["name"]: frozenset(row["orders"]) for row in document.get("role", ())},
    )


class ReviewedRule(NamedTuple):
    """A version of a rule that somebody has read, and what was checked."""

    rule: str
    digest: str
    note: str = ""


def refuse_unfit(reviewed: Iterable[ReviewedRule]) -> None:
    """Nothing where all of them can be approved.

    Raises:
        RulesFileError: A rule is not there or in another version, or needs a note.
    """
    if faults := [fault for reviewed_rule in reviewed if (fault := _fault(reviewed_rule))]:
        raise RulesFileError(Path("approval"), *faults)


def read_review(text: str) -> list[ReviewedRule]:
    """Return the rules of a list that `cds-hooks rules check --to-review` printed; RulesFileError where it is none."""
    reviewed, faults = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        words, _, note = line.partition("|")
        match words.split():
            case [rule, digest]:
                reviewed.append(ReviewedRule(rule, digest, note.strip()))
            case _:
                faults.append(f"line {number} is not: RULE VERSION, or RULE VERSION | note")
    if faults or not reviewed:
        raise RulesFileError(Path("list"), *(faults or ["the list names no rule"]))
    return reviewed


def _fault(reviewed: ReviewedRule) -> str | None:
    rule, digest, note = reviewed
    version = all_rule_versions().get(rule)
    if version is None:
        return _no_rule(rule)
    if digest != version.digest:
        return f"{rule} is in version {version.digest}, not {digest}: read it again, then approve it"
    if version.rule.audit.verified == NEEDS_NOTE and not note.strip():
        return f"{rule} still needs a label check: say in the note how and by whom the label was checked"
    return None


def _document(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path)
    except TomlFault as error:
        raise RulesFileError(path, str(error)) from error


def _validator() -> "Draft202012Validator":
    # imported here: a server without a rules file starts without it
    from jsonschema import Draft202012Validator

    schema = json.loads((files("cds_hooks.hold_back") / "rules.schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema)


def _error_sentence(error: Any) -> str:
    where = "/".join(str(part) for part in error.absolute_path)
    return f"{where}: {error.message}" if where else str(error.message)


def _problems(document: Mapping[str, Any], rule_versions: Mapping[str, RuleVersion]) -> Iterator[str]:
    for switch in document.get("switch", ()):
        if not _switched(switch, rule_versions):
            yield _no_rule(switch["rule"]) if "rule" in switch else _no_family(switch["family"], rule_versions)
    for budget in document.get("budget", ()):
        if budget["of"] == "unit" and "names" not in budget:
            yield "a budget of a unit says in names which unit, by its ids and names in the chart"
        if budget["of"] == "user" and "names" in budget:
            yield "a budget of users is for each user: leave out names, which would put users into this file"
    for switch in document.get("switch", ()):
        if switch.get("rule") in rule_versions:
            yield from _band_problems(switch, rule_versions[switch["rule"]])


def _band_problems(switch: Mapping[str, Any], version: RuleVersion) -> Iterator[str]:
    bands = {band.id: band.indicator for band in version.rule.bands}
    for band in switch.get("bands_off", ()):
        if band not in bands and band != "missing":
            yield f"{switch['rule']} has no band {band}; it has {', '.join(bands)}"
        elif bands.get(band) == "critical":
            yield f"{switch['rule']}: the band {band} is critical and cannot be switched off alone, only the whole rule"


def _switched(switch: Mapping[str, Any], rule_versions: Mapping[str, RuleVersion]) -> list[str]:
    """Return the rules that a switch is about: one, or every rule of a family; none without such a rule or family."""
    if "family" in switch:
        return [rule for rule, version in rule_versions.items() if version.table.family == switch["family"]]
    return [switch["rule"]] if switch["rule"] in rule_versions or switch["rule"] == NOT_COVERED else []


def _no_family(name: str, rule_versions: Mapping[str, RuleVersion]) -> str:
    families = sorted({version.table.family for version in rule_versions.values()})
    return f"there is no family of rules {name}; there are {', '.join(families)}"


def _no_rule(name: str) -> str:
    return f"there is no rule {name}; the page /rules lists those there are"


def _budget(row: Mapping[str, Any]) -> Budget:
    names = frozenset(row.get("names", ()))
    return Budget(row["of"], row["note"], row.get("cards_per_day"), row.get("cards_per_call"), names)


def _switch(rule: str, row: Mapping[str, Any]) -> Switch:
    return Switch(
        rule,
        row["note"],
        row.get("off", False),
        row.get("speak_from"),
        frozenset(row.get("bands_off", ())),
        frozenset(row.get("clients", ())),
        frozenset(row.get("units", ())),
    )


_LOOK_SECONDS: Final = 1.0
_READ_SECONDS: Final = 2.0
_FIRST_SECONDS: Final = 0.02
"""Between two looks at the start, while calls wait for what was shown before."""


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
        claims: BudgetClaims | None = None,
        horizons: Mapping[str, float] | None = None,
    ) -> None:
        """RulesFileError where there is a file and it cannot be used; later a bad one changes nothing.

        Where approval is needed, only what two people have approved counts, which `approvals` knows. `now` gives epoch
        seconds by the clock of the calls. `rest_days` and `horizons`: see `Shared`; `claims` where there are
        several workers.
        """
        self._file = file
        self._needs_approval = needs_approval
        self._clock = clock
        self._now = now
        self.budgets = Budgets(lambda: self.site.budgets, now, claims)
        """The budgets of clients, care units and users."""
        self.checks: Sequence[Check] = CHECKS
        """Every check that can hold a card back."""
        self.shared = Shared(now, needs_approval, rest_days, horizons or {}, self.budgets)
        self.memory = Memory(now, rest_days)
        """What was shown and answered about each patient."""
        self._newest: dict[str, int] = {}
        self._was_read = asyncio.Event()
        self._approvals = approvals
        self._typed = read_rules_file(file) if file is not None else SiteRules()
        self._in_force: tuple[object, SiteRules] = (None, SiteRules())
        self._stamp = _stamp(file)
        self._looked_at = clock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="governance")

    def check_findings(self, call: CheckedCall) -> SuppressionCheck:
        """Return what says of a finding why it is not shown in this call."""
        call.shared = self._shared_with(call)
        return check_findings(call, self.checks)

    async def choose(self, cards: Sequence[Card], call: CheckedCall) -> Chosen:
        """Return the cards to show now, and the reason against each of the others."""
        call.shared = self._shared_with(call)
        chosen = await choose_cards(cards, call, self.checks)
        if call.colleague_answers:
            chosen.cards = [_with_colleague(card, call) for card in chosen.cards]
        return chosen

    def _shared_with(self, call: CheckedCall) -> Shared:
        """Return what checks share between calls; a trial call has its own budgets, with nothing in."""
        if not call.is_trial:
            return self.shared
        return replace(self.shared, budgets=Budgets(lambda: self.site.budgets, self._now))

    def approval_counts(self) -> dict[str, int] | None:
        """How many rules show their findings here and how many run in shadow; None where no approval is needed."""
        if not self._needs_approval:
            return None
        versions = all_rule_versions()
        waiting = len(self.site.not_approved(versions))
        return {"approved": len(versions) - waiting, "not_approved": waiting}

    def remember(self, decision: Decision, items: Iterable[FeedbackItem]) -> None:
        """Take clinicians' answers to the cards of a decision at once, so that the next call already knows them."""
        if is_trial(decision.client):
            return
        for answer in answers_to(decision, items):
            self.memory.note_answer(answer)

    def note_shown(self, cards: Sequence[Card], call: CheckedCall) -> None:
        """Take what was shown just now and is on record."""
        findings = [finding for card in cards if (finding := call.patient_finding(card)) is not None]
        self.memory.note_shown(call.caller, findings, call.as_of)

    async def keep_reading(self, url: str, views: Views) -> None:
        """Take what is in the views of the record, and approvals, every two seconds until cancelled.

        It has a thread of its own: an approval never waits behind uploads or messages.
        """
        in_thread = partial(asyncio.get_running_loop().run_in_executor, self._thread)
        self.memory.read_from(views)
        while True:
            with suppress(RecordUnavailable):  # the record says so itself, to every call
                await in_thread(self.read_approvals)
                await in_thread(self.memory.refresh)
                if not self._was_read.is_set():
                    await in_thread(partial(self._read_first, url, views))
            await asyncio.sleep(_READ_SECONDS if self._was_read.is_set() else _FIRST_SECONDS)

    def _read_first(self, url: str, views: Views) -> None:
        """Count what was shown before, when the views have all that was on record when this process began."""
        self._newest = self._newest or newest_numbers(url)
        if all(views.mark(name).sequence >= number for name, number in self._newest.items()):
            self.budgets.count_earlier(views)
            self._was_read.set()

    async def wait_until_read(self, seconds: float) -> None:
        """Return when the views have what was on record before, at the latest after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._was_read.wait()

    def read_approvals(self) -> None:
        """Take the approvals that are on record.

        Raises:
            RecordUnavailable: They cannot be read.
        """
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
        return self._signed() if self._needs_approval else self._typed

    def _signed(self) -> SiteRules:
        """Return what the file says, with the approvals of two people."""
        approvals = self._approvals
        state = (id(self._typed), approvals.state if approvals is not None else None)
        if self._in_force[0] != state:
            self._in_force = (state, approvals.in_force(self._typed) if approvals is not None else self._typed)
        return self._in_force[1]

    def _take(self, file: Path) -> None:
        try:
            self._typed = read_rules_file(file)
        except RulesFileError as error:
            log().error("rules file refused, the last good one stays", count=len(error.problems))
        else:
            log().info("rules file read again", count=len(self._typed.switches))


def _with_colleague(card: Card, call: CheckedCall) -> Card:
    """Return the card with what a colleague answered to the same critical finding."""
    keys = (card.uuid, *(finding.rule for finding in card.own_extension.findings))
    sentences = dict.fromkeys(call.colleague_answers[key] for key in keys if key in call.colleague_answers)
    return with_sentences(card, sentences) if card.indicator == "critical" else card


def _stamp(file: Path | None) -> tuple[int, int] | None:
    try:
        stat = file.stat() if file is not None else None
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_size) if stat is not None else None
