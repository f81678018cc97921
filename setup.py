"""Packs the documentation site into the wheel; everything else about the package is in pyproject.toml."""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


class BuildWithDocumentation(build_py):
    """Writes the pages of docs/ beside the modules that serve them, except into an editable install."""

    def run(self) -> None:
        """Builds as usual, then writes the site."""
        super().run()
        if not self.editable_mode:
            sys.path.insert(0, str(ROOT))
            from cds_hooks.web.documentation.site import write_site

            write_site(ROOT / "docs", Path(self.build_lib) / "cds_hooks" / "web" / "docs")


setup(cmdclass={"build_py": BuildWithDocumentation})
