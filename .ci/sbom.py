"""Writes the lists of parts (CycloneDX 1.6, JSON): what the wheel installs, and what the image holds of Python.

    make sbom        (dist/sbom-wheel.cdx.json, dist/sbom-image.cdx.json)

Made from the locks by cyclonedx-py, with every hash that pip accepts. `make image-check` compares the image's list with
what is really installed in it and adds the packages of its base.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {"wheel": ("runtime",), "image": ("runtime",)}
ONLY_INSTALLS = ("setuptools", "wheel")
LINUX = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"}
LINUX |= {"python_version": "3.11", "python_full_version": "3.11.0", "implementation_name": "cpython"}
LINUX |= {"platform_python_implementation": "CPython"}


def main() -> None:
    """Write both lists and say how many parts each has."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"
    folder.mkdir(parents=True, exist_ok=True)
    for name, locks in LOCKS.items():
        parts = locked(*locks)
        bom = described(parts)
        file = folder / f"sbom-{name}.cdx.json"
        file.write_text(json.dumps(bom, indent=1) + "\n")
        print(f"{file}: {len(bom['components'])} parts")


def locked(*locks: str) -> dict[str, str]:
    """Return what the locks install on Linux: by name the requirement with its hashes."""
    found: dict[str, str] = {}
    for lock in locks:
        text = (ROOT / "requirements" / f"{lock}.txt").read_text().replace("\\\n", " ")
        for line in text.splitlines():
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            requirement, _, hashes = line.partition(" --hash=")
            parsed = Requirement(requirement)
            if parsed.name not in ONLY_INSTALLS and applies(parsed.marker):
                found[canonicalize_name(parsed.name)] = f"{parsed.name}{parsed.specifier} --hash={hashes.strip()}"
    return found


def applies(marker: Marker | None) -> bool:
    """Whether a requirement is for the image's platform."""
    return marker is None or marker.evaluate({**LINUX, "extra": ""})


def described(parts: dict[str, str]) -> dict[str, Any]:
    """Return the list, the project itself being what it describes."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(parts.values()) + "\n")
        file.flush()
        program = [str(Path(sys.executable).parent / "cyclonedx-py"), "requirements", file.name, "--of", "JSON"]
        options = ["--sv", "1.6", "--output-reproducible", "--pyproject", str(ROOT / "pyproject.toml")]
        done = subprocess.run([*program, *options], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    bom: dict[str, Any] = json.loads(done.stdout)
    refs = {canonicalize_name(part["name"]): part["bom-ref"] for part in bom["components"]}
    root = bom["metadata"]["component"]["bom-ref"]
    # a lock says what is installed, not what needs what: everything is a part of the whole
    others = [each for each in bom["dependencies"] if each["ref"] != root]
    bom["dependencies"] = [{"ref": root, "dependsOn": sorted(refs.values())}, *others]
    return bom


if __name__ == "__main__":
    main()
