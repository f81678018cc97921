"""The reference pages of docs/ that are made from the code: commands, hooks and services, extension."""

import inspect
import re
from collections.abc import Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

import cards.extension as extension
from cds_hooks.add_ons.events.watch.running import FIRST_CHECKS
from cds_hooks.call.hold_back.reasons import REASONS
from cds_hooks.call.protocol.hooks import LIBRARY
from cds_hooks.call.security.trust_file import schema
from cds_hooks.call.services import find_services
from cds_hooks.telemetry.metrics import Metrics
from cds_hooks.telemetry.metrics.page import page_of

_MADE = "Made by `make docs` from {source}.\n"


def cli_page(program: Any) -> str:
    """Every command of the program with its arguments, options and example, as Markdown."""
    commands = list(leaves((), program))
    parts = [
        "# Commands\n",
        _MADE.format(source="the commands themselves"),
        f"There are {len(commands)} commands. In a checkout the program is `.venv/bin/cds-hooks`. An option whose last "
        "column says `repeat` may be given "
        "more than once.\n",
    ]
    parts += [_command(words, command) for words, command in commands]
    return "\n".join(parts)


def leaves(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the commands that do something, with the words that are typed for them."""
    if not hasattr(command, "list_commands"):
        yield words, command
        return
    for name in command.list_commands(None):
        yield from leaves((*words, name), command.get_command(None, name))


def _command(words: tuple[str, ...], command: Any) -> str:
    description, _, example = inspect.cleandoc(command.help or "").partition("Example: ")
    rows = [_parameter(param) for param in command.params if not param.hidden]
    table = "| argument or option | what it is | unless given |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    shown = f"\n```text\n{inspect.cleandoc(example)}\n```\n" if example else ""
    return f"## {' '.join(words)}\n\n{_escaped(description.strip())}\n{shown}\n{table if rows else ''}"


def _parameter(parameter: Any) -> str:
    name = (
        parameter.metavar or parameter.name.upper()
        if parameter.param_type_name == "argument"
        else ", ".join(parameter.opts)
    )
    return f"| `{name}` | {_escaped(parameter.help or '')} | {_unless_given(parameter)} |"


def _unless_given(parameter: Any) -> str:
    default = getattr(parameter.default, "value", parameter.default)
    if parameter.required:
        return "must be given"
    if parameter.multiple:
        return "repeat"
    if default is None or default is False or default == "" or callable(default) or str(default).startswith("/"):
        return ""
    return f"`{default}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "\\<").replace("*", "\\*")


_CODES = re.compile(r"\bcode=[^&]+")
"""The codes of a query: up to a hundred, and different after each new rule."""


def hooks_page() -> str:
    """Return the contexts of all hooks, and what each service asks for, as Markdown."""
    contexts = [
        f"| {hook.name} | {hook.version} | {_names(hook.fields, True)} | {_names(hook.fields, False)} |"
        for hook in LIBRARY.values()
    ]
    parts = [
        "# Hooks and services\n",
        _MADE.format(source="`cds_hooks/call/protocol/hooks` and the services"),
        "How calls are read, and what differs between versions of CDS Hooks, is in [hooks](../hooks.md); what the "
        "prefetch keys mean is in [prefetch](../prefetch.md). Lists of codes are left out here: "
        "`cds-hooks settings --services --json` prints each query as discovery gives it.\n",
        "## Contexts\n\n| hook | version | required | optional |\n|---|---|---|---|\n" + "\n".join(contexts) + "\n",
    ]
    parts += [_service(entry) for service in find_services().values() for entry in service.discovery()]
    return "\n".join(parts)


def _names(fields: Any, required: bool) -> str:
    return ", ".join(f"`{name}`" for name, needed in fields.items() if needed is required)


def _service(entry: dict[str, Any]) -> str:
    head = f"## {entry['id']}\n\n{entry['title']}. Called at `{entry['hook']}`.\n\n{entry['description']}\n"
    needs = f"\n{entry['usageRequirements']}\n" if entry.get("usageRequirements") else ""
    queries = "\n".join(f"{key}: {_CODES.sub('code=…', query)}" for key, query in entry["prefetch"].items())
    return f"{head}{needs}\n```text\n{queries}\n```\n"


def extension_page() -> str:
    """Return the members of our extension on cards and on responses, as Markdown."""
    classes = [var for var in vars(extension).values() if inspect.isclass(var)]
    structs = [
        declared_class
        for declared_class in classes
        if issubclass(declared_class, msgspec.Struct) and declared_class is not msgspec.Struct
    ]
    first: list[type[msgspec.Struct]] = [extension.ResponseExtension, extension.CardExtension]
    rest = sorted(
        (struct for struct in structs if struct not in first), key=lambda declared_class: declared_class.__name__
    )
    head = (
        f"# The extension\n\n{_MADE.format(source='`cards/extension.py`')}\n"
        f'What this server adds to CDS Hooks is under `extension["{extension.EXTENSION_KEY}"]` of the response '
        "(ResponseExtension) and of each card (CardExtension). A client that does not read it loses nothing.\n"
    )
    return "\n".join([head, *(_struct(struct) for struct in [*first, *rest])])


def _struct(struct: type[msgspec.Struct]) -> str:
    rows = [
        f"| `{field.encode_name}` | {_type(field.type)} | {'yes' if field.required else 'no'} |"
        for field in msgspec.structs.fields(struct)
    ]
    description = inspect.cleandoc(struct.__doc__ or "")
    table = "| member | type | always there |\n|---|---|---|\n" + "\n".join(rows)
    return f"## {struct.__name__}\n\n{description}\n\n{table}\n"


def _type(declared: Any) -> str:
    """Return a type in the words of JSON."""
    origin, inside = get_origin(declared), get_args(declared)
    if origin in (UnionType, Union):
        return " or ".join(_type(member) for member in inside if member is not type(None))
    if origin in (tuple, list):
        return f"list of {_type(inside[0])}"
    if origin is dict:
        return f"object of {_type(inside[1])}"
    if inspect.isclass(declared) and issubclass(declared, msgspec.Struct):
        return f"[{declared.__name__}](#{re.sub(r'[^a-z]', '', declared.__name__.lower())})"
    return {str: "string", float: "number", int: "integer", bool: "boolean"}.get(declared, "any")


def metrics_page() -> str:
    """Return what `/metrics` counts, as Markdown."""
    written = page_of([Metrics().snapshot()]).decode()
    kinds = dict(re.findall(r"^# TYPE (cds_\w+) (\w+)$", written, re.MULTILINE))
    rows = [
        f"| `{name}` | {kinds[name]} | {_escaped(text)} |"
        for name, text in re.findall(r"^# HELP (cds_\w+) (.+)$", written, re.MULTILINE)
    ]
    head = (
        f"# Metrics\n\n{_MADE.format(source='`cds_hooks/telemetry/metrics`')}\n"
        "What `/metrics` gives in the text format of Prometheus. No label holds anything of a patient. `process_*` are "
        "those of the Prometheus client library, summed over the workers. What to do about each alert is in "
        "[runbooks](../operations/runbooks.md).\n\n| metric | kind | meaning |\n|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


def trust_page() -> str:
    """Return every setting of the trust file, as Markdown."""
    whole = schema()
    rows = [*_trust_rows("", whole), *_trust_rows("client.", whole["$defs"]["client"])]
    head = (
        f"# The trust file\n\n{_MADE.format(source='`cds_hooks/call/security/trust.schema.json`')}\n"
        "[Trust](../operations/trust.md) says how a client is registered. A setting of a client is below `[[client]]`, "
        "its budgets below `[client.budgets]`, those of key sets below `[jwks]`.\n\n"
        "| setting | what it is | unless given |\n|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


def _trust_rows(path: str, node: dict[str, Any]) -> Iterator[str]:
    for name, setting in node.get("properties", {}).items():
        default = setting.get("default", "must be given" if name in node.get("required", ()) else "")
        yield f"| `{path}{name}` | {_escaped(setting['description'])} | {default} |"
        yield from _trust_rows(f"{path}{name}.", setting)


def reasons_page() -> str:
    """Return the reasons for which a finding is held back, as Markdown."""
    rows = [
        f"| `{'`, `'.join(reason.codes)}` | {_escaped(reason.title)} | {_escaped(reason.lets_through)} |"
        for reason in REASONS
    ]
    head = (
        f"# Reasons for holding a finding back\n\n{_MADE.format(source='`cds_hooks/call/hold_back/reasons.py`')}\n"
        "They are asked in this order, and the first that holds is recorded "
        "([restraint](../operations/restraint.md)).\n\n"
        "| reason | what holds it back | what lets it through |\n|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


def incidents_page() -> str:
    """Return what to check first about an incident of an interface, by its kind, as Markdown."""
    rows = [f"| `{kind}` | {_escaped(text)} |" for kind, text in FIRST_CHECKS.items()]
    head = (
        f"# Incidents of interfaces\n\n{_MADE.format(source='`cds_hooks/add_ons/events/watch`')}\n"
        "[Events](../operations/events.md) says how the interfaces are watched.\n\n"
        "| kind | check first |\n|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"
