"""What it costs a call to keep its facts and to restrain its cards: the service in process, with and without, in turn.

    python -m benchmarks.keeping [SERVICE…]

For each service a body of 68 KB that has a card. Three instances of the service answer it in turn: one that keeps no
facts and restrains nothing (no rest of what was shown, no pauses, no budgets), one that keeps facts, and one with
budgets for users, clients and units as well, too large to be used up, and all else as it is by itself. Eight calls are
in flight as under load, and each instance commits its decisions into an SQLite file of its own. Of each the least
processor time of all rounds is printed, because everything else that the machine does can only add to it. Monitoring
counts decisions of the record, apart from any call, and has no part in it.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, Final

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.charts import load_patients
from benchmarks.connection import ChangingRequest
from benchmarks.in_process import InProcess, service_in_process
from benchmarks.subject import Subject, discover, find_subjects
from cds_hooks.memory import settle_memory

SERVICES: Final = ("planning-conversation", "order-safety-sign", "medication-review")
_SIZE_KB, _ROUNDS, _TOGETHER, _TIMES = 68, 200, 8, 2


_UNRESTRAINED: Final[dict[str, Any]] = {"shown_rest_days": 0, "pause_share": 0}
_BUDGETS: Final = "version = 1\n" + "".join(
    f'[[budget]]\nof = "{of}"\n{names}cards_per_day = 100000\nnote = "a measurement"\n'
    for of, names in (("user", ""), ("client", ""), ("unit", 'names = ["Ward 3"]\n'))
)


def main(services: list[str]) -> None:
    """Prints the processor time of a call of each service: without, with facts, and with everything."""
    patients = list(load_patients(datetime.now(UTC)))
    console = Console()
    table = Table("service, hook", "body", "without", "with facts", "more", "with everything", "more")
    with ExitStack() as opened:
        rules = Path(opened.enter_context(TemporaryDirectory(prefix="cds-keeping-"))) / "rules.toml"
        rules.write_text(_BUDGETS)
        without = opened.enter_context(service_in_process(keep_facts=False, **_UNRESTRAINED))
        facts = opened.enter_context(service_in_process(keep_facts=True, **_UNRESTRAINED))
        everything = opened.enter_context(service_in_process(keep_facts=True, rules_file=rules))
        settle_memory()
        for entry in discover(without.call_json, services):
            subject = next(each for each in find_subjects(entry, without.call_json, patients) if each.outcome == "card")
            body = subject.body(without.call_json, _SIZE_KB)
            if body is None:
                console.print(f"{subject.name}: no body of {_SIZE_KB} KB")
                continue
            off, *on = _in_turn(subject, body, without, facts, everything)
            told = [text for each in on for text in (f"{each:,.0f} µs", f"{100 * (each / off - 1):.1f} %")]
            table.add_row(subject.name, f"{len(body) / 1000:.0f} KB", f"{off:,.0f} µs", *told)
    console.print(table)


def _in_turn(subject: Subject, body: bytes, *services: InProcess) -> list[float]:
    """Microseconds of processor time of one call, by service: the least of all rounds."""
    best = [float("inf")] * len(services)
    requests = [[ChangingRequest(body) for _ in range(_TOGETHER)] for _ in services]
    for _ in track(range(_ROUNDS), description=subject.name, transient=True):
        for place, service in enumerate(services):
            before = process_time()
            for _ in range(_TIMES):
                service.many(subject.path, requests[place])
            best[place] = min(best[place], 1e6 * (process_time() - before) / _TOGETHER / _TIMES)
    return best


if __name__ == "__main__":
    main(sys.argv[1:] or list(SERVICES))
