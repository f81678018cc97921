"""How many calls a client may have under way, and begin in a second."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from cds_hooks.errors import TooManyCalls
from cds_hooks.security import TrustedClient
from cds_hooks.settings import Settings


class CallBudgets:
    """The calls of each client in one server process."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """`clock` counts seconds."""
        self._calls: Counter[str] = Counter()
        self._clock = clock
        self._begun: defaultdict[str, deque[float]] = defaultdict(deque)
        """When each client's calls of the last second began: at most as many as it may begin in one."""

    @contextmanager
    def call(self, client: TrustedClient, configured: Settings) -> Iterator[None]:
        """Count a call while it is answered, within the budgets of the trust file and of this server.

        Raises:
            TooManyCalls: as `enter`.
        """
        budgets = client.budgets
        self.enter(
            client.name,
            min(budgets.concurrency, configured.concurrent_calls),
            min(budgets.calls_per_second, configured.calls_per_second),
        )
        try:
            yield
        finally:
            self.leave(client.name)

    def enter(self, client: str, most: int, most_in_a_second: int = 1_000_000) -> None:
        """Count a call that begins; `leave` must follow.

        Raises:
            TooManyCalls: the client has `most` calls under way, or began `most_in_a_second` in the last second, from
                whenever that is counted: a second that begins anew would let twice as many pass around its beginning.
        """
        if self._calls[client] >= most:
            raise TooManyCalls(f"{most} calls of this client are being answered. Send this one again in a second.")
        now, begun = self._clock(), self._begun[client]
        while begun and begun[0] <= now - 1:
            begun.popleft()
        if len(begun) >= most_in_a_second:
            # One second, as the header says, is long enough: by then all of these are past.
            raise TooManyCalls(
                f"{most_in_a_second} calls of this client began in the last second. Send this one again in a second."
            )
        begun.append(now)
        self._calls[client] += 1

    def leave(self, client: str) -> None:
        """Count a call that has ended."""
        self._calls[client] -= 1
