"""The form by which a clinician answers a card on the page of its decision, and the answer that it has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer that a card offers."""

    value: str
    words: str


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """What is offered for one card, or, in `given`, the answer that it has."""

    card: str
    number: int
    choices: tuple[Choice, ...]
    may_write: bool
    given: str = ""


@dataclass(frozen=True, slots=True)
class Answering:
    """The forms of a page by the uuid of the card, whether who asks may send them, and what was wrong with one."""

    forms: Mapping[str, AnswerForm] = field(default_factory=dict)
    may_answer: bool = False
    problem: str = ""
    problem_of: str = ""


NO_ANSWERS: Final = Answering()
