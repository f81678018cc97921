"""The page behind a card opens however the card was written."""

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from cds_hooks.build_sheet import SAMPLE_CALLS, request_of
from tests.cds_hooks.calls import client, ours
from tests.cds_hooks.dialects.sent import DIALECTS


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS)
def test_why_this_card_can_be_read(tmp_path: Path, as_of: datetime, dialect: str) -> None:
    async def pages() -> list[tuple[int, str, str]]:
        found = []
        async with client(tmp_path, as_of=as_of, dialect=dialect) as calls:
            for each in SAMPLE_CALLS:
                answer = await calls.post(f"/cds-services/{each.service}", json=request_of(each, as_of))
                page = await calls.get(f"/explain/{ours(answer)['decision']}")
                found.append((page.status_code, answer.json()["cards"][0]["source"]["label"], page.text))
        return found

    for status, source, text in asyncio.run(pages()):
        assert status == 200
        assert source.replace("'", "&#39;") in text
