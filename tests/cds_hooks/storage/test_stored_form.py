"""The stored form of content, and the addresses of databases, by themselves."""

import pytest

from cds_hooks.storage.content import (
    ContentUnreadable,
    load_content,
    store_content,
)
from tests.each import for_rows

LONG = b'{"text": "' + b"a sentence of a card " * 20 + b'"}'


@for_rows("value", [b"[]", b"{}", b'{"a":1}', b"plain", LONG, b""])
def test_what_was_stored_is_loaded(value: bytes) -> None:
    assert load_content(store_content(value)) == value


def test_short_json_is_stored_as_it_is_and_long_text_is_compressed() -> None:
    assert [store_content(value) for value in (b"[]", b"{}", b'{"a":1}')] == [b"[]", b"{}", b'{"a":1}']
    assert store_content(b"plain")[:4] == b"\x28\xb5\x2f\xfd", "what does not begin as JSON says how it is stored"
    assert len(store_content(LONG)) < len(LONG) / 3


def test_what_cannot_be_decompressed_is_said() -> None:
    with pytest.raises(ContentUnreadable, match="cannot be decompressed"):
        load_content(store_content(LONG)[:20])
