"""Writes the list of parts (CycloneDX 1.6, JSON): the Python packages of the image, and of the tests of the wheel.

    make sbom        (dist/sbom.cdx.json)

Made from the lock of the runtime by cyclonedx-py, with every hash that pip accepts. `make image-check` compares the
list with what is really installed in the image and adds the packages of its base.
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
ONLY_INSTALLS = ("setuptools", "wheel")
LINUX = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"}
LINUX |= {"python_version": "3.11", "python_full_version": "3.11.0", "implementation_name": "cpython"}
LINUX |= {"platform_python_implementation": "CPython"}


def main() -> None:
    """Write the list and say how many parts it has."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"
    folder.mkdir(parents=True, exist_ok=True)
    bom = described(locked())
    file = folder / "sbom.cdx.json"
    file.write_text(json.dumps(bom, indent=1) + "\n")
    print(f"{file}: {len(bom['components'])} parts")


def locked() -> dict[str, str]:
    """Return what the lock installs on Linux: by name the requirement with its hashes."""
    found: dict[str, str] = {}
    text = (ROOT / "requirements" / "runtime.txt").read_text().replace("\\\n", " ")
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
