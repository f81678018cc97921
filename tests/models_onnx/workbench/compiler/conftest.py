"""One thread for whatever is fitted here: the machine has two cores, and threads that wait cost more than they do."""

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn, has no types


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """For every test of the compiler."""
    with threadpool_limits(limits=1):
        yield
