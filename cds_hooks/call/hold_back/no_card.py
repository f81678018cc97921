"""What an answer without a card means, in the words that every page uses.

Absence, silence and failure are three things: something was found and held back; something could not be judged because
data are missing or not usable; or everything that was looked for was looked at and nothing was found.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from cards.rules.engine.governance import all_rule_versions
from cards.rules.engine.render import WITHIN_LIMITS, found_nothing
from cds_hooks.call.hold_back.checks import WITHHELD
from fhir.mapping.conditions import PROBLEMS_UNREADABLE
from fhir.record.refusals import WhyNot

SCOPE: Final = "scope"
"""The reason code of the sentence that says what was looked for about an order."""
_LOOKED: Final = frozenset((WITHIN_LIMITS, "no-pair", "no-partner", SCOPE))

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
    return is_of_rule or silence.reason in _LOOKED


def looked_at(silences: Iterable[WhyNot], advisors: Iterable[str]) -> str:
    """Return what an answer looked at: what was looked for about its orders, else the advisors that were asked."""
    scopes = " ".join(silence.text for silence in silences if silence.reason == SCOPE)
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
    refused = tuple(silence for silence in reasons if silence.reason == "not-for-this-user")
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
