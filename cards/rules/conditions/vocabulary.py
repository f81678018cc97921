"""The vocabulary of the rule language: finds every word, compiles conditions, says them, and gives their JSON Schema.

A new common word is a `Condition` in a module of cards/rules/conditions/words; nothing else has to be changed.
Comparisons and drug selectors are put into words here, as the page of a family says them.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from operator import attrgetter
from typing import Any

from cards.rules.conditions.condition import Condition, Predicate, Spec
from cards.rules.language.rule import RuleError
from cards.text import format_number
from models_onnx.discovery import discover

_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def compared(name: str, limits: Mapping[str, Any]) -> str:
    """A number with its limits, each with all its digits.

    >>> compared("eGFR", {"ge": 30, "lt": 45}), compared("mg a day", {"gt": 0.125})
    ('eGFR ≥ 30 and < 45', 'mg a day > 0.125')
    """
    phrases = (f"{_SIGNS[word]} {format_number(limits[word], [limits[word]])}" for word in _SIGNS if word in limits)
    return f"{name} {' and '.join(phrases)}"


def selected(selector: Mapping[str, Any]) -> str:
    """The drugs of a selector.

    >>> selected({"classes": ["nsaid"], "systemic": True})
    'class nsaid (systemic)'
    """
    names = [drug["name"] for drug in selector.get("ingredients", ())]
    names += [f"class {name}" for name in selector.get("classes", ())]
    drugs = " or ".join(names) or "any drug"
    if "exclude_classes" in selector:
        drugs += f" but not class {' or '.join(selector['exclude_classes'])}"
    narrowed = [
        {True: "systemic", False: "local forms"}.get(selector.get("systemic", "")),
        selector.get("route"),
        " or ".join(selector.get("dose_form_any", ())),
        f"until {format_number(selector['washout_days'])} days after its end" if selector.get("washout_days") else None,
    ]
    inside = ", ".join(phrase for phrase in narrowed if phrase)
    return f"{drugs} ({inside})" if inside else drugs


class Vocabulary:
    """Words by name. Raises RuleError where two have one name."""

    def __init__(self, words: Iterable[Condition]) -> None:
        self._words: dict[str, Condition] = {}
        for word in words:
            if word.word in self._words:
                raise RuleError(f"two words of conditions are called {word.word!r}")
            self._words[word.word] = word

    def __iter__(self) -> Iterator[Condition]:
        return iter(self._words.values())

    def extended(self, words: Iterable[Condition]) -> "Vocabulary":
        """This vocabulary and these words. Raises RuleError where one of them is in it already."""
        return Vocabulary([*self, *words])

    def compile(self, spec: Any) -> Predicate:
        """The predicate of a condition as a rule's file writes it.

        Raises:
            RuleError: a word is not known, or its value is not what the word takes.
        """
        return self._word(spec).compile(spec, self.compile)

    def say(self, spec: Spec) -> str:
        """The condition in words, for the page that a pharmacist reads.

        >>> common_vocabulary().say({"all": [{"derived": "egfr_best", "ge": 30, "lt": 45}, {"new_start": True}]})
        'eGFR ≥ 30 and < 45, and a new start'
        """
        return self._word(spec).say(spec, self.say)

    def schema_of(self, word: Condition) -> dict[str, Any]:
        """The JSON Schema of a whole condition with this word."""
        schema: dict[str, Any] = {
            "type": "object",
            "required": [word.word],
            "properties": {word.word: word.schema, **word.beside},
            "additionalProperties": False,
        }
        return {**schema, "minProperties": 2} if "ge" in word.beside else schema

    def why_not(self, spec: Any) -> str | None:
        """What is wrong with the word of a condition; None where it is known."""
        try:
            self._word(spec)
        except RuleError as error:
            return str(error)
        return None

    def _word(self, spec: Any) -> Condition:
        if not isinstance(spec, Mapping) or not spec:
            raise RuleError(f"{spec!r} is no condition")
        words = [self._words[name] for name in spec if name in self._words]
        if len(words) == 1:
            return words[0]
        if words:
            raise RuleError(f"{' and '.join(word.word for word in words)} cannot stand in one condition: use `all`")
        similar = difflib.get_close_matches(next(iter(spec)), self._words, n=1)
        hint = f"; did you mean {similar[0]!r}?" if similar else ""
        raise RuleError(f"no word of conditions is called {' or '.join(map(repr, spec))}{hint}")


@cache
def common_vocabulary() -> Vocabulary:
    """Every word that any family may use: what the modules of cards/rules/conditions/words declare as WORDS.

    Raises:
        DeclarationError: a module declares no words, or two words have one name.
    """
    return Vocabulary(discover("cards.rules.conditions.words", "WORDS", Condition, id_of=attrgetter("word")).values())
