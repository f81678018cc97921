"""Reads the clients from the trust file, or says in sentences what is wrong with it and where."""

import json
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib.resources import files
from ipaddress import ip_network
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from cards.card import Coding
from cds_hooks.call.dialects import DEVELOPMENT, ClientProfile, UnknownDialect, profile_for
from cds_hooks.call.security.addresses import (
    NEVER,
    AddressRule,
    BadUrl,
    Budgets,
    KeySetUrl,
    Network,
    Reach,
    Url,
    address_of,
    is_loopback,
    overlaps_never,
    parse_url,
    reach_of,
)
from cds_hooks.call.security.keys import MOST_KEY_SET_BYTES, NotAnObject, read_key_set, read_object
from cds_hooks.call.security.trust import (
    ANY,
    ANY_NAME,
    DEFAULT_ALGORITHMS,
    NO_SERVICE,
    PAYER_SERVICES,
    PinnedKeys,
    RegisteredBase,
    RegistrableNames,
    TrustedClient,
)
from fhir.terminology.plain_file import open_plain, plain_file, unreadable
from fhir.terminology.toml_file import TomlFault, parse_toml, toml_text

if TYPE_CHECKING:
    from jsonschema import ValidationError


class ClientEntry(Struct):
    """One client entry of the file, with its mistakes as pairs of place and sentence."""

    document: dict[str, Any]
    folder: Path
    problems: list[tuple[list[str | int], str]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    def names(self, key: str) -> frozenset[str]:
        """Return a list of the file as a set; empty where it is not there."""
        return frozenset(self.document.get(key, ()))

    def services(self, served: frozenset[str], *, listed: bool) -> frozenset[str]:
        """Return the services that the client may call, of those that this process serves (empty: all).

        `listed`: a client that lists none may call none.
        """
        services = self.names("services")
        if not services and listed:
            return NO_SERVICE
        if not services or EVERY_SERVICE in services:
            return served - PAYER_SERVICES or NO_SERVICE if served else ANY
        return services & served or NO_SERVICE if served else services

    def fhir(self) -> tuple[RegisteredBase, ...]:
        """Return the FHIR bases that can be used."""
        reach = self._reach()
        entries = [entry if isinstance(entry, dict) else {"url": entry} for entry in self.document.get("fhir", ())]
        urls = [self._url(["fhir", at], entry["url"]) for at, entry in enumerate(entries)]
        for at, url in enumerate(urls):
            if url is not None and url.query is not None:
                self._wrong(["fhir", at], "a base address has no query")
        return tuple(
            RegisteredBase(url, reach_of(url, reach), entry.get("open", False))
            for url, entry in zip(urls, entries, strict=True)
            if url is not None
        )

    def origins(self, key: str) -> frozenset[str]:
        """Return a list of origins; one with a path or that is not an address is a mistake."""
        urls = [self._url([key, at], text) for at, text in enumerate(self.document.get(key, ()))]
        for at, url in enumerate(urls):
            if url is not None and (url.path not in ("", "/") or url.query is not None):
                self._wrong([key, at], "an origin has no path and no query, as https://login.example.org")
        return frozenset(f"{url.scheme}://{url.authority}" for url in urls if url is not None)

    def profile(self) -> ClientProfile:
        """Return what the client supports: dialect, version, hosts of links, override reasons."""
        document = self.document
        try:
            return profile_for(
                document["name"],
                document.get("dialect", DEVELOPMENT.dialect.id),
                version=document.get("protocol_version"),
                markdown=document.get("markdown"),
                link_hosts=document.get("link_hosts", ()),
                override_reasons=[Coding(**reason) for reason in document.get("override_reasons", ())],
                action_selection_behavior=document.get("action_selection_behavior", False),
            )
        except UnknownDialect as error:
            self._wrong(["dialect"], str(error))
            return DEVELOPMENT

    def key_source(self) -> KeySetUrl | PinnedKeys:
        """Return the address of the client's key set, or the keys themselves."""
        given = [name for name in ("jwks_url", "jwks_file", "keys") if name in self.document]
        if len(given) != 1:
            names = " and ".join(given) if given else "none of them"
            self._wrong([], f"needs its keys in one place: jwks_url, jwks_file or keys; it has {names}")
            return PinnedKeys()
        if given == ["jwks_url"]:
            url = self._url(["jwks_url"], self.document["jwks_url"])
            return KeySetUrl(url, reach_of(url, self._reach())) if url is not None else PinnedKeys()
        if given == ["keys"]:
            return self._pinned(["keys"], {"keys": self.document["keys"]})
        return self._pinned(["jwks_file"], self._key_set_file())

    def _pinned(self, where: list[str | int], key_set: dict[str, Any] | None) -> PinnedKeys:
        if key_set is None:
            return PinnedKeys()
        keys, left_out = read_key_set(key_set)
        for sentence in left_out:
            self._wrong(where, sentence)
        wanted = set(self.document.get("algorithms", DEFAULT_ALGORITHMS))
        for key in keys.by_kid.values():
            if wanted.isdisjoint(key.algorithms):
                possible = ", ".join(key.algorithms)
                self._wrong(where, f"the key {json.dumps(key.kid)} is for {possible}, of which algorithms lists none")
        return PinnedKeys(keys)

    def _key_set_file(self) -> dict[str, Any] | None:
        file = self.folder / self.document["jwks_file"]
        self.files.append(file)
        try:
            with open_plain(file) as opened:
                return read_object(opened.read(MOST_KEY_SET_BYTES))
        except OSError as error:
            self._wrong(["jwks_file"], unreadable(file, error))
        except NotAnObject as error:
            self._wrong(["jwks_file"], f"{file} is not a JSON Web Key Set: {error}")
        return None

    def _reach(self) -> Reach:
        return Reach(AddressRule(self._networks()), self._authorities())

    def _networks(self) -> tuple[Network, ...]:
        networks: list[Network] = []
        for at, text in enumerate(self.document.get("networks", ())):
            try:
                network = ip_network(text)
            except ValueError:
                self._wrong(["networks", at], f"must be a network such as 10.20.0.0/16; received {text!r}")
                continue
            if overlaps_never(network):
                never = ", ".join(str(other) for other in NEVER if network.overlaps(other))
                which = "" if never == str(network) else f": {never}"
                self._wrong(
                    ["networks", at],
                    f"{network} holds addresses that are never called{which}; name the "
                    "network of the client's servers (these are link-local, multicast or of the cloud's host)",
                )
            networks.append(network)
        return tuple(networks)

    def _authorities(self) -> str | None:
        if "ca_file" not in self.document:
            return None
        file = self.folder / self.document["ca_file"]
        self.files.append(file)
        try:
            with plain_file(file).open(encoding="ascii") as opened:
                text = opened.read(MOST_BYTES)
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
        except (OSError, ValueError):  # ValueError: not ASCII, or empty
            self._wrong(["ca_file"], f"{file} holds no certificates that can be read (PEM)")
            return None
        return text

    def _url(self, where: list[str | int], text: str) -> Url | None:
        try:
            url = parse_url(text)
        except BadUrl as error:
            self._wrong(where, f"{text!r} is not an address that is called: {error}")
            return None
        if url.scheme != "https" and not is_loopback(url):
            self._wrong(where, f"{text!r} must start with https://; http is for loopback addresses only")
        number = address_of(url.host)
        if number is not None and any(number in never for never in NEVER):
            self._wrong(where, f"{url.host} is an address that is never called")
        return url

    def _wrong(self, where: list[str | int], sentence: str) -> None:
        if (where, sentence) not in self.problems:
            self.problems.append((where, sentence))


EVERY_SERVICE: Final = "*"
MOST_BYTES: Final = 4 * 1024 * 1024


class TrustFileError(Exception):
    """The file cannot be used.

    `problems` are sentences, each with its place; `kind` is a code for the log. Neither contains a key.
    """

    what_cannot_be_used: ClassVar[str] = "The trust file"

    def __init__(self, path: Path, kind: Literal["unreadable", "not-toml", "form", "content"], *problems: str) -> None:
        super().__init__(f"{path}: " + "; ".join(problems))
        self.path = path
        self.kind = kind
        self.problems = problems


class TrustFile(Struct, frozen=True):
    """The clients of the file that can be used, and what is wrong with the others.

    `files` are the file and those that it names: a change of one reads all again.
    """

    clients: tuple[TrustedClient, ...]
    services: frozenset[str] = ANY
    """What this process serves; empty for all."""
    discovery_needs_token: bool = True
    refresh_seconds: int = 900
    outage_seconds: int = 86400
    files: tuple[Path, ...] = ()
    problems: tuple[str, ...] = ()
    """The mistakes, as sentences with their places; none where the whole file can be used."""
    faulty: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The entries with mistakes, by the client's name: they are not among `clients`."""


def read_trust_file(path: Path, registrable: RegistrableNames = ANY_NAME) -> TrustFile:
    """Return the content of a file without mistakes.

    Raises:
        TrustFileError: it has mistakes; all that were found are listed.
    """
    file = read_usable_clients(path, registrable)
    if file.problems:
        raise TrustFileError(path, "content", *file.problems)
    return file


def read_usable_clients(path: Path, registrable: RegistrableNames = ANY_NAME) -> TrustFile:
    """Return the clients without mistakes, and the mistakes of the others: a client does not wait for another's line.

    Raises:
        TrustFileError: the file cannot be read, is not TOML, or has a mistake outside its clients.
    """
    try:
        document = parse_toml(toml_text(path, MOST_BYTES))
    except TomlFault as error:
        raise TrustFileError(path, "unreadable" if error.is_unreadable else "not-toml", f"the file {error}") from error
    malformed = schema_problems(document)
    if None in malformed:
        raise TrustFileError(path, "form", *(problem for problems in malformed.values() for problem in problems))
    places = [at for at in range(len(document.get("client", []))) if at not in malformed]
    entries = {at: ClientEntry(document["client"][at], path.parent) for at in places}
    # One list of services in the file, in an entry with mistakes too, means that a client without a list may call none.
    listed = any("services" in entry for entry in document.get("client", []) if isinstance(entry, dict))
    served = frozenset(document.get("services", ()))
    clients = {at: _client(entry, served, listed=listed) for at, entry in entries.items()}
    outside = [f"{place_in_trust_file(document, where)}: {text}" for where, text in _unknown(document, registrable)]
    if outside:
        raise TrustFileError(path, "content", *outside)
    wrong: dict[int, list[str]] = {at: problems for at, problems in malformed.items() if at is not None}
    for at, entry in entries.items():
        for where, text in (*entry.problems, *_unknown(entry.document, registrable)):
            wrong.setdefault(at, []).append(f"{place_in_trust_file(document, ['client', at, *where])}: {text}")
    for pair, text in _mixed_up(clients):
        for at in pair:
            wrong.setdefault(at, []).append(text)
    jwks = document.get("jwks", {})
    return TrustFile(
        clients=tuple(client for at, client in clients.items() if at not in wrong),
        services=served,
        discovery_needs_token=document.get("discovery_needs_token", True),
        refresh_seconds=jwks.get("refresh_seconds", 900),
        outage_seconds=jwks.get("outage_seconds", 86400),
        files=(path, *(file for entry in entries.values() for file in entry.files)),
        problems=tuple(dict.fromkeys(problem for at in sorted(wrong) for problem in wrong[at])),
        faulty={name: document["client"][at] for at in wrong if (name := _name_of(document["client"][at]))},
    )


def without_withdrawn(client: TrustedClient, entry: Mapping[str, Any], folder: Path) -> TrustedClient | None:
    """Return the client's last good entry without what its new one, which has mistakes, does not list any more.

    None where nothing is left of a list, or the new entry names other keys: which were withdrawn cannot be read.
    """
    keys = _remaining_keys(client.key_source, ClientEntry(dict(entry), folder))
    names = {key: _remaining(getattr(client, key), entry.get(key)) for key in _LISTED}
    bases = [base["url"] if isinstance(base, dict) and "url" in base else base for base in _list(entry.get("fhir"))]
    fhir = tuple(base for base in client.fhir if "fhir" not in entry or str(base.url) in bases)
    if keys is None or None in names.values():
        return None
    return replace(client, key_source=keys, fhir=fhir, **names)


_LISTED: Final = ("issuers", "subjects", "services", "hooks")


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _remaining(kept: frozenset[str], listed: object) -> frozenset[str] | None:
    """Return what is left of a list of the last good entry; None where nothing is. An empty set does not restrict."""
    if listed is None or EVERY_SERVICE in _list(listed):
        return kept
    wanted = frozenset(name for name in _list(listed) if isinstance(name, str))
    return (kept & wanted if kept else wanted) or None


def _remaining_keys(source: KeySetUrl | PinnedKeys, entry: ClientEntry) -> KeySetUrl | PinnedKeys | None:
    try:
        now = entry.key_source()
    except (AttributeError, KeyError, TypeError):  # the entry's keys do not have the form that the schema asks for
        return None
    if isinstance(source, KeySetUrl) or isinstance(now, KeySetUrl):
        return (
            source if isinstance(source, KeySetUrl) and isinstance(now, KeySetUrl) and now.url == source.url else None
        )
    if "jwks_file" in entry.document and not now.keys.by_kid:
        return source  # a key file that cannot be read withdraws nothing
    kept = {kid: key for kid, key in source.keys.by_kid.items() if kid in now.keys.by_kid}
    return PinnedKeys(replace(source.keys, by_kid=kept)) if kept else None


def _name_of(entry: object) -> str:
    name = entry.get("name") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else ""


def _client(entry: ClientEntry, served: frozenset[str], *, listed: bool) -> TrustedClient:
    document = entry.document
    return TrustedClient(
        name=document["name"],
        issuers=frozenset(document["issuers"]),
        subjects=entry.names("subjects"),
        tenant=document.get("tenant"),
        key_source=entry.key_source(),
        jku=document.get("jku", document.get("jwks_url")),
        algorithms=frozenset(document.get("algorithms", DEFAULT_ALGORITHMS)),
        audiences=entry.names("audiences"),
        fhir=entry.fhir(),
        fhir_client_id=document.get("fhir_client_id"),
        smart_client_id=document.get("smart_client_id"),
        smart_origins=entry.origins("smart_origins"),
        hooks=entry.names("hooks"),
        services=entry.services(served, listed=listed),
        cors_origins=entry.names("cors_origins"),
        profile=entry.profile(),
        budgets=Budgets(**document.get("budgets", {})),
    )


def _unknown(document: dict[str, Any], registrable_names: RegistrableNames) -> Iterator[tuple[list[str | int], str]]:
    for name in ("services", "hooks"):
        there = getattr(registrable_names, name)
        for at, entry in enumerate(document.get(name, ())):
            if there and entry not in there and (name, entry) != ("services", EVERY_SERVICE):
                yield [name, at], f"there is no {name[:-1]} {entry!r} here; there are {', '.join(sorted(there))}"


def _mixed_up(clients: Mapping[int, TrustedClient]) -> Iterator[tuple[tuple[int, int], str]]:
    """Clients with the same name, or that one token could belong to at once: their places, and a sentence."""
    for (at, first), (other, second) in combinations(clients.items(), 2):
        pair = f'clients "{first.name}" and "{second.name}"'
        if first.name == second.name:
            numbers = f"clients {at + 1} and {other + 1}"
            yield (at, other), f'{numbers} both have the name "{first.name}": a name is given once only'
        elif (
            first.issuers & second.issuers
            and (not first.subjects or not second.subjects or first.subjects & second.subjects)
            and (first.tenant is None or second.tenant is None or first.tenant == second.tenant)
        ):
            yield (at, other), f"{pair}: a token could be from either; tell them apart by issuers, subjects or tenant"


# Checks a trust file against its JSON Schema and says each mistake in a sentence with its place


_MOST_SHOWN = 60


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the trust file."""
    document: dict[str, Any] = json.loads(files(__package__).joinpath("trust.schema.json").read_text())
    return document


def schema_problems(document: dict[str, Any]) -> dict[int | None, list[str]]:
    """Return a sentence for each mistake that the schema finds, by the number of the client; None is outside them."""
    # imported here: a server without a trust file does not need it
    from jsonschema import Draft202012Validator

    errors = Draft202012Validator(schema()).iter_errors(document)
    ordered = sorted(errors, key=lambda error: [str(part) for part in error.path])
    problems: dict[int | None, list[str]] = {}
    for error in ordered:
        sentences = problems.setdefault(_client_number(list(error.absolute_path)), [])
        # the library has an error for each missing member, and each names them all
        sentences.extend(sentence for sentence in _sentences(error, document) if sentence not in sentences)
    return problems


def _client_number(path: Sequence[str | int]) -> int | None:
    return path[1] if len(path) > 1 and path[0] == "client" and isinstance(path[1], int) else None


def place_in_trust_file(document: dict[str, Any], path: Sequence[str | int]) -> str:
    """Return the place of an entry as its author looks for it: `client 2 "Epic test", algorithms[0]`."""
    parts = list(path)
    words: list[str] = []
    if len(parts) >= 2 and parts[0] == "client" and isinstance(parts[1], int):
        words.append(_client_words(document, parts[1]))
        parts = parts[2:]
    name = ""
    for part in parts:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return ", ".join([*words, *([name] if name else [])]) or "the file"


def _client_words(document: dict[str, Any], at: int) -> str:
    entry = document["client"][at]
    name = entry.get("name") if isinstance(entry, dict) else None
    return f"client {at + 1} {json.dumps(name)}" if isinstance(name, str) else f"client {at + 1}"


def _sentences(error: "ValidationError", document: dict[str, Any]) -> list[str]:
    path = list(error.absolute_path)
    where = f"{place_in_trust_file(document, path)}: " if path else ""
    limits, instance = _any(error.schema), _any(error.instance)
    if error.validator in ("required", "additionalProperties"):
        known, required = limits.get("properties", {}), limits.get("required", ())
        meant = {name: get_close_matches(name, known, 1) for name in instance if name not in known}
        missing = [name for name in required if name not in instance]
        if error.validator == "additionalProperties":
            return [_unknown_setting(where, name, near, known, missing) for name, near in meant.items()]
        return [f"{where}`{name}` is required and missing" for name in missing if [name] not in meant.values()]
    if error.validator == "uniqueItems":
        return [f"{where}something is listed twice"]
    return [f"{where}must be {_wanted(error.absolute_schema_path)}{_received(error)}"]


def _any(value: object) -> Any:
    """Return the field of a schema error; the library's types allow it to be unset, which never happens."""
    return value


def _unknown_setting(where: str, name: str, near: list[str], known: Iterable[str], missing: list[str]) -> str:
    is_required = ", which is required and missing" if near and near[0] in missing else ""
    hint = f"did you mean `{near[0]}`{is_required}?" if near else f"known are {_listed(sorted(known))}"
    return f"{where}there is no setting {json.dumps(name)}; {hint}"


def _received(error: "ValidationError") -> str:
    """Return the value itself, where it is short and no part of a key."""
    if "keys" in error.absolute_path:
        return ""
    text = json.dumps(error.instance, ensure_ascii=False, default=str)
    return f"; received {text}" if len(text) <= _MOST_SHOWN else ""


def _wanted(path: Iterable[str | int]) -> str:
    """Return the nearest description on the way through the schema to the keyword that failed."""
    node: Any = schema()
    wanted = ""
    for part in path:
        if "$ref" in node:  # the library leaves references out of its paths
            node = schema()["$defs"][node["$ref"].rpartition("/")[2]]
        node = node[part]
        if isinstance(node, dict) and isinstance(node.get("description"), str):
            wanted = node["description"]
    return wanted


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
