"""Corrects a misspelt word to the one known word that differs from it in one letter: "hypertention", "deppression".

Only words of seven letters and more are corrected, the first letter counts as right, and a word that two known words
are near to stays as it is ("hypocalemia").
"""

from collections.abc import Iterable, Mapping

_SHORTEST, _SHORTEST_RIGHT = 7, 6
_INTACT = 3
"""One mistake leaves either the first three letters of a long word as they are, or the last three."""


class Spelling:
    """The known words, found by their beginnings and their endings."""

    __slots__ = ("_by_part", "_words")

    def __init__(self, words: Iterable[str]) -> None:
        """Known words of any length; the short ones are never the correction of another."""
        self._words = frozenset(words)
        by_part: dict[str, list[str]] = {}
        for word in sorted(self._words):
            if len(word) >= _SHORTEST_RIGHT and word.isalpha():
                by_part.setdefault(word[:_INTACT], []).append(word)
                by_part.setdefault(f"{word[0]}-{word[-_INTACT:]}", []).append(word)
        self._by_part: Mapping[str, list[str]] = by_part

    def corrected(self, word: str) -> str:
        """Return the word as it is known, or as it stands where it is known or near to none.

        >>> Spelling(["hypertension"]).corrected("hypertention")
        'hypertension'
        """
        near = self.near(word)
        return near.pop() if len(near) == 1 else word

    def near(self, word: str) -> set[str]:
        """Return the known words that a word could be meant for, none where it is known itself."""
        if len(word) < _SHORTEST or word in self._words or not word.isalpha():
            return set()
        parts = (word[:_INTACT], f"{word[0]}-{word[-_INTACT:]}")
        return {right for part in parts for right in self._by_part.get(part, ()) if _differ_in_one(word, right)}


def _differ_in_one(word: str, right: str) -> bool:
    """Whether one letter is wrong, missing or too many, or two neighbors have changed places."""
    if abs(len(word) - len(right)) > 1:
        return False
    shorter = min(len(word), len(right))
    first = next((at for at in range(shorter) if word[at] != right[at]), shorter)
    if len(word) > len(right):
        return word[first + 1 :] == right[first:]
    if len(word) < len(right):
        return word[first:] == right[first + 1 :]
    is_swapped = word[first : first + 2] == right[first : first + 2][::-1] and word[first + 2 :] == right[first + 2 :]
    return is_swapped or word[first + 1 :] == right[first + 1 :]
