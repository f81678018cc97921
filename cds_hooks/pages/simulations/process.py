"""`python -m cds_hooks.pages.simulations.process`: the process of one simulation, told what to do by a server.

On its standard input comes one line of JSON; when the input is closed, the server has ended and so does this process.
"""

import os
import sys
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Final

import orjson

from cds_hooks.hold_back.people import PeopleFileError
from cds_hooks.hold_back.rules_file import RulesFileError
from cds_hooks.pages.simulations.evaluation import run_simulation
from cds_hooks.pages.simulations.runs import Busy, Run, Runs
from cds_hooks.replay.candidates import NoCandidate
from cds_hooks.settings import Settings
from cds_hooks.storage.content import use_site_keys
from cds_hooks.storage.decision import RecordUnavailable
from fhir.record.charts import ChartsRefused
from models_onnx.errors import ArtifactRefused, UnknownModel

_LOWEST_PRIORITY: Final = 19
_WRITE_SECONDS: Final = 1.0
_LONGEST_SECONDS: Final = 7_200.0


_SAID: Final = (
    NoCandidate,
    ChartsRefused,
    UnknownModel,
    ArtifactRefused,
    RulesFileError,
    PeopleFileError,
    RecordUnavailable,
)
"""What says in a sentence what cannot be used, with nothing of a patient in it."""


class _Stopped(Exception):
    """Somebody pressed the button."""


class _TooLong(Exception):
    """It took more than two hours."""


def main() -> None:
    """Runs the simulation that the server tells."""
    loads = orjson.loads(sys.stdin.buffer.readline())
    Thread(target=_end_with_the_server, daemon=True).start()
    os.nice(_LOWEST_PRIORITY)
    configured = Settings(**loads["settings"])
    use_site_keys(configured)
    carry_out(configured, loads["run"], Path(loads["charts"]) if loads["charts"] else None)


def carry_out(configured: Settings, run_id: str, charts: Path | None) -> None:
    """Computes a simulation, and keeps how far it is and what came of it in its file."""
    runs = Runs(configured.simulations_folder)
    run = runs.get(run_id)
    if run is None:
        return
    run.state = "running"
    try:
        with runs.alone():
            _run(runs, run, configured, charts)
    except Busy:
        run.state, run.problem = "failed", "another simulation was started at the same moment"
        runs.write(run)


def _run(runs: Runs, run: Run, configured: Settings, charts: Path | None) -> None:
    started = written = monotonic()

    def progress(judged: int, most: int) -> None:
        nonlocal written
        now = monotonic()
        if runs.is_asked_to_stop(run.id):
            raise _Stopped
        if now - started > _LONGEST_SECONDS:
            raise _TooLong
        if now - written >= _WRITE_SECONDS or judged == 0:
            run.judged, run.most, written = judged, most, now
            runs.write(run)

    try:
        run.result = run_simulation(configured, run.simulation, charts, progress)
        run.state = "done"
    except _Stopped:
        run.state = "stopped"
    except _TooLong:
        run.state, run.problem = "failed", "it took more than two hours; choose fewer charts or decisions"
    except _SAID as error:
        run.state, run.problem = "failed", str(error).removesuffix(".")
    except Exception as error:
        run.state, run.problem = "failed", f"it ended with {type(error).__name__}"
    runs.write(run)


def _end_with_the_server() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
