"""The hash chain: each row carries the hash of the row its writer wrote before it.

The hash of a row is SHA-256 over, one after the other: the previous row's hash (32 bytes); a JSON array in UTF-8
without white space, [chain, position, id, decided_at, hook, service, hook_instance, client, patient, outcome,
input_digest, length of models, length of response, length of basis]; and the bytes of models, response and basis.
The lengths make the cut between the three unambiguous. A chain's first row has position 1, and as its previous hash
that of the newest row of any chain in the record at that time, or 32 zeros where there was none: so a whole chain
cannot be taken out unseen once another has begun after it.
"""

import hashlib
import secrets
from typing import Any

import msgspec

from cds_hooks.storage.decision import Decision

NO_ROW_BEFORE = bytes(32)

Row = tuple[Any, ...]
"""One row of `tables.decisions` in the order of its columns, without `sequence`."""

_encode = msgspec.json.Encoder().encode


def row_hash(previous: bytes, chain: str, position: int, decision: Decision) -> bytes:
    """SHA-256 over the previous row's hash and everything this row says."""
    d = decision
    head = _encode(
        (
            chain,
            position,
            d.id,
            d.decided_at,
            d.hook,
            d.service,
            d.hook_instance,
            d.client,
            d.patient,
            d.outcome,
            d.input_digest,
            len(d.models),
            len(d.response),
            len(d.basis),
        )
    )
    return hashlib.sha256(b"".join((previous, head, d.models, d.response, d.basis))).digest()


class Chain:
    """One writer's chain; it moves on only when the rows it linked are committed."""

    def __init__(self, newest: bytes | None) -> None:
        """`newest` is the hash of the record's newest row, None for an empty record."""
        self.name = secrets.token_hex(8)
        self._hash = newest or NO_ROW_BEFORE
        self._position = 0

    def link(self, decisions: list[Decision]) -> list[Row]:
        """The rows of these decisions, each linked to the one before; nothing is remembered until `moved_to`."""
        chain, previous, position = self.name, self._hash, self._position
        rows: list[Row] = []
        for d in decisions:
            position += 1
            digest = row_hash(previous, chain, position, d)
            rows.append(
                (
                    d.id,
                    chain,
                    position,
                    d.decided_at,
                    d.hook,
                    d.service,
                    d.hook_instance,
                    d.client,
                    d.patient,
                    d.outcome,
                    d.input_digest,
                    previous,
                    digest,
                    d.models,
                    d.response,
                    d.basis,
                )
            )
            previous = digest
        return rows

    def moved_to(self, rows: list[Row]) -> None:
        """These rows, as `link` gave them, are committed."""
        self._position, self._hash = rows[-1][2], rows[-1][12]
