"""Decimals of a draft come back digit for digit in the corrected draft, in every version of the protocol."""

import asyncio
import copy
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fhir.record.datatypes import ExactDecimal, as_json_value, decode_exactly, with_plain_numbers, write_decimal
from tests.cds_hooks.calls import ORDERS, client, request_for

_DECIMALS = ("1.10", "0.1234567890123456789", "3E2", "-0.50", "7.5", "12")


def _body(as_of: datetime, sample: str, draft: str) -> bytes:
    """A call whose drafted order and whose active orders hold the decimals in an extension."""
    request = request_for(ORDERS, "order-sign", sample, as_of, draft)
    for order in _orders(request):
        order["extension"] = [{"url": "https://example.org/d", "valueDecimal": f"@{each}@"} for each in _DECIMALS]
    return re.sub(r'"@([^@]+)@"', r"\1", json.dumps(request)).encode()


def _orders(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict) and value.get("resourceType") == "MedicationRequest":
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _orders(each)


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("version", ["2.0", "1.1", "3.0"])
@pytest.mark.parametrize(
    ("sample", "draft"), [("af-apixaban-dose", "rivaroxaban-20-af")], ids=["the active order of another drug"]
)
def test_a_corrected_order_holds_the_decimals_of_the_order(
    tmp_path: Path, as_of: datetime, version: str, sample: str, draft: str
) -> None:
    async def call() -> str:
        async with client(tmp_path, as_of=as_of, protocol_version=version, action_selection_behavior=True) as calls:
            answer = await calls.post(f"/cds-services/{ORDERS}", content=_body(as_of, sample, draft), headers=JSON)
            assert answer.status_code == 200, answer.text
            return answer.text

    text = asyncio.run(call())
    updates = re.findall(r'"type":"update"', text)
    assert len(updates) == 1
    assert tuple(re.findall(r'"valueDecimal":([^,}]+)', text)) == _DECIMALS


def test_a_number_that_a_float_gives_back_as_it_was_written_is_a_plain_float() -> None:
    ordinary, exact = decode_exactly(b"[2.5, 2.50]")
    assert type(ordinary) is float
    assert isinstance(exact, ExactDecimal)
    assert exact == ordinary
    assert copy.deepcopy([exact])[0] is exact


def test_exact_decimals_are_written_by_the_hook_and_made_plain_for_other_readers() -> None:
    value = decode_exactly(b'{"a": [1.10]}')
    assert msgspec.json.encode(value, enc_hook=write_decimal) == b'{"a":[1.10]}'
    assert type(with_plain_numbers(value)["a"][0]) is float
    assert isinstance(as_json_value(value)["a"][0], ExactDecimal)
    with pytest.raises(NotImplementedError, match="object"):
        write_decimal(object())


@pytest.mark.parametrize("text", [b"1e400", b"[1.", b"NaN"])
def test_a_number_beyond_64_bits_or_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_exactly(text)
