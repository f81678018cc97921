"""Regular expressions that are compiled when they are first asked, not when the program starts."""

import re
from typing import Any, Final, cast


class LatePattern:
    """Becomes the compiled pattern, method by method, with the first use of each."""

    def __init__(self, pattern: str, flags: int) -> None:
        self._said = (pattern, flags)
        self._compiled: re.Pattern[str] | None = None
        _LATE.append(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # a copy asks for these before the pattern is there
        attribute = getattr(self.compile(), name)
        setattr(self, name, attribute)
        return attribute

    def compile(self) -> re.Pattern[str]:
        """Return the compiled pattern."""
        if self._compiled is None:
            self._compiled = re.compile(*self._said)
        return self._compiled


_LATE: Final[list[LatePattern]] = []


def late_pattern(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Return the pattern as `re.compile` gives it, compiled with its first use.

    The server knows some 300 patterns for what people write, and compiling them takes 0.07 s of its start. A pattern
    that is wrong is found when it is first used: every one of them is used by a test.
    """
    return cast("re.Pattern[str]", LatePattern(pattern, flags))


def compile_late_patterns() -> None:
    """Compile all patterns there are: else each stops the event loop in the first call that asks it."""
    for pattern in _LATE:
        pattern.compile()
