"""Several workers count together, and nothing that was counted is lost when one of them ends."""

import asyncio
import resource
from pathlib import Path

import httpx
import pytest

from cds_hooks.telemetry.metrics import Metrics, MetricsFolder
from tests.live import serving
from tests.waiting import until

CALLS = 40


def _counted(page: str, start: str) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(start))


async def test_a_page_adds_up_what_others_wrote(tmp_path: Path) -> None:
    other, mine = Metrics(), Metrics()
    for metrics, calls in ((other, 3), (mine, 2)):
        for _ in range(calls):
            metrics.answered("some-service", "patient-view", [], [], {"decode": 0.001}, {})
            metrics.prefetched("ehr", "some-service", "patient=given", 0.2)
    writing = asyncio.create_task(MetricsFolder(other, tmp_path).keep_writing())
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    (written,) = tmp_path.glob("*.json")
    written.rename(tmp_path / "1.json")  # as if another process had written it
    folder = MetricsFolder(mine, tmp_path)
    page = folder.page().decode()
    assert _counted(page, "cds_requests_total{") == 5
    assert _counted(page, "cds_stage_seconds_count{") == 5
    assert _counted(page, "cds_fetch_seconds_sum{") == 1.0
    assert _counted(page, 'cds_prefetch_total{client="ehr"') == 5


async def test_a_worker_tells_its_own_failures_where_no_file_can_grow(tmp_path: Path) -> None:
    metrics = Metrics()
    folder = MetricsFolder(metrics, tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        metrics.refused("some-service", 503, "RecordFailed")
        writing = asyncio.create_task(folder.keep_writing())
        await asyncio.sleep(0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        page = folder.page().decode()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert _counted(page, 'cds_store_failures_total{store="record"}') == 1
    assert _counted(page, "cds_work_failures_total") == 2


@pytest.mark.slow
def test_two_real_workers_show_the_calls_of_both(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2") as address:
        for _ in range(CALLS):  # each with a connection of its own, which either worker may take
            assert httpx.post(f"{address}/cds-services/order-safety", json={}).status_code == 400
        until(lambda: _counted(httpx.get(f"{address}/metrics").text, "cds_requests_total{") == CALLS)
