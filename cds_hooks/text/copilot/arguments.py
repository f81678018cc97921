"""The arguments of the tools: what each takes, and why a call with others is refused.

The SDK drops arguments that a tool does not declare and enforces none of its hints, so every argument is checked here.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from msgspec import Struct

Json: TypeAlias = Any
_DEEPEST: Final = 40
_LONGEST_TEXT: Final = 500
_NEVER: Final = frozenset(
    {"fhirserver", "fhirauthorization", "authorization", "accesstoken", "token", "apikey", "password", "secret"}
)
"""Members that no chart and no question has: an address or a credential with which something could be fetched."""


class ArgumentsRefused(ValueError):
    """Arguments that a tool does not take; one sentence without anything of them but the name of a declared one."""


class Tool(Struct, frozen=True):
    """One tool: what it does, its arguments with their kinds ("text", "object", "list"), and those that it needs."""

    name: str
    description: str
    arguments: Mapping[str, str]
    required: frozenset[str]

    @property
    def schema(self) -> dict[str, Json]:
        """The JSON Schema of the arguments."""
        kinds = {"text": {"type": "string", "maxLength": _LONGEST_TEXT}, "object": {"type": "object"}}
        kinds["list"] = {"type": "array", "items": {"type": "object"}}
        return {
            "type": "object",
            "properties": {name: kinds[kind] for name, kind in self.arguments.items()},
            "required": sorted(self.required),
            "additionalProperties": False,
        }


def check_arguments(tool: Tool, arguments: Json, most_bytes: int) -> None:
    """Sees that arguments are those of a tool.

    Raises:
        ArgumentsRefused: one is unknown, missing, of another kind, too long or too deep, or holds an address or a key.
    """
    if not isinstance(arguments, dict):
        raise ArgumentsRefused("The arguments are no object.")
    if unknown := set(arguments) - set(tool.arguments):
        raise ArgumentsRefused(
            f"{tool.name} has no {len(unknown)} of the arguments; it has {', '.join(tool.arguments)}."
        )
    for name in sorted(tool.required - set(arguments)):
        raise ArgumentsRefused(f"{tool.name} needs the argument {name}.")
    kinds = {"text": str, "object": dict, "list": list}
    for name, value in arguments.items():
        if not isinstance(value, kinds[tool.arguments[name]]):
            raise ArgumentsRefused(f"The argument {name} of {tool.name} is no {tool.arguments[name]}.")
        if isinstance(value, str) and len(value) > _LONGEST_TEXT:
            raise ArgumentsRefused(f"The argument {name} of {tool.name} is longer than {_LONGEST_TEXT} characters.")
    if _size(arguments) > most_bytes:
        raise ArgumentsRefused(f"The arguments are larger than {most_bytes} bytes.")


def _size(value: Json) -> int:
    """About how many bytes a value is, looked through without recursion; ArgumentsRefused for what it may not hold."""
    size = 0
    waiting: list[tuple[Json, int]] = [(value, 0)]
    while waiting:
        inner, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ArgumentsRefused(f"The arguments are nested more than {_DEEPEST} deep.")
        if isinstance(inner, dict):
            for name in inner:
                if str(name).lower().replace("_", "").replace("-", "") in _NEVER:
                    raise ArgumentsRefused("The arguments hold an address or a credential; no tool takes any.")
                size += len(str(name)) + 4
            waiting.extend((member, depth + 1) for member in inner.values())
        elif isinstance(inner, list):
            waiting.extend((member, depth + 1) for member in inner)
        else:
            size += len(inner) + 3 if isinstance(inner, str) else 6
    return size
