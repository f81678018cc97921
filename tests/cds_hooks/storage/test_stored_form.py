"""The stored form of content, and the addresses of databases, by themselves."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cds_hooks.storage import content
from cds_hooks.storage.content import (
    ContentKeys,
    ContentUnreadable,
    StoredContent,
    StoredText,
    key_text,
    load_content,
    read_content_keys,
    store_content,
    store_text,
    use_content_keys,
    use_site_keys,
)
from cds_hooks.storage.decision import RecordUnavailable
from tests.each import for_rows

FIRST, SECOND = "5a" * 32, "6b" * 32
LONG = b'{"text": "' + b"a sentence of a card " * 20 + b'"}'


@pytest.fixture
def _keys() -> Iterator[None]:
    before = content._in_use
    yield
    use_content_keys(before)


@for_rows("value", [b"[]", b"{}", b'{"a":1}', b"plain", LONG, b""])
def test_what_was_stored_is_loaded(value: bytes) -> None:
    assert load_content(store_content(value)) == value


def test_short_json_is_stored_as_it_is_and_long_text_is_compressed() -> None:
    assert [store_content(value) for value in (b"[]", b"{}", b'{"a":1}')] == [b"[]", b"{}", b'{"a":1}']
    assert store_content(b"plain")[:4] == b"\x28\xb5\x2f\xfd", "what does not begin as JSON says how it is stored"
    assert len(store_content(LONG)) < len(LONG) / 3


@pytest.mark.usefixtures("_keys")
def test_with_a_key_the_stored_form_is_encrypted_and_read_with_every_key_of_the_site() -> None:
    use_content_keys(read_content_keys(FIRST))
    stored, text = store_content(LONG), store_text("words")
    assert stored[:1] == b"\x01"
    assert store_content(b"[]") == b"[]"
    assert LONG not in stored
    assert store_content(LONG) != stored, "each has a nonce of its own"
    assert text.startswith("encrypted:")
    use_content_keys(read_content_keys(f"{SECOND}\n{FIRST}\n"))
    assert load_content(stored) == LONG
    assert store_content(LONG)[1:5] != stored[1:5]
    assert StoredText().process_result_value(text, cast("Any", None)) == "words"
    assert StoredText().process_result_value("plain", cast("Any", None)) == "plain"
    assert StoredText().process_result_value(None, cast("Any", None)) is None
    assert StoredContent().process_result_value(stored, cast("Any", None)) == LONG
    assert StoredContent().process_result_value(None, cast("Any", None)) is None
    changed = stored[:-1] + bytes((stored[-1] ^ 1,))
    with pytest.raises(ContentUnreadable, match="was changed after it was encrypted"):
        load_content(changed)
    use_content_keys(read_content_keys(SECOND))
    with pytest.raises(ContentUnreadable, match="a key that is not among CDS_CONTENT_KEYS"):
        load_content(stored)
    use_content_keys(ContentKeys())
    assert store_text("words") == "words"


def test_keys_are_64_hexadecimal_digits_a_line(tmp_path: Path) -> None:
    keys = read_content_keys(f"{FIRST}\n{SECOND}")
    assert len(keys.keys) == 2
    assert keys.newest == next(iter(keys.keys))
    assert ContentKeys().newest is None
    assert read_content_keys("").keys == {}
    for text, number in ((FIRST[:-1], 1), (f"{FIRST}\n{FIRST}00", 2), ("x", 1)):
        with pytest.raises(ContentUnreadable, match=f"key {number} is wrong"):
            read_content_keys(text)
    assert key_text(None) == ""
    with pytest.raises(ContentUnreadable, match="cannot be read"):
        key_text(tmp_path / "nothing")
    (tmp_path / "keys").write_text("x")
    with pytest.raises(RecordUnavailable, match=r"keys: key 1 is wrong"):
        use_site_keys(cast("Any", SimpleNamespace(content_keys=tmp_path / "keys")))


def test_what_cannot_be_decompressed_is_said() -> None:
    with pytest.raises(ContentUnreadable, match="cannot be decompressed"):
        load_content(store_content(LONG)[:20])
