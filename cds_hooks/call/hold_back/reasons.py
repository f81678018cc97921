"""Why an answer has no card, or less than was found: every reason, in the words that pages and the reference use.

Absence, silence and failure are three things: something was found and held back; something could not be judged because
data are missing or not usable; or everything that was looked for was looked at and nothing was found.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from cards.rules.engine.governance import ACKNOWLEDGED, SHADOW, SWITCHED_OFF, all_rule_versions
from cards.rules.engine.render import WITHIN_LIMITS, found_nothing
from cds_hooks.call.hold_back.released import CANARY
from fhir.mapping.conditions import PROBLEMS_UNREADABLE
from fhir.record.refusals import WhyNot

SILENT_MODE: Final = "silent-mode"
NOT_FOR_THIS_USER: Final = "not-for-this-user"
SHOWN_BEFORE: Final = "said-once"
FROM_EVENT: Final = "from-event"
WORKLIST: Final = "worklist"
LOOP_GUARD: Final = "loop-guard"
BUDGET: Final = "budget"
NOT_FOR_THIS_ROLE: Final = "not-for-this-role"


class Reason(Struct, frozen=True):
    """One reason to hold something back: its codes, what holds it back, and what would let it through.

    `act` is the kind of act that it goes by (`governance/origins.py` finds the act). `remembers`: it goes by what was
    shown or answered before, which a replay takes from the record. `hides_findings`: something was found that it hides.
    """

    codes: tuple[str, ...]
    title: str
    lets_through: str
    act: Literal["switch", "release", "silent-mode"] | None = None
    remembers: bool = False
    hides_findings: bool = True


REASONS: Final = (
    Reason(
        (SWITCHED_OFF,),
        "The service or the client is switched off",
        'An act of release: cds-hooks release on service NAME --why "…", or of the client.',
        act="switch",
    ),
    Reason(
        (NOT_FOR_THIS_USER,),
        "The user is not a clinician",
        "A call by a clinician: context.userId names a Practitioner or PractitionerRole.",
        hides_findings=False,
    ),
    Reason(
        ("deceased", "palliative", "opted-out"),
        "No estimate for this patient: death, palliative care, or an opt-out",
        "A change of the chart (docs/operations/restraint.md, who gets no estimate).",
        hides_findings=False,
    ),
    Reason(
        ("already-done", "already-ordered"),
        "What it would suggest is done or ordered already",
        "A change of the chart: the order, procedure or visit that the reason names.",
        hides_findings=False,
    ),
    Reason(
        ("model-not-released",),
        "The model's release state, gates or approvals",
        "The state that CDS_MODEL_STATE asks for, and two approvals at /models/NAME.",
    ),
    Reason(
        (SWITCHED_OFF, SHADOW, CANARY),
        "The release state of the rule, model or equation",
        "An act of release about NAME: cds-hooks release on, canary or active (docs/operations/release.md).",
        act="release",
    ),
    Reason(
        (SILENT_MODE,),
        "Silent mode of the client, care unit or user",
        'An act of release: cds-hooks release on client CLIENT --why "…", or of the unit or user.',
        act="silent-mode",
    ),
    Reason(
        (SWITCHED_OFF,),
        "A switch of the rules file",
        "A change of [[switch]] in the rules file (CDS_RULES_FILE, docs/rules/governance.md).",
    ),
    Reason(
        (SHADOW,),
        "Two people have not approved this version of the rule or package",
        "The approvals of two people in two roles, at the page /rules/NAME.",
    ),
    Reason(
        (ACKNOWLEDGED,),
        "A clinician's answer to the same finding",
        "Time (90, 30 or 1 days by severity, or as the rules file says), other drugs, or a worse finding.",
        remembers=True,
    ),
    Reason(
        (SHOWN_BEFORE,),
        "Shown or answered before, and no worse since",
        "Time (the reason says until when), a worse finding, or another answer.",
        remembers=True,
    ),
    Reason(
        (FROM_EVENT,),
        "Computed because of an event: it goes to the worklist and to no screen",
        "A call of the EHR: whoever opens the chart is shown the card, and this worklist entry is replaced.",
        remembers=True,
    ),
    Reason(
        (LOOP_GUARD,),
        "Loop guard: a suggestion about this order was accepted within the hour",
        "Time: one hour after the acceptance; a new draft of the same drug is checked as usual.",
        remembers=True,
    ),
    Reason(
        (WORKLIST, SHOWN_BEFORE),
        "Three cards at an opening, the same test once in 90 days, one follow-up at discharge",
        "Time: the next day, or 90 days after the test that was offered; a reminder stands in the worklist.",
        remembers=True,
    ),
    Reason(
        (BUDGET,),
        "A budget of cards in a day or in a call",
        "The next day (UTC), a more severe card, or a change of [[budget]] in the rules file.",
        remembers=True,
    ),
    Reason(
        (NOT_FOR_THIS_ROLE,),
        "The user's role does not order",
        "A change of [[role]] in the rules file (docs/rules/governance.md), or a user whose role orders.",
        hides_findings=False,
    ),
)
"""All reasons, in the order in which they are asked for; `_model.py`, `_exclusions.py` and others give some of them."""

SUPPRESSED: Final = frozenset(code for reason in REASONS for code in reason.codes)
"""The codes for which a card is held back; all others say that there was nothing to show."""
REMEMBERED: Final = frozenset(code for reason in REASONS if reason.remembers for code in reason.codes)
WITHHELD: Final = frozenset(code for reason in REASONS if reason.hides_findings for code in reason.codes)
"""The codes for which something was found and is not shown."""
SCOPE: Final = "scope"
"""The reason code of the sentence that says what was looked for about an order."""
LOOKED: Final = frozenset((WITHIN_LIMITS, "no-pair", "no-partner", SCOPE))
"""The codes with which something was looked at and nothing was found."""

Kind = Literal["held-back", "not-judged", "looked", "not-for-this-user"]

_NOT_JUDGED: Final = frozenset(
    (
        "data-absent",
        "dose-in-doubt",
        "dose-not-entered",
        "duration-not-entered",
        "future",
        "haemolysed",
        "identity-in-doubt",
        "implausible",
        "impossible",
        "name-conflict",
        "no-date",
        "no-quantity",
        "no-server",
        "no-unit",
        "not-allowed",
        "not-exact",
        "not-final",
        "not-in-drafts",
        "not-recognised",
        "number-as-text",
        "old",
        "order-not-found",
        "out-of-range",
        "partial",
        "results-not-sent",
        "timed-out",
        "too-few-inputs",
        "unit-conflict",
        "unknown-unit",
        "unreadable",
    )
)
_NOT_JUDGED_ENDINGS: Final = ("missing", "-unknown", "-stale", "-unreadable", "-not-exact", "-failed", "-not-known")
"""Endings of the reasons with which rules say which of their data are missing or not usable."""


class NoCard(Struct, frozen=True):
    """What an answer without a card means: its kind, a title, a sentence, and the reasons that decide it."""

    kind: Kind
    title: str
    text: str
    reasons: tuple[WhyNot, ...]


def in_words(silences: Iterable[WhyNot]) -> tuple[WhyNot, ...]:
    """Return the reasons with a text for each; a rule that found nothing is recorded by its id and code alone."""
    return tuple(silence if silence.text else replace(silence, text=_words_of(silence.subject)) for silence in silences)


def _words_of(rule_id: str) -> str:
    version = all_rule_versions().get(rule_id)
    return found_nothing(version.rule.title if version is not None else rule_id)


def has_looked(silence: WhyNot) -> bool:
    """Return whether something was looked at and nothing was found in what could be read.

    That a problem could not be read is listed once for the chart; a rule that looked at the others is not listed.
    """
    is_of_rule = silence.reason == PROBLEMS_UNREADABLE and silence.subject in all_rule_versions()
    return is_of_rule or silence.reason in LOOKED


def looked_at(silences: Iterable[WhyNot], advisors: Iterable[str]) -> str:
    """Return what an answer looked at: what was looked for about its drugs, each once, else the advisors asked."""
    scopes = " ".join(dict.fromkeys(silence.text for silence in silences if silence.reason == SCOPE))
    return scopes or f"Advisors asked: {', '.join(advisors)}."


def is_not_judged(reason: str) -> bool:
    """Return whether this reason of a silence says that data are missing or not usable."""
    return reason in _NOT_JUDGED or reason.endswith(_NOT_JUDGED_ENDINGS)


def explain_no_card(silences: Iterable[WhyNot]) -> NoCard:
    """Return what an answer with these reasons and no card means; the gravest kind counts."""
    reasons = tuple(silences)
    held_back = tuple(silence for silence in reasons if silence.reason in WITHHELD)
    if held_back:
        return NoCard(
            "held-back", "Held back", f"{_findings(held_back)} not shown here. This is not an all-clear.", held_back
        )
    refused = tuple(silence for silence in reasons if silence.reason == NOT_FOR_THIS_USER)
    if refused:
        text = "Nothing was computed: the card would be for clinicians, and the user of this call is not one."
        return NoCard("not-for-this-user", "Not for this user", text, refused)
    gaps = tuple(silence for silence in reasons if is_not_judged(silence.reason))
    if gaps:
        text = f"Nothing was found in what could be judged. {_gaps(gaps)} not judged, for the reasons below."
        return NoCard("not-judged", "Not everything was judged", text, gaps)
    return NoCard("looked", "Nothing found", "The data were read, and nothing in them needs a card.", ())


def _findings(held_back: Sequence[WhyNot]) -> str:
    count = len({silence.subject for silence in held_back})
    return "Something was found and is" if count == 1 else f"{count} things were found and are"


def _gaps(gaps: Sequence[WhyNot]) -> str:
    count = len({silence.subject for silence in gaps})
    return "1 check or value was" if count == 1 else f"{count} checks or values were"
