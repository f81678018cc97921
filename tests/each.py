"""One test over many cases: all are tried, and the failure names each case that failed."""

import inspect
import json
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings

_Case = TypeVar("_Case")


def for_each(cases: Iterable[tuple[str, tuple[Any, ...]]], test: Callable[..., None]) -> None:
    """Calls the test with the arguments of every case; there is at least one.

    A parametrised test costs 4 milliseconds more for each case, which is more than many cases take. Where a case is
    skipped the others are tried, and the test counts as skipped if none fails.

    Raises:
        ExceptionGroup: The failures, each with the name of its case.
    """
    failures, skipped, tried = [], [], 0
    for name, arguments in cases:
        tried += 1
        try:
            test(*arguments)
        except pytest.skip.Exception as skip:
            skipped.append(skip)
        except Exception as error:
            error.add_note(f"case: {name}")
            failures.append(error)
    assert tried, "there is no case"
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {tried} cases failed", failures)
    if skipped:
        raise skipped[0]


def for_rows(
    names: str | Sequence[str], cases: Iterable[Any] | None = None, ids: Iterable[str] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Makes one test of a function and its rows, written as for `pytest.mark.parametrize`, by `for_each`.

    Without cases they are the rows under the test's name in the JSON file beside it. What else the function asks for
    are fixtures, which all rows share: nothing in a row may change them.
    """
    of_row = tuple(name.strip() for name in names.split(",")) if isinstance(names, str) else tuple(names)

    def over_rows(test: Callable[..., None]) -> Callable[..., None]:
        rows = rows_of(test) if cases is None else cases
        named = [*zip(map(str, ids), rows, strict=True)] if ids is not None else [(None, row) for row in rows]

        def arguments_of(case: Any) -> dict[str, Any]:
            values = case.values if isinstance(case, type(pytest.param())) else (case,) if len(of_row) == 1 else case
            return dict(zip(of_row, values, strict=True))

        @wraps(test)
        def every_row(**shared: Any) -> None:
            cases = ((name or repr(case), (arguments_of(case),)) for name, case in named)
            for_each(cases, lambda row: test(**row, **shared))

        signature = inspect.signature(test)
        assert set(of_row) <= signature.parameters.keys(), of_row
        rest = [parameter for name, parameter in signature.parameters.items() if name not in of_row]
        every_row.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]
        return every_row

    return over_rows


def some_of(cases: Iterable[_Case], every: int) -> list[_Case]:
    """Returns one case of so many in `make test`, and all of them in `make test-slow`.

    The test carries the mark `sampled`, by which `make test-slow` finds it.
    """
    is_quick = settings().max_examples < 100  # the profile `few examples` of conftest.py
    return list(cases)[:: every if is_quick else 1]


def each_row(names: str | Sequence[str], ids: Any = None) -> Callable[[Callable[..., Any]], Any]:
    """Makes a test of each row under the test's name in the JSON file beside it, by `pytest.mark.parametrize`."""
    return lambda test: pytest.mark.parametrize(names, rows_of(test), ids=ids)(test)


def rows_of(test: Callable[..., Any]) -> Any:
    """Returns the rows under the test's name in the JSON file beside its own."""
    text = Path(inspect.getfile(test)).with_suffix(".json").read_text(encoding="utf-8")
    return json.loads(text)[test.__name__.removeprefix("test_")]
