"""The tester's page sends to the paths of services only: the form that carries a path back may have been changed."""

import asyncio

import pytest

from cds_hooks.pages.tester.exchange import Caller


@pytest.mark.parametrize(
    "path",
    ["@evil.example/", "//evil.example/x", "/ops", "/cds-services/../ops", "/cds-services/..", "http://evil.example/",
     "/cds-services/a/feedback/../../x", "/cds-services/a?x", ":8085/cds-services/a", "/cds-services/a\r\nx: y"],
)  # fmt: skip
def test_no_other_path_is_sent_to(path: str) -> None:
    async def app(*_: object) -> None:
        raise AssertionError("it was sent")

    status, _, _, _, failure = asyncio.run(Caller(app).post(path, b"{}"))
    assert (status, failure) == (0, "Not sent: this is not the path of a service")
