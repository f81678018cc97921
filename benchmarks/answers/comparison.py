"""Compares two files of answers: differences are grouped by service and path in the answer."""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.answers.exchange import Answer

_WORDS = re.compile(r"\s+|[^\s]+")
_REFERENCE = re.compile(r"\b([A-Z][A-Za-z]+)/[A-Za-z0-9.-]+")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_NOTHING = "(nothing)"
_LONGEST = 300
_ABSENT = object()


@dataclass(frozen=True)
class Difference:
    """One path in which two answers to the same call differ."""

    call: str
    service: str
    path: str
    old: str
    new: str

    @property
    def group(self) -> tuple[str, str]:
        """The service and the path, without the numbers of list items."""
        return self.service, re.sub(r"\[\d+\]", "[]", self.path)

    @property
    def change(self) -> tuple[str, str]:
        """What stood there and what stands there now, alike for all resources; of what came or went, for all dates."""
        old, new = (_REFERENCE.sub(r"\1/…", text) for text in (self.old, self.new))
        if _NOTHING in (old, new):
            return _DATE.sub("(date)", old), _DATE.sub("(date)", new)
        return old, new


@dataclass
class Comparison:
    """Everything that differs between two files of answers."""

    compared: int = 0
    different: dict[str, str] = field(default_factory=dict)  # call → kind
    differences: list[Difference] = field(default_factory=list)
    only_old: list[str] = field(default_factory=list)
    only_new: list[str] = field(default_factory=list)


def compare(old: Iterable[Answer], new: Iterable[Answer]) -> Comparison:
    """Every difference; calls that stand in one file only are named apart (a quick run asks a part of the calls)."""
    result = Comparison()
    before = {answer.id: answer for answer in old}
    for answer in new:
        earlier = before.pop(answer.id, None)
        if earlier is None:
            result.only_new.append(answer.id)
            continue
        result.compared += 1
        differences = list(_differences(answer, earlier))
        result.differences += differences
        if differences:
            result.different[answer.id] = answer.kind
    result.only_old = list(before)
    return result


def _differences(answer: Answer, earlier: Answer) -> Iterator[Difference]:
    if earlier.statuses != answer.statuses:
        yield Difference(answer.id, answer.service, "status", str(earlier.statuses), str(answer.statuses))
    for step, (old, new) in enumerate(zip(earlier.bodies, answer.bodies, strict=True)):
        prefix = f"step {step + 1}: " if step else ""
        for path, before, after in _walk(old, new, ""):
            yield Difference(answer.id, answer.service, prefix + path, before, after)


def _walk(old: Any, new: Any, path: str) -> Iterator[tuple[str, str, str]]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            yield from _walk(old.get(name, _ABSENT), new.get(name, _ABSENT), f"{path}.{name}".lstrip("."))
    elif isinstance(old, list) and isinstance(new, list):
        yield from _walk_lists(old, new, path)
    elif isinstance(old, str) and isinstance(new, str):
        yield path, *_changed_words(old, new)
    else:
        yield path, _shorten(old), _shorten(new)


def _walk_lists(old: list[Any], new: list[Any], path: str) -> Iterator[tuple[str, str, str]]:
    """Items that are the same are put beside each other first; a list in another order is one difference."""
    if sorted(map(repr, old)) == sorted(map(repr, new)):
        yield f"{path} (order)", " | ".join(map(_label, old)), " | ".join(map(_label, new))
        return
    matcher = difflib.SequenceMatcher(None, [repr(item) for item in old], [repr(item) for item in new], autojunk=False)
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        olds, news = old[old_start:old_end], new[new_start:new_end]
        for number in range(max(len(olds), len(news))):
            before = olds[number] if number < len(olds) else _ABSENT
            after = news[number] if number < len(news) else _ABSENT
            yield from _walk(before, after, f"{path}[{old_start + number}]")


def _label(value: Any) -> str:
    if isinstance(value, dict):
        for name in ("summary", "label", "subject", "text", "uuid"):
            if name in value:
                return f"{value[name]}" + (f" ({value['reason']})" if "reason" in value else "")
    return _shorten(value)


def _shorten(value: Any) -> str:
    return _NOTHING if value is _ABSENT else _shortened(repr(value))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 20]} … ({len(text)} characters)"


def _changed_words(old: str, new: str) -> tuple[str, str]:
    """Return the words from the first to the last difference, with one word before and after."""
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    start, end = max(0, start - 2), max(0, end - 2)
    return tuple(_shortened("".join(words[start : len(words) - end])) for words in (before, after))  # type: ignore[return-value]


def report(result: Comparison, examples: int) -> Iterator[str]:
    """Yield the comparison as lines of text: the most frequent kinds of difference first, each with a few examples."""
    kinds = Counter(result.different.values())
    yield f"{result.compared} calls compared, {len(result.different)} answered differently."
    for kind, count in kinds.most_common():
        yield f"  {count:5} {kind}"
    for alone, where in ((result.only_old, "old"), (result.only_new, "new")):
        if alone:
            yield f"{len(alone)} calls stand in the {where} file only, such as {alone[0]!r}."
    groups: dict[tuple[str, str], list[Difference]] = defaultdict(list)
    for difference in result.differences:
        groups[difference.group].append(difference)
    for (service, path), differences in sorted(groups.items(), key=lambda item: -len(item[1])):
        yield ""
        distinct_calls = {difference.call for difference in differences}
        yield f"== {service}: {path} ({len(differences)} times in {len(distinct_calls)} calls)"
        changes = Counter(difference.change for difference in differences)
        calls = {difference.change: difference.call for difference in reversed(differences)}
        for (old, new), count in changes.most_common(examples):
            yield f"  {count} × such as {calls[old, new]}"
            yield f"    old: {old}"
            yield f"    new: {new}"
        if len(changes) > examples:
            yield f"  … and {len(changes) - examples} other changes here"
