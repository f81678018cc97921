"""Packs the documentation into the wheel and builds the pass in C; everything else is in pyproject.toml."""

import shutil
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


class BuildWithDocumentation(build_py):
    """Copies docs/ beside the modules that show it, except into an editable install."""

    def run(self) -> None:
        """Build as usual, then copy the pages; requirements/wheel.sh has written those that are made from the code."""
        super().run()
        if not self.editable_mode and (ROOT / "docs").is_dir():
            target = Path(self.build_lib) / "cds_hooks" / "people" / "web" / "docs"
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(ROOT / "docs", target, ignore=shutil.ignore_patterns(".*"))


# Optional: without a compiler the server reads bodies in Python (cds_hooks/call/protocol/body.py). No debug data and no
# paths, so that the wheel is the same bytes wherever it is built; the stable interface serves Python from 3.11 on.
PASS_OVER_MEMBERS = Extension(
    "cds_hooks.call.protocol._members",
    ["cds_hooks/call/protocol/_members.c"],
    extra_compile_args=["-O2", "-g0"] if sys.platform != "win32" else [],
    extra_link_args=["-s"] if sys.platform.startswith("linux") else [],
    py_limited_api=True,
    optional=True,
)

setup(
    cmdclass={"build_py": BuildWithDocumentation},
    ext_modules=[PASS_OVER_MEMBERS],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
