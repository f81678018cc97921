"""What the server was asked, in order: so that a test can count, and a person can look."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; `form` is the body of a POST, `token` whether it came with a bearer token (never which)."""

    method: str
    path: str
    query: str
    form: str
    token: bool
    status: int


@dataclass(slots=True)
class RequestLog:
    """All requests since the start, and how many were under way at the same time; `tell` is called with each one."""

    tell: Callable[[Asked], None] = lambda _: None
    asked: list[Asked] = field(default_factory=list)
    most_at_once: int = 0
    _under_way: int = 0

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """While one request is being answered."""
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            yield
        finally:
            self._under_way -= 1

    def add(self, asked: Asked) -> None:
        """One more."""
        self.asked.append(asked)
        self.tell(asked)

    def as_json(self) -> dict[str, Any]:
        """For `GET /requests`."""
        return {"most_at_once": self.most_at_once, "requests": [asdict(each) for each in self.asked]}
