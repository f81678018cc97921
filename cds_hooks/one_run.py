"""Work that goes on beside the pages, in a thread: one run at a time, however many pages ask for it at once."""

import threading
from collections.abc import Callable


class OneRun:
    """A thread that runs one piece of work at a time.

    Pages are made two at a time. Without the lock both could begin a run, and one could wait for a thread that the
    other had made and not begun, which Python refuses.
    """

    def __init__(self, name: str) -> None:
        """`name` is that of the thread."""
        self._name = name
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def begin(self, work: Callable[[], None]) -> threading.Thread:
        """Return the thread of the run that is under way, or of a new one, which ends with the process."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=work, name=self._name, daemon=True)
                self._thread.start()
            return self._thread
