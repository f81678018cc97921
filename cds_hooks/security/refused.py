"""What is raised instead of a connection."""

from typing import Literal

import httpx

RefusedReason = Literal[
    "address",
    "encoded",
    "malformed",
    "not-reading",
    "not-registered",
    "token",
    "too-large",
    "too-many",
]


class Refused(httpx.TransportError):
    """A request that may not be made, or an answer that is not read; `reason` is a class, the text a sentence.

    Neither holds the address: it comes from outside and may hold anything.
    """

    def __init__(self, reason: RefusedReason, text: str) -> None:
        super().__init__(text)
        self.reason: RefusedReason = reason
        self.text = text
