"""What the server was asked, in order: so that a test can count, and a person can look."""

from collections.abc import Callable
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
    """All requests since the start; `tell` is called with each one."""

    tell: Callable[[Asked], None] = lambda _: None
    asked: list[Asked] = field(default_factory=list)

    def add(self, asked: Asked) -> None:
        """One more."""
        self.asked.append(asked)
        self.tell(asked)

    def as_json(self) -> dict[str, Any]:
        """For `GET /requests`."""
        return {"requests": [asdict(each) for each in self.asked]}
