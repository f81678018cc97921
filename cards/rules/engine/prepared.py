"""What a start needs of every rule, prepared once: its data needs, the drugs that activate it, its version.

Compiling all rules for that takes a third of a second and 30 MB. Whoever reads the rules first compiles all of them,
which checks them, and writes what a start needs into a file beside this module, where Python keeps what it compiled.
The file begins with the digest of every source of `cards` and `fhir` and with that of its own content: one that is
stale or damaged is not used and is written again. Where the folder cannot be written, each start compiles all rules.
The rules of a hospital are compiled at every start and never written. Each country has a file of its own.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache, cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from cards.rules.engine.compile import CompiledRule, LateRule, RuleCompiler, RuleOutline, compile_family
from cards.rules.engine.family import Family, family_named, rule_families
from cards.rules.engine.placeholders import unknown_words_of
from cards.rules.language.rule import Rule, RuleError, RuleTable
from cards.rules.language.site import site_folders
from cards.rules.language.table import read_family, read_table
from fhir.terminology import caching
from fhir.terminology.country import DEFAULT, own_country

PREPARED: Final = Path(__file__).with_name("__pycache__") / "rules.prepared"
_SOURCES: Final = (Path(__file__).parents[2], Path(caching.__file__).parents[1])
_DIGITS: Final = 16
_SIZE: Final = hashlib.sha256().digest_size


def digest_of(rule: Rule, table: RuleTable) -> str:
    """Return the version of a rule: 16 hexadecimal digits of SHA-256 over what it declares, and its family adds.

    Another country is another version: rows of its tables, names and units differ, which a rule does not declare.
    """
    declared = (rule, table.override_reasons, table.when_unsure, table.unstable_summary)
    country = () if own_country().code == DEFAULT else (own_country().code,)
    text = msgspec.json.encode((*declared, *country), order="deterministic")
    return hashlib.sha256(text).hexdigest()[:_DIGITS]


class PreparedRule(Struct, frozen=True, dict=True):
    """A rule as it is written, read when it is first asked for, with its version and what a start needs of it."""

    outline: RuleOutline
    digest: str
    checked_on: str
    written: msgspec.Raw

    @cached_property
    def rule(self) -> Rule:
        """What the rule declares."""
        return _read_rule(self.written)

    def compiled_by(self, compiler: RuleCompiler) -> CompiledRule:
        """Return the rule ready to judge an order."""
        return compiler.compile(self.rule)


class PreparedFamily(Struct, frozen=True):
    """The rules of a family, and its table without them."""

    table: RuleTable
    rules: tuple[PreparedRule, ...]

    def late_rules(self, family: Family) -> Iterable[LateRule]:
        """Yield the rules, each to be compiled when a drug first activates it."""
        compiler = RuleCompiler(family, self.table)
        for prepared in self.rules:
            yield LateRule(family.name, prepared.outline, partial(prepared.compiled_by, compiler))


_read_rule = msgspec.msgpack.Decoder(Rule).decode
_read_families = msgspec.msgpack.Decoder(dict[str, PreparedFamily]).decode
_encode = msgspec.msgpack.Encoder(order="deterministic").encode


@cache
def prepared_families() -> Mapping[str, PreparedFamily]:
    """Return every family's rules, prepared, by the family's name, the hospital's own last.

    Raises:
        RuleError: a rule cannot be used; the message names file, line, rule and what is wrong.
    """
    of_site = site_folders()
    sources = digest_of_sources()
    path = PREPARED if own_country().code == DEFAULT else PREPARED.with_suffix(f".{own_country().code}.prepared")
    prepared = read_prepared(path, sources)
    if prepared is None:
        prepared = {family.name: prepare(family) for family in rule_families()}
        if not of_site:
            write_prepared(path, sources, prepared)
    for name in of_site:
        _refuse_unknown_words(family_named(name))
    return prepared | {name: prepare(family_named(name)) for name in of_site}


def _refuse_unknown_words(family: Family) -> None:
    """Refuse a hospital's rule with a {name} that nothing fills: its card would say only that there is something."""
    for position, compiled in enumerate(compile_family(family)):
        for path, text in unknown_words_of(compiled):
            raise RuleError(read_family(family.name).describe(("rules", position, *path), text))


def prepare(family: Family) -> PreparedFamily:
    """Compile every rule of a family and return what a start needs of it. RuleError as `compile_family`."""
    table = read_table(family.name)
    rules = (
        PreparedRule(
            RuleOutline.of(compiled),
            digest_of(compiled.declared, table),
            compiled.declared.audit.date,
            msgspec.Raw(_encode(compiled.declared)),
        )
        for compiled in compile_family(family)
    )
    return PreparedFamily(msgspec.structs.replace(table, rules=()), tuple(rules))


def digest_of_sources() -> bytes:
    """Return the SHA-256 over every file of the floors that the rules are based on; 9 MB in 10 ms."""
    digest = hashlib.sha256()
    for folder, folders, names in chain.from_iterable(map(os.walk, _SOURCES)):
        folders[:] = sorted(set(folders) - {"__pycache__"})
        for name in sorted(names):
            content = Path(folder, name).read_bytes()
            digest.update(f"{name} {len(content)} ".encode() + content)
    return digest.digest()


def read_prepared(path: Path, sources: bytes) -> dict[str, PreparedFamily] | None:
    """Return the families of the file; None where there is none, or it is of other sources, or damaged."""
    with suppress(OSError, msgspec.MsgspecError):
        written = path.read_bytes()
        content = written[2 * _SIZE :]
        if written[: 2 * _SIZE] == sources + hashlib.sha256(content).digest():
            return _read_families(content)
    return None


def write_prepared(path: Path, sources: bytes, families: Mapping[str, PreparedFamily]) -> None:
    """Write the file in one step, so that a process that starts at the same time reads all of it or nothing."""
    content = _encode(families)
    with suppress(OSError):  # an installation that only root writes
        path.parent.mkdir(exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.write_bytes(sources + hashlib.sha256(content).digest() + content)
        draft.replace(path)
