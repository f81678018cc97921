"""Reads the trust file into clients that cannot be wrong, or says in sentences what is wrong with it and where."""

import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final, Literal

from cds_hooks.security.client import DEFAULT_ALGORITHMS, Budgets, TrustedClient
from cds_hooks.security.entry import Entry
from cds_hooks.security.sentences import place, schema_sentences

MOST_BYTES: Final = 4 * 1024 * 1024


class TrustFileError(Exception):
    """The file cannot be used; `problems` are sentences, each with its place, `kind` is a class for the log.

    No key is in either.
    """

    def __init__(self, path: Path, kind: Literal["unreadable", "not-toml", "form", "content"], *problems: str) -> None:
        super().__init__(f"{path}: " + "; ".join(problems))
        self.path = path
        self.kind = kind
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Known:
    """What a client can be registered for; an empty collection is not compared with."""

    services: Collection[str] = ()
    hooks: Collection[str] = ()


ANYTHING: Final = Known()


@dataclass(frozen=True, slots=True)
class TrustFile:
    """What the file says. `files` are itself and those it names: when one changes, all is read again."""

    clients: tuple[TrustedClient, ...]
    discovery_needs_token: bool = True
    refresh_seconds: int = 900
    outage_seconds: int = 86400
    files: tuple[Path, ...] = ()


def read_trust_file(path: Path, known: Known = ANYTHING) -> TrustFile:
    """The file's content; TrustFileError with every mistake that was found."""
    document = _document(path)
    if problems := schema_sentences(document):
        raise TrustFileError(path, "form", *problems)
    entries = [Entry(each, path.parent) for each in document.get("client", [])]
    clients = [_client(entry) for entry in entries]
    problems = [
        f"{place(document, ['client', at, *where])}: {text}"
        for at, entry in enumerate(entries)
        for where, text in (*entry.problems, *_unknown(entry.document, known))
    ]
    problems += _mixed_up(clients)
    if problems:
        raise TrustFileError(path, "content", *problems)
    jwks = document.get("jwks", {})
    return TrustFile(
        clients=tuple(clients),
        discovery_needs_token=document.get("discovery_needs_token", True),
        refresh_seconds=jwks.get("refresh_seconds", 900),
        outage_seconds=jwks.get("outage_seconds", 86400),
        files=(path, *(file for entry in entries for file in entry.files)),
    )


def _document(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise TrustFileError(path, "unreadable", f"the file is larger than {MOST_BYTES} bytes")
        return tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise TrustFileError(path, "unreadable", f"the file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TrustFileError(path, "not-toml", f"the file is not UTF-8 (byte {error.start})") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise TrustFileError(path, "not-toml", f"the file is not TOML: {error}") from error


def _client(entry: Entry) -> TrustedClient:
    said = entry.document
    return TrustedClient(
        name=said["name"],
        issuers=frozenset(said["issuers"]),
        subjects=entry.names("subjects"),
        tenant=said.get("tenant"),
        key_source=entry.key_source(),
        jku=said.get("jku", said.get("jwks_url")),
        algorithms=frozenset(said.get("algorithms", DEFAULT_ALGORITHMS)),
        audiences=entry.names("audiences"),
        fhir=entry.fhir(),
        fhir_client_id=said.get("fhir_client_id"),
        hooks=entry.names("hooks"),
        services=entry.names("services"),
        cors_origins=entry.names("cors_origins"),
        profile=entry.profile(),
        budgets=Budgets(**said.get("budgets", {})),
    )


def _unknown(said: dict[str, Any], known: Known) -> Iterator[tuple[list[str | int], str]]:
    for name in ("services", "hooks"):
        there = getattr(known, name)
        for at, each in enumerate(said.get(name, ())):
            if there and each not in there:
                yield [name, at], f"there is no {name[:-1]} {each!r} here; there are {', '.join(sorted(there))}"


def _mixed_up(clients: list[TrustedClient]) -> Iterator[str]:
    """Clients that have the same name, or of which one token could be either's."""
    for first, second in combinations(clients, 2):
        pair = f'clients "{first.name}" and "{second.name}"'
        if first.name == second.name:
            yield f"{pair}: a name is given once only"
        elif (
            first.issuers & second.issuers
            and (not first.subjects or not second.subjects or first.subjects & second.subjects)
            and (first.tenant is None or second.tenant is None or first.tenant == second.tenant)
        ):
            yield f"{pair}: a token could be from either; tell them apart by issuers, subjects or tenant"
