"""One prefetch key: its query, what it brings, and what is to be done when it is not there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from fhir.record.resources import TYPES
from fhir.terminology.analytes import ANALYTES

if TYPE_CHECKING:
    from cds_hooks.prefetch.brought import Brought

# Both carry the pressures as components, which a search by the components' own codes does not find.
PRESSURE_PANELS: Final = ("85354-9", "55284-4")
PRESSURE: Final = frozenset({"sbp", "dbp"})

IfMissing = Literal["fail", "say", "omit"]
TOKENS_OF_3: Final = ("3",)


@dataclass(frozen=True, slots=True)
class Policy:
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
        """Whether a search that was run so long ago has to be run again."""
        return self.fresh_hours is not None and hours > self.fresh_hours


@dataclass(frozen=True, slots=True)
class Template:
    """One prefetch key of a service; `analytes` are what its Observations are of, `words` what a clinician calls it."""

    key: str
    query: str
    resource: str
    words: str
    analytes: frozenset[str] = frozenset()
    policy: Policy = Policy()
    since: tuple[str, int] | None = None
    """Date parameter and days: what is older is never read. Clients of CDS Hooks 3.0 are asked for no more (TOK-09)."""
    type: type[object] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", TYPES[self.resource])

    def query_for(self, protocol: str) -> str:
        """The query as a client of this version of CDS Hooks gets it in discovery: dates by tokens only from 3.0 on."""
        if self.since is None or not protocol.startswith(TOKENS_OF_3):
            return self.query
        parameter, days = self.since
        return f"{self.query}&{parameter}=ge{{{{today() - {days} days}}}}"

    @property
    def codes(self) -> frozenset[str]:
        """The LOINC codes by which its Observations are recognised under another key."""
        found = {code for analyte in self.analytes for code in ANALYTES[analyte].loinc}
        return frozenset(found.union(PRESSURE_PANELS) if self.analytes & PRESSURE else found)

    @property
    def brings(self) -> frozenset[str]:
        """What is known once it is there: the resource type, and the analytes."""
        return self.analytes | {self.resource}


class Templates(tuple[Template, ...]):
    """The templates of one service. What a whole answer to all of them means is worked out once and remembered."""

    whole: dict[str, Brought]

    def __new__(cls, templates: Iterable[Template] = ()) -> Templates:
        """The templates in the order in which they are published (TOK-15 gives it meaning)."""
        made = super().__new__(cls, templates)
        made.whole = {}
        return made
