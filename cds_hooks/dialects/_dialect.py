"""What the module of one EHR vendor declares: how its requests are read and its cards are written."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from msgspec import Struct, field

from cards.card import Card
from cds_hooks.protocol.request import ActualHook

Markdown = Literal["full", "basic", "plain"]
"""What a client draws of `detail`: GitHub's Markdown, bold and lists only, or no markup at all."""

Version = Literal["1.0", "1.1", "2.0", "3.0-ballot", "3.0"]
"""The version of CDS Hooks that a client supports; 2.0 stands for 2.0.1, 1.1 for the ballot that became 2.0."""

MARKDOWN: tuple[Markdown, ...] = get_args(Markdown)
VERSIONS: tuple[Version, ...] = get_args(Version)

ShapeCard: TypeAlias = Callable[[Card, Markdown], Card]


class IntegrationSheet(Struct, frozen=True):
    """What the analyst's sheet says of this vendor: facts with their sources, all in Markdown."""

    reads_discovery: str
    authentication: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    apis: tuple[str, ...] = ()
    """Names of the vendor's own permissions, where it has such beside SMART scopes."""
    shows_labels: bool = True
    """Whether the label of a suggestion is shown, or only the descriptions of its actions."""
    hook_notes: dict[str, str] = field(default_factory=dict)
    """How a hook is configured there, by the hook's name."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One vendor. What is None is not asked: the card or the hook stays as it is."""

    id: str
    title: str
    version: Version = "2.0"
    markdown: Markdown = "full"
    actual_hook: ActualHook | None = None
    shape: ShapeCard | None = None
    topic: Callable[[str, Iterable[tuple[str, str]]], str] | None = None
    """The topic code that this vendor gets for a card's own and its findings (rule, band); None: the card's own."""
    sheet: IntegrationSheet | None = None
