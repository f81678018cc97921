"""An option of a class or of a call is written only where it differs from what holds without it.

So a reader knows that a written option means something, and a flag that is turned round by a slip is noticed.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from tests.conftest import ROOT

FLOORS: Final = ("cds_hooks", "cards", "models_onnx", "fhir")
_OF_CLASSES: Final = {
    "array_like": False, "dict": False, "eq": True, "forbid_unknown_fields": False, "frozen": False, "gc": True,
    "kw_only": False, "omit_defaults": False, "order": False, "slots": False, "weakref": False,
}  # fmt: skip
_OF_CALLS: Final[dict[str, dict[str, bool]]] = {
    "AsyncClient": {"follow_redirects": False, "trust_env": True},
    "Client": {"follow_redirects": False, "trust_env": True}, "Argument": {"exists": False, "file_okay": True},
    "Column": {"nullable": True, "primary_key": False, "unique": False},
    "Console": {"stderr": False, "highlight": True, "soft_wrap": False},
    "Environment": {"autoescape": False, "trim_blocks": False, "lstrip_blocks": False},
    "Option": {"exists": False, "file_okay": True, "is_eager": False}, "Progress": {"transient": False},
    "Thread": {"daemon": False},
    "Typer": {"add_completion": True, "no_args_is_help": False, "pretty_exceptions_enable": True},
    "b64decode": {"validate": False}, "connect": {"check_same_thread": True}, "convert": {"strict": True},
    "dataclass": _OF_CLASSES, "defstruct": _OF_CLASSES,
    "dumps": {"ensure_ascii": True, "sort_keys": False, "allow_nan": True}, "echo": {"err": False, "nl": True},
    "field": {"compare": True, "init": True, "kw_only": False, "repr": True}, "gather": {"return_exceptions": False},
    "merge": {"reverse": False}, "mkdir": {"exist_ok": False, "parents": False},
    "parse_qsl": {"keep_blank_values": False}, "popitem": {"last": True}, "render_as_string": {"hide_password": True},
    "run": {"capture_output": False, "text": False}, "shutdown": {"cancel_futures": False},
    "sorted": {"reverse": False}, "unique": {"return_inverse": False, "return_counts": False},
    "unlink": {"missing_ok": False},
}  # fmt: skip
_LENGTHS_DIFFER: Final = {
    "cards/rules/engine/lint.py": 1, "cds_hooks/events/v2/message.py": 2, "fhir/mapping/medications/dosage.py": 1,
    "fhir/mapping/medications/sig_languages.py": 1, "fhir/terminology/medications.py": 1,
    "models_onnx/workbench/compiler/readers/network.py": 1,
}  # fmt: skip
"""Where `zip` ends with the shorter one on purpose."""
_KEPT: Final = {
    ("maintenance/vaccines.py", "dumps", "sort_keys"),
    ("cds_hooks/commands/settings.py", "render_as_string", "hide_password"),
    ("cds_hooks/events/outbox.py", "AsyncClient", "follow_redirects"),
    ("cds_hooks/notice_formats.py", "post", "follow_redirects"),
    ("cds_hooks/security/outbound.py", "AsyncClient", "follow_redirects"),
    ("models_onnx/artifact/release_file.py", "dumps", "ensure_ascii"),
    ("models_onnx/model_card/embed.py", "dumps", "sort_keys"),
    ("models_onnx/workbench/release/documentation.py", "Environment", "autoescape"),
    ("models_onnx/workbench/training/renewing.py", "convert", "strict"),
}
"""Written although it holds anyway: a reader looks for it where secrets, redirects and digests are concerned."""


_DOCSTRING: Final = re.compile(r'""".*?"""', re.DOTALL)
_FLAG: Final = re.compile(r"\b(\w+)(: [\w| \[\]]+)? ?= ?(True|False)\b")
_OWNER: Final = re.compile(r"(?:\b(class|def) )?(\w+)(?:\[[^\]]*\])?$")


class _Flag(NamedTuple):
    """A name that is given True or False: in a call or a class line, or as a default."""

    path: str
    owner: str
    """The function or class that is called; `class` in the line of a class, `attribute` where a class sets one."""
    name: str
    is_default: bool
    value: bool


@cache
def _flags() -> list[_Flag]:
    """Return every flag of the four floors, read from the text: to parse a thousand files takes seconds."""
    return [
        flag
        for floor in FLOORS
        for path in sorted((ROOT / floor).rglob("*.py"))
        for flag in _flags_of(str(path.relative_to(ROOT)), _DOCSTRING.sub("", path.read_text(encoding="utf-8")))
    ]


def _flags_of(path: str, text: str) -> Iterator[_Flag]:
    for match in _FLAG.finditer(text):
        name, annotation, value = match.groups()
        line_start = text.rindex("\n", 0, match.start()) + 1
        bracket = _open_bracket(text, match.start())
        owner = _OWNER.search(text, max(bracket - 200, 0), bracket) if bracket >= 0 else None
        if owner is not None:
            is_default = owner[1] == "def"
            called = _class_before(text, bracket) if owner[2] == "__init__" else owner[2]
            yield _Flag(path, "class" if owner[1] == "class" else called, name, is_default, value == "True")
        elif text[line_start : match.start()] == "    ":
            of_class = annotation is None or "ClassVar" in annotation
            called = "attribute" if of_class else _class_before(text, match.start())
            yield _Flag(path, called, name, annotation is not None, value == "True")


def _open_bracket(text: str, end: int) -> int:
    """Return where the bracket is open that the position stands in; -1 where there is none in the last 3000 signs."""
    depth = 0
    for position in range(end - 1, max(end - 3000, -1), -1):
        sign = text[position]
        if sign in ")]}":
            depth += 1
        elif sign in "([{":
            depth -= 1
            if depth < 0:
                return position if sign == "(" else -1
    return -1


def _class_before(text: str, end: int) -> str:
    *_, last = re.finditer(r"^class (\w+)|\A", text[:end], re.MULTILINE)
    return last[1] or ""


def test_no_class_and_no_call_of_a_library_writes_an_option_that_holds_anyway() -> None:
    given = [flag for flag in _flags() if not flag.is_default]
    assert len(given) > 1500
    assert sum(flag.owner == "class" and flag.name == "frozen" for flag in given) > 600
    needless = [
        flag
        for flag in given
        if (_OF_CLASSES if flag.owner == "class" else _OF_CALLS.get(flag.owner, {})).get(flag.name) is flag.value
        and flag[:3] not in _KEPT
    ]
    assert needless == []


def test_what_is_called_with_a_flag_has_another_default() -> None:
    """A flag of our own functions and classes is given only to change what they do without it."""
    defaults: dict[tuple[str, str], set[bool]] = defaultdict(set)
    for flag in _flags():
        if flag.is_default:
            defaults[flag.owner, flag.name].add(flag.value)
    given = [flag for flag in _flags() if not flag.is_default]
    assert sum((flag.owner, flag.name) in defaults for flag in given) > 150
    assert [flag for flag in given if defaults.get((flag.owner, flag.name)) == {flag.value}] == []


def test_lists_that_are_read_together_are_equally_long_but_where_it_says_so() -> None:
    zipped = [flag for flag in _flags() if (flag.owner, flag.name) == ("zip", "strict")]
    assert len(zipped) > 150
    assert Counter(flag.path for flag in zipped if not flag.value) == _LENGTHS_DIFFER


def test_a_switch_of_a_command_is_off_until_it_is_given_and_no_loop_is_written_that_never_runs() -> None:
    files = [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]
    commands = [path for path in files if path.is_relative_to(ROOT / "cds_hooks/commands")]
    assert len(commands) > 30
    assert [path for path in commands if re.search(r"(: \w+|\]) = True\b", path.read_text(encoding="utf-8"))] == []
    assert [path for path in files if re.search(r"^ *while False:", path.read_text(encoding="utf-8"), re.M)] == []
