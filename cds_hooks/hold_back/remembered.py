"""Keeps a bounded number of values in memory, the newest; readers need no lock."""

from collections.abc import Callable, Hashable
from threading import RLock
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class Remembered(Generic[_Key, _Value]):
    """Values by key; beyond `most` of them the oldest are forgotten. Used from any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[_Key, _Value] = {}
        self.writing = RLock()
        """Held by whoever reads a value in order to replace it."""

    def __len__(self) -> int:
        """How many values there are."""
        return len(self._values)

    def get(self, key: _Key) -> _Value | None:
        """Returns the value of this key; None where there is none."""
        return self._values.get(key)

    def put(self, key: _Key, value: _Value) -> None:
        """Takes a value as the newest."""
        with self.writing:
            self._values.pop(key, None)
            self._values[key] = value
            while len(self._values) > self._most:
                self._values.pop(next(iter(self._values)))

    def remove(self, key: _Key) -> None:
        """Forgets the value of this key, if there is one."""
        with self.writing:
            self._values.pop(key, None)

    def forget(self, is_over: Callable[[_Value], bool]) -> None:
        """Leaves out what can no longer count."""
        with self.writing:
            self._values = {key: value for key, value in self._values.items() if not is_over(value)}
