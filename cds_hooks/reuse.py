"""What was proven when an order was selected, for minutes: by client, patient and user."""

from collections import OrderedDict
from typing import Final

from cards.proofs import Proofs

_SECONDS: Final = 600.0
_MOST: Final = 1024


class Reuse:
    """The proofs of the sessions of the last ten minutes; of more than a thousand the oldest are let go."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[tuple[str, str, str], tuple[float, Proofs]] = OrderedDict()

    def proofs(self, client: str, patient: str, user: str, as_of: float) -> Proofs:
        """Those of this session; `as_of` in epoch seconds. Without a user there is no session to come back to."""
        if not user:
            return Proofs()
        key = (client, patient, user)
        known = self._sessions.get(key)
        if known is not None and 0 <= as_of - known[0] <= _SECONDS:
            return known[1]
        fresh = Proofs()
        self._sessions[key] = (as_of, fresh)
        self._sessions.move_to_end(key)
        while len(self._sessions) > _MOST:
            self._sessions.popitem(last=False)
        return fresh
