"""One `[[client]]` of the trust file, its addresses, keys and files read; mistakes are collected, not raised."""

import json
import ssl
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from cards.card import Coding
from cds_hooks.dialects import DEVELOPMENT, ClientProfile, UnknownDialect, profile_for
from cds_hooks.security.addresses import NEVER, AddressRule, Network, overlaps_never
from cds_hooks.security.client import DEFAULT_ALGORITHMS, KeySetUrl, PinnedKeys, RegisteredBase
from cds_hooks.security.json_object import NotAnObject, read_object
from cds_hooks.security.keys import MOST_KEY_SET_BYTES, read_key_set
from cds_hooks.security.reach import Reach, is_loopback, reach_of
from cds_hooks.security.urls import BadUrl, Url, address_of, parse_url


@dataclass(slots=True)
class Entry:
    """A client as the file says it, and what is wrong with it: places and sentences."""

    document: dict[str, Any]
    folder: Path
    problems: list[tuple[list[str | int], str]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    def names(self, key: str) -> frozenset[str]:
        """A list of the file as a set; empty where it is not there."""
        return frozenset(self.document.get(key, ()))

    def fhir(self) -> tuple[RegisteredBase, ...]:
        """The FHIR bases that can be used."""
        reach = self._reach()
        urls = [self._url(["fhir", at], text) for at, text in enumerate(self.document.get("fhir", ()))]
        for at, url in enumerate(urls):
            if url is not None and url.query is not None:
                self._wrong(["fhir", at], "a base address has no query")
        return tuple(RegisteredBase(url, reach_of(url, reach)) for url in urls if url is not None)

    def profile(self) -> ClientProfile:
        """What the client speaks and draws."""
        said = self.document
        try:
            return profile_for(
                said["name"],
                said.get("dialect", DEVELOPMENT.dialect.id),
                version=said.get("protocol_version"),
                markdown=said.get("markdown"),
                link_hosts=said.get("link_hosts", ()),
                override_reasons=[Coding(**each) for each in said.get("override_reasons", ())],
                action_selection_behavior=said.get("action_selection_behavior", False),
            )
        except UnknownDialect as error:
            self._wrong(["dialect"], str(error))
            return DEVELOPMENT

    def key_source(self) -> KeySetUrl | PinnedKeys:
        """Where the client's keys are, or the keys."""
        given = [name for name in ("jwks_url", "jwks_file", "keys") if name in self.document]
        if len(given) != 1:
            named = " and ".join(given) if given else "none of them"
            self._wrong([], f"needs its keys in one place: jwks_url, jwks_file or keys; it has {named}")
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
            with file.open("rb") as opened:
                return read_object(opened.read(MOST_KEY_SET_BYTES))
        except OSError as error:
            self._wrong(["jwks_file"], f"{file} cannot be read: {error.strerror}")
        except NotAnObject as error:
            self._wrong(["jwks_file"], f"{file} is not a JSON Web Key Set: {error}")
        return None

    def _reach(self) -> Reach:
        return Reach(AddressRule(self._networks()), self._authorities())

    def _networks(self) -> tuple[Network, ...]:
        found: list[Network] = []
        for at, text in enumerate(self.document.get("networks", ())):
            try:
                network = ip_network(text)
            except ValueError:
                self._wrong(["networks", at], f"{text!r} is not a network as 10.20.0.0/16 (without host bits)")
                continue
            if overlaps_never(network):
                never = ", ".join(str(each) for each in NEVER if network.overlaps(each))
                self._wrong(["networks", at], f"{network} holds addresses that are never called: {never}")
            found.append(network)
        return tuple(found)

    def _authorities(self) -> str | None:
        if "ca_file" not in self.document:
            return None
        file = self.folder / self.document["ca_file"]
        self.files.append(file)
        try:
            text: str = file.read_text(encoding="ascii")
            ssl.create_default_context(cadata=text)
        except (OSError, UnicodeDecodeError, ssl.SSLError):
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
