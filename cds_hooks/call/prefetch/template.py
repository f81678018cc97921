"""One prefetch key: its query, the data that it brings, and what to do when it is missing.

That the templates of all services are in the restricted subset of queries is checked by the contract kit (`cds-hooks
check`), which a test runs against this server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal

from cds_hooks.call.prefetch.paths import (
    TOKEN,
    Member,
    PathUnion,
    UserToken,
    keys_in,
    needs_version_3,
    read_token,
)
from fhir.record.resources import TYPES
from fhir.terminology.analytes import ANALYTES

# Both carry the pressures as components, which a search by the components' own codes does not find.
PRESSURE_PANELS: Final = ("85354-9", "55284-4")
PRESSURE: Final = frozenset({"sbp", "dbp"})

IfMissing = Literal["fail", "say", "omit"]
TOKENS_OF_3: Final = ("3",)


_COUNT = re.compile(r"[?&]_count=(\d{1,6})")


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """How much a service depends on a key.

    `fail`: without it there is no advice (412, checklist row PRE-13). `say`: it is named in the reasons for silence
    and on each card. `omit`: its absence changes no advice, so only the record holds it.
    """

    if_missing: IfMissing = "say"
    fresh_hours: float | None = 24.0
    """A search that a client ran longer ago than this (`Bundle.meta.lastUpdated`) is asked for again, or said."""

    @property
    def required(self) -> bool:
        """Whether there is no advice without it."""
        return self.if_missing == "fail"

    def is_old(self, hours: float) -> bool:
        """Return whether a search that was run so long ago has to be run again."""
        return self.fresh_hours is not None and hours > self.fresh_hours


@dataclass(frozen=True, slots=True)
class Template:
    """One prefetch key of a service; `analytes` are what its Observations are of, `words` what a clinician calls it."""

    key: str
    query: str
    resource: str
    words: str
    analytes: frozenset[str] = frozenset()
    policy: KeyPolicy = KeyPolicy()
    since: tuple[str, int] | None = None
    """Date parameter and days: what is older is never read. Clients of CDS Hooks 3.0 are asked for no more (TOK-09)."""
    is_always_read: bool = False
    """Where a client cannot be asked for it (its tokens are of CDS Hooks 3.0), it is read from its FHIR server."""
    type: type[object] = field(init=False, repr=False)
    needs: tuple[str, ...] = field(init=False, repr=False)
    """The keys that are to be answered before (TOK-14); WrongToken for a query whose tokens cannot be read."""
    is_of_3: bool = field(init=False, repr=False)
    """Whether its tokens are for clients of CDS Hooks 3.0 only: nobody else is asked for it (TOK-19)."""
    user_types: frozenset[str] = field(init=False, repr=False)
    """The types of users for which its tokens have a value; empty where it has no token of the user."""
    context_fields: frozenset[str] = field(init=False, repr=False)
    """The context fields that its tokens name: a hook without one of them is published without it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", TYPES[self.resource])
        object.__setattr__(self, "needs", keys_in(self.query))
        tokens = [read_token(match[1]) for match in TOKEN.finditer(self.query)]
        object.__setattr__(self, "is_of_3", any(needs_version_3(token) for token in tokens))
        user_types = frozenset(token.type for token in tokens if isinstance(token, UserToken))
        object.__setattr__(self, "user_types", user_types)
        paths = (path for token in tokens if isinstance(token, PathUnion) for path in token.paths if not path.is_key)
        fields = frozenset(step.name for path in paths for step in path.steps[:1] if isinstance(step, Member))
        object.__setattr__(self, "context_fields", fields)

    @property
    def may_need_no_query(self) -> bool:
        """Whether what came with a call can answer it: by a path of CDS Hooks 3.0, or all the ids that it asks for."""
        return self.is_of_3 or "?_id=" in self.query

    @property
    def asked_count(self) -> int:
        """How many resources its query asks for, the newest first; 0 where it asks for all."""
        match = _COUNT.search(self.query)
        return int(match[1]) if match is not None else 0

    def query_for(self, protocol: str) -> str:
        """Return the query as discovery has it for this version of CDS Hooks: dates by tokens only from 3.0 on."""
        if self.since is None or not protocol.startswith(TOKENS_OF_3):
            return self.query
        parameter, days = self.since
        return f"{self.query}&{parameter}=ge{{{{today() - {days} days}}}}"

    @property
    def codes(self) -> frozenset[str]:
        """The LOINC codes by which its Observations are recognized under another key."""
        loinc_codes = {code for analyte in self.analytes for code in ANALYTES[analyte].loinc}
        return frozenset(loinc_codes.union(PRESSURE_PANELS) if self.analytes & PRESSURE else loinc_codes)

    @property
    def brings(self) -> frozenset[str]:
        """What is known once it is there: the resource type, and the analytes."""
        return self.analytes | {self.resource}
