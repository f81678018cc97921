"""Decimals that come back as they were written: a resource that is returned holds 1.10 where 1.10 came.

FHIR R4 (datatypes, decimal) asks for it: the precision of a decimal is part of its value, trailing zeros included.
"""

from math import isinf
from typing import Any, Final, Self

import msgspec


class ExactDecimal(float):
    """A number that is calculated with as a float and written as the text that it came as."""

    __slots__ = ("text",)
    text: str

    @classmethod
    def of(cls, text: str) -> Self:
        """From the text of a JSON number."""
        value = cls(text)
        value.text = text
        return value

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: a number does not change."""
        return self


def _decimal(text: str) -> float:
    value = float(text)
    if isinf(value):
        raise ValueError("a number is larger than 64 bits can hold")
    return value if repr(value) == text else ExactDecimal.of(text)


def write_decimal(value: object) -> msgspec.Raw:
    """The `enc_hook` of every encoder that may meet an exact decimal. It is asked about nothing else that is known."""
    if isinstance(value, ExactDecimal):
        return msgspec.Raw(value.text.encode())
    raise NotImplementedError(f"{type(value).__name__} is not written as JSON")


_decoder: Final = msgspec.json.Decoder(float_hook=_decimal)
_encoder: Final = msgspec.json.Encoder(enc_hook=write_decimal)


def decode_exactly(text: bytes | msgspec.Raw) -> Any:
    """The JSON value; numbers that a float would not give back as they were written are `ExactDecimal`.

    Raises:
        msgspec.DecodeError: It is not JSON, or a number is beyond 64 bits.
        RecursionError: It is nested too deeply.
    """
    return _decoder.decode(text)


def as_json_value(value: Any) -> Any:
    """A struct as objects and lists, as `msgspec.to_builtins` makes them, which knows no exact decimals."""
    try:
        return msgspec.to_builtins(value)
    except TypeError:
        return decode_exactly(_encoder.encode(value))


def with_plain_numbers(value: Any) -> Any:
    """A copy of a JSON value in which every number is an ordinary one, for readers that know no other."""
    return msgspec.json.decode(_encoder.encode(value))
