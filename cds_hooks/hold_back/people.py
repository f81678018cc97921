"""The file of people who may approve, which the site keeps: name, role and public key (docs/operations/approvals.md).

    version = 1

    [[person]]
    name = "A. Person"
    role = "pharmacist"
    public_key = "base64 of the 32 bytes of an Ed25519 key"

A person who changes to another key has two entries under one name, and stays one person. Who leaves keeps the entry,
with `left_on = 2026-11-30`: what was signed up to that day stays valid. An entry that disappears would end acts that
nobody ended, so such a file is refused. Whose signatures are not to count any more, because a key was stolen, is said
on purpose: `forgotten = ["id of the key"]` beside `version`.
"""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field

from fhir.terminology.toml_file import TomlFault, read_toml
from models_onnx.artifact.keys import PublicKey, public_key
from models_onnx.errors import SignatureRefused

_HEAD: Final = "# Who may approve at this site (docs/operations/approvals.md).\nversion = 1\n"
_MEMBERS: Final = frozenset({"name", "role", "public_key"})
_LEFT: Final = "left_on"


class PeopleFileError(Exception):
    """The file of people cannot be used; one sentence with the place."""


class Person(Struct, frozen=True):
    """Somebody who may approve, with one of their keys."""

    name: str
    role: str
    key: PublicKey
    left_on: date | None = None
    """The last day on which the key may sign; None for somebody who is there."""

    def has_left(self, day: date) -> bool:
        """Returns whether the person is not there any more on that day."""
        return self.left_on is not None and day > self.left_on

    def is_same_as(self, name: str) -> bool:
        """Returns whether this is the person of that name; case and spaces do not tell people apart."""
        return _folded(self.name) == _folded(name)

    def is_named_in(self, text: str) -> bool:
        """Returns whether the text names this person."""
        return _folded(self.name) in _folded(text)


class People(Struct, frozen=True):
    """The people of a file by the ids of their keys."""

    by_key: Mapping[str, Person] = field(default_factory=dict)
    file: str = ""
    forgotten: frozenset[str] = frozenset()
    """The ids of keys of which it is said on purpose that nothing counts that they signed."""

    def of_key(self, key: str) -> Person | None:
        """Returns the person to whom this key belongs; None for an unknown key."""
        return self.by_key.get(key)

    def refuse_lost(self, signers: Mapping[str, str]) -> None:
        """Raises PeopleFileError where one of these keys has disappeared; `signers` are the names by key."""
        lost = {key: name for key, name in signers.items() if key not in self.by_key and key not in self.forgotten}
        if lost:
            key, name = next(iter(lost.items()))
            more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
            raise PeopleFileError(
                f"{self.file}: the entry of {name[:80]} (key {key}){more} is gone, and with it what they signed. Put "
                'it back with left_on = YYYY-MM-DD, or say forgotten = ["KEY"] where nothing is to count that it signed'
            )


def read_people(file: Path) -> People:
    """Returns the people of the file.

    Raises:
        PeopleFileError: The file cannot be read, a member is missing, a key is none or is there twice.
    """
    try:
        document = read_toml(file)
    except TomlFault as error:
        raise PeopleFileError(f"the file of people {file} {error}") from error
    rows = document.get("person", [])
    forgotten = document.get("forgotten", [])
    known_members = {"version", "person", "forgotten"}
    if document.get("version") != 1 or set(document) - known_members or not isinstance(rows, list):
        raise PeopleFileError(
            f"{file}: it has version = 1, perhaps forgotten, and [[person]] entries, and nothing else"
        )
    if not isinstance(forgotten, list) or not all(isinstance(key, str) for key in forgotten):
        raise PeopleFileError(f"{file}: forgotten is a list of ids of keys")
    people: dict[str, Person] = {}
    for number, row in enumerate(rows, 1):
        person = _person(row, f"{file}: person {number}")
        if person.key.id in people:
            raise PeopleFileError(f"{file}: person {number} has the key of {people[person.key.id].name}")
        people[person.key.id] = person
    return People(people, str(file), frozenset(forgotten))


def add_person(file: Path, person: Person) -> None:
    """Adds an entry at the end of the file, which is made if need be, for its owner only.

    Raises:
        PeopleFileError: The file that is there cannot be used, or has this key already.
        OSError: It cannot be written.
    """
    if file.exists() and (owner := read_people(file).of_key(person.key.id)) is not None:
        raise PeopleFileError(f"{file}: the key {person.key.id} is that of {owner.name} already")
    new = not file.exists()
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as opened:
        opened.write((_HEAD if new else "") + entry_of(person))


def entry_of(person: Person) -> str:
    """Returns the entry of a person as it stands in the file."""
    raw = base64.b64encode(person.key.raw).decode()
    members = {"name": person.name, "role": person.role, "public_key": raw}
    lines = "\n".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in members.items())
    return f"\n[[person]]\n{lines}\n"


def _person(row: Any, entry: str) -> Person:
    if not isinstance(row, dict) or set(row) - {_LEFT} != _MEMBERS:
        raise PeopleFileError(f"{entry} has the members name, role and public_key, perhaps left_on, and no others")
    left_on = row.get(_LEFT)
    if left_on is not None and type(left_on) is not date:
        raise PeopleFileError(f"{entry}: left_on is a day, written without quotation marks as 2026-11-30")
    if any(not isinstance(row[name], str) or not row[name].strip() for name in _MEMBERS):
        raise PeopleFileError(f"{entry}: name, role and public_key are texts that are not empty")
    try:
        key = public_key(base64.b64decode(row["public_key"], validate=True), row["name"])
    except (binascii.Error, ValueError, SignatureRefused) as error:
        raise PeopleFileError(f"{entry}: public_key is not base64 of the 32 bytes of an Ed25519 key") from error
    return Person(row["name"].strip(), row["role"].strip(), key, left_on)


def is_same_name(name: str, other: str) -> bool:
    """Returns whether two names are of one person; case and spaces do not tell people apart."""
    return _folded(name) == _folded(other)


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
