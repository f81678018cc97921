"""Presses the buttons of the tester's page as a browser without script does: every field of its form is sent back."""

import re
from html.parser import HTMLParser
from typing import Any

import httpx


class _Fields(HTMLParser):
    """The fields of the form by name, as a browser would send them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._select = ""
        self._option: dict[str, str | None] | None = None
        self._area = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name") or ""
        if tag == "input" and name and given.get("type") not in ("file", "checkbox"):
            self.fields[name] = given.get("value") or ""
        elif tag == "select":
            self._select = name
        elif tag == "textarea":
            self._area = name
            if name:
                self.fields[name] = ""
        elif tag == "option" and self._select:
            self._option = given
            if "value" in given:
                self._take(given["value"] or "")

    def handle_data(self, data: str) -> None:
        if self._area:
            self.fields[self._area] += data
        if self._option is not None and "value" not in self._option:
            self._take(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "option":
            self._option = None
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._area = ""

    def _take(self, value: str) -> None:
        assert self._option is not None
        if "selected" in self._option or self._select not in self.fields:
            self.fields[self._select] = value


class Bench:
    """The page as it was answered last."""

    def __init__(self, client: httpx.AsyncClient, answer: httpx.Response) -> None:
        self._client = client
        self.answer = answer

    @property
    def html(self) -> str:
        """The page."""
        return self.answer.text

    @property
    def text(self) -> str:
        """What is read on it."""
        return " ".join(re.sub(r"<[^>]*>", " ", self.html).split())

    @property
    def fields(self) -> dict[str, str]:
        """The fields of its form."""
        return _Fields(self.html).fields

    def buttons(self, beginning: str) -> list[str]:
        """The values of the buttons that begin so."""
        return re.findall(rf'<button[^>]*value="({re.escape(beginning)}[^"]*)"', self.html)

    async def press(self, do: str, **changed: str) -> "Bench":
        """The page after this button, with some fields filled in otherwise."""
        return await self.press_from({}, do, **changed)

    async def press_from(self, origin: dict[str, str], do: str, **changed: str) -> "Bench":
        """The same with headers that say which page the form came from."""
        fields: dict[str, Any] = self.fields | changed | {"do": do}
        parts = {name: (None, value.encode()) for name, value in fields.items()}
        return Bench(self._client, await self._client.post("/try", files=parts, headers=origin))


async def opened(client: httpx.AsyncClient) -> Bench:
    """The page of a patient without drafts, before anything was sent."""
    page = Bench(client, await client.get("/try"))
    return await page.press("choose", patient="sample:planning-talk", call="patient-view/planning-conversation")
