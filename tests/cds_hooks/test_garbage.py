"""A call leaves nothing behind that only the garbage collector can take away: a chart is gone when its call is."""

import gc
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from benchmarks.bodies import build_body
from benchmarks.charts import Patient, load_patients
from benchmarks.connection import ChangingRequest
from benchmarks.in_process import InProcess, service_in_process
from benchmarks.subject import WrongAnswer, discover
from cds_hooks.settings import settings
from cds_hooks.simulator.chart import ChartError


@pytest.fixture(autouse=True)
def heap_of_earlier_tests() -> Iterator[None]:
    """Not walked again for each call: other tests of this process may have left a gigabyte."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def samples() -> list[Patient]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CDS_DATA_DIR", "/nowhere")
        settings.cache_clear()
        found = [patient for patient in load_patients(datetime.now(UTC)) if patient.is_sample]
    settings.cache_clear()
    return found


def test_no_call_of_any_service_about_any_sample_leaves_garbage(samples: list[Patient]) -> None:
    with service_in_process() as service:
        for entry in discover(service.call_json):
            for patient in samples:
                try:
                    request = ChangingRequest(build_body(entry, patient))
                    left = _left_by(service, f"/cds-services/{entry['id']}", request)
                except (ChartError, WrongAnswer):
                    continue  # the hook needs what this chart does not have
                assert not left, f"{entry['id']} about {patient.origin} leaves {left}"


def _left_by(service: InProcess, path: str, request: ChangingRequest) -> Counter[str]:
    """The names of what a second call leaves in circles."""
    service.call("POST", path, request.next())
    gc.collect()
    gc.freeze()  # what is there already is not walked again
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        service.call("POST", path, request.next())
        gc.collect()
        return Counter(getattr(one, "__qualname__", type(one).__name__) for one in gc.garbage)
    finally:
        gc.garbage.clear()
        gc.set_debug(0)
        gc.enable()
