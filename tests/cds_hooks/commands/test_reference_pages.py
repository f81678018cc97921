"""The pages of the documentation that are made from the code: a row of each kind, a type in words, a page alone."""

from enum import Enum
from types import SimpleNamespace
from typing import Any, Literal

import msgspec
import pytest

from cds_hooks.commands import reference, reference_pages
from cds_hooks.commands.removed import REMOVED, removal
from cds_hooks.protocol.hooks import LIBRARY
from tests.program import run_program


class Inner(msgspec.Struct):
    """What is inside."""

    name: str


class Outer2(msgspec.Struct, rename="camel"):
    """What is outside.

    In two paragraphs.
    """

    first_one: int
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()


class _Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (str, "string"),
        (float, "number"),
        (int, "integer"),
        (bool, "boolean"),
        (Any, "any"),
        (Literal["a"], "any"),
        (str | None, "string"),
        (int | float | None, "integer or number"),
        (list[str], "list of string"),
        (tuple[float, ...], "list of number"),
        (dict[str, bool], "object of boolean"),
        (dict[str, list[int]], "object of list of integer"),
        (Inner, "[Inner](#inner)"),
        (Outer2, "[Outer2](#outer)"),
    ],
)
def test_a_type_is_said_in_the_words_of_json(declared: Any, words: str) -> None:
    assert reference_pages._type(declared) == words


def test_a_struct_is_a_heading_a_description_and_a_table() -> None:
    assert reference_pages._struct(Outer2) == (
        "## Outer2\n\nWhat is outside.\n\nIn two paragraphs.\n\n"
        "| member | type | always there |\n|---|---|---|\n"
        "| `firstOne` | integer | yes |\n| `inner` | [Inner](#inner) | no |\n"
        "| `many` | list of [Inner](#inner) | no |\n"
    )


def _parameter(**changes: Any) -> Any:
    members = {
        "name": "of_what", "metavar": None, "param_type_name": "option", "opts": ["--of-what", "-o"],
        "help": "a|b <c> *", "required": False, "multiple": False, "default": None, "hidden": False,
    }  # fmt: skip
    return SimpleNamespace(**(members | changes))


@pytest.mark.parametrize(
    ("changes", "row"),
    [
        ({}, "| `--of-what, -o` | a\\|b \\<c> \\* |  |"),
        ({"param_type_name": "argument"}, "| `OF_WHAT` | a\\|b \\<c> \\* |  |"),
        ({"param_type_name": "argument", "metavar": "[FILE]"}, "| `[FILE]` | a\\|b \\<c> \\* |  |"),
        ({"metavar": "FILE", "help": None}, "| `--of-what, -o` |  |  |"),
    ],
)
def test_an_argument_and_an_option_are_rows(changes: dict[str, Any], row: str) -> None:
    assert reference_pages._parameter(_parameter(**changes)) == row


@pytest.mark.parametrize(
    ("changes", "cell"),
    [
        ({"required": True, "multiple": True, "default": 3}, "must be given"),
        ({"multiple": True, "default": 3}, "repeat"),
        ({"default": 0}, "`0`"),
        ({"default": 3}, "`3`"),
        ({"default": True}, "`True`"),
        ({"default": False}, ""),
        ({"default": ""}, ""),
        ({"default": list}, ""),
        ({"default": "/var/x"}, ""),
        ({"default": "var/x"}, "`var/x`"),
        ({"default": _Colour.RED}, "`red`"),
    ],
)
def test_the_default_is_shown_where_it_is_one_for_everybody(changes: dict[str, Any], cell: str) -> None:
    assert reference_pages._unless_given(_parameter(**changes)) == cell


TABLE = "| argument or option | what it is | unless given |\n|---|---|---|\n"


@pytest.mark.parametrize(
    ("told", "parameters", "section"),
    [
        (None, [], "## a b\n\n\n\n"),
        ("Does *it*.", [], "## a b\n\nDoes \\*it\\*.\n\n"),
        ("Does it.\n\n    Example: cds-hooks a b\n    --of-what", [_parameter(help="x"), _parameter(hidden=True)],
         f"## a b\n\nDoes it.\n\n```text\ncds-hooks a b\n--of-what\n```\n\n{TABLE}| `--of-what, -o` | x |  |\n"),
    ],
)  # fmt: skip
def test_a_command_is_a_section(told: str | None, parameters: list[Any], section: str) -> None:
    command = SimpleNamespace(help=told, params=parameters)
    assert reference_pages._command(("a", "b"), command) == section


def test_the_commands_of_a_group_are_named_with_the_words_that_are_typed() -> None:
    leaf, other = SimpleNamespace(), SimpleNamespace()
    inner = SimpleNamespace(list_commands=lambda _: ["x"], get_command=lambda _, __: leaf)
    group = SimpleNamespace(
        list_commands=lambda _: ["a", "b"], get_command=lambda _, name: {"a": inner, "b": other}[name]
    )
    assert list(reference_pages.leaves(("do",), group)) == [(("do", "a", "x"), leaf), (("do", "b"), other)]


@pytest.mark.parametrize(
    ("more", "needs"),
    [({}, ""), ({"usageRequirements": ""}, ""), ({"usageRequirements": "Only for adults."}, "\nOnly for adults.\n")],
)
def test_a_service_is_a_section_without_the_codes_of_its_queries(more: dict[str, str], needs: str) -> None:
    query = "Observation?patient={{context.patientId}}&code=http://loinc.org|1,http://loinc.org|2&_count=5"
    entry = {
        "id": "s", "title": "A title", "hook": "patient-view", "description": "What it does.",
        "prefetch": {"patient": "Patient/{{context.patientId}}", "labs": query}, **more,
    }  # fmt: skip
    assert reference_pages._service(entry) == (
        f"## s\n\nA title. Called at `patient-view`.\n\nWhat it does.\n{needs}\n```text\n"
        "patient: Patient/{{context.patientId}}\n"
        "labs: Observation?patient={{context.patientId}}&code=…&_count=5\n```\n"
    )


def test_the_context_of_a_hook_is_divided_into_what_is_required_and_what_is_not() -> None:
    row = "| patient-view | {} | `patientId`, `userId` | `encounterId` |"
    assert row.format(LIBRARY["patient-view"].version) in reference_pages.hooks_page().splitlines()


def test_a_page_is_printed_alone_and_another_name_is_told_those_there_are() -> None:
    done = run_program("reference", "settings")
    assert (done.returncode, done.stdout, done.stderr) == (0, reference.settings_page(), "")
    assert done.stdout.startswith("# Settings\n")
    done = run_program("reference", "nothing")
    there = "There is no page nothing; there are features, settings, cli, hooks, extension.\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", there)
    done = run_program("reference", "--docs", "nowhere")
    other = "nowhere is not the folder of the documentation: it has no contents.toml.\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", other)


def test_a_default_of_a_setting_is_shown_without_a_path_of_this_machine() -> None:
    from pathlib import Path

    values = (None, 3, False, Path("var/x"), Path("/somewhere/shared/data"))
    shown = ["not set", "`3`", "`False`", "`var/x`", "`../shared/data`"]
    assert [reference._default(value) for value in values] == shown


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (["audit"], "audit"),
        (["audit", "x"], "audit"),
        (["audit", "key", "x"], "audit key"),
        (["vaccines", "check"], "vaccines check"),
        (["model", "vaccines"], None),
        (["knowledge", "genes", "import"], None),
        (["model", "audit", "key"], None),
        (["run"], None),
        ([], None),
    ],
)
def test_a_removed_command_is_known_by_its_first_words(words: list[str], typed: str | None) -> None:
    sentence = f"cds-hooks {typed} is no command any more: use {REMOVED[typed]}." if typed is not None else None
    assert removal(words) == sentence
