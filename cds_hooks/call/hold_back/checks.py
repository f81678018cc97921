"""Every reason to hold a card back: the checks in the order in which they are asked, with the texts of their reasons.

A check is a function that is given a finding, a card or a suggestion and the call, and returns why it is not shown, or
None. Checks of findings are asked while a service decides, before a card is composed; checks of cards afterwards, one
check after the other about all cards that are left. The first reason counts. What the checks remember is in
`memory.py`, the acts that they go by in `released.py`. A guide to a check of your own: docs/adding/hold-back-check.md.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from typing import Final, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from cards.card import SEVERITY, Action, Card, Suggestion
from cards.compose.equation import worklist_entry
from cards.extension import CardExtension, WorklistEntry
from cards.rules.engine.finding import RuleFinding
from cards.rules.engine.governance import (
    ACKNOWLEDGED,
    SHADOW,
    SWITCHED_OFF,
    SiteRules,
    SuppressionCheck,
    all_rule_versions,
    drafts_of,
    finding_key,
)
from cards.text import plain
from cds_hooks.call.hold_back.budgets import Budgets
from cds_hooks.call.hold_back.card_events import ACCEPTED, SHOWN, Accepted, Caller, Event, plain_words, words_of
from cds_hooks.call.hold_back.memory import MOST_CARDS, REST_DAYS, TEST_DAYS, PatientMemory, suppression
from cds_hooks.call.hold_back.released import CANARY, KNOWLEDGE, Released
from cds_hooks.call.hold_back.visit import CardNotes, VisitRank, by_harm, choose_for_visit
from cds_hooks.call.protocol.hooks import PATIENT_VIEW
from cds_hooks.settings.packages import finding_of_package
from fhir.record.refusals import WhyNot
from models_onnx.declarations import Declaration, declarations_of_packages, origin_of
from models_onnx.packages import Package, packages

SILENT_MODE: Final = "silent-mode"
NOT_FOR_THIS_USER: Final = "not-for-this-user"
SHOWN_BEFORE: Final = "said-once"
"""The reason code of a card that was shown or answered before."""
FROM_EVENT: Final = "from-event"
WORKLIST: Final = "worklist"
"""The reason code of a reminder that is kept for another moment."""
LOOP_GUARD: Final = "loop-guard"
"""The reason code of what an acceptance a moment ago holds back."""
SITE_CHECK: Final = "site-check"
"""The reason code of what a check of a package from outside holds back."""
BUDGET: Final = "budget"
"""The reason code of a card beyond a budget."""

NOT_FOR_THIS_ROLE: Final = "not-for-this-role"
"""The reason code of an order that is not offered because the user's role does not order."""

_NO_CLINICIANS: Final = frozenset({"patient", "relatedperson"})
_DAY_SECONDS: Final = 86_400.0

OVERRIDDEN_BEFORE: Final = "Overridden by a colleague"
"""How the sentence on a card begins that tells of a colleague's answer."""
_LONGEST_REASON: Final = 120


class CheckedCall(Struct):
    """What the checks of one call are told; `released` and `site` are the acts and the rules file of its beginning.

    `as_of` is in epoch seconds. `units` gives the patient's care units. `silent` says why this caller is shown nothing.
    `notes` has what advisors say of their cards, by uuid.
    """

    caller: Caller
    as_of: float
    released: Released = field(default_factory=Released)
    site: SiteRules = field(default_factory=SiteRules)
    units: Callable[[], Collection[str]] = tuple
    silent: str | None = None
    notes: dict[str, CardNotes] = field(default_factory=dict)
    withheld: dict[str, WhyNot] = field(default_factory=dict)
    """Why something is not shown: by the uuid of a card or suggestion, or the key of a finding that was answered."""
    worklist: list[WorklistEntry] = field(default_factory=list)
    """What is kept for another moment in place of a card."""
    user: Callable[[], str] = str
    """Gives the user of the call as it is recorded, or as the call names it where users are not recorded."""
    colleague_answers: dict[str, str] = field(default_factory=dict)
    """What a card says of a colleague's answer: by the rule of a critical finding, or by the uuid of a card."""
    packages: tuple[str, ...] = ()
    """The packages from outside with a part in the call: those of its advisors, of a feature, of the dialect."""
    from_event: bool = False
    """Whether an event made the call and nobody is shown its cards."""
    named_units: tuple[str, ...] = ()
    """The patient's care units by their names, which are recorded with what is shown."""
    roles: tuple[str, ...] = ()
    """What the user works as; empty where that is not known."""
    is_trial: bool = False
    """Whether the call is a trial: it takes no place of a budget."""
    needs_approval: bool = False
    """Whether a rule shows its findings only in a version that two people have approved."""
    rest_days: float = REST_DAYS
    """For so many days a card that nobody answered is suppressed; with 0 it is shown at each opening."""
    budgets: Budgets = field(default_factory=Budgets)
    recall: Callable[[], PatientMemory] = PatientMemory
    """Gives what is remembered of the patient; asked where a check wants to know."""

    def add_cards(
        self,
        advisor: str,
        rank: VisitRank,
        cards: Iterable[Card],
        notes: Mapping[str, CardNotes],
        packages: tuple[str, ...],
    ) -> None:
        """Take what the checks are told of an advisor's cards; `rank` is theirs where they have no other."""
        self.packages = tuple(dict.fromkeys((*self.packages, *packages)))
        for card in cards:
            noted = notes.get(card.uuid, CardNotes())
            rank_of_card = rank if noted.rank is None else noted.rank
            self.notes[card.uuid] = replace(noted, advisor=advisor, packages=packages, rank=rank_of_card)

    def notes_of(self, card: Card) -> CardNotes:
        """Return what its advisor says of a card."""
        return self.notes.get(card.uuid) or CardNotes(advisor=self.caller.service)

    def is_own(self, answered_by: str) -> bool:
        """Return whether the user of this call gave an answer; False where that is not known."""
        return bool(answered_by) and answered_by == self.user()

    def tell_of_colleague(self, about: str, at: float, reason: str) -> None:
        """Note for the reader that a colleague overrode the same critical finding."""
        moment = datetime.fromtimestamp(at, UTC)
        is_today = moment.date() == datetime.fromtimestamp(self.as_of, UTC).date()
        day = "" if is_today else f" on {moment.date().isoformat()}"
        words = plain(reason or "no reason", _LONGEST_REASON)
        self.colleague_answers[about] = f"{OVERRIDDEN_BEFORE}{day} at {moment:%H:%M} UTC: {words}."

    def subject_of(self, card: Card) -> str:
        """Return what a reason against a card is about: its first rule, its model or guideline, else the service."""
        if rules := card.own_extension.findings:
            return rules[0].rule
        finding = card.own_extension.finding
        return finding.subject if finding is not None and finding.subject else self.notes_of(card).advisor

    @property
    def recorded_units(self) -> tuple[str, ...]:
        """The patient's care units by their names, and by those under which one has a budget."""
        budgeted = {name for budget in self.site.budgets if budget.of == "unit" for name in budget.names}
        return tuple(sorted({*self.named_units, *(budgeted.intersection(self.units()) if budgeted else ())}))


# What people, a server or a monitor decided: switched off, shadow, canary, silent mode.


def refuse_user(service: str, user_id: str | None) -> WhyNot | None:
    """Return why a service says nothing to this user (CDS Hooks 2.0, userId); None where the user may be a clinician.

    >>> refuse_user("planning", "https://ehr.example/fhir/RelatedPerson/7").reason
    'not-for-this-user'
    >>> refuse_user("planning", "Practitioner/Patient")
    """
    types = map(str.strip, (user_id or "").casefold().split("/")[:-1])
    if _NO_CLINICIANS.isdisjoint(types):
        return None
    text = "The user of this call is the patient or a related person; this service is written for clinicians."
    return WhyNot(service, NOT_FOR_THIS_USER, text)


def check_released(finding: RuleFinding, call: CheckedCall) -> WhyNot | None:
    """Return why the rule shows nothing here: its state of release, a switch of the rules file, or no approval.

    A switch can be about milder bands alone. Behind a trust file a rule shows findings only in an approved version.
    """
    caller, version = call.caller, all_rule_versions().get(finding.rule)
    silence = call.released.why_withheld("rule", finding.rule, caller.client, caller.patient)
    if silence is not None:
        return silence
    for switch in call.site.switches.get(finding.rule, ()):
        if switch.holds_for(caller.client, call.units()) and switch.silences(finding):
            return _about_rule(finding, SWITCHED_OFF, f"this site has switched it off: {switch.note}")
    if version is None or not call.needs_approval or call.site.is_approved(finding.rule, version.digest):
        return None  # what is not a rule needs no approval: that a drug is not covered
    was = call.site.approvals.get(finding.rule)
    why = "only another version of it is approved here" if was else "it is not approved here"
    return _about_rule(finding, SHADOW, f"its card ({finding.band}, {finding.indicator}) is not shown: {why}.")


async def check_card_released(card: Card, call: CheckedCall) -> WhyNot | None:
    """Return why the model, the equation or a package behind the card, or the caller, is shown nothing."""
    names, model = call.notes_of(card).packages, (card.own_extension.model or {}).get("id", "")
    if model and packages() and (origin := origin_of("models_onnx.equations.published", model)) and origin.package:
        names = (*names, origin.package.name)
    if (silence := why_package_withheld(call, names)) is not None:
        return silence
    caller = call.caller
    states = (
        call.released.why_withheld(kind, model, caller.client, caller.patient)
        for kind in ("model", "equation", KNOWLEDGE)
    )
    silent = WhyNot(caller.service, SILENT_MODE, call.silent) if call.silent is not None else None
    return next((silence for silence in states if silence is not None), silent)


def why_package_withheld(call: CheckedCall, names: Iterable[str] | None = None) -> WhyNot | None:
    """Return why nothing of these packages reaches the client, unless given of all that have a part in the call."""
    for name in call.packages if names is None else names:
        if (silence := check_released(finding_of_package(name), call)) is not None:
            return silence
    return None


class SiteCheck(Struct, frozen=True, kw_only=True):
    """What a package from outside declares as `CHECK`: a reason of the hospital's own to hold cards back.

    `card` returns the reason in a sentence, or None; it is never asked about a critical card.
    """

    title: str
    lets_through: str
    card: Callable[[Card, CheckedCall], Awaitable[str | None]]


def site_checks() -> tuple[Declaration[SiteCheck], ...]:
    """Return the checks of packages from outside.

    Raises:
        DeclarationError: One is declared wrongly.
    """
    return _checks_of(packages())


@cache
def _checks_of(_packages: tuple[Package, ...]) -> tuple[Declaration[SiteCheck], ...]:
    return tuple(declarations_of_packages("cds_hooks.call.hold_back", SiteCheck))


async def check_of_packages(card: Card, call: CheckedCall) -> WhyNot | None:
    """Return why a check of a package from outside holds the card back; one that is not approved is not asked."""
    if card.indicator == "critical":
        return None
    for declaration in site_checks():
        package, check = declaration.file.package, declaration.value
        if package is None or why_package_withheld(call, (package.name,)) is not None:
            continue
        if (text := await check.card(card, call)) is not None:
            words = f"{check.title}: {text} {check.lets_through} ({package.words})"
            return WhyNot(call.subject_of(card), SITE_CHECK, words)
    return None


def check_acknowledged(finding: RuleFinding, call: CheckedCall) -> WhyNot | None:
    """Return why the finding is not shown again: a clinician overrode it. It is noted in `call.withheld`.

    A critical finding rests only for the user who overrode it, and for that draft; the next reader is told.
    """
    for override in (event for event in call.recall().events if event.answers(finding)):
        days = call.site.days_of(all_rule_versions()[finding.rule].rule, finding.indicator)
        if not 0 <= call.as_of - override.at <= days * _DAY_SECONDS:
            continue
        if finding.indicator == "critical":
            if not call.is_own(override.by):
                call.tell_of_colleague(finding.rule, override.at, override.reason)
                continue
            if not drafts_of(finding) <= override.drafts:
                continue
        lately = "the last day" if days == 1 else f"the last {days} days"
        text = f"it was answered with “{override.reason}” in {lately}, and its facts have not become worse."
        silence = _about_rule(finding, ACKNOWLEDGED, text)
        call.withheld[finding_key(finding)] = silence
        return silence
    return None


def _about_rule(finding: RuleFinding, reason: str, text: str) -> WhyNot:
    version = all_rule_versions().get(finding.rule)
    title = version.rule.title if version is not None else "A high-alert drug that no rule is about"
    return WhyNot(finding.rule, reason, f"{title}: {text}")


# What was shown to this patient, or accepted, before.


async def check_shown_before(card: Card, call: CheckedCall) -> WhyNot | None:
    """Return why the card rests: the same finding was shown or answered, and it is no worse."""
    finding = card.own_extension.finding
    if finding is None:
        return None
    suppressed = suppression(card, finding, call.recall(), call.as_of, call.rest_days)
    if suppressed is None:
        return None
    before, end = suppressed
    if card.indicator == "critical" and not call.is_own(before.by):
        if before.how != ACCEPTED:
            call.tell_of_colleague(card.uuid, before.at, before.reason)
        return None
    since, until = (datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") for at in (before.at, end))
    how = f"answered on {since[:10]} ({before.how})"
    if before.how == SHOWN and finding.repeat == "one-test":
        return _waits(card, call, f"it was offered on {since[:10]} (once in {TEST_DAYS} days)")
    if before.how == SHOWN:
        how = f"shown on {since[:10]} and not answered"
        call.worklist.append(
            WorklistEntry(test=card.summary, purpose=finding.subject, because=SHOWN, since=since, until=until)
        )
    text = f"Found again, not shown: {card.summary} It was {how} and is not worse; shown again after {until[:10]}."
    return WhyNot(finding.subject, SHOWN_BEFORE, text)


async def check_event(card: Card, call: CheckedCall) -> WhyNot | None:
    """Return that nobody has a chart open where an event made the call; what the card says goes to the worklist."""
    if not call.from_event:
        return None
    call.worklist.append(_entry(card, call, FROM_EVENT))
    return WhyNot(
        call.subject_of(card), FROM_EVENT, f"On the worklist, because an event and no call made it: {card.summary}"
    )


async def choose_at_visit(cards: Sequence[Card], call: CheckedCall) -> dict[str, WhyNot | Card]:
    """Return, by uuid, why cards wait because more important ones are shown, or the brief form in which they are shown.

    A service that is called beside others shows what they have left of three cards in this visit, as the history of the
    last minutes says. At other hooks than patient-view only one follow-up is shown.
    """
    if call.caller.hook != PATIENT_VIEW:
        findings = ((card, card.own_extension.finding) for card in cards)
        follow_ups = [(card, finding) for card, finding in findings if finding and finding.repeat == "one-follow-up"]
        text = "One card for each discharge: another one is shown."
        return {card.uuid: WhyNot(finding.subject, SHOWN_BEFORE, text) for card, finding in follow_ups[1:]}
    abouts = {finding.about for card in cards if (finding := card.own_extension.finding) is not None}
    most = max(0, MOST_CARDS - call.recall().others_recently(call.caller.service, abouts, call.as_of))
    shown = choose_for_visit(cards, call.notes_of, most)
    because = "more important cards are shown at this opening"
    return {card.uuid: shown.get(card.uuid) or _waits(card, call, because) for card in cards}


def _waits(card: Card, call: CheckedCall, because: str) -> WhyNot:
    """Keep what the card says for the worklist, and return why."""
    entry = _entry(card, call, "offered-before")
    call.worklist.append(entry)
    finding = card.own_extension.finding
    subject = finding.subject if finding is not None else call.subject_of(card)
    return WhyNot(subject, WORKLIST, f"{entry.test.rstrip('.')}: kept for the worklist, because {because}.")


def _entry(card: Card, call: CheckedCall, because: str) -> WorklistEntry:
    """Return what the card says for the worklist: the test that it asks for, its reminder, or its headline."""
    finding = card.own_extension.finding
    if finding is not None and finding.repeat == "one-test":
        return worklist_entry(card, because)
    reminder = call.notes_of(card).reminder
    return replace(
        reminder or WorklistEntry(test=card.summary, purpose=call.subject_of(card), because=""), because=because
    )


async def check_accepted(card: Card, call: CheckedCall) -> WhyNot | None:
    """Return why a card with the same findings on an order that was just accepted is not shown again.

    Accepting a suggestion places or changes an order, and the client then calls the next hook with it ("alert loop":
    accepting fired order-sign, which alerted again). So for an hour after it, about the same patient of the same
    client, a card with the same findings on that order, or on the draft it came from, is held back, and so is a
    suggestion that would change or remove that order or add the same. Critical cards are shown, with all suggestions.
    """
    extension = card.own_extension
    findings = frozenset((finding.rule, finding.band) for finding in extension.findings)
    finding = card.own_extension.finding
    if not findings or (finding is not None and finding.is_list):
        return None
    for answer, accepted in _accepted_lately(card, call):
        if findings <= answer.bands and _draft(extension) & (accepted.orders | answer.drafts):
            text = f"Accepted a moment ago (“{accepted.label}”), so not shown again: {card.summary}"
            return WhyNot(extension.findings[0].rule, LOOP_GUARD, text)
    return None


def check_accepted_suggestion(suggestion: Suggestion, card: Card, call: CheckedCall) -> WhyNot | None:
    """Return why the suggestion is not offered: it is the opposite of one that was just accepted, or the same."""
    changes = any(action.type in ("update", "delete") for action in suggestion.actions)
    created = (action.resource for action in suggestion.actions if action.type == "create")
    added = {word for resource in created for word in words_of(resource)}
    for _, accepted in _accepted_lately(card, call):
        rule = call.subject_of(card)
        if changes and _draft(card.own_extension) & accepted.orders:
            text = f"“{suggestion.label}” is not offered: it would change what was just accepted"
            return WhyNot(rule, LOOP_GUARD, f"{text} (“{accepted.label}”).")
        if added & accepted.orders:
            text = f"“{suggestion.label}” is not offered again: it was just accepted."
            return WhyNot(rule, LOOP_GUARD, text)
    return None


def _accepted_lately(card: Card, call: CheckedCall) -> list[tuple[Event, Accepted]]:
    """Return what was accepted within the hour about this patient; nothing for a card that is not held back for it."""
    return [] if card.indicator == "critical" else call.recall().accepted_lately(call.as_of)


def _draft(extension: CardExtension) -> frozenset[str]:
    """Return words and reference of the order that a card is about."""
    facts = [fact for fact in extension.facts if fact.name == "draft"]
    words = [plain_words(fact.text) for fact in facts]
    return frozenset(filter(None, [*words, *(fact.source for fact in facts)]))


async def choose_within_budgets(cards: Sequence[Card], call: CheckedCall) -> dict[str, WhyNot | Card]:
    """Return, by uuid, which budget has no place for a card, the most severe first; one that is shown takes places."""
    chosen: dict[str, WhyNot | Card] = {}
    if not call.site.budgets:
        return chosen
    exhausted = partial(call.budgets.exhausted, call.site.budgets, call.caller.client, call.user, call.units)
    counted = [card for card in cards if card.indicator != "critical"]
    for place, card in enumerate(sorted(counted, key=lambda card: -SEVERITY[card.indicator])):
        budget = await exhausted(place - len(chosen), is_trial=call.is_trial)
        if budget is not None:
            text = f"Beyond the budget of {budget.words} ({budget.note}), so not shown: {card.summary}"
            chosen[card.uuid] = WhyNot(call.subject_of(card), BUDGET, text)
    return chosen


_ORDERS: Final = {"MedicationRequest": "medications", "ServiceRequest": "services"}
"""What a resource is an order of; a vaccine is ordered by a ServiceRequest, too."""
_IN_WORDS: Final = {"services": "tests and referrals"}
_CVX: Final = "http://hl7.org/fhir/sid/cvx"


def check_role(suggestion: Suggestion, card: Card, call: CheckedCall) -> WhyNot | None:  # noqa: ARG001 - as the others
    """Return why the orders of a suggestion are not offered: the user's role does not order them at this site.

    Whoever has one role that orders, or a role that is not known, is offered everything.
    """
    allowed = call.site.may_order(call.roles)
    if allowed is None:
        return None
    if kinds := sorted({kind for action in suggestion.actions if (kind := _ordered_kind(action))} - allowed):
        roles, orders = " and ".join(call.roles), " and ".join(_IN_WORDS.get(kind, kind) for kind in kinds)
        text = f"Tell the prescriber: at this site the role {roles} does not order {orders}."
        return WhyNot(call.caller.service, NOT_FOR_THIS_ROLE, text)
    return None


def _ordered_kind(action: Action) -> str:
    """Return what kind of order an action places, changes or ends; "" where it is none."""
    if action.resource is None:
        return _ORDERS.get((action.resource_id or "").partition("/")[0], "")
    concept = action.resource.get("code") or action.resource.get("medicationCodeableConcept") or {}
    if any(coding.get("system") == _CVX for coding in concept.get("coding", ())) or " vaccine" in concept.get(
        "text", ""
    ):
        return "vaccines"
    return _ORDERS.get(action.resource.get("resourceType", ""), "")


CardCheck = Callable[[Card, CheckedCall], Awaitable[WhyNot | None]]


class Check(Struct, frozen=True, kw_only=True):
    """One reason to hold back. A check without functions is asked elsewhere, where a service or a model computes.

    Critical cards: each check says for itself whether it holds them back.
    """

    codes: tuple[str, ...]
    """The codes of the reasons that it gives (`WhyNot.reason`)."""
    title: str
    """What holds the card back, in a few words."""
    lets_through: str
    """What would let the card through, in a sentence."""
    finding: Callable[[RuleFinding, CheckedCall], WhyNot | None] | None = None
    card: CardCheck | None = None
    choose: Callable[[Sequence[Card], CheckedCall], Awaitable[Mapping[str, WhyNot | Card]]] | None = None
    """Chooses among all cards that are left: by uuid the reason against a card, or the brief form that is shown."""
    suggestion: Callable[[Suggestion, Card, CheckedCall], WhyNot | None] | None = None
    """Takes single suggestions off a card that is shown."""
    is_named_on_card: bool = False
    """Whether a card tells why a suggestion was taken off it."""
    act: Literal["switch", "release", "silent-mode"] | None = None
    """Which kind of act it goes by, if any: `governance/origins.py` finds the act behind a recorded reason."""
    remembers: bool = False
    """Whether it goes by what was shown or answered before: a replay takes that from the record of the decision."""
    hides_findings: bool = True
    """Whether something was found that it hides; False where it says that nothing is looked for."""


CHECKS: Final = (
    Check(
        codes=(SWITCHED_OFF,),
        # asked by `Released.why_off`, before anything is read
        title="The service or the client is switched off",
        lets_through='An act of release: cds-hooks release on service NAME --why "…", or of the client.',
        act="switch",
    ),
    Check(
        codes=(NOT_FOR_THIS_USER,),
        # asked by `refuse_user`
        title="The user is not a clinician",
        lets_through="A call by a clinician: context.userId names a Practitioner or PractitionerRole.",
        hides_findings=False,
    ),
    Check(
        codes=("deceased", "palliative", "opted-out"),
        title="No estimate for this patient: death, palliative care, or an opt-out",
        lets_through="A change of the chart (docs/operations/restraint.md, who gets no estimate).",
        hides_findings=False,
    ),
    Check(
        codes=("already-done", "already-ordered"),
        title="What it would suggest is done or ordered already",
        lets_through="A change of the chart: the order, procedure or visit that the reason names.",
        hides_findings=False,
    ),
    Check(
        codes=("model-not-released",),
        # asked by `ModelApprovals`, for services/_model.py
        title="The model's release state, gates or approvals",
        lets_through="The state that CDS_MODEL_STATE asks for, and two approvals at /models/NAME.",
    ),
    Check(
        codes=(SWITCHED_OFF, SHADOW, CANARY),
        title="The release state of the rule, model or equation",
        lets_through="An act of release about NAME: cds-hooks release on, canary or active "
        "(docs/operations/release.md).",
        finding=check_released,
        card=check_card_released,
        act="release",
    ),
    Check(
        codes=(SILENT_MODE,),
        # asked with the state of release, as the next two
        title="Silent mode of the client, care unit or user",
        lets_through='An act of release: cds-hooks release on client CLIENT --why "…", or of the unit or user.',
        act="silent-mode",
    ),
    Check(
        codes=(SWITCHED_OFF,),
        title="A switch of the rules file",
        lets_through="A change of [[switch]] in the rules file (CDS_RULES_FILE, docs/rules/governance.md).",
    ),
    Check(
        codes=(SHADOW,),
        title="Two people have not approved this version of the rule or package",
        lets_through="The approvals of two people in two roles, at the page /rules/NAME.",
    ),
    Check(
        codes=(ACKNOWLEDGED,),
        title="A clinician's answer to the same finding",
        lets_through="Time (90, 30 or 1 days by severity, or as the rules file says), other drugs, or a worse finding.",
        finding=check_acknowledged,
        remembers=True,
    ),
    Check(
        codes=(SHOWN_BEFORE,),
        title="Shown or answered before, and no worse since",
        lets_through="Time (the reason says until when), a worse finding, or another answer.",
        card=check_shown_before,
        remembers=True,
    ),
    Check(
        codes=(FROM_EVENT,),
        title="Computed because of an event: it goes to the worklist and to no screen",
        lets_through="A call of the EHR: whoever opens the chart is shown the card, and this worklist entry is "
        "replaced.",
        card=check_event,
        remembers=True,
    ),
    Check(
        codes=(LOOP_GUARD,),
        title="Loop guard: a suggestion about this order was accepted within the hour",
        lets_through="Time: one hour after the acceptance; a new draft of the same drug is checked as usual.",
        card=check_accepted,
        suggestion=check_accepted_suggestion,
        remembers=True,
    ),
    Check(
        codes=(WORKLIST, SHOWN_BEFORE),
        title="Three cards at an opening, the same test once in 90 days, one follow-up at discharge",
        lets_through="Time: the next day, or 90 days after the test that was offered; a reminder stands in the "
        "worklist.",
        choose=choose_at_visit,
        remembers=True,
    ),
    Check(
        codes=(SITE_CHECK,),
        title="A check of a package from outside",
        lets_through="What the reason says, a critical card, or a switch of the package (docs/adding/package.md).",
        card=check_of_packages,
    ),
    Check(
        codes=(BUDGET,),
        title="A budget of cards in a day or in a call",
        lets_through="The next day (UTC), a more severe card, or a change of [[budget]] in the rules file.",
        choose=choose_within_budgets,
        remembers=True,
    ),
    Check(
        codes=(NOT_FOR_THIS_ROLE,),
        title="The user's role does not order",
        lets_through="A change of [[role]] in the rules file (docs/rules/governance.md), or a user whose role orders.",
        suggestion=check_role,
        is_named_on_card=True,
        hides_findings=False,
    ),
)
"""All checks, the first to be asked first."""

SUPPRESSED: Final = frozenset(code for check in CHECKS for code in check.codes)
"""The reasons for which a card is held back; all other reasons say that there was nothing to show."""
WITHOUT_MEMORY: Final = tuple(check for check in CHECKS if not check.remembers)
"""The checks that decide the same again whatever was shown or answered since: those that a replay asks."""
REMEMBERED: Final = frozenset(code for check in CHECKS if check.remembers for code in check.codes)
"""The reasons that go by what was shown or answered before: a replay takes them from the record."""
WITHHELD: Final = frozenset(code for check in CHECKS if check.hides_findings for code in check.codes)
"""Those of them for which something was found and is not shown."""


def check_findings(call: CheckedCall, checks: Sequence[Check] = CHECKS) -> SuppressionCheck:
    """Return what gives the first reason why a finding of a medication rule is not shown in this call."""
    asked = [check.finding for check in checks if check.finding is not None]
    return lambda finding: next(filter(None, (ask(finding, call) for ask in asked)), None)


async def choose_cards(cards: Sequence[Card], call: CheckedCall, checks: Sequence[Check] = CHECKS) -> list[Card]:
    """Return the cards to show now; `call` takes in why the others are not shown, and what is kept for the worklist.

    At an opening that card comes first whose miss does the most harm.
    """
    shown = by_harm(cards, call.notes_of) if call.caller.hook == PATIENT_VIEW else list(cards)
    for check in checks:
        if shown and (check.card or check.choose or check.suggestion):
            shown = await _ask(check, shown, call)
    return [_with_colleague(card, call) for card in shown] if call.colleague_answers else shown


async def _ask(check: Check, cards: Sequence[Card], call: CheckedCall) -> list[Card]:
    """Return the cards without what this check holds back, which goes into `call.withheld`."""
    passed: list[Card] = []
    choices = await check.choose(cards, call) if check.choose is not None else {}
    for card in cards:
        choice = await check.card(card, call) if check.card is not None else choices.get(card.uuid)
        if isinstance(choice, WhyNot):
            call.withheld[card.uuid] = choice
        else:
            form = choice or card
            passed.append(form if check.suggestion is None else _offered(check, form, call))
    return passed


def _offered(check: Check, card: Card, call: CheckedCall) -> Card:
    """Return the card with those of its suggestions that the check lets through."""
    assert check.suggestion is not None  # noqa: S101 - `_ask` has looked
    asked = {suggestion.uuid: check.suggestion(suggestion, card, call) for suggestion in card.suggestions}
    reasons = {uuid: reason for uuid, reason in asked.items() if reason is not None}
    call.withheld |= reasons
    if check.is_named_on_card:
        card = with_sentences(card, dict.fromkeys(reason.text for reason in reasons.values()))
    return without_suggestions(card, reasons)


def _with_colleague(card: Card, call: CheckedCall) -> Card:
    """Return the card with what a colleague answered to the same critical finding."""
    keys = (card.uuid, *(finding.rule for finding in card.own_extension.findings))
    sentences = dict.fromkeys(call.colleague_answers[key] for key in keys if key in call.colleague_answers)
    return with_sentences(card, sentences) if card.indicator == "critical" else card


def with_sentences(card: Card, sentences: Iterable[str]) -> Card:
    """Return the card with these sentences at the end of its detail."""
    return replace(card, detail="\n\n".join(filter(None, (card.detail, *sentences)))) if sentences else card


def without_suggestions(card: Card, uuids: Collection[str]) -> Card:
    """Return the card without these of its suggestions; without any it has no selection behavior either (CARD-13)."""
    offered = tuple(suggestion for suggestion in card.suggestions if suggestion.uuid not in uuids)
    if len(offered) == len(card.suggestions):
        return card
    return replace(card, suggestions=offered, selection_behavior=card.selection_behavior if offered else None)
