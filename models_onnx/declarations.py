"""Finds what the modules of a package declare: services, equations, models, rule families, dialects, gates, checks.

One module declares one object, or a tuple of them, under a fixed name such as `EQUATION`; nothing else has to be told
about it. Modules whose names begin with an underscore declare nothing. Whatever is wrong with a declaration is one
error, DeclarationError, whose message names the file, the line and what is wrong.
"""

import importlib
import pkgutil
import re
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, is_dataclass
from functools import cache
from importlib.util import find_spec
from inspect import formatannotation
from operator import attrgetter
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from msgspec import Struct

from fhir.mapping.features.feature import FeatureFault
from models_onnx.errors import DeclarationError
from models_onnx.packages import GROUPS, Package, modules_in, packages

T = TypeVar("T")
_UNKNOWN_MEMBER = re.compile(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'")


class DeclaringFile(Struct, frozen=True):
    """A file that declares: its module's name, where it lies, and the path that messages show."""

    name: str
    path: Path
    shown: str
    package: Package | None = None
    """The package from outside that brings it."""

    @property
    def stem(self) -> str:
        """The name of the file without its ending; for a package's inner module the name of the package."""
        return self.path.stem

    def fault(self, text: str, about: str = "", line: int = 1) -> DeclarationError:
        """Return the error for this file, at the line that has `about` in quotes or as a name, if one has it."""
        return DeclarationError(text, about).at(self.shown, self._line_of(about, line) or line)

    def refuse_other_name(self, name: str, declared_id: str) -> None:
        """DeclarationError where what is declared under `name` has another id than the file has a name."""
        if declared_id != self.stem:
            text = f"{name} has the id {declared_id!r}, but the file is called {self.stem}.py; give both the same name"
            raise self.fault(text, declared_id)

    def load(self) -> ModuleType:
        """Return the imported module.

        Raises:
            DeclarationError: it cannot be imported.
            ArtifactRefused: the module loads a model that must not be served.
            FeatureFault: the module declares a wrong feature.
        """
        try:
            return importlib.import_module(self.name)
        except DeclarationError as fault:
            raise fault if fault.file else self.fault(fault.text, fault.about, self._line_in(fault)) from fault
        except SyntaxError as fault:
            where = "" if fault.filename in (None, str(self.path.absolute())) else f"it imports {fault.filename}, line "
            where += f"{fault.lineno}, " if where else ""
            line = 1 if where else fault.lineno or 1
            raise self.fault(f"{where}{fault.msg}: {(fault.text or '').strip()}", line=line) from fault
        except (Exception, SystemExit) as fault:  # a file that ends the program declares nothing
            if hasattr(fault, "what_cannot_be_used"):  # it names another file itself: a model, a feature, a table
                raise
            # the message of a ValueError is one of ours, a whole sentence; others need the name of their class
            text = f"{fault}" if type(fault) is ValueError else f"{type(fault).__name__}: {fault}"
            member = ""
            if isinstance(fault, TypeError) and (unknown := _UNKNOWN_MEMBER.search(str(fault))):
                kind, member = unknown.groups()
                text = f"{kind} has no {member}"
            raise self.fault(text, member, self._line_in(fault)) from fault

    def _line_in(self, fault: BaseException) -> int:
        """Return the line of this file at which the error came up; 1 where it did elsewhere."""
        frames, path = traceback.walk_tb(fault.__traceback__), str(self.path.absolute())
        return [1, *(line for frame, line in frames if frame.f_code.co_filename == path)][-1]

    def _line_of(self, about: str, start: int) -> int | None:
        if not about:
            return None
        signs = (f'"{about}"', f"'{about}'", f"{about}=", f"{about} =", f"{about}:")
        lines = self.path.read_text(encoding="utf-8").splitlines()
        numbers = [number for number, line in enumerate(lines, 1) if any(sign in line for sign in signs)]
        return next((number for number in numbers if number >= start), numbers[0] if numbers else None)


@dataclass(frozen=True, slots=True)
class Declaration(Generic[T]):
    """One declared object, the file that declares it, and the module that this file is."""

    value: T
    file: DeclaringFile
    module: ModuleType


def find_declared(
    package: str,
    name: str,
    kind: type[T],
    *,
    id_of: Callable[[T], str] = attrgetter("id"),
    named_after_file: bool = False,
    inner: str = "",
) -> dict[str, T]:
    """Every object of `kind` that the modules of a package declare under `name`, by its id, in the order of the files.

    `named_after_file`: the id must be the name of the file. `inner` is as in `declaring_files`.

    Raises:
        DeclarationError: a module cannot be imported, declares nothing or something else, or an id is taken.
        ArtifactRefused: a module loads a model that must not be served.
    """
    declared: dict[str, Declaration[T]] = {}
    for declaration in declarations(package, name, kind, inner=inner):
        declared_id = id_of(declaration.value)
        if named_after_file:
            declaration.file.refuse_other_name(name, declared_id)
        if declared_id in declared:
            text = f"the id {declared_id!r} is already that of {declared[declared_id].file.shown}"
            raise declaration.file.fault(text, declared_id)
        declared[declared_id] = declaration
    return {declared_id: declaration.value for declared_id, declaration in declared.items()}


def declarations(package: str, name: str, kind: type[T], *, inner: str = "") -> Iterator[Declaration[T]]:
    """Yield the declared objects with their files; a tuple of objects gives each of them.

    Raises:
        DeclarationError: a module cannot be imported, or declares nothing of this kind under this name.
    """
    for file in declaring_files(package, inner=inner):
        yield from _declared_in(file, name, kind)


def _declared_in(file: DeclaringFile, name: str, kind: type[T]) -> Iterator[Declaration[T]]:
    module = file.load()
    if name not in vars(module):
        raise file.fault(f"the file declares no {name}; it must assign {_article(kind)} to this name")
    declared = vars(module)[name]
    for value in declared if isinstance(declared, tuple) else (declared,):
        if not isinstance(value, kind):
            raise file.fault(f"{name} is {_article(type(value))}; it must be {_article(kind)}", name)
        try:
            refuse_wrong_types(value)
        except DeclarationError as fault:
            raise file.fault(fault.text, fault.about) from fault
        yield Declaration(value, file, module)


def declaring_files(package: str, *, inner: str = "") -> Iterator[DeclaringFile]:
    """Yield a package's files that declare something, in the order of their names.

    `inner`: the entries of the package are packages themselves, whose module of this name declares; one without it
    declares nothing. After those of the package come the modules that packages from outside bring for it. Files whose
    names begin with _ declare nothing.
    """
    for entry in sorted(
        pkgutil.iter_modules(importlib.import_module(package).__path__), key=lambda module: module.name
    ):
        if entry.name.startswith("_") or entry.ispkg != bool(inner):
            continue
        module = ".".join(filter(None, (package, entry.name, inner)))
        spec = find_spec(module)
        if spec is not None and spec.origin is not None:
            yield DeclaringFile(module, Path(spec.origin), f"{module.replace('.', '/')}.py")
    yield from declaring_files_of_packages(package)


def declaring_files_of_packages(group: str) -> Iterator[DeclaringFile]:
    """Yield the modules that packages from outside bring for this group of entry points.

    Raises:
        DeclarationError: There is no such module.
    """
    for package, module in modules_in(group):
        shown = f"{package.name}: {module.replace('.', '/')}.py"
        try:
            spec = find_spec(module)
        except Exception as fault:  # the package above the module is imported
            raise DeclarationError(f"{type(fault).__name__}: {fault}").at(shown, None) from fault
        if spec is None or spec.origin is None:
            raise DeclarationError("there is no such module, which an entry point names").at(shown, None)
        yield DeclaringFile(module, Path(spec.origin), shown, package)


def origin_of(group: str, declared_id: str) -> DeclaringFile | None:
    """Return the file of a package from outside that declares this; None where it is declared here."""
    return _origins(packages()).get((group, declared_id)) if packages() else None


@cache
def _origins(listed: tuple[Package, ...]) -> dict[tuple[str, str], DeclaringFile]:
    files: dict[tuple[str, str], DeclaringFile] = {}
    for group in dict.fromkeys(group for package in listed for group, _ in package.modules):
        name, member, _ = GROUPS[group]
        for file in declaring_files_of_packages(group):
            declared = getattr(file.load(), name, ())
            for value in declared if isinstance(declared, tuple) else (declared,):
                files[group, str(getattr(value, member, ""))] = file
    return files


def declarations_of_packages(group: str, kind: type[T]) -> Iterator[Declaration[T]]:
    """Yield what packages from outside declare for this group.

    Raises:
        DeclarationError: a module cannot be imported, or declares nothing of this kind.
    """
    for file in declaring_files_of_packages(group):
        yield from _declared_in(file, GROUPS[group][0], kind)


def _article(kind: type) -> str:
    return f"{'an' if kind.__name__[:1].lower() in 'aeiou' else 'a'} {kind.__name__}"


def refuse_wrong_types(declared: object) -> None:
    """Check that each member of a dataclass or Struct, and of those inside it, has the type that its class declares.

    A declaration calls it at the beginning of `__post_init__` where it computes with its members: what follows may then
    rely on the types. For all others `declarations` calls it.

    Raises:
        DeclarationError: a member has another type; the message names the member, its value and the type.
    """
    for name, hint in _types_of_members(type(declared)).items():  # type: ignore[arg-type]  # a class is Hashable
        value = getattr(declared, name)
        if not _fits(value, hint):
            about = value if isinstance(value, str) and get_origin(hint) is Literal else name
            text = f"{name} is {_short(value)}; it must be {_type_words(hint)}"
            raise DeclarationError(text, about)
        for member in value if isinstance(value, tuple) else (value,):
            if isinstance(member, Struct) or is_dataclass(member):
                refuse_wrong_types(member)


@cache
def _types_of_members(kind: type) -> dict[str, Any]:
    """Return the types of the members of a class by their names; none where these cannot be found out."""
    try:
        return get_type_hints(kind)
    except (NameError, TypeError):  # a type that is imported for type checkers only, or is named like a member
        return {}


def _fits(value: object, hint: Any) -> bool:
    """Return whether the value has this type; a kind of type that no declaration uses is not checked."""
    kind, parts = get_origin(hint), get_args(hint)
    if kind in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if kind is Literal:
        return value in parts
    if kind is tuple:
        if not isinstance(value, tuple):
            return False
        kinds = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        return len(value) == len(kinds) and all(map(_fits, value, kinds))
    if kind is Callable:
        return callable(value)
    if isinstance(kind, type):
        return isinstance(value, kind)
    if hint is float:
        return isinstance(value, int | float)
    is_ours = isinstance(hint, type) and (is_dataclass(hint) or issubclass(hint, Struct))
    return not (is_ours or hint in (str, int, bool, type(None))) or isinstance(value, hint)


def _type_words(hint: Any) -> str:
    kind, parts = get_origin(hint), get_args(hint)
    if kind in (Union, UnionType):
        return " or ".join(map(_type_words, parts))
    if kind is Literal:
        return f"one of {', '.join(map(str, parts))}"
    words = {str: "a string", int: "a whole number", float: "a number", bool: "True or False", type(None): "None"}
    return words.get(hint) or formatannotation(hint)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def add_features(folder: Path) -> None:
    """Make the features known that `features.toml` in this folder declares; DeclarationError where it is wrong."""
    from fhir.mapping.features.declared import add_declared_features

    try:
        add_declared_features(folder)
    except FeatureFault as fault:
        raise DeclarationError(str(fault)) from fault
