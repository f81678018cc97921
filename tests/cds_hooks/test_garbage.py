"""A call leaves nothing behind that only the garbage collector can take away: a chart is gone when its call is."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from benchmarks.bodies import build_body
from benchmarks.charts import Patient, load_patients
from benchmarks.connection import ChangingRequest
from benchmarks.in_process import InProcess, service_in_process
from benchmarks.subject import WrongAnswer, discover
from cds_hooks.kit.simulator.chart import ChartError
from cds_hooks.settings import settings


@pytest.fixture(autouse=True, scope="module")
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
        found = list(load_patients(datetime.now(UTC)))
    settings.cache_clear()
    return found


@pytest.fixture(scope="module")
def service() -> Iterator[InProcess]:
    with service_in_process() as started:
        yield started


@pytest.mark.slow
def test_no_call_of_any_service_about_any_sample_leaves_garbage(samples: list[Patient], service: InProcess) -> None:
    for entry in discover(service.call_json):
        for patient in samples:
            try:
                request = ChangingRequest(build_body(entry, patient))
                left = _left_by(service, f"/cds-services/{entry['id']}", request)
            except (ChartError, WrongAnswer):
                continue  # the hook needs what this chart does not have
            assert not left, f"{entry['id']} about {patient.sample} leaves {left}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "broken"),
    [
        pytest.param(400, lambda body: body[:-1], id="no JSON"),
        pytest.param(400, lambda body: body.replace(b'"hook"', b'"crook"'), id="no hook"),
        pytest.param(400, lambda body: body.replace(b'"patientId"', b'"personId"'), id="no patient named"),
        pytest.param(400, lambda body: body + b"\xff", id="no UTF-8"),
        pytest.param(412, lambda body: body.replace(b'"prefetch"', b'"postfetch"'), id="no prefetch"),
    ],
)
def test_no_refused_call_leaves_garbage(
    samples: list[Patient], service: InProcess, status: int, broken: Callable[[bytes], bytes]
) -> None:
    """The collector looks seldom (`settle_memory`): what a refused call left would keep its body for long."""
    entry = next(each for each in discover(service.call_json) if each["id"] == "liver-assessment")
    request = ChangingRequest(broken(build_body(entry, samples[0])))
    assert not _left_by(service, f"/cds-services/{entry['id']}", request, status)


def _left_by(service: InProcess, path: str, request: ChangingRequest, status: int = 200) -> Counter[str]:
    """The names of what a second call leaves in circles."""
    service.call("POST", path, request.next(), status)
    gc.collect()
    gc.freeze()  # what is there already is not walked again
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        service.call("POST", path, request.next(), status)
        gc.collect()
        return Counter(getattr(one, "__qualname__", type(one).__name__) for one in gc.garbage)
    finally:
        gc.garbage.clear()
        gc.set_debug(0)
        gc.enable()
