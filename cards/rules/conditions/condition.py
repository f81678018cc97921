"""Conditions of rules: three-valued, composed of words, compiled from their JSON form.

The answers are true, false and unknown (None). `all` is false as soon as one part is false, `any` true as soon as one
is true; a count is unknown only when the unknown parts could change it.

A condition in a rule's file is a JSON object with one word and its value, {"age_years": {"ge": 65}}. Everything about
the word is in its object: the reader that compiles it, the type of its value, its wording on a page for
pharmacists, its row in the guide, and the data from which a service derives its prefetch. `Vocabulary` finds every
word: a new common word is a `Condition` in a module of cards/rules/conditions/words, and nothing else has to change.
"""

import difflib
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from operator import attrgetter
from typing import Annotated, Any, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, defstruct
from msgspec.structs import force_setattr, replace

from cards.extension import Fact
from cards.rules.language.rule import DeclaredSelector, Positive, RuleError, Text, typed
from cards.rules.patient.context import WITHOUT_DRUG, RuleContext
from cards.text import format_number
from fhir.terminology.package_tables import shared
from models_onnx.declarations import find_declared

Truth: TypeAlias = bool | None
Test: TypeAlias = Callable[[Any], Truth]
"""Asks a rule's context; criteria of payers ask what they are judged on (cards/coverage/words.py)."""
Facts: TypeAlias = Callable[[RuleContext], list[Fact]]


def no_facts(_context: RuleContext) -> list[Fact]:
    """For conditions that are based on the absence of something."""
    return []


class DataNeeds(Struct, frozen=True):
    """The data that a condition reads: analytes (keys of ANALYTES) and FHIR resource types beyond the Patient."""

    analytes: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Share the sets."""
        for name in self.__struct_fields__:
            force_setattr(self, name, shared(getattr(self, name)))

    def __or__(self, other: "DataNeeds") -> "DataNeeds":
        """Return what both need."""
        if self.analytes >= other.analytes and self.resources >= other.resources:
            return self
        return DataNeeds(self.analytes | other.analytes, self.resources | other.resources)


def needs(*resources: str, analytes: Iterable[str] = ()) -> DataNeeds:
    """Return the needs of a condition that reads these resource types and analytes."""
    return DataNeeds(frozenset(analytes), frozenset(resources))


NO_NEEDS = DataNeeds()
MEDICATION_LISTS = needs("MedicationRequest", "MedicationStatement")
"""What a condition needs that looks at what is taken, or asks when a drug was begun."""


class Predicate(Struct, frozen=True):
    """A compiled condition.

    `uses` names the facts behind it, `limits` the numbers it compares with, `needs` the data it reads; `facts` lists
    what made it true, for a context in which it is true. `of_draft` are sets of ingredients and classes: it can be true
    only of a draft that has one of each set, so that it need not be asked about another drug.
    """

    test: Test
    facts: Facts = no_facts
    uses: frozenset[str] = frozenset()
    limits: frozenset[float] = frozenset()
    needs: DataNeeds = NO_NEEDS
    of_draft: tuple[frozenset[str], ...] = ()

    def __post_init__(self) -> None:
        """Share the names of facts and the limits."""
        force_setattr(self, "uses", shared(self.uses))
        force_setattr(self, "limits", shared(self.limits))


def all_of(parts: tuple[Predicate, ...]) -> Predicate:
    """Return true when every part is."""
    if len(parts) == 1:  # every fourth condition of the rules
        return parts[0]
    of_draft = tuple([keys for part in parts for keys in part.of_draft])
    return _combined(_unless(False, parts), lambda context: _facts_of(parts, context), parts, of_draft)


def any_of(parts: tuple[Predicate, ...]) -> Predicate:
    """Return true when one part is."""
    # A part that is true settles it, but what else is true is among its facts.
    firsts = [part.of_draft[0] for part in parts if part.of_draft]
    of_draft = (frozenset().union(*firsts),) if len(firsts) == len(parts) else ()
    return _combined(
        _unless(True, parts), lambda context: _facts_of(_true_parts(parts, context), context), parts, of_draft
    )


def _unless(decisive: bool, parts: tuple[Predicate, ...]) -> Test:
    """Answers `decisive` as soon as one part does, else unknown where one part is unknown, else the opposite.

    What the family of a rule computes of the order (doses, instructions) is asked last: mostly the rest decides.
    """
    tests = tuple(sorted((part.test for part in parts), key=lambda test: ".families." in test.__module__))
    otherwise = not decisive

    def test(context: RuleContext) -> Truth:
        answer: Truth = otherwise
        for part_test in tests:
            truth = part_test(context)
            if truth is decisive:
                return decisive
            if truth is None:
                answer = None
        return answer

    return test


def none_of(part: Predicate) -> Predicate:
    """Return true when the part is false."""
    uses = part.uses | {WITHOUT_DRUG} if "active" in part.uses else part.uses

    return Predicate(_negated(part.test), no_facts, uses, part.limits, part.needs)


def _negated(read: Test) -> Test:
    def test(context: RuleContext) -> Truth:
        truth = read(context)
        return None if truth is None else not truth

    return test


def at_least(n: int, parts: tuple[Predicate, ...]) -> Predicate:
    """Return true when so many parts are."""

    return _combined(_so_many(n, parts), lambda context: _facts_of(_true_parts(parts, context), context), parts)


def less_than(n: int, parts: tuple[Predicate, ...]) -> Predicate:
    """Return true when fewer parts are."""

    return _combined(_negated(_so_many(n, parts)), lambda context: _facts_of(parts, context), parts)


def _so_many(n: int, parts: Iterable[Predicate]) -> Test:
    def test(context: RuleContext) -> Truth:
        answers = [part.test(context) for part in parts]
        if answers.count(True) >= n:
            return True
        return None if answers.count(True) + answers.count(None) >= n else False

    return test


def _combined(
    test: Test, facts: Facts, parts: tuple[Predicate, ...], of_draft: tuple[frozenset[str], ...] = ()
) -> Predicate:
    uses: frozenset[str] = frozenset()
    limits: frozenset[float] = frozenset()
    needed = NO_NEEDS
    for part in parts:
        uses, limits, needed = uses | part.uses, limits | part.limits, needed | part.needs
    return Predicate(test, facts, uses, limits, needed, of_draft)


def _facts_of(parts: Iterable[Predicate], context: RuleContext) -> list[Fact]:
    return [fact for part in parts for fact in part.facts(context)]


def _true_parts(parts: Iterable[Predicate], context: RuleContext) -> list[Predicate]:
    return [part for part in parts if part.test(context) is True]


Spec: TypeAlias = Mapping[str, Any]
"""A condition as it is written in a rule's file."""
Comparison: TypeAlias = Callable[[float | None], Truth]

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


# Types of values: a rule's file is checked with them when it is read, and by the lint.


def one_of(*values: str) -> Any:
    """Return the type of a text that is one of these."""
    return Annotated[str, Meta(pattern=f"^({'|'.join(values)})$")]


def members(required: tuple[str, ...] = (), /, **kinds: Any) -> Any:
    """Return the type of an object with these members and no others."""
    fields = [(name, kind) if name in required else (name, kind | UnsetType, UNSET) for name, kind in kinds.items()]
    return defstruct("Members", fields, kw_only=True, forbid_unknown_fields=True)


def some(kind: Any) -> Any:
    """Return the type of a list of these that is not empty."""
    return Annotated[tuple[kind, ...], Meta(min_length=1)]


BOOLEAN: Any = bool
TEXT: Any = Text
TEXTS = some(Text)
SELECTED: Any = DeclaredSelector
DAYS: Any = Positive
LIMITS: Mapping[str, Any] = dict.fromkeys(_OPERATORS, float)
"""The members lt, le, gt and ge of an object that has other members too."""
COMPARED = members((), **LIMITS)
"""Limits such as {"ge": 50}."""


@dataclass(frozen=True)
class Condition:
    """A word of the rule language that asks something of the draft or the patient.

    `meaning` completes "the condition is true when" in the guide. `read` compiles {word: value, ...} and may raise
    RuleError; `kind` is the type of the value, `beside` those of the members that may stand beside the word;
    `wording` says it on the family's page; `needs` is the data that it reads, which may depend on the value.
    """

    word: str
    meaning: str
    read: Callable[..., Predicate]
    kind: Any
    wording: Callable[..., str]
    needs: DataNeeds | Callable[[Spec], DataNeeds] = NO_NEEDS
    beside: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def form(self) -> Any:
        """The type of a whole condition with this word."""
        return members((self.word,), **{self.word: self.kind}, **self.beside)

    def compile(self, spec: Spec, _compile_part: Callable[[Any], Predicate]) -> Predicate:
        """Return the predicate of the condition, with the data that it reads."""
        predicate = self.read(spec)
        needed = self.needs(spec) if callable(self.needs) else self.needs
        together = predicate.needs | needed
        return predicate if together is predicate.needs else replace(predicate, needs=together)

    def say(self, spec: Spec, _say_part: Callable[[Any], str]) -> str:
        """Return the condition in words."""
        return self.wording(spec)


class Operator(Condition):
    """A word that combines other conditions: `read` and `wording` are handed those of the inner conditions."""

    __slots__ = ()

    def compile(self, spec: Spec, compile_part: Callable[[Any], Predicate]) -> Predicate:
        """Return the predicate of the inner conditions together."""
        return self.read(spec, compile_part)

    def say(self, spec: Spec, say_part: Callable[[Any], str]) -> str:
        """Return the inner conditions together, in words."""
        return self.wording(spec, say_part)


def comparison(spec: Spec) -> tuple[Comparison, frozenset[float]]:
    """Compare with every limit of the spec (lt, le, gt, ge); None stays unknown. The limits come along."""
    limits = {word: float(spec[word]) for word in _OPERATORS if word in spec}
    if not limits:
        raise RuleError(f"{dict(spec)!r} names nothing to compare with")
    checks = tuple((_OPERATORS[word], limit) for word, limit in limits.items())
    if len(checks) == 1:
        (operation, against) = checks[0]
        return (lambda value: None if value is None else operation(value, against)), frozenset(limits.values())

    def compare(value: float | None) -> Truth:
        return None if value is None else all(check(value, limit) for check, limit in checks)

    return compare, frozenset(limits.values())


def floor_comparison(spec: Spec) -> tuple[Callable[[float, bool], Truth], frozenset[float]]:
    """Compare a sum of which perhaps only a part is known: true as soon as the known part is over the limit."""
    compare, limits = comparison(spec)
    is_floor = not {"lt", "le"} & set(spec)

    def of_sum(sure_sum: float, is_whole: bool) -> Truth:
        answer = compare(sure_sum)
        return answer if is_whole or (is_floor and answer) else None

    return of_sum, limits


def flag(
    word: str,
    read: Test,
    phrase: str,
    uses: frozenset[str] = frozenset(),
    facts: Facts = no_facts,
    needs: DataNeeds = NO_NEEDS,
    meaning: str | None = None,
    negated: str | None = None,
) -> Condition:
    """Return a word that is true or false: {word: true} or {word: false}.

    `said` is its wording where true is asked, `negated` where false is; without it the wording is "not (said)".
    """
    otherwise = negated or f"not ({phrase})"

    def compiler(spec: Spec) -> Predicate:
        return Predicate(read if spec[word] else _negated(read), facts, uses)

    return Condition(
        word, meaning or phrase, compiler, BOOLEAN, lambda spec: phrase if spec[word] else otherwise, needs
    )


def with_value(
    word: str,
    kind: Any,
    test: Callable[[Any, Any], Truth],
    wording: Callable[[Any], str],
    meaning: str,
    uses: frozenset[str] = frozenset(),
    facts: Callable[[Any, RuleContext], list[Fact]] | None = None,
    needs: DataNeeds = NO_NEEDS,
) -> Condition:
    """Return a word whose value is asked with what is judged: `test`, `wording` and `facts` are handed the value."""

    def compiler(spec: Spec) -> Predicate:
        wanted = spec[word]
        listed = no_facts if facts is None else lambda context: facts(wanted, context)
        return Predicate(partial(test, wanted), listed, uses)

    return Condition(word, meaning, compiler, kind, lambda spec: wording(spec[word]), needs)


def number(
    word: str,
    name: str,
    read: Callable[[RuleContext], tuple[float, bool]],
    meaning: str,
    uses: frozenset[str],
    facts: Facts = no_facts,
    needs: DataNeeds = NO_NEEDS,
) -> Condition:
    """Return a word that compares a number: `read` gives what is known of it, and whether that is all of it."""

    def compiler(spec: Spec) -> Predicate:
        compare, limits = floor_comparison(spec[word])
        return Predicate(lambda context: compare(*read(context)), facts, uses, limits)

    return Condition(word, meaning, compiler, COMPARED, lambda spec: compared(name, spec[word]), needs)


def side_comparison(spec: Spec) -> Callable[[float, str], Truth]:
    """Compare a value of which only the side of a number is known (">" 60): true or false where that settles it."""
    checks = [_side_check(word, float(spec[word])) for word in _OPERATORS if word in spec]

    def compare(number: float, side: str) -> Truth:
        answers = [check(number, side) for check in checks]
        return False if False in answers else None if None in answers else True

    return compare


def _side_check(word: str, limit: float) -> Callable[[float, str], Truth]:
    """ "> 60" is 60 or more whatever comes; of two numbers on its side the nearest decides what can be decided."""
    asks_over = word in ("ge", "gt")

    def check(number: float, side: str) -> Truth:
        lies_over = side in (">", ">=")
        nearest = _OPERATORS[word](number, limit)
        if side in (">", "<") and number == limit:
            # Strictly on its side: 60 itself is not among the values.
            return lies_over if asks_over else not lies_over
        if asks_over == lies_over:
            return True if nearest else None
        return None if nearest else False

    return check


_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def compared(name: str, limits: Mapping[str, Any]) -> str:
    """Return a number with its limits, each with all its digits.

    >>> compared("eGFR", {"ge": 30, "lt": 45}), compared("mg a day", {"gt": 0.125})
    ('eGFR ≥ 30 and < 45', 'mg a day > 0.125')
    """
    phrases = (f"{_SIGNS[word]} {format_number(limits[word], [limits[word]])}" for word in _SIGNS if word in limits)
    return f"{name} {' and '.join(phrases)}"


def selected(selector: Mapping[str, Any]) -> str:
    """Return the drugs of a selector.

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
        """Return this vocabulary and these words. Raises RuleError where one of them is in it already."""
        return Vocabulary([*self, *words])

    def compile(self, spec: Any) -> Predicate:
        """Return the predicate of a condition as a rule's file writes it.

        Raises:
            RuleError: a word is not known, or its value is not what the word takes.
        """
        word = self._word(spec)
        typed(spec, word.form)
        return word.compile(spec, self.compile)

    def say(self, spec: Spec) -> str:
        """Return the condition in words, for the page that a pharmacist reads.

        >>> common_vocabulary().say({"all": [{"derived": "egfr_best", "ge": 30, "lt": 45}, {"new_start": True}]})
        'eGFR ≥ 30 and < 45, and a new start'
        """
        return self._word(spec).say(spec, self.say)

    def _word(self, spec: Any) -> Condition:
        if not isinstance(spec, Mapping) or not spec:
            raise RuleError(f"{spec!r} is not a condition")
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
    return Vocabulary(
        find_declared("cards.rules.conditions.words", "WORDS", Condition, id_of=attrgetter("word")).values()
    )
