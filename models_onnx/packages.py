"""Installed packages of others that a site has named (CDS_PACKAGES), and the modules that they bring by entry points.

The group of an entry point is the package of ours in which such a module would stand, its value the module. What the
module declares, and under which name, is as in that package (docs/adding/package.md). A package has a version of its
own and the digest of all its files, which is made before any of its code is run.
"""

import hashlib
import importlib.metadata
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final

from msgspec import Struct

from models_onnx.errors import DeclarationError

GROUPS: Final = {
    "cds_hooks.call.services": ("SERVICE", "id", "service"),
    "cds_hooks.call.dialects": ("DIALECT", "id", "dialect"),
    "cds_hooks.people.pages": ("DOOR", "path", "page"),
    "fhir.mapping.features": ("FEATURES", "name", "features"),
    "models_onnx.equations.published": ("EQUATION", "id", "equation"),
}
"""The groups of entry points: what a module of each declares, by which member it is known, and in words."""

_OURS: Final = ("cds_hooks", "cards", "models_onnx", "fhir")
_DIGITS: Final = 16


class PackageFault(DeclarationError):
    """A package that cannot be loaded: not installed, without a part for this server, or with a group nobody reads."""

    what_cannot_be_used: ClassVar[str] = "A package of CDS_PACKAGES"


class Package(Struct, frozen=True):
    """A package from outside: its name, its version, the digest of its files, and its modules by group."""

    name: str
    version: str
    digest: str
    modules: tuple[tuple[str, str], ...]

    @property
    def words(self) -> str:
        """Name, version and digest, as pages and the record show them."""
        return f"{self.name} {self.version} (sha256 {self.digest})"

    @property
    def kinds(self) -> str:
        """What it brings, in words."""
        return ", ".join(f"{GROUPS[group][2]} {module}" for group, module in self.modules)


_loaded: list[Package] = []


def packages() -> tuple[Package, ...]:
    """Return the packages that were named, in the order of the setting."""
    return tuple(_loaded)


def name_packages(names: Iterable[str]) -> tuple[Package, ...]:
    """Make these packages those of this process; without a name nothing changes.

    Raises:
        PackageFault: One of them cannot be loaded.
    """
    if loaded := [_read(name) for name in names]:
        _loaded[:] = loaded
    return packages()


def modules_in(group: str) -> Iterator[tuple[Package, str]]:
    """Yield the modules that named packages bring for a group, each with its package."""
    for package in _loaded:
        for module_group, module in package.modules:
            if module_group == group:
                yield package, module


def _read(name: str) -> Package:
    try:
        distribution = importlib.metadata.distribution(name)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        there = ", ".join(sorted(_with_parts()))
        others = (
            f"Installed packages that extend this server: {there}"
            if there
            else "No installed package extends this server"
        )
        raise PackageFault(
            f"no package {name!r} is installed. Install it, or take it out of CDS_PACKAGES. {others}."
        ) from None
    modules = tuple(sorted(_modules(name, distribution)))
    if not modules:
        raise PackageFault(f"{name} brings nothing: it has no entry point in one of the groups {', '.join(GROUPS)}")
    tops = sorted({module.partition(".")[0] for _, module in modules})
    return Package(distribution.metadata["Name"], distribution.version, _digest(name, tops), modules)


def _modules(name: str, distribution: importlib.metadata.Distribution) -> Iterator[tuple[str, str]]:
    for entry in distribution.entry_points:
        if entry.group in GROUPS:
            if not re.fullmatch(r"\w+(\.\w+)*", entry.value):
                declared = GROUPS[entry.group][0]
                text = f"{name}: entry point {entry.name} is {entry.value!r}; it must be a module that has {declared}"
                raise PackageFault(text)
            if entry.value.partition(".")[0] in _OURS:
                raise PackageFault(f"{name}: entry point {entry.name} names our own module {entry.value}")
            yield entry.group, entry.value
        elif entry.group.partition(".")[0] in _OURS:
            near = get_close_matches(entry.group, GROUPS, n=1)
            advice = f"did you mean {near[0]}?" if near else f"there are {', '.join(GROUPS)}"
            raise PackageFault(f"{name}: nothing reads the group of entry points {entry.group}; {advice}")


def _with_parts() -> set[str]:
    return {
        distribution.metadata["Name"]
        for distribution in importlib.metadata.distributions()
        if any(entry.group in GROUPS for entry in distribution.entry_points)
    }


def _digest(name: str, tops: Iterable[str]) -> str:
    """16 hexadecimal digits of SHA-256 over the files below the packages and modules of these names."""
    digest = hashlib.sha256()
    for top in tops:
        spec = find_spec(top)
        if spec is None:
            raise PackageFault(f"{name}: there is no module {top}, which its entry points name")
        roots = [Path(folder) for folder in spec.submodule_search_locations or ()] or [Path(spec.origin or "")]
        for root in roots:
            files = sorted(file for file in root.rglob("*") if file.is_file()) if root.is_dir() else [root]
            for file in files:
                if file.suffix != ".pyc":
                    digest.update(file.relative_to(root.parent).as_posix().encode() + b"\0")
                    digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:_DIGITS]
