"""What was not used, and why: nothing that arrived is lost without a word."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """One resource or value that was not used: what, a reason code, and a sentence for a person."""

    subject: str
    reason: str
    text: str
