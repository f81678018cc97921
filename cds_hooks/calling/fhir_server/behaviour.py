"""How the server behaves: as it should, or in one of the ways in which real ones do not."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

Mode = Literal["normal", "slow", "401", "403", "429", "503", "garbage", "redirect", "next-elsewhere"]
MODES: Final[tuple[str, ...]] = get_args(Mode)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the server asks for, and what it does instead of answering.

    `slow` answers after `delay_seconds`; `429` and `503` come with `retry_after` and, where `failures` is given, only
    that often for each query; `next-elsewhere` answers, but the next page is said to be at another origin.
    """

    mode: Mode = "normal"
    token: str | None = None
    page_size: int = 50
    delay_seconds: float = 0.2
    retry_after: int = 1
    failures: int | None = None
