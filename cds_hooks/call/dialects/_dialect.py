"""What the module of one EHR vendor declares: how its requests are read and its cards are written."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from cards.card import Card
from cds_hooks.call.protocol.request import ActualHook

Markdown = Literal["full", "basic", "plain"]
"""What a client draws of `detail`: GitHub's Markdown, bold and lists only, or no markup at all."""

Version = Literal["1.0", "1.1", "2.0", "3.0-ballot", "3.0"]
"""The version of CDS Hooks that a client supports; 2.0 stands for 2.0.1, 1.1 for the ballot that became 2.0."""

MARKDOWN: tuple[Markdown, ...] = get_args(Markdown)
VERSIONS: tuple[Version, ...] = get_args(Version)

ShapeCard: TypeAlias = Callable[[Card, Markdown], Card]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One vendor. What is None is not asked: the card or the hook stays as it is."""

    id: str
    title: str
    version: Version = "2.0"
    markdown: Markdown = "full"
    actual_hook: ActualHook | None = None
    shape: ShapeCard | None = None
