"""Finds the vendors' modules, and makes the profile of a client from names and words."""

import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache

from cards.card import Coding
from cds_hooks.dialects.shaping.client import ClientProfile
from cds_hooks.dialects.shaping.dialect import MARKDOWN, VERSIONS, Dialect, Markdown, Version


class UnknownDialect(ValueError):
    """There is no such dialect, version or form of Markdown; the message lists those there are."""


@cache
def find_dialects() -> dict[str, Dialect]:
    """Every dialect by its id; one module of `cds_hooks/dialects/` declares one `DIALECT`."""
    import cds_hooks.dialects as package

    names = sorted(each.name for each in pkgutil.iter_modules(package.__path__) if not each.ispkg)
    found = [importlib.import_module(f"{package.__name__}.{name}").DIALECT for name in names]
    return {dialect.id: dialect for dialect in found}


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
