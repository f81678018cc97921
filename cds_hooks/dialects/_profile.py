"""The profile of one client: its dialect, its version of CDS Hooks, and what discovery and scopes it gets."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Literal

from cards.card import Coding
from cds_hooks.dialects._dialect import MARKDOWN, VERSIONS, Dialect, Markdown, Version
from cds_hooks.dialects.standard import DIALECT as STANDARD
from cds_hooks.protocol.hooks import MEDICATION_REFILL, ORDER_DISPATCH, Hook
from models_onnx.discovery import discover


@dataclass(frozen=True, slots=True)
class ClientProfile:
    """What a client speaks and draws. No request says its version (checklist row REQ-16), so it stands here.

    `link_hosts` are the hosts (or `host:port`) that cards may link to, empty for any; `override_reasons` take the place
    of the cards' own where there are some.
    """

    name: str
    dialect: Dialect = STANDARD
    version: Version = "2.0"
    markdown: Markdown = "full"
    link_hosts: frozenset[str] = frozenset()
    override_reasons: tuple[Coding, ...] = ()
    action_selection_behavior: bool = False
    """Whether the client said that it supports `actionSelectionBehavior` (CDS Hooks 3.0, CAP-04)."""
    needs_no_shaping: bool = field(init=False)
    """Whether there is nothing to shape, so that the hot path need not look at the cards."""

    def __post_init__(self) -> None:
        is_published = self.dialect.shape is None and self.version == "2.0" and self.markdown == "full"
        object.__setattr__(self, "needs_no_shaping", is_published and not self.link_hosts and not self.override_reasons)


DEVELOPMENT = ClientProfile("anonymous")
"""Every caller of the development profile, unless the settings say otherwise."""


class UnknownDialect(ValueError):
    """There is no such dialect, version or form of Markdown; the message lists those there are."""


@cache
def find_dialects() -> dict[str, Dialect]:
    """Every dialect by its id; each public module of `cds_hooks/dialects/` declares one `DIALECT`.

    Raises:
        DeclarationError: A module declares no usable dialect.
    """
    return discover("cds_hooks.dialects", "DIALECT", Dialect, named_after_file=True)


def profile_for(
    name: str,
    dialect: str = "standard",
    *,
    version: str | None = None,
    markdown: str | None = None,
    link_hosts: Iterable[str] = (),
    override_reasons: Iterable[Coding] = (),
    action_selection_behavior: bool = False,
) -> ClientProfile:
    """The profile of a client; version and Markdown are those of its dialect unless given. UnknownDialect if wrong."""
    dialects = find_dialects()
    if dialect not in dialects:
        raise UnknownDialect(f"there is no dialect {dialect!r}; there are {', '.join(dialects)}")
    spoken = dialects[dialect]
    return ClientProfile(
        name,
        spoken,
        _version(version) if version is not None else spoken.version,
        _markdown(markdown) if markdown is not None else spoken.markdown,
        frozenset(host.lower() for host in link_hosts),
        tuple(override_reasons),
        action_selection_behavior,
    )


def _version(text: str) -> Version:
    wanted = "2.0" if text == "2.0.1" else text
    for known in VERSIONS:
        if known == wanted:
            return known
    raise UnknownDialect(f"there is no version {text!r} of CDS Hooks here; there are {', '.join(VERSIONS)}")


def _markdown(text: str) -> Markdown:
    for known in MARKDOWN:
        if known == text:
            return known
    raise UnknownDialect(f"detail is written as {', '.join(MARKDOWN)} Markdown, not as {text!r}")


# Their pages say specificationVersion 2.0: not to be offered to earlier clients (HOOK-07).
_SINCE_2_0: Final = frozenset({ORDER_DISPATCH, MEDICATION_REFILL})
_BEFORE_2_0: Final = frozenset({"1.0", "1.1"})
_PUBLISHED: Final[dict[Version, str]] = {"3.0-ballot": "STU3", "3.0": "3.0.0"}
"""What `version` says: the ballot's codes and the later build's numbers differ (DISC-10, TRAP-15)."""


def is_offered(hook: Hook, client: ClientProfile) -> bool:
    """Whether a client of this version can be expected to know the hook."""
    return not (client.version in _BEFORE_2_0 and hook.name in _SINCE_2_0)


def published_entry(entry: dict[str, Any], hook: Hook, client: ClientProfile) -> dict[str, Any]:
    """The entry, which is that of CDS Hooks 2.0.1, as the client's version has it."""
    if client.version in _BEFORE_2_0:
        return {name: value for name, value in entry.items() if name != "usageRequirements"}  # DISC-09
    if client.version not in _PUBLISHED:
        return entry
    entry = {**entry, "version": _PUBLISHED[client.version]}
    # The ballot has no hookVersion yet (checklist section 6.2).
    return entry if client.version == "3.0-ballot" else {**entry, "hookVersion": hook.version}


# Orders may name their product by reference; it is read beside them.
_BESIDE = {"MedicationRequest": "Medication", "MedicationStatement": "Medication"}


def scopes_for(queries: Iterable[str], version: Literal[1, 2], context: str = "user") -> list[str]:
    """`user/Observation.read` (v1) or `user/Observation.rs` (v2) for each resource type; a read alone is `.r` in v2.

    >>> scopes_for(["Patient/{{context.patientId}}", "Condition?patient=1"], 2)
    ['user/Patient.r', 'user/Condition.rs']
    """
    rights: dict[str, str] = {}
    for query in queries:
        kind, question, _ = query.partition("?")
        kind = kind.partition("/")[0]
        rights[kind] = "rs" if question or rights.get(kind) == "rs" else "r"
        if kind in _BESIDE:
            rights.setdefault(_BESIDE[kind], "r")
    return [f"{context}/{kind}.{'read' if version == 1 else right}" for kind, right in rights.items()]
