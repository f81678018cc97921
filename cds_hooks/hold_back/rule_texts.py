"""What each version of a rule declared, kept in the record: the next version of this package has the new text only.

With each configuration that is new (configuration.py) the texts of the rules that the record does not have yet are
one event. Each is checked against the version by which it is called, because the version is the digest of the text.
"""

import base64
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import select

from cards.rules.engine.governance import RuleVersion, all_rule_versions, declared_text, digest_of_text
from cds_hooks.storage.entries import add_event
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import events

EVENT: Final = "rule-texts"
_MOST_BYTES: Final = 64 * 1024 * 1024
_LEVEL: Final = 4  # of zlib: 16 ms for all rules, where 9 takes 60 for a tenth less


class _Kept(Struct):
    """`versions` by rule; `texts` is a JSON list of (rule, text), packed with zlib, in base64."""

    versions: dict[str, str]
    texts: str


class RuleText(Struct, frozen=True):
    """One version of a rule: since when the record has it ("" for one that it does not have), and what it declared.

    `declared` is the rule, the reasons for an override, the advice where a value is unsure, and its text.
    """

    version: str
    since: str
    declared: tuple[dict[str, Any], Any, Any, Any]


def record_rule_texts(url: str) -> None:
    """Writes the texts that the record does not have.

    Raises:
        RecordUnavailable: It cannot be read or written.
    """
    recorded = {
        (rule, version) for _, texts_of_event in _events(url) for rule, version in texts_of_event.versions.items()
    }
    new = [
        rule_version
        for rule, rule_version in all_rule_versions().items()
        if (rule, rule_version.digest) not in recorded
    ]
    if not new:
        return
    texts = [(version.rule.id, declared_text(version.rule, version.table).decode()) for version in new]
    packed = base64.b64encode(zlib.compress(msgspec.json.encode(texts), _LEVEL)).decode()
    add_event(
        url, EVENT, "cds-hooks", {"versions": {version.rule.id: version.digest for version in new}, "texts": packed}
    )


def rule_texts(url: str, version: RuleVersion) -> list[RuleText]:
    """Returns the versions of a rule that the record has and the one in use, the oldest first.

    Raises:
        RecordUnavailable: The record cannot be read.
    """
    texts: dict[str, RuleText] = {}
    for at, texts_of_event in _events(url):
        digest = texts_of_event.versions.get(version.rule.id)
        if digest is None or digest in texts:
            continue
        text = dict(_unpacked(texts_of_event.texts)).get(version.rule.id, "").encode()
        if digest_of_text(text) == digest:
            since = datetime.fromtimestamp(at / 1e6, UTC).date().isoformat()
            texts[digest] = RuleText(digest, since, msgspec.json.decode(text))
    in_use = declared_text(version.rule, version.table)
    if version.digest not in texts:
        texts[version.digest] = RuleText(version.digest, "", msgspec.json.decode(in_use))
    return list(texts.values())


def _events(url: str) -> Iterator[tuple[int, _Kept]]:
    query = select(events.c.at, events.c.detail).where(events.c.kind == EVENT).order_by(events.c.sequence)
    for row in read_rows(url, query):
        yield row.at, msgspec.json.decode(row.detail, type=_Kept)


def _unpacked(texts: str) -> list[tuple[str, str]]:
    packed = zlib.decompressobj().decompress(base64.b64decode(texts), _MOST_BYTES)
    return msgspec.json.decode(packed, type=list[tuple[str, str]])
