"""A process of its own that writes decisions and prints each id once it is acknowledged: `python -m … URL COUNT`.

It ends after COUNT decisions (0: never), or with exit code 3 and the reason on stderr when the record fails.
"""

import asyncio
import os
import sys

import uvloop

from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.opening import open_decision_log
from tests.cds_hooks.evidence.storage.samples import a_decision

_CALLERS = 16


async def write(url: str, count: int) -> None:
    """Sixteen callers, each waiting for its answer before it sends the next decision."""
    log = open_decision_log(url)
    left = count or sys.maxsize

    async def call() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            decision = a_decision(basis=b"{" + b" " * 2000 + b"}")
            await log.append(decision)
            # one line, one system call: what was acknowledged has left this process before anything else happens
            os.write(1, f"{decision.id}\n".encode())

    await asyncio.gather(*(call() for _ in range(_CALLERS)))
    await log.close()


if __name__ == "__main__":
    try:
        uvloop.run(write(sys.argv[1], int(sys.argv[2])))
    except RecordUnavailable as error:
        print(error, file=sys.stderr)
        sys.exit(3)
