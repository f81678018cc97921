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

from cards.rules.language.site import site_folders
from fhir.terminology.medication_names import read_name
from fhir.terminology.medications import ORDERABLES

_FAMILIES: Final = "cards/rules/families"
_SHARED: Final = "family.json"


def file_faults(root: Traversable | None = None) -> list[str]:
    """Every fault of the files in a sentence with file and line; `root` holds one folder for each family."""
    folders = root or files(_FAMILIES.replace("/", "."))
    of_site = () if root is not None else site_folders().values()
    return [
        *(
            fault
            for folder in sorted(folders.iterdir(), key=lambda folder: folder.name)
            for fault in _folder_faults(folder, f"{_FAMILIES}/{folder.name}")
        ),
        *(fault for folder in of_site for fault in _folder_faults(folder, str(folder))),
    ]


def _folder_faults(folder: Traversable, folder_name: str) -> Iterator[str]:
    entries = folder.iterdir() if folder.is_dir() else ()
    rules = sorted((entry for entry in entries if entry.name.endswith(".json")), key=lambda entry: entry.name)
    if rules and all(rule.name != _SHARED for rule in rules):
        unread = f"the folder has no {_SHARED}, so its files ({len(rules)}) are not read"
        yield f"{folder_name}: {unread}; add one, or move the files to the folder of their family"
        return
    for rule_file in rules:
        yield from (
            f"{folder_name}/{rule_file.name}, {fault}"
            for fault in _file_faults(rule_file.name, rule_file.read_text("utf-8"))
        )


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
    declared_id = document.get("id")
    if name != _SHARED and "for_each" not in document and declared_id != name.removesuffix(".json"):
        statement = f"the id is {declared_id!r}, but the file is called {name}; give both the same name"
        yield f"line {_line_of(text, str(declared_id))}: {statement}"
    for form in _members_named("dose_form_any", document):
        is_brand = form[0].isupper()  # looked for in the words of the drug
        if not (form.startswith("$") or is_brand or _is_read(form)):
            yield f"line {_line_of(text, form)}: the dose form {form!r} is never read from a name of a drug"


def _members_named(name: str, value: Any) -> Iterator[str]:
    """Yield the entries of every list that a member of this name holds, however deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from inner if key == name else _members_named(name, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _members_named(name, inner)


def _is_read(form: str) -> bool:
    """Whether some name of a drug has this dose form, or has it in its own ("extended release oral tablet")."""
    read = [read_name(f"nifedipine {words}").dose_form or "" for words in (form, f"{form} tablet")]
    return any(form.lower() in dose_form.lower() for dose_form in (*read, *_dose_forms()))


@cache
def _dose_forms() -> frozenset[str]:
    return frozenset((read_name(orderable.name).dose_form or "").lower() for orderable in ORDERABLES.values())


def _line_of(text: str, word: str) -> int:
    """Return the last line that has the word in quotes: of a member that stands twice, the one that counts."""
    return max((at for at, line in enumerate(text.splitlines(), 1) if f'"{word}"' in line), default=1)
