"""Files that declare: which of a folder are read, and at which line a fault is said to be."""

from pathlib import Path

import pytest

from models_onnx.declarations import add_features, find_declared
from models_onnx.errors import DeclarationError
from tests.models_onnx.test_declarations import IMPORTS, Plan, package

__all__ = ["package"]

IMPORTED = Plan("d")


pytestmark = pytest.mark.usefixtures("package")


def outside(folder: Path, **texts: str) -> dict[str, Plan]:
    """What files of a folder of one's own declare."""
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(IMPORTS + text)
    return find_declared("plans", "PLAN", Plan, folder=folder)


def refusal(folder: Path, text: str) -> str:
    """What is said of such a file, without its path."""
    with pytest.raises(DeclarationError) as refused:
        outside(folder, own=text)
    return str(refused.value).removeprefix(f"{folder / 'own.py'}, ")


def test_files_with_an_underscore_declare_nothing_and_every_way_to_assign_does(tmp_path: Path) -> None:
    found = outside(
        tmp_path, _shared="raise RuntimeError\n", a="PLAN: Plan = Plan('a')\n", b="PLAN = OTHER = Plan('b')\n",
        c="if True:\n    PLAN = Plan('c1')\nPLAN = Plan('c')\n",
        d="from tests.models_onnx.test_declaring_files import IMPORTED as PLAN\n",
    )  # fmt: skip
    assert list(found) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "line 1: the file declares no PLAN; it must assign a Plan to this name. A program that declares "
         "nothing belongs elsewhere, or is called _own.py; it was not run"),
        ("PLAN = Plan(\n", r"line 2: '(' was never closed: PLAN = Plan("),
        ("raise ValueError('A whole sentence.')\nPLAN = 1\n", "line 2: A whole sentence."),
        ("class Own(ValueError):\n    pass\nraise Own('text')\nPLAN = 1\n", "line 4: Own: text"),
        ("raise SyntaxError('of a text')\nPLAN = 1\n", "line 1: of a text: "),
        ("raise KeyError\nPLAN = 1\n", "line 2: KeyError: "),
        ("def fail():\n    raise OSError('x')\n\nfail()\nPLAN = 1\n", "line 3: OSError: x"),
        ("days = 1\n'days'\nPLAN = Plan('own', days=-1)\n", "line 4: own: -1 days"),
        ("PLAN = Plan(\n    'own',\n    -1,\n)\n# the days: of\n", "line 6: own: -1 days"),
        ("minus = -1\nPLAN = Plan('own', minus)\n", "line 3: own: -1 days"),
        ("PLAN = (Plan('own'), 7)\n", "line 2: PLAN is an int; it must be a Plan"),
        ("PLAN = Plan(7)\n", "line 2: id is 7; it must be a text"),
    ],
)  # fmt: skip
def test_a_fault_of_a_file_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert refusal(tmp_path, text) == said


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "own.py").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DeclarationError, match=r"own\.py, line 1: the file cannot be read: "):
        find_declared("plans", "PLAN", Plan, folder=tmp_path)


def test_a_file_of_features_that_is_wrong_is_a_fault_of_a_declaration(tmp_path: Path) -> None:
    add_features(tmp_path)
    (tmp_path / "features.toml").write_text("[[feature]]\nname = 5\n")
    with pytest.raises(DeclarationError, match=r"features\.toml"):
        add_features(tmp_path)
