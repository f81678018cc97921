"""Replays by several processes beside each other, each with its own site; what comes back is in the order of one.

Python computes on one core a process. Each process opens the site by itself (about a second and 170 MB) and is handed
as many decisions at a time as one process replays together, so that neither verdicts nor their order depend on how many
there are.
"""

import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime
from functools import partial
from itertools import islice
from multiprocessing import get_context
from typing import Any, Final

from cds_hooks.hold_back.terminology import use_by_acts
from cds_hooks.replay.candidates import Change, NotReplayed, candidate_site, changes
from cds_hooks.replay.replaying import AT_ONCE, Replayer, Verdict
from cds_hooks.replay.site import open_site
from cds_hooks.settings import Settings
from cds_hooks.storage.content import use_site_keys
from cds_hooks.storage.decision import Decision

_AHEAD: Final = 2
"""So many batches wait for each process: enough that none is idle, and the record is not read into memory."""


class ProcessEnded(Exception):
    """A process ended before its work was done, as one does that is stopped or out of memory; one sentence."""


def verdicts(
    configured: Settings, decisions: Iterable[Decision], as_of: datetime | None, *, processes: int
) -> Iterator[Verdict]:
    """As `Replayer.verdicts` at the site of these settings, by so many processes.

    Raises:
        ProcessEnded: One of them ended early.
        And what `open_site` raises.
    """
    site = open_site(configured)  # also where others do the work, so that a wrong file is said once and in a sentence
    if processes == 1:
        yield from Replayer(site, configured.database_url, as_of).verdicts(decisions)
    else:
        yield from _beside_each_other(processes, (configured, None, as_of), decisions)


def changes_by(
    configured: Settings, candidates: Sequence[str], decisions: Iterable[Decision], processes: int
) -> Iterator[Change | NotReplayed]:
    """As `changes` by these candidates at the site of these settings, by so many processes.

    Raises:
        NoCandidate, pydantic.ValidationError, RulesFileError, ArtifactRefused: As `candidate_site`.
        ProcessEnded: One of them ended early.
    """
    site, candidate = open_site(configured), candidate_site(configured, candidates)
    if processes == 1:
        yield from changes(site, candidate, configured.database_url, decisions)
    else:
        yield from _beside_each_other(processes, (configured, tuple(candidates), None), decisions)


_Opened = tuple[Settings, tuple[str, ...] | None, datetime | None]
"""The settings, the candidates where some are tried, and another time than the decisions' own."""


def _beside_each_other(processes: int, opened: _Opened, decisions: Iterable[Decision]) -> Iterator[Any]:
    waiting: deque[Future[list[Any]]] = deque()
    source = iter(decisions)
    # spawned, because connections to a database and threads do not survive a fork
    with ProcessPoolExecutor(processes, get_context("spawn"), _open, opened) as pool:
        try:
            while batch := list(islice(source, AT_ONCE)):
                waiting.append(pool.submit(_computed, batch))
                if len(waiting) > _AHEAD * processes:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        except BrokenProcessPool as error:
            raise ProcessEnded("a process of the replay ended before its work was done; try fewer of them") from error
        finally:
            pool.shutdown(cancel_futures=True)


_compute: Callable[[list[Decision]], Iterator[Any]] = iter
"""What a process of the pool does with a batch; `_open` sets it there."""


def _open(configured: Settings, texts: tuple[str, ...] | None, as_of: datetime | None) -> None:
    global _compute
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who stops the command is told once, by the process that was started
    use_site_keys(configured)
    use_by_acts(configured)
    site, url = open_site(configured), configured.database_url
    if texts is None:
        _compute = Replayer(site, url, as_of).verdicts
    else:
        _compute = partial(changes, site, candidate_site(configured, texts), url)


def _computed(batch: list[Decision]) -> list[Any]:
    return list(_compute(batch))
