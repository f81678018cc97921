"""Checks the files of the rule families for what a lint of their tables cannot see, because it is lost in reading.

A folder without a `family.json` is read as no family, a member that stands twice has its last value, and a dose form
that is never read from a name of a drug never matches.
"""

import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

from fhir.terminology.medication_names import read_name
from fhir.terminology.medications import ORDERABLES

_FAMILIES: Final = "cards/rules/families"
_SHARED: Final = "family.json"


def file_faults(root: Traversable | None = None) -> list[str]:
    """Every fault of the files in a sentence with file and line; `root` holds one folder for each family."""
    folders = root or files(_FAMILIES.replace("/", "."))
    return [fault for one in sorted(folders.iterdir(), key=lambda one: one.name) for fault in _folder_faults(one)]


def _folder_faults(folder: Traversable) -> Iterator[str]:
    entries = folder.iterdir() if folder.is_dir() else ()
    rules = sorted((one for one in entries if one.name.endswith(".json")), key=lambda one: one.name)
    place = f"{_FAMILIES}/{folder.name}"
    if rules and all(one.name != _SHARED for one in rules):
        unread = f"the folder has no {_SHARED}, so its files ({len(rules)}) are not read"
        yield f"{place}: {unread}; add one, or move the files to the folder of their family"
        return
    for one in rules:
        yield from (f"{place}/{one.name}, {fault}" for fault in _file_faults(one.name, one.read_text("utf-8")))


def _file_faults(name: str, text: str) -> Iterator[str]:
    twice: list[str] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice.extend(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        return dict(pairs)

    try:
        document = json.loads(text, object_pairs_hook=members)
    except json.JSONDecodeError:
        return  # the lint of the table says so
    for key in twice:
        yield f"line {_line_of(text, key)}: the member {key!r} stands twice in one object"
    if not isinstance(document, dict):
        return
    own = document.get("id")
    if name != _SHARED and "for_each" not in document and own != name.removesuffix(".json"):
        said = f"the id is {own!r}, but the file is called {name}; give both the same name"
        yield f"line {_line_of(text, str(own))}: {said}"
    for form in _members_named("dose_form_any", document):
        if not _is_read(form):
            yield f"line {_line_of(text, form)}: the dose form {form!r} is never read from a name of a drug"


def _members_named(name: str, value: Any) -> Iterator[str]:
    """The entries of every list that a member of this name holds, however deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from inner if key == name else _members_named(name, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _members_named(name, inner)


def _is_read(form: str) -> bool:
    """Whether some name of a drug has this dose form, or has it in its own ("extended release oral tablet")."""
    alone = read_name(f"nifedipine {form}").dose_form or ""
    return form.lower() in alone.lower() or any(form.lower() in known for known in _dose_forms())


@cache
def _dose_forms() -> frozenset[str]:
    return frozenset((read_name(one.name).dose_form or "").lower() for one in ORDERABLES.values())


def _line_of(text: str, word: str) -> int:
    """The last line that has the word in quotes: of a member that stands twice, the one that counts."""
    return max((at for at, line in enumerate(text.splitlines(), 1) if f'"{word}"' in line), default=1)
