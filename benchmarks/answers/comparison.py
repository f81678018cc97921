"""Compares two files of answers: like changes are counted once, the most frequent first."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Any

from benchmarks.answers.exchange import Answer

_WORDS = re.compile(r"\s+|[^\s]+")
_REFERENCE = re.compile(r"\b([A-Z][A-Za-z]+)/[A-Za-z0-9.-]+")
_LONGEST = 300


def compare(old: Iterable[Answer], new: Iterable[Answer], examples: int) -> Iterator[str]:
    """Yield how many calls are answered differently, and each change of a service's answers with some of its calls."""
    before = {answer.id: answer for answer in old}
    compared = 0
    kinds: dict[str, str] = {}
    calls: dict[tuple[str, str], list[str]] = defaultdict(list)
    alone: list[str] = []
    for answer in new:
        earlier = before.pop(answer.id, None)
        if earlier is None:
            alone.append(answer.id)
            continue
        compared += 1
        for change in _changes(_values_of(earlier), _values_of(answer)):
            kinds[answer.id] = answer.kind
            calls[answer.service, change].append(answer.id)
    yield f"{compared} calls compared, {len(kinds)} answered differently."
    for kind, count in Counter(kinds.values()).most_common():
        yield f"  {count:5} {kind}"
    if alone := [*alone, *before]:
        yield f"{len(alone)} calls stand in one file only, such as {alone[0]!r}."
    for (service, change), same_change in sorted(calls.items(), key=lambda item: -len(item[1])):
        yield f"\n== {service}, {len(same_change)} times: {'; '.join(dict.fromkeys(same_change[:examples]))}\n{change}"


def _values_of(answer: Answer) -> list[str]:
    lines = [f"status: {answer.statuses}"]
    for step, body in enumerate(answer.bodies):
        lines += _values(body, f"step {step + 1}: " if step else "")
    return lines


def _values(value: Any, path: str) -> Iterator[str]:
    """Yield each text, number and flag of an answer as a line with its path, without the numbers of list items."""
    if isinstance(value, dict) and value:
        for name in sorted(value):
            yield from _values(value[name], f"{path}.{name}".lstrip("."))
    elif isinstance(value, list) and value:
        for item in value:
            yield from _values(item, f"{path}[]")
    else:
        text = _REFERENCE.sub(r"\1/…", json.dumps(value, ensure_ascii=False))  # alike for all resources
        yield f"{path}: {text}"


def _changes(old: list[str], new: list[str]) -> Iterator[str]:
    """Yield the lines that went and those that came instead; of one line that changed, the words around the change."""
    for tag, start, end, new_start, new_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            went, came = old[start:end], new[new_start:new_end]
            if len(went) == len(came):
                for pair in zip(went, came, strict=True):
                    yield _written(*_changed_words(*pair))
            else:
                yield _written(went, came)


def _written(went: list[str], came: list[str]) -> str:
    lines = [f"  {sign} {line}" for sign, lines in (("-", went), ("+", came)) for line in lines]
    return "\n".join(
        line if len(line) <= _LONGEST else f"{line[:_LONGEST]} … ({len(line)} characters)" for line in lines
    )


def _changed_words(old: str, new: str) -> tuple[list[str], list[str]]:
    """Return the path and the words from the first to the last difference, with one word before and after."""
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    start = _same(before, after)
    end = max(0, _same(before[start:][::-1], after[start:][::-1]) - 2)
    start = max(2, start - 2)
    return ["".join([*before[:2], *before[start : len(before) - end]])], [
        "".join([*after[:2], *after[start : len(after) - end]])
    ]


def _same(before: list[str], after: list[str]) -> int:
    return sum(1 for _ in takewhile(lambda words: words[0] == words[1], zip(before, after, strict=False)))
