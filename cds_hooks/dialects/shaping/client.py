"""A client as far as reading its calls and writing its cards goes; who may call at all is for `security`."""

from dataclasses import dataclass, field

from cards.card import Coding
from cds_hooks.dialects.shaping.dialect import Dialect, Markdown, Version
from cds_hooks.dialects.standard import DIALECT as STANDARD


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
    takes_cards_as_they_are: bool = field(init=False)
    """Whether there is nothing to shape, so that the hot path need not look at the cards."""

    def __post_init__(self) -> None:
        is_published = self.dialect.shape is None and self.version == "2.0" and self.markdown == "full"
        object.__setattr__(
            self, "takes_cards_as_they_are", is_published and not self.link_hosts and not self.override_reasons
        )


DEVELOPMENT = ClientProfile("anonymous")
"""Every caller of the development profile, unless the settings say otherwise."""
