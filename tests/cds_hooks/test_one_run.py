"""However many ask at once, one run goes on, and all of them can wait for it."""

from threading import Barrier, Event, Thread

from cds_hooks.one_run import OneRun


def test_whoever_asks_while_a_run_goes_on_waits_for_that_run() -> None:
    run, together, begun, may_end = OneRun("counting"), Barrier(8), Barrier(9), Event()
    runs: list[int] = []
    waited_for: list[Thread] = []

    def work() -> None:
        runs.append(1)
        may_end.wait(60)

    def ask() -> None:
        together.wait(60)
        waited_for.append(run.begin(work))
        begun.wait(60)

    pages = [Thread(target=ask) for _ in range(8)]
    for page in pages:
        page.start()
    begun.wait(60)
    may_end.set()
    for page in pages:
        page.join(60)
    assert len(set(waited_for)) == len(runs) == 1
    assert waited_for[0].name == "counting"


def test_a_run_that_has_ended_is_begun_again() -> None:
    run = OneRun("counting")
    runs: list[int] = []
    for _ in range(2):
        run.begin(lambda: runs.append(1)).join(60)
    assert runs == [1, 1]
