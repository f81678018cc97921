"""Microseconds of processor time that this Python takes for a little work; exit code 1 when it cannot be used.

Asked of each Python of a machine by environment.sh, so it runs on old ones too. The work is what the project does most:
calls of small functions, attributes, dictionaries and short texts.
"""

import sys
import time

if sys.version_info < (3, 11):  # noqa: UP036 # asked of a Python that may be too old
    sys.exit(1)

import ensurepip  # noqa: F401 # an environment needs both; Debian ships them in a package of their own
import venv  # noqa: F401


class Value:
    """Something with an attribute and a method."""

    __slots__ = ("number",)

    def __init__(self, number):
        self.number = number

    def plus(self, other):
        """Return the sum."""
        return self.number + other


def work():
    """Work for some milliseconds."""
    total, seen = 0, {}
    for number in range(20000):
        total += Value(number).plus(number)
        seen[number & 255] = (total, number)
        if seen.get(number & 127) is not None:
            total ^= len(str(number))


taken = []
for _ in range(7):
    started = time.process_time()
    work()
    taken.append(time.process_time() - started)
print(int(min(taken) * 1e6))
