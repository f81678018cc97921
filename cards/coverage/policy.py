"""The coverage policies of payers as they stand in files: who pays, what is asked for a code and when, and criteria.

A folder holds `payers.csv`, `policies.csv` and `criteria.json`, and where a payer wants it `exempt_hospitals.csv`. The
package brings Medicare's public rules and an invented plan; a payer's own folder is read beside it and takes the place
of a payer of the same id (docs/payers.md).
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, get_args

import msgspec
from msgspec import Struct

from cards.coverage.words import VOCABULARY
from cards.rules.conditions.condition import Predicate
from cards.rules.language.rule import RuleError, Text, typed, within

Basis = Literal["listed", "by-criteria", "open", "not-covered"]
PaNeeded = Literal["performpa", "auth-needed", "no-auth", ""]
SYSTEMS: Final = {
    "HCPCS": "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    "CPT": "http://www.ama-assn.org/go/cpt",
}
_OWN_FOLDER: Final = Path(__file__).parent
_FILES: Final = ("payers.csv", "policies.csv", "criteria.json", "exempt_hospitals.csv", "proposals.csv", "members.csv")


class PolicyFault(ValueError):
    """A file of policies that cannot be used; the message names the file, the line and the fault."""


class Payer(Struct, frozen=True):
    """A payer, and how a Coverage names it: names, plans and identifiers in lower case."""

    id: str
    name: str
    names: frozenset[str]
    plans: frozenset[str]
    not_plans: frozenset[str]
    identifiers: frozenset[str]
    phone: str
    url: str
    types: frozenset[str] = frozenset()
    """Codes of the Source of Payment Typology (NAHDO) that a Coverage of it may have as its type; empty for any."""


class Policy(Struct, frozen=True):
    """What a payer asks for one code in a span of days of service."""

    id: str
    payer: str
    system: str
    code: str
    category: str
    basis: Basis
    pa_needed: PaNeeded
    places: frozenset[str]
    states: frozenset[str]
    paired_with: frozenset[str]
    pa_valid_days: int | None
    criteria: str
    is_waived: bool
    """Whether no authorization is asked for where the chart shows the criteria."""
    effective_from: date
    effective_to: date | None
    detail: str
    source: str
    reviewed: str

    def is_in_force(self, day: date) -> bool:
        """Whether the day of service lies in its span."""
        return self.effective_from <= day and (self.effective_to is None or day <= self.effective_to)


class Criterion(Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """One statement of a set of criteria, how a chart shows it, and what is asked where it does not."""

    id: Text
    group: str
    text: Text
    test: Mapping[str, Any]
    question: str
    source: Text
    effective_from: date | None = None
    only_codes: frozenset[str] = frozenset()

    @cached_property
    def predicate(self) -> Predicate:
        """The condition that a chart is asked."""
        return VOCABULARY.compile(self.test)

    def applies(self, code: str, day: date) -> bool:
        """Whether it is asked for this code on this day of service."""
        is_begun = self.effective_from is None or self.effective_from <= day
        return is_begun and (not self.only_codes or code in self.only_codes)


class CriteriaSet(Struct, frozen=True, forbid_unknown_fields=True):
    """Criteria in groups, of which all must hold: in each group `any` or `all` of its criteria."""

    id: str
    groups: Mapping[str, Literal["any", "all"]]
    criteria: tuple[Criterion, ...]


class Policies(Struct, frozen=True):
    """All policies of a server."""

    payers: Mapping[str, Payer]
    by_code: Mapping[tuple[str, str], tuple[Policy, ...]]
    """By payer and code, the earliest first."""
    criteria: Mapping[str, CriteriaSet]
    exempt_hospitals: frozenset[str]
    own_payers: frozenset[str]
    """The payers of the payer's own folder."""
    version: str

    def of_code(self, payer: str, code: str) -> tuple[Policy, ...]:
        """Return the policies of a payer for a code, in force or not."""
        return self.by_code.get((payer, code), ())

    def criteria_of(self, policy: Policy) -> CriteriaSet | None:
        """Return the criteria of a policy; those of a payer's own folder go before those of this package."""
        return self.criteria.get(f"{policy.payer}/{policy.criteria}") or self.criteria.get(policy.criteria)

    def every(self) -> Iterator[Policy]:
        """All rows."""
        for rows in self.by_code.values():
            yield from rows


def load_policies(folder: Path | None = None) -> Policies:
    """Read the policies of this package, and beside them those of a payer's own folder.

    Raises:
        PolicyFault: A file cannot be used.
    """
    folders = [_OWN_FOLDER] if folder is None else [_OWN_FOLDER, folder]
    if folder is not None and not (folder / "payers.csv").is_file():
        raise PolicyFault(f"{folder} has no payers.csv: a payer's folder begins with who pays (docs/payers.md)")
    payers: dict[str, Payer] = {}
    rows: dict[str, list[Policy]] = {}
    criteria: dict[str, CriteriaSet] = {}
    exempt: set[str] = set()
    digest = hashlib.sha256()
    for location in folders:
        of_folder = {payer.id: payer for payer in _payers(location / "payers.csv")}
        read = list(_policies(location / "policies.csv", of_folder))
        sets = _criteria(location / "criteria.json")
        payers |= of_folder
        for payer in of_folder:
            rows[payer] = [policy for policy in read if policy.payer == payer]
        criteria |= (
            sets if location == _OWN_FOLDER else {f"{payer}/{name}": sets[name] for payer in of_folder for name in sets}
        )
        exempt |= {
            row["hospital"].strip().lower() for _, row in read_rows(location / "exempt_hospitals.csv", ("hospital",))
        }
        for name in _FILES:
            path = location / name
            digest.update(path.read_bytes() if path.is_file() else b"")
        _check_criteria(location / "policies.csv", read, criteria)
    by_code: dict[tuple[str, str], list[Policy]] = {}
    for policy in sorted((policy for read in rows.values() for policy in read), key=lambda row: row.effective_from):
        by_code.setdefault((policy.payer, policy.code), []).append(policy)
    return Policies(
        payers,
        {key: tuple(value) for key, value in by_code.items()},
        criteria,
        frozenset(exempt),
        frozenset(of_folder) if folder is not None else frozenset(),
        digest.hexdigest()[:16],
    )


def read_rows(path: Path, needed: Iterable[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row of a table with its line; nothing without such a file, PolicyFault where a column is missing."""
    if not path.is_file():
        return
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable(path, raw.count(b"\n", 0, error.start) + 1) from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        if missing := [name for name in needed if name not in (reader.fieldnames or ())]:
            raise PolicyFault(f"{path.name}, line 1: the column {missing[0]} is missing")
        for row in reader:
            yield reader.line_num, {name: value or "" for name, value in row.items() if name is not None}
    except csv.Error as error:
        raise _unreadable(path, reader.line_num + 1) from error


def _unreadable(path: Path, line: int) -> PolicyFault:
    return PolicyFault(f"{path.name}, line {line}: this cannot be read as CSV in UTF-8")


def _list(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split("|") if part.strip())


def _words(text: str) -> frozenset[str]:
    return frozenset(" ".join(part.lower().split()) for part in _list(text))


def _payers(path: Path) -> Iterator[Payer]:
    for line, row in read_rows(path, ("payer", "name", "names", "plans", "identifiers")):
        if not row["payer"] or not row["name"]:
            raise PolicyFault(f"{path.name}, line {line}: payer and name are required")
        yield Payer(
            row["payer"],
            row["name"],
            _words(row["names"]) | {" ".join(row["name"].lower().split())},
            _words(row["plans"]),
            _words(row.get("not_plans", "")),
            _list(row["identifiers"]),
            row.get("phone", ""),
            row.get("url", ""),
            _list(row.get("types", "")),
        )


_NEEDED: Final = ("id", "payer", "system", "code", "category", "covered", "pa_needed", "effective_from", "source")
_PA: Final = get_args(PaNeeded)


def _policies(path: Path, payers: Mapping[str, Payer]) -> Iterator[Policy]:
    seen: set[str] = set()
    for line, row in read_rows(path, _NEEDED):
        where = f"{path.name}, line {line}"
        if row["id"] in seen:
            raise PolicyFault(f"{where}: the id {row['id']} is there twice")
        seen.add(row["id"])
        check_payer(row, payers, where)
        if row["system"] not in SYSTEMS:
            raise PolicyFault(f"{where}: system is one of {', '.join(SYSTEMS)}")
        if row["covered"] not in get_args(Basis):
            raise PolicyFault(f"{where}: covered is one of {', '.join(get_args(Basis))}")
        if row["pa_needed"] not in _PA:
            raise PolicyFault(f"{where}: pa_needed is one of {', '.join(filter(None, _PA))}")
        if (row["covered"] == "not-covered") != (row["pa_needed"] == ""):
            raise PolicyFault(f"{where}: pa_needed is empty where the code is not covered, and nowhere else")
        if not row["source"].strip():
            raise PolicyFault(f"{where}: source is required")
        begin, end = read_day(row["effective_from"], where), row.get("effective_to", "")
        yield Policy(
            row["id"],
            row["payer"],
            row["system"],
            row["code"].strip().upper(),
            row["category"],
            row["covered"],  # type: ignore[arg-type]  # looked up above
            row["pa_needed"],  # type: ignore[arg-type]  # looked up above
            _list(row.get("places", "")),
            _list(row.get("states", "")),
            _list(row.get("paired_with", "")),
            int(row["pa_valid_days"]) if row.get("pa_valid_days", "").isdecimal() else None,
            row.get("criteria", ""),
            row.get("waived", "") == "yes",
            begin,
            read_day(end, where) if end else None,
            row.get("detail", ""),
            row["source"],
            row.get("reviewed", ""),
        )


def check_payer(row: Mapping[str, str], payers: Mapping[str, Payer], where: str) -> None:
    """Refuse a row whose payer is not there."""
    if row["payer"] not in payers:
        raise PolicyFault(f"{where}: the payer {row['payer']!r} is not in payers.csv")


def read_day(text: str, where: str) -> date:
    """Return a day; PolicyFault with the place where it cannot be read."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise PolicyFault(
            f"{where}: {text!r} is not a date as YYYY-MM-DD; a table without dates is not used"
        ) from error


def _criteria(path: Path) -> dict[str, CriteriaSet]:
    if not path.is_file():
        return {}
    try:
        document = msgspec.json.decode(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise PolicyFault(f"{path.name}: not valid JSON ({error})") from error
    if not isinstance(document, dict):
        raise PolicyFault(f"{path.name}, line 1: this is not a JSON object")
    try:
        return {name: _criteria_set(name, members) for name, members in document.items()}
    except RuleError as error:
        raise PolicyFault(f"{', '.join((path.name, *_criterion_names(document, error.path)))}: {error.text}") from error


def _criterion_names(part: Any, path: Iterable[str | int]) -> Iterator[str]:
    """Yield the steps of a path, a criterion by its id where it has one and else by its place from 1 on."""
    for step in path:
        part = part[step] if isinstance(step, int) or step in part else {}
        name = part.get("id") if isinstance(part, dict) else None
        yield step if isinstance(step, str) else name if name and isinstance(name, str) else str(step + 1)


def _criteria_set(name: str, members: Any) -> CriteriaSet:
    written = typed({**typed(members, dict[str, Any], name), "id": name}, CriteriaSet, name)
    ids: set[str] = set()
    for position, criterion in enumerate(written.criteria):
        with within(name, "criteria", position):
            if criterion.group not in written.groups:
                raise RuleError(f"there is no group {criterion.group!r}", ("group",))
            if criterion.id in ids:
                raise RuleError(f"the id {criterion.id} is there twice", ("id",))
            with within("test"):
                VOCABULARY.compile(criterion.test)
        ids.add(criterion.id)
    return written


def _check_criteria(path: Path, policies: Iterable[Policy], criteria: Mapping[str, CriteriaSet]) -> None:
    for policy in policies:
        criteria_id = policy.criteria
        if criteria_id and criteria_id not in criteria and f"{policy.payer}/{criteria_id}" not in criteria:
            raise PolicyFault(f"{path.name}, {policy.id}: there are no criteria {criteria_id!r}")
        if policy.basis == "by-criteria" and not criteria_id:
            raise PolicyFault(f"{path.name}, {policy.id}: coverage depends on criteria, and none is named")
