"""However many ask at once, one run goes on, and all of them get what it gives."""

from threading import Barrier, Event, Thread

from cds_hooks.pages.kept_run import KeptRun
from cds_hooks.storage.decision import RecordUnavailable


def test_whoever_asks_while_a_run_goes_on_waits_for_that_run() -> None:
    run, together, may_end = KeptRun[int]("counting", 60.0), Barrier(9), Event()
    runs: list[int] = []
    given: list[int | None] = []

    def work() -> int:
        runs.append(1)
        may_end.wait(60)
        return 7

    def ask() -> None:
        together.wait(60)
        given.append(run.get(work, 60))

    pages = [Thread(target=ask) for _ in range(8)]
    for page in pages:
        page.start()
    together.wait(60)
    assert run.newest is None
    may_end.set()
    for page in pages:
        page.join(60)
    assert (given, runs) == ([7] * 8, [1])
    assert run.get(work, 60) == 7
    assert runs == [1]


def test_what_is_old_is_done_again_and_stays_where_the_record_is_away_or_slow() -> None:
    run, may_end = KeptRun[int]("counting", 0.0), Event()

    def away() -> int:
        raise RecordUnavailable("away")

    def slow() -> int:
        may_end.wait(60)
        return 3

    assert [run.get(lambda: 1, 60), run.get(lambda: 2, 60), run.get(away, 60), run.get(slow, 0.0)] == [1, 2, 2, 2]
    may_end.set()
