"""Caches with a name, a bound in entries and a bound in bytes; docs/caches.md lists each with its reason.

Three kinds of remembered values are allowed in this project, and a test over all floors finds any other:

- `@remembered(...)`, made here: answers to texts and codes that come from outside. A text longer than `longest` is kept
  while the long ones of a cache have no more than `LONG_CHARACTERS` together: each is read once in a call.
- `@functools.cache` on a function whose arguments are none, or names of files of the package: a table, schema or model
  of our own that is read once and of which there is a fixed number.
- `@functools.cached_property` on an object that lives no longer than one call, or of which there is a fixed number.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, Generic, TypeVar, cast

from msgspec import Struct
from msgspec.structs import astuple

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Value = TypeVar("_Value")


class BoundedCache(dict[Any, _Value], Generic[_Value]):
    """Answers by key: computed when first asked, all of them forgotten when there are too many.

    A dictionary, because its look-up is done in C: about 30 ns for an answer that is there.
    """

    __slots__ = ("_long", "_long_characters", "_longest_alone", "compute", "entries", "longest", "module", "name")

    def __init__(self, name: str, compute: Callable[[Any], _Value], entries: int, longest: int, module: str) -> None:
        """`longest` is the greatest number of characters in the texts of one key; `module` is where it is made."""
        super().__init__()
        self.name = name
        self.compute = compute
        self.entries = entries
        self.longest = longest
        self.module = module
        self._longest_alone = min(longest, LONGEST_KEY_TEXT)
        self._long: dict[Any, _Value] = {}
        self._long_characters = 0

    def __missing__(self, key: Any) -> _Value:
        if not (len(key) <= self._longest_alone if type(key) is str else self._is_short(key)):
            return self._of_long_text(key)
        value = self.compute(key)
        if len(self) >= self.entries:
            self.clear()
        self[key] = value
        return value

    def _is_short(self, key: Any) -> bool:
        lengths = _lengths(key)
        return max(lengths, default=0) <= LONGEST_KEY_TEXT and sum(lengths) <= self.longest

    def _of_long_text(self, key: Any) -> _Value:
        if key in self._long:
            return self._long[key]
        value = self.compute(key)
        characters = sum(_lengths(key))
        self._long_characters += characters
        if self._long_characters > LONG_CHARACTERS:
            self._long, self._long_characters = {}, characters
        if characters <= LONG_CHARACTERS:
            self._long[key] = value
        return value


LONGEST_KEY_TEXT: Final = 200
"""A text longer than this is a long one, and so is a key with such a part."""
LONG_CHARACTERS: Final = 30_000
"""So many characters of long texts a cache keeps: as many as are read in one call (fhir/record/text_budget.py)."""

CACHES: Final[dict[str, BoundedCache[Any]]] = {}
"""Every cache of the modules that are imported so far, by name."""


def remembered(name: str, *, entries: int, longest: int) -> Callable[[_Function], _Function]:
    """Remembers the answers of a pure function of one or several texts, under a name of its own.

    >>> @remembered("shouted words", entries=2, longest=5)
    ... def shout(word: str) -> str:
    ...     return word.upper()
    >>> shout("help"), shout("a long sentence"), list(CACHES.pop("shouted words"))
    ('HELP', 'A LONG SENTENCE', ['help'])
    """

    def decorate(function: _Function) -> _Function:
        if name in CACHES:
            raise ValueError(f"two caches have the name {name!r}")
        if function.__code__.co_argcount == 1:
            cache = CACHES[name] = BoundedCache(name, function, entries, longest, function.__module__)
            return cast("_Function", cache.__getitem__)
        several = CACHES[name] = BoundedCache(name, lambda key: function(*key), entries, longest, function.__module__)

        @wraps(function)
        def answer(*key: Any) -> Any:
            return several[key]

        return cast("_Function", answer)

    return decorate


def _lengths(key: Any) -> list[int]:
    """Return the length of each text in a key, which may be a text, a tuple or a frozen struct of them."""
    parts, lengths = [key], []
    for part in parts:
        if isinstance(part, str | bytes):
            lengths.append(len(part))
        elif isinstance(part, tuple):
            parts.extend(part)
        elif isinstance(part, Struct):
            parts.extend(astuple(part))
    return lengths
