"""Packs the documentation site into the wheel and builds the pass in C; everything else is in pyproject.toml."""

import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


class BuildWithDocumentation(build_py):
    """Writes the pages of docs/ beside the modules that serve them, except into an editable install."""

    def run(self) -> None:
        """Build as usual, then write the site."""
        super().run()
        if not self.editable_mode:
            sys.path.insert(0, str(ROOT))
            from maintenance.documentation_site import write_site

            write_site(ROOT / "docs", Path(self.build_lib) / "cds_hooks" / "web" / "docs")


# Optional: without a compiler the server reads bodies in Python (cds_hooks/protocol/body.py). No debug data and no
# paths, so that the wheel is the same bytes wherever it is built; the stable interface serves Python from 3.11 on.
PASS_OVER_MEMBERS = Extension(
    "cds_hooks.protocol._members",
    ["cds_hooks/protocol/_members.c"],
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
