"""A plugin of pytest that runs the tests of every part on the parts of packages from outside.

    python -m pytest -p cds_hooks.package_tests.plugin --package st-marys-cds

Where it is named in the `addopts` of the package's own pyproject.toml, `pytest` alone runs them beside its own tests.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cds_hooks.hold_back.checks import SiteCheck
from cds_hooks.package_tests.contracts import SAMPLE_NAMES
from cds_hooks.packages import use_packages
from cds_hooks.pages.doors import Door, all_doors
from cds_hooks.services import find_services
from models_onnx.declarations import declarations_of_packages, ids_of_packages

if TYPE_CHECKING:
    import pytest

_TESTS: Final = Path(__file__).with_name("contracts.py")


def pytest_addoption(parser: "pytest.Parser") -> None:
    """Take the names of the packages."""
    parser.addoption("--package", action="append", default=[], help="Test the parts of this package (cds-hooks).")


def pytest_configure(config: "pytest.Config") -> None:
    """Load the packages as a server does, and add the tests of their parts."""
    names = config.getoption("--package")
    if names:
        use_packages(names)
        config.args.append(str(_TESTS))


def pytest_generate_tests(metafunc: "pytest.Metafunc") -> None:
    """Give each test of this package the parts of the packages from outside."""
    parametrize(metafunc, parts_of_packages())


def parts_of_packages() -> dict[str, list[Any]]:
    """Return the parts of the packages by the argument of a test that is given them."""
    services = ids_of_packages("cds_hooks.services")
    checks = declarations_of_packages("cds_hooks.hold_back", SiteCheck)
    return {
        "service": services,
        "service,hook": [(name, hook) for name in services for hook in find_services()[name].hooks],
        "dialect": ids_of_packages("cds_hooks.dialects"),
        "feature": ids_of_packages("fhir.mapping.features"),
        "equation": ids_of_packages("models_onnx.equations.published"),
        "site_check": [declaration.value for declaration in checks],
        "door": [door for door in all_doors() if door.package],
    }


def parametrize(metafunc: "pytest.Metafunc", parts: dict[str, list[Any]]) -> None:
    """Give a test of this package the parts that its arguments name; without a part it is skipped."""
    if metafunc.function.__code__.co_filename != str(_TESTS):
        return
    names = set(metafunc.fixturenames)
    if "sample" in names:
        metafunc.parametrize("sample", SAMPLE_NAMES)
    key = "service,hook" if {"service", "hook"} <= names else next((name for name in parts if name in names), None)
    if key is not None:
        metafunc.parametrize(key, parts[key], ids=[_words(part) for part in parts[key]])


def _words(part: Any) -> str:
    match part:
        case str():
            return part
        case tuple():
            return "-".join(part)
        case Door():
            return part.path
        case SiteCheck():
            return part.title
    return repr(part)
