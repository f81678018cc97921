"""The prompts: each a file with its version, parameters and schema, released by its digest as a model is."""

import hashlib
import tomllib
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct


class Prompt(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A prompt of a file: what a language model is told, with which parameters, and the schema of its answer."""

    id: str
    version: str
    language: str
    evaluated_on: str
    text: str
    parameters: dict[str, Any]
    schema: dict[str, Any]

    @property
    def name(self) -> str:
        """Id and version."""
        return f"{self.id}@{self.version}"

    def digest(self, model: str) -> str:
        """SHA-256 of all of it with the name of the model that is asked: what is evaluated and released."""
        return hashlib.sha256(msgspec.json.encode([self, model], order="sorted")).hexdigest()


def read_prompt(name: str) -> Prompt:
    """Return a prompt of this folder."""
    file = Path(__file__).with_name(f"{name}.toml")
    return msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), Prompt)
