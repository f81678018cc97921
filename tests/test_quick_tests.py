"""The quick tests run where requirements/slow.in was never installed."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT, _needs_slow_libraries


def imported_files(path: Path) -> list[Path]:
    """The files of tests that this file imports."""
    modules = [node.module for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
    files = [ROOT.joinpath(*module.split(".")).with_suffix(".py") for module in modules if module]
    return [file for file in files if file.is_relative_to(ROOT / "tests") and file.is_file()]


@pytest.mark.slow
def test_no_quick_test_imports_a_file_that_needs_what_only_the_slow_tests_install() -> None:
    files = [path for path in ROOT.glob("tests/**/*.py") if not path.is_relative_to(ROOT / "tests" / "browser")]
    quick = [path for path in files if not _needs_slow_libraries(path)]
    assert len(quick) > 500
    slow = {
        f"{path.relative_to(ROOT)} imports {file.relative_to(ROOT)}"
        for path in quick
        for file in imported_files(path)
        if _needs_slow_libraries(file)
    }
    assert not slow, "move what is shared into a file without the library"
