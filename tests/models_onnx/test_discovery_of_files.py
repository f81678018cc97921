"""Files that declare: which of a folder are read, at which line a fault is said to be, and how a value is named."""

from pathlib import Path
from typing import Any

import pytest

from models_onnx.discovery import DeclaringFile, add_features, declarations, discover, refuse_wrong_types
from models_onnx.errors import DeclarationError
from tests.models_onnx.test_discovery import IMPORTS, Part, Plan, Schedule, package

__all__ = ["package"]

IMPORTED = Plan("d")


pytestmark = pytest.mark.usefixtures("package")


def outside(folder: Path, **texts: str) -> dict[str, Plan]:
    """What files of a folder of one's own declare."""
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(IMPORTS + text)
    return discover("plans", "PLAN", Plan, folder=folder)


def refusal(folder: Path, text: str) -> str:
    """What is said of such a file, without its path."""
    with pytest.raises(DeclarationError) as refused:
        outside(folder, own=text)
    return str(refused.value).removeprefix(f"{folder / 'own.py'}, ")


def test_files_with_an_underscore_declare_nothing_and_every_way_to_assign_does(tmp_path: Path) -> None:
    found = outside(
        tmp_path, _shared="raise RuntimeError\n", a="PLAN: Plan = Plan('a')\n", b="PLAN = OTHER = Plan('b')\n",
        c="if True:\n    PLAN = Plan('c1')\nPLAN = Plan('c')\n",
        d="from tests.models_onnx.test_discovery_of_files import IMPORTED as PLAN\n",
    )  # fmt: skip
    assert list(found) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "line 1: the file declares no PLAN; it must assign a Plan to this name. A program that declares "
         "nothing belongs elsewhere, or is called _own.py; it was not run"),
        ("def PLAN():\n    pass\n", "line 1: the file declares no PLAN; it must assign a Plan to this name. A program "
         "that declares nothing belongs elsewhere, or is called _own.py; it was not run"),
        ("PLAN = Plan(\n", r"line 2: '(' was never closed: PLAN = Plan("),
        ("raise ValueError('A whole sentence.')\nPLAN = 1\n", "line 2: A whole sentence."),
        ("class Own(ValueError):\n    pass\nraise Own('text')\nPLAN = 1\n", "line 4: Own: text"),
        ("raise KeyError\nPLAN = 1\n", "line 2: KeyError: "),
        ("def fail():\n    raise OSError('x')\n\nfail()\nPLAN = 1\n", "line 3: OSError: x"),
        ("days = 1\n'days'\nPLAN = Plan('own', days=-1)\n", "line 4: own: -1 days"),
        ("PLAN = Plan(\n    'own',\n    -1,\n)\n# the days: of\n", "line 6: own: -1 days"),
        ("minus = -1\nPLAN = Plan('own', minus)\n", "line 3: own: -1 days"),
        ("PLAN = (Plan('own'), 7)\n", "line 2: PLAN is an int; it must be a Plan"),
        ("PLAN = Plan(7)\n", "line 1: id is 7; it must be a text"),
    ],
)  # fmt: skip
def test_a_fault_of_a_file_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert refusal(tmp_path, text) == said


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "own.py").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DeclarationError, match=r"own\.py, line 1: the file cannot be read: "):
        discover("plans", "PLAN", Plan, folder=tmp_path)


def test_a_fault_with_a_file_of_its_own_keeps_it(tmp_path: Path) -> None:
    text = "from models_onnx.errors import DeclarationError\nraise DeclarationError('wrong', 'x').at('other.toml', 7)\n"
    with pytest.raises(DeclarationError) as refused:
        outside(tmp_path, own=f"{text}PLAN = 1\n")
    assert str(refused.value) == "other.toml, line 7: wrong"


def test_a_declaration_has_its_file_and_its_module(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(f"{IMPORTS}PLAN = Plan('own')\nTWIN = 3\n")
    (found,) = declarations("plans", "PLAN", Plan, folder=tmp_path)
    assert found.file == DeclaringFile("own", tmp_path / "own.py", str(tmp_path / "own.py"), False)
    assert (found.value, vars(found.module)["TWIN"], found.file.stem) == (Plan("own"), 3, "own")


def test_an_id_that_is_not_the_name_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("a = 1\nb = 'other'\n")
    file = DeclaringFile("own", tmp_path / "own.py", "own.py", False)
    file.refuse_other_name("PLAN", "own")
    with pytest.raises(DeclarationError) as refused:
        file.refuse_other_name("PLAN", "other")
    assert str(refused.value) == (
        "own.py, line 2: PLAN has the id 'other', but the file is called own.py; give both the same name"
    )


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"days": "x" * 58}, f"days is '{'x' * 58}'; it must be a tuple, each entry a text; a tuple of one entry is "
         f"written with a comma, ('{'x' * 58}',)"),
        ({"days": "x" * 59}, f"days is '{'x' * 58}…; it must be a tuple, each entry a text; a tuple of one entry is "
         f"written with a comma, ('{'x' * 58}…,)"),
        ({"days": None}, "days is None; it must be a tuple, each entry a text"),
        ({"days": 5}, "days is 5; it must be a tuple, each entry a text; a tuple of one entry is written with a comma, "
         "(5,)"),
        ({"days": ("a", 5)}, "days is ('a', 5); it must be a tuple, each entry a text"),
        ({"count": None}, "count is None; it must be a whole number"),
        ({"pair": (1, "a", 2)}, "pair is (1, 'a', 2); it must be a tuple"),
        ({"pair": ("a", 1)}, "pair is ('a', 1); it must be a tuple"),
        ({"named": None}, "named is None; it must be a Mapping"),
        ({"parts": (Part("walk", "1"),)}, "share is '1'; it must be a number or None"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_a_member_of_another_type_is_said_in_a_sentence(members: dict[str, Any], said: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        refuse_wrong_types(Schedule(**{"id": "a", "days": ("monday",), **members}))
    assert str(refused.value) == said


def test_whole_numbers_and_none_fit_where_they_may_stand() -> None:
    refuse_wrong_types(Schedule("a", (), parts=(Part("walk", None), Part("swim", 2)), count=True, run=None))


def test_a_file_of_features_that_is_wrong_is_a_fault_of_a_declaration(tmp_path: Path) -> None:
    add_features(tmp_path)
    (tmp_path / "features.toml").write_text("[[feature]]\nname = 5\n")
    with pytest.raises(DeclarationError, match=r"features\.toml"):
        add_features(tmp_path)
