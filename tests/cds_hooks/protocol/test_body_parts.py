"""Density and parts of a body at their limits, byte by byte."""

from typing import Any

import pytest

from cds_hooks.errors import PayloadTooLarge
from cds_hooks.protocol import body as body_module
from cds_hooks.protocol.body import check_density, is_nested_deeper, may_be_deep, split_off_prefetch


def test_a_body_is_as_dense_as_a_chart_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "_DENSE_BYTES", 10)
    monkeypatch.setattr(body_module, "_MOST_OBJECTS", 6)
    monkeypatch.setattr(body_module, "_MOST_COMMAS", 4)
    for fitting in (b"{{{[[[    ", b"{{{{{{    ", b",,,,      ", b"{{{[[[[[[", b",,,,,,,,,"):
        check_density(fitting)
    for dense in (b"{{{{[[[   ", b"[[[[[[[   ", b"{{{{{{{   ", b",,,,,     "):
        with pytest.raises(PayloadTooLarge) as refused:
            check_density(dense)
        assert str(refused.value) == "The body has more elements than any chart of its size; nothing was read."


@pytest.mark.parametrize(
    ("body", "head", "prefetch"),
    [
        (b'{"a":1,"prefetch":{"b":2}}', b'{"a":1}', b'{"b":2}'),
        (b'{"prefetch":{"b":2}}', b"{}", b'{"b":2}'),
        (b'{"a": 1, "prefetch" : {"b": 2}}\n', b'{"a": 1}', b'{"b": 2}'),
        (b'{"a":1 , "prefetch": null }', b'{"a":1 }', b"null "),
    ],
)
def test_a_body_is_split_before_its_prefetch(body: bytes, head: bytes, prefetch: bytes) -> None:
    parts = split_off_prefetch(body)
    assert parts is not None
    assert (parts[0], bytes(parts[1])) == (head, prefetch)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"a":1}', b'{"a":1,"prefetch":[1]', b'{"a":1 "prefetch":{}}'])
def test_a_body_without_a_prefetch_at_its_end_is_not_split(body: bytes) -> None:
    assert split_off_prefetch(body) is None


def test_depth_is_counted_in_levels() -> None:
    values: tuple[Any, ...] = (1, [], [[]], {"a": [1]}, [[[]]], {"a": {"b": {}}})
    assert [is_nested_deeper(value, 2) for value in values] == [
        False, False, False, False, True, True,
    ]  # fmt: skip
    assert [may_be_deep(b"{[" * count) for count in (32, 33)] == [False, True]
