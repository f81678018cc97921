"""What a card is about and how bad it is: what is compared with what was shown to this patient or answered before."""

from typing import Final, Literal, TypeAlias

from msgspec import Struct

WORSE_SHARE: Final = 0.20
"""A number that became worse by more than this share is shown again: KDIGO 2024 (2.1.3) says so of the eGFR."""
WORSE_POINTS: Final = 0.05
"""A model's risk that rose by so much is shown again: 5 points (responsible-ai.md 4.2)."""

Repeat: TypeAlias = Literal["each-opening", "until-answered", "once", "one-test", "one-follow-up"]
"""How often a finding that is no worse is shown: for a day at each opening, which is the rule; until it is answered;
once in 90 days; as the offer of a test, once in 90 days after that day; or once for each discharge."""


class Finding(Struct, frozen=True, omit_defaults=True, gc=False):
    """What a card says about the patient as a whole; the composer that writes the card says it in its extension.

    `about` is the name under which it is remembered, `subject` the rule, model, equation or service that a reason for
    silence names. `measure` is a number that is worse when it is higher (`is_falling`: when it is lower) and `band` its
    range. `parts` are what the card lists, or the inputs that raise a risk most; `known` are further inputs that raise
    it visibly, which are not news. `missing` are inputs without a value. `is_risk`: `measure` is a model's probability.
    `is_list`: the card lists several findings, and an answer to one of them does not count for others. `horizon_days`:
    a model looks less than a year ahead, after which "already done" counts no more.
    """

    about: str
    subject: str
    repeat: Repeat = "each-opening"
    measure: float | None = None
    band: str = ""
    parts: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    is_risk: bool = False
    is_falling: bool = False
    is_list: bool = False
    horizon_days: float | None = None

    def is_worse_than(self, before: "Finding") -> bool:
        """Return whether it lists something new, is in a worse range, or has a clearly worse number.

        Clearly worse is a risk that rose by 5 points or more, and any other number that moved by more than a fifth.
        What two models of one risk list and which range they give is not compared.
        """
        is_same_subject = self.subject == before.subject
        if is_same_subject and not set(self.parts) <= {*before.parts, *before.known}:
            return True
        if self.measure is None or before.measure is None:
            return False
        change = before.measure - self.measure if self.is_falling else self.measure - before.measure
        # Both are floats of a model file: 0.25 against 0.30 counts as 5 points.
        clear = WORSE_POINTS - 1e-9 if self.is_risk else WORSE_SHARE * abs(before.measure)
        return change > clear or (change > 0 and is_same_subject and self.band != before.band)

    def has_arrived_since(self, before: "Finding") -> bool:
        """Return whether an input that was missing before has a value now."""
        return not set(before.missing) <= set(self.missing)
