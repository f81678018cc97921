"""Renders a template without a server: each value is its own name, and each condition is answered both ways.

`{{ row.name | number }}` becomes ⟨row.name|number⟩, a loop runs over two rows, and every `if` is first true, then false
while all others stay as they were. What differs is what the condition decides.
"""

import re
import sys
from collections.abc import Callable, Iterator
from difflib import unified_diff
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, nodes
from jinja2.runtime import Context, Macro
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer

from tests.conftest import ROOT

FOLDERS: Final = ("cds_hooks/web/templates", "cds_hooks/pages", "models_onnx/templates", "maintenance")
_ROWS: Final = 2
_LONGEST: Final = 120
_SHOWN: Final = 3


class Answers:
    """How conditions are answered in one rendering: all alike, but for one."""

    def __init__(self) -> None:
        self.usual = True
        self.other = ""
        self.asked: dict[str, None] = {}

    def of(self, condition: str) -> bool:
        """Return the answer to a condition, which is remembered as asked."""
        self.asked.setdefault(condition)
        return self.usual is not (condition == self.other)


_ANSWERS: Final = Answers()


def _compared(sign: str) -> Callable[[Any, object], Any]:
    return lambda symbol, other: Symbol(f"{symbol._name} {sign} {_named(other)}")


class Symbol:
    """A value of which only the name is known."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __str__(self) -> str:
        return f"⟨{self._name}⟩"

    __html__ = __str__
    __repr__ = __str__

    def __format__(self, form: str) -> str:
        return f"⟨{self._name}:{form}⟩" if form else str(self)

    def __getattr__(self, name: str) -> "Symbol":
        if name.startswith("__") or name == "jinja_pass_arg":
            raise AttributeError(name)
        return Symbol(f"{self._name}.{name}")

    def __getitem__(self, key: object) -> "Symbol":
        return Symbol(f"{self._name}[{_named(key)}]")

    def __call__(self, *arguments: object, **named: object) -> "Symbol":
        return Symbol(f"{self._name}({_arguments(arguments, named)})")

    def __bool__(self) -> bool:
        return _ANSWERS.of(self._name)

    def __iter__(self) -> Iterator["Symbol"]:
        return (Symbol(f"{self._name}#{number}") for number in range(_ROWS))

    def __len__(self) -> int:
        return _ROWS

    def __index__(self) -> int:
        return _ROWS

    def __contains__(self, member: object) -> bool:
        return _ANSWERS.of(f"{_named(member)} in {self._name}")

    def __hash__(self) -> int:
        return hash(self._name)

    __eq__, __ne__ = _compared("=="), _compared("!=")
    __lt__, __le__, __gt__, __ge__ = map(_compared, ("<", "<=", ">", ">="))
    __add__, __sub__, __mul__, __truediv__, __mod__, __floordiv__ = map(_compared, ("+", "-", "*", "/", "%", "//"))
    __radd__, __rsub__, __rmul__, __rtruediv__ = map(_compared, ("+ of", "- of", "* of", "/ of"))


def _named(value: object) -> str:
    if isinstance(value, Symbol):
        return str(value._name)
    return f"[{', '.join(map(_named, value))}]" if isinstance(value, list | tuple) else repr(value)


def _arguments(arguments: tuple[object, ...], named: dict[str, object]) -> str:
    return ", ".join([*map(_named, arguments), *(f"{name}={_named(value)}" for name, value in named.items())])


_SIMPLE: Final = (str, int, float, bool, type(None))


class _Symbolic(dict[str, Any]):
    """Filters or tests: of a symbol each is a symbol with its name; of a real value that of Jinja."""

    def __init__(self, real: dict[str, Any], sign: str) -> None:
        super().__init__(real)
        self._sign = sign

    def get(self, name: str, _default: Any = None) -> Any:
        """Return the filter or test of any name."""
        return self[name]

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: str) -> Any:
        real = super().get(name)
        if name in ("rows_of", "parts_of"):
            return real

        def apply(value: Any, *arguments: Any, **named: Any) -> Any:
            takes_values = callable(real) and not hasattr(real, "jinja_pass_arg")
            if (
                callable(real)
                and takes_values
                and all(isinstance(given, _SIMPLE) for given in (value, *arguments, *named.values()))
            ):
                return real(value, *arguments, **named)
            return Symbol(f"{_named(value)}{self._sign}{name}({_arguments(arguments, named)})".replace("()", ""))

        return apply


class _Rows(NodeTransformer):
    """Loops over pairs get pairs; a page is rendered without the frame that all pages share."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - named by Jinja
        self.generic_visit(node)
        members = len(node.target.items) if isinstance(node.target, nodes.Tuple) else 0
        node.iter = nodes.Filter(node.iter, "rows_of", [nodes.Const(members)], [], None, None, lineno=node.lineno)
        return node

    def visit_Assign(self, node: nodes.Assign) -> nodes.Node:  # noqa: N802 - named by Jinja
        self.generic_visit(node)
        if isinstance(node.target, nodes.Tuple):
            members = nodes.Const(len(node.target.items))
            node.node = nodes.Filter(node.node, "parts_of", [members], [], None, None, lineno=node.lineno)
        return node

    def visit_Extends(self, _node: nodes.Extends) -> None:  # noqa: N802 - named by Jinja
        return None


def _rows_of(value: Any, members: int) -> Any:
    rows = list(value)
    return [_parts_of(row, members) for row in rows] if members else rows


def _parts_of(value: Any, members: int) -> Any:
    if not isinstance(value, Symbol):
        return value
    return tuple(Symbol(f"{value._name}.{member}") for member in range(members))


class _Named(Context):
    """Every variable that nobody gives is a symbol."""

    def resolve_or_missing(self, key: str) -> Any:
        """Return the variable, or its name as a symbol."""
        value = super().resolve_or_missing(key)
        return Symbol(key) if value is missing else value


class _Templates(Environment):
    context_class = _Named

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        template: nodes.Template = _Rows().visit(super()._parse(source, name, filename))
        return template


def _environment() -> Environment:
    loader = FileSystemLoader([ROOT / folder for folder in FOLDERS])
    made = _Templates(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    made.filters = _Symbolic(made.filters, "|")
    made.tests = _Symbolic(made.tests, " is ")
    dict.__setitem__(made.filters, "rows_of", _rows_of)
    dict.__setitem__(made.filters, "parts_of", _parts_of)
    return made


_TEMPLATES: Final = _environment()


def _rendered(template: str, usual: bool, other: str = "") -> list[str]:
    _ANSWERS.usual, _ANSWERS.other = usual, other
    loaded = _TEMPLATES.get_template(template)
    text = loaded.render()
    macros = [
        f"{name}: {_called(macro)}" for name, macro in sorted(vars(loaded.module).items()) if isinstance(macro, Macro)
    ]
    lines = "\n".join([str(text), *map(str, macros)]).splitlines()
    return [line for line in (re.sub(r"\s+", " ", line).strip() for line in lines) if line]


def _called(macro: Macro) -> str:
    """A macro with its arguments as symbols."""
    caller = {"caller": Symbol("caller")} if macro.caller else {}
    return str(macro(*(Symbol(argument) for argument in macro.arguments), **caller))


def decisions_of(template: str) -> list[str]:
    """Return what a template shows where every condition holds, and what each condition changes, for review.

    Long lines are cut; the digest after a heading is that of the whole.
    """
    lines, seen = [f"# {template}"], set[str]()
    for usual in (True, False):
        _ANSWERS.asked.clear()
        base = _rendered(template, usual)
        conditions = [name for name in _ANSWERS.asked if "#1" not in name and name not in seen]
        seen.update(conditions)
        lines += ["", f"## {'Everything' if usual else 'Nothing'} holds ({_digest(base)})"]
        lines += [_cut(line) for line in base if "#1" not in line] if usual else []
        for condition in conditions:
            compared = unified_diff(base, _rendered(template, usual, condition), lineterm="", n=0)
            changed = [line for line in compared if line[:2] not in ("--", "++", "@@")]
            if changed:
                lines += ["", f"### {'not ' if usual else ''}{condition} ({_digest(changed)})"]
                lines += [_cut(line) for line in changed[:_SHOWN]]
    return [*lines, ""]


def _digest(lines: list[str]) -> str:
    return sha256("\n".join(lines).encode()).hexdigest()[:8]


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def templates() -> list[str]:
    """Return the templates of all folders."""
    paths = ((ROOT / folder, path) for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    return sorted(path.relative_to(folder).as_posix() for folder, path in paths if path.suffix in (".html", ".md"))


def file_of(template: str) -> Path:
    """Return the file with the confirmed decisions of a template."""
    return ROOT / "tests" / "cases" / "templates" / f"{template.replace('/', '.')}.txt"


def text_of(template: str) -> str:
    """Return the decisions of a template as the file has them."""
    return "\n".join(decisions_of(template))


def main(arguments: list[str]) -> int:
    """Write what templates show anew, for review: python -m tests.cds_hooks.web.symbols [TEMPLATE…] [--write]."""
    changed = 0
    for template in [argument for argument in arguments if argument != "--write"] or templates():
        file = file_of(template)
        if not file.exists() or file.read_text(encoding="utf-8") != text_of(template):
            changed += 1
            print(file.relative_to(ROOT))
            if "--write" in arguments:
                file.parent.mkdir(exist_ok=True)
                file.write_text(text_of(template), encoding="utf-8")
    return 1 if changed and "--write" not in arguments else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
