"""Addresses of the documentation that do not exist look like the other pages."""

from pathlib import Path

import httpx
import pytest

from tests.cds_hooks.calls import client

BROWSER = {"accept": "text/html"}


async def _opened(folder: Path, path: str) -> httpx.Response:
    async with client(folder) as calls:
        return await calls.get(path, headers=BROWSER)


async def test_documentation_that_was_not_written_is_missed_in_the_style_of_the_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cds_hooks.pages.files.SITE", tmp_path / "nowhere")
    for path in ("/docs", "/docs/nope", "/docs/rules/"):
        page = await _opened(tmp_path, path)
        assert page.status_code == 404
        for part in ("make docs", "<nav", "look.css"):
            assert part in page.text
