"""Discovery: what modules declare is found, and whatever is wrong is said with file, line and what was expected."""

import doctest
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest
from msgspec import Struct

from cards.rules.language.rule import RuleError
from models_onnx.artifact import manifest
from models_onnx.declarations import declaring_files, find_declared, refuse_wrong_types
from models_onnx.equations import arithmetic
from models_onnx.errors import DeclarationError, ManifestRefused
from models_onnx.workbench import metrics
from models_onnx.workbench.training.fitting import additive
from tests.each import for_rows

IMPORTS = "from tests.models_onnx.test_declarations import Plan\n"


@dataclass(frozen=True)
class Plan:
    """What the modules of these tests declare."""

    id: str
    days: int = 1

    def __post_init__(self) -> None:
        refuse_wrong_types(self)
        if self.days < 0:
            raise DeclarationError(f"{self.id}: {self.days} days", "days")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty package `plans`."""
    folder = tmp_path / "plans"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "plans"]:
        del sys.modules[name]


def found(**options: bool) -> dict[str, Plan]:
    return find_declared("plans", "PLAN", Plan, **options)  # type: ignore[arg-type]


def test_every_module_is_found_in_the_order_of_the_files(package: Path) -> None:
    for name in ("second", "first"):
        (package / f"{name}.py").write_text(f"{IMPORTS}PLAN = Plan({name!r})\n")
    (package / "_shared.py").write_text("raise RuntimeError\n")
    assert list(found(named_after_file=True)) == ["first", "second"]


def test_a_program_beside_the_declarations_is_refused_and_never_run(package: Path, tmp_path: Path) -> None:
    (package / "inside.py").write_text(f"{IMPORTS}PLAN = Plan('inside')\n")
    (tmp_path / "notebook.py").write_text("from pathlib import Path\nPath(__file__).with_suffix('.ran').touch()\n")
    with pytest.raises(DeclarationError, match=r"declares no PLAN.* is called _notebook\.py; it was not run$"):
        find_declared("plans", "PLAN", Plan, folder=tmp_path)
    assert not (tmp_path / "notebook.ran").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"^plans/bad\.py, line 1: the file declares no PLAN; it must assign a Plan to this name$"),
        ("\nPLAN = 3\n", r"^plans/bad\.py, line 3: PLAN is an int; it must be a Plan$"),
        (
            "PLAN = Plan(\n    'good',\n)\n",
            r"^plans/bad\.py, line 3: PLAN has the id 'good', but the file is called bad",
        ),
        ("PLAN = Plan(\n", r"^plans/bad\.py, line 2: '\(' was never closed: PLAN = Plan\($"),
        ("import plans.nothing\n", r"^plans/bad\.py, line 2: ModuleNotFoundError: No module named 'plans\.nothing'$"),
        ("import sys\nsys.exit(0)\nPLAN = Plan('bad')\n", r"^plans/bad\.py, line 3: SystemExit: 0$"),
        ("\nPLAN = Plan(*{}['x'])\n", r"^plans/bad\.py, line 3: KeyError: 'x'$"),
        ("PLAN = Plan(\n    'bad',\n    # why\n    'days' and -1,\n)\n", r"^plans/bad\.py, line 5: bad: -1 days$"),
    ],
    ids=["nothing", "another-kind", "another-name", "syntax", "import", "exit", "exception", "contradiction"],
)
def test_what_is_wrong_is_said_with_file_and_line(package: Path, text: str, said: str) -> None:
    (package / "bad.py").write_text(IMPORTS + text)
    with pytest.raises(DeclarationError, match=said):
        found(named_after_file=True)


def test_an_id_that_is_taken_names_both_files(package: Path) -> None:
    for name in ("one", "two"):
        (package / f"{name}.py").write_text(f"{IMPORTS}PLAN = Plan('same')\n")
    with pytest.raises(
        DeclarationError, match=r"^plans/two\.py, line 2: the id 'same' is already that of plans/one\.py$"
    ):
        found()


def test_a_model_that_must_not_be_served_stays_the_error_it_is(package: Path) -> None:
    (package / "bad.py").write_text("from models_onnx.errors import ManifestRefused\nraise ManifestRefused('no')\n")
    with pytest.raises(ManifestRefused):
        found()


def test_only_discovery_looks_for_modules() -> None:
    root = Path(__file__).parents[2]
    looking = [
        str(path.relative_to(root))
        for floor in ("cds_hooks", "cards", "models_onnx", "fhir")
        for path in sorted((root / floor).rglob("*.py"))
        if any(word in path.read_text(encoding="utf-8") for word in ("iter_modules", "walk_packages"))
    ]
    # fhir is below models_onnx and cannot import it, and the kit is installed without it: both look for their own.
    apart = {"cds_hooks/kit/contract/registry.py", "fhir/mapping/features/catalog.py"}
    assert set(looking) - apart == {"models_onnx/declarations.py"}


def test_the_files_of_a_package_can_be_loaded_one_by_one(package: Path) -> None:
    (package / "one.py").write_text("STEPS = 3\n")
    (file,) = declaring_files("plans")
    assert vars(file.load())["STEPS"] == 3


@dataclass(frozen=True)
class Part:
    """What a Schedule holds."""

    kind: Literal["walk", "swim"]
    share: float | None = None


class Clock(Struct, frozen=True):
    hour: int


@dataclass(frozen=True)
class Schedule:
    """A declaration with members of every type that the check knows."""

    id: str
    days: tuple[str, ...]
    parts: tuple[Part, ...] = ()
    count: int = 1
    run: Callable[[], None] | None = None
    named: Mapping[str, int] = field(default_factory=dict)
    apart: frozenset[str] = frozenset()
    pair: tuple[int, str] = (1, "")
    clock: Clock | None = None


def _made(**members: Any) -> Schedule:
    return Schedule(**{"id": "a", "days": ("monday",), **members})


def test_members_of_the_declared_types_are_taken() -> None:
    parts = (Part("walk"), Part("swim", 1))
    refuse_wrong_types(
        _made(clock=Clock(8), parts=parts, run=print, named={"a": 1}, apart=frozenset({"b"}), pair=(2, "c"))
    )


def test_whole_numbers_and_none_fit_where_they_may_stand() -> None:
    refuse_wrong_types(Schedule("a", (), parts=(Part("walk", None), Part("swim", 2)), count=True, run=None))


def test_of_packages_only_their_inner_module_declares(package: Path) -> None:
    """One without it declares nothing, and neither do a folder without code and a module beside them."""
    for name, inner in (("first", "inner.py"), ("second", "other.py"), ("third", "inner/data.txt")):
        (package / name / inner).parent.mkdir(parents=True)
        (package / name / "__init__.py").write_text("")
        (package / name / inner).write_text(f"{IMPORTS}PLAN = Plan({name!r})\n")
    (package / "module.py").write_text(f"{IMPORTS}PLAN = Plan('module')\n")
    assert list(find_declared("plans", "PLAN", Plan, inner="inner")) == ["first"]
    assert list(found()) == ["module"]


@for_rows(
    ("member", "about"),
    [
        ({"days": "monday"}, "days"),
        ({"parts": (Part("run"),)}, "run"),  # type: ignore[arg-type]
        ({"parts": (Clock(8),)}, "parts"),
        ({"clock": Part("walk")}, "clock"),
        ({"pair": (1,)}, "pair"),
        ({"pair": (1, "c", "d")}, "pair"),
    ],
)
def test_the_line_of_a_wrong_type_is_that_of_its_name_or_of_the_word(member: dict[str, Any], about: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        refuse_wrong_types(_made(**member))
    assert refused.value.about == about


def test_a_wrong_type_is_said_with_file_and_line(package: Path) -> None:
    (package / "wrong.py").write_text(f"{IMPORTS}PLAN = Plan(\n    'a',\n    days={'x' * 58!r},\n)\n")
    with pytest.raises(
        DeclarationError, match=r"^plans/wrong\.py, line 4: days is 'x{58}'; it must be a whole number$"
    ):
        found()


def test_an_error_that_names_another_file_is_not_blamed_on_the_module(package: Path) -> None:
    """As a wrong row of a site's limits.csv, which a family reads when it is imported."""
    text = "from cards.rules.language.rule import RuleError\nraise RuleError('limits.csv, line 2: no number')\n"
    (package / "family.py").write_text(text)
    with pytest.raises(RuleError, match=r"^limits\.csv, line 2: no number$"):
        found()


# The examples in the docstrings are true.
@for_rows("module", [arithmetic, additive, manifest, metrics])
def test_examples_in_docstrings_run(module: ModuleType) -> None:
    told = doctest.testmod(module)
    assert told.attempted
    assert not told.failed
