"""What the pages of a server give to their templates: each page is rendered as always, and its values are kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.responses import Response

from cds_hooks.pages.server import PageServer


@contextmanager
def kept_values(patch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The values of the page that was made last, by their names in the template; `template` is the template."""
    values: dict[str, Any] = {}
    real = PageServer.page

    def page(server: PageServer, template: str, **given: Any) -> Response:
        values.clear()
        values.update(given, template=template)
        return real(server, template, **given)

    with patch.context() as patched:
        patched.setattr(PageServer, "page", page)
        yield values
