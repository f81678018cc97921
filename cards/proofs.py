"""What was found wrong with an order's form, by its digest: what is proven at selection is not proven at signing again.

Nothing clinical is remembered; every order is judged anew on every call.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

Fault: TypeAlias = tuple[str, str]
"""Where a resource breaks FHIR, and how; never a value."""

_MOST: Final = 256
_encoder: Final = msgspec.json.Encoder()


class Proofs:
    """The faults of the orders of one patient, user and client, by digest. Only digests and places are kept."""

    __slots__ = ("_faults", "used")

    def __init__(self) -> None:
        self._faults: dict[bytes, frozenset[Fault]] = {}
        self.used = 0

    def faults(self, resource: dict[str, Any], prove: Callable[[dict[str, Any]], set[Fault]]) -> frozenset[Fault]:
        """What `prove` finds wrong with the resource, or found when it was the same but for its own id."""
        same = {name: value for name, value in resource.items() if name != "id"}
        digest = hashlib.sha256(_encoder.encode((same, type(resource.get("id")).__name__))).digest()
        known = self._faults.get(digest)
        if known is None:
            known = frozenset(prove(resource))
            if len(self._faults) < _MOST:
                self._faults[digest] = known
        else:
            self.used += 1
        return known
