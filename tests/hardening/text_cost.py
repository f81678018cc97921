"""Measures what a call costs whose texts are as long or as many as a client may send, at every service and every field.

    python -m tests.hardening.text_cost [--services ID …] [--over MILLISECONDS]

A call has 1,000 resources of one type with a different text of 400 characters each in one field, or one text of 100 KB.
The dearest field is printed in processor time, the lesser of two calls with different texts; exit 1 over the bar.
"""

import argparse
import asyncio
import copy
import gc
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import uuid4

import orjson
from msgspec import inspect

from cds_hooks.kit.simulator.chart import resources_of
from cds_hooks.services import find_services
from fhir.record import resources as record_resources
from fhir.record.datatypes import LeanResource
from tests.cds_hooks.calls import client
from tests.contracts.contracts import AS_OF, requests_of

BAR_MILLISECONDS: Final = 200
SIZES: Final = ((1000, 400), (1, 100_000))
SENTENCE: Final = "1 tab every 6 h as needed, no history of cancer, "
JSON: Final = {"Content-Type": "application/json"}
Path_ = tuple[str, ...]
TYPES: Final = {
    tag: type_
    for type_ in vars(record_resources).values()
    if isinstance(type_, type) and issubclass(type_, LeanResource) and (tag := type_.__struct_config__.tag)
}
# Of the reference to the patient another text is another patient's, and ends the call.
_SKIPPED: Final = {"resourceType", "id", "contained", "subject", "patient"}


def text_fields(kind: str) -> list[Path_]:
    """Return the way to every string that is read of a resource type, `[]` for an element of a list."""
    ways = _strings(inspect.type_info(TYPES[kind]), ())
    # The same element within the same element is read in the same way, however deep it is.
    return list({way[-4:]: way for way in ways if _SKIPPED.isdisjoint(way)}.values())


def _strings(type_: Any, way: Path_) -> Iterator[Path_]:
    if isinstance(type_, inspect.UnionType):
        for member in type_.types:
            yield from _strings(member, way)
    elif isinstance(type_, inspect.VarTupleType):
        yield from _strings(type_.item_type, (*way, "[]"))
    elif isinstance(type_, inspect.StrType):
        yield way
    elif isinstance(type_, inspect.StructType) and len(way) < 8 and not (way and issubclass(type_.cls, LeanResource)):
        for field in type_.fields:
            yield from _strings(field.type, (*way, field.encode_name))


def put(resource: Any, way: Path_, text: str) -> None:
    """Write the text into the field, with what is on the way to it."""
    for step, following in zip(way, (*way[1:], ""), strict=True):
        fresh: Any = text if not following else [] if following == "[]" else {}
        if step == "[]":
            resource[:1] = [resource[0] if resource and following and type(resource[0]) is type(fresh) else fresh]
            resource = resource[0]
        else:
            if not following or type(resource.get(step)) is not type(fresh):
                resource[step] = fresh
            resource = resource[step]


async def measure(services: list[str]) -> dict[str, float]:
    """Print the dearest field of each service and size; return the milliseconds by service and size."""
    worst: dict[str, float] = {}
    entries = [
        (service.id, entry) for service in find_services(file="separate").values() for entry in service.discovery()
    ]
    with TemporaryDirectory() as folder:
        async with client(Path(folder), as_of=AS_OF, log_level="error") as server:
            for service, entry in entries:
                if services and entry["id"] not in services:
                    continue
                for (count, length), (spent, field) in (await _of_service(server, service, entry)).items():
                    name = f"{entry['id']} at {entry['hook']}, {count:,} of {length:,}"
                    worst[name] = spent
                    print(f"{spent:6.0f} ms  {name}: {field}", flush=True)
    return worst


async def _of_service(server: Any, service: str, entry: dict[str, Any]) -> dict[tuple[int, int], tuple[float, str]]:
    requests = requests_of(service, entry["hook"], AS_OF)
    worst: dict[tuple[int, int], tuple[float, str]] = {}
    charted = [resource for request in requests for sent in request["prefetch"].values() if sent
               for resource in resources_of(sent)]  # fmt: skip
    keys = {template.split("?")[0].split("/")[0]: key for key, template in entry["prefetch"].items()}
    for kind, key in keys.items() if requests else ():
        if kind not in TYPES or kind == "Patient":
            continue
        patient = {"reference": f"Patient/{requests[0]['context']['patientId']}"}
        example = next((one for one in charted if one["resourceType"] == kind), {"resourceType": kind})
        example |= dict.fromkeys({"subject", "patient"} & (set(example) or {"subject"}), patient)
        for way in text_fields(kind):
            for count, length in SIZES:
                spent, status = await _cost(server, entry["id"], requests[0], key, (example, way, count, length))
                if spent > worst.get((count, length), (0.0, ""))[0] or status >= 500:
                    worst[count, length] = spent, f"{kind}.{'.'.join(way)}, answered {status}"
    return worst


async def _cost(
    server: Any, service: str, request: dict[str, Any], key: str, texts: tuple[dict[str, Any], Path_, int, int]
) -> tuple[float, int]:
    example, way, count, length = texts
    put(resource := copy.deepcopy(example) | {"id": "@id"}, way, "@text")
    written = orjson.dumps({"resource": resource})
    spent, status = [], 0
    for turn in range(2):
        entries = []
        for number in range(count):
            text = f"{turn} {number} {SENTENCE * (length // 40 + 1)}"[:length]
            entries.append(written.replace(b"@text", text.encode()).replace(b"@id", b"r%d" % number))
        bundle = {"resourceType": "Bundle", "type": "searchset", "entry": ["@entries"]}
        call = {**request, "prefetch": {**request["prefetch"], key: bundle}, "hookInstance": str(uuid4())}
        body = orjson.dumps(call).replace(b'"@entries"', b",".join(entries))
        gc.collect()
        started = time.process_time()
        status = (await server.post(f"/cds-services/{service}", content=body, headers=JSON)).status_code
        spent.append((time.process_time() - started) * 1000)
        if spent[0] < BAR_MILLISECONDS * 0.6:
            break
    return min(spent), status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", nargs="*", default=[])
    parser.add_argument("--over", type=float, default=BAR_MILLISECONDS)
    arguments = parser.parse_args()
    slow = {name: spent for name, spent in asyncio.run(measure(arguments.services)).items() if spent > arguments.over}
    print(f"{len(slow)} over {arguments.over:.0f} ms")
    sys.exit(1 if slow else 0)
