"""`python -m benchmarks.answers`: builds the corpus of calls, has a server answer it, compares two files of answers.

    python -m benchmarks.answers calls calls.ndjson.gz
    python -m benchmarks.answers write old.ndjson --calls calls.ndjson.gz --server-cmd "…/cds-hooks serve --port {port}"
    python -m benchmarks.answers compare old.ndjson new.ndjson

`calls` is run once, on the older commit; `write` and `compare` speak the protocol only, so they work on any commit.
"""

from __future__ import annotations

import json
import random
import shlex
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from benchmarks.answers.comparison import compare, report
from benchmarks.answers.exchange import Answer, Call, Client, read_answers, read_calls
from benchmarks.servers import running

CLOCK = "2026-11-20T12:00:00+00:00"
SETTINGS = {"CDS_AS_OF": CLOCK, "PYTHONPATH": ""}
"""The clock of the corpus; no PYTHONPATH, so that the program in `--server-cmd` runs its own code and not this one."""
QUICK = 300
LAST_KIND = "feedback"
"""Kinds of calls that leave something behind in the server are sent last, also when the others are shuffled."""

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command("calls")
def build(
    out: Annotated[Path, typer.Argument(help="The gzipped file of calls to write.")],
    server_cmd: Annotated[str | None, typer.Option(help="How to start the server whose discovery is used.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of other people's data; default CDS_DATA_DIR.")] = None,
) -> None:
    """Build the calls from the services that discovery lists and this commit's samples."""
    # imported here: the other two commands know the server by its protocol only
    from benchmarks.answers.corpus import Corpus, write_calls
    from cds_hooks.settings import settings

    with _server(server_cmd, None) as url:
        services = Client(url).send("GET", "/cds-services")[1]
    corpus = Corpus(json.loads(services)["services"], datetime.fromisoformat(CLOCK), data or settings().data_dir)
    print(f"{write_calls(out, corpus.calls())} calls written to {out}")


@app.command()
def write(
    out: Annotated[Path, typer.Argument(help="The file of answers to write.")],
    calls: Annotated[Path, typer.Option(help="The file of calls.")],
    server_cmd: Annotated[str | None, typer.Option(help="How to start the server; {port} is a free port.")] = None,
    url: Annotated[str | None, typer.Option(help="A server that runs already, its CDS_AS_OF set.")] = None,
    env: Annotated[list[str] | None, typer.Option(help="A setting of the server, as NAME=VALUE.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help=f"About {QUICK} calls, some of every kind.")] = False,
    shuffle: Annotated[int | None, typer.Option(help="Sends the calls in the order that this number gives.")] = None,
) -> None:
    """Send every call and write the normalised answers, in the order of the corpus."""
    started = perf_counter()
    with _server(server_cmd, url, env or ()) as address, out.open("w") as file:
        client = Client(address)
        chosen = read_calls(calls) if not quick else _some(calls)
        answered = _in_turn(client, chosen) if shuffle is None else _shuffled(client, list(chosen), shuffle)
        statuses: Counter[int] = Counter()
        count = with_cards = 0
        for answer in answered:
            count += 1
            statuses.update(answer.statuses)
            with_cards += any(isinstance(body, dict) and body.get("cards") for body in answer.bodies)
            file.write(answer.as_line() + "\n")
    print(f"{count} calls answered in {perf_counter() - started:.0f} s: {with_cards} with cards; ", end="")
    print(", ".join(f"{number} with status {status}" for status, number in sorted(statuses.items())))


@app.command("compare")
def show(
    old: Annotated[Path, typer.Argument(help="The answers of the older commit.")],
    new: Annotated[Path, typer.Argument(help="The answers of the newer commit.")],
    examples: Annotated[int, typer.Option(help="Different changes shown for each place.")] = 5,
) -> None:
    """Print every difference, grouped; exit code 1 where there is one."""
    result = compare(read_answers(old), read_answers(new))
    for line in report(result, examples):
        print(line)
    raise typer.Exit(1 if result.differences else 0)


def _in_turn(client: Client, calls: Iterator[Call]) -> Iterator[Answer]:
    return map(client.answer, calls)


def _shuffled(client: Client, calls: list[Call], seed: int) -> Iterator[Answer]:
    order = sorted(range(len(calls)), key=lambda number: calls[number].kind == LAST_KIND)
    first = sum(call.kind != LAST_KIND for call in calls)
    order[:first] = random.Random(seed).sample(order[:first], first)
    answers = {number: client.answer(calls[number]) for number in order}
    return (answers[number] for number in range(len(calls)))


def _some(path: Path) -> Iterator[Call]:
    """About QUICK calls: the same share of each kind, at least ten, spread over the kind."""
    kinds = Counter(call.kind for call in read_calls(path))
    share = QUICK / sum(kinds.values())
    seen: Counter[str] = Counter()
    for call in read_calls(path):
        number, wanted = seen[call.kind], max(10.0, kinds[call.kind] * share) / kinds[call.kind]
        seen[call.kind] += 1
        if int((number + 1) * wanted) > int(number * wanted):
            yield call


@contextmanager
def _server(command: str | None, url: str | None, env: Iterable[str] = ()) -> Iterator[str]:
    """Yield the address of the server: the one given, or one that runs until the block is left."""
    if url:
        yield url
        return
    program = str(Path(sys.executable).with_name("cds-hooks"))
    words = shlex.split(command) if command else [program, "serve", "--port", "{port}"]
    settings = dict(setting.split("=", 1) for setting in env)
    with (
        tempfile.TemporaryDirectory(prefix="cds-hooks-answers-") as folder,
        running("answering", words, Path(folder), None, **SETTINGS | settings) as server,
    ):
        yield f"http://127.0.0.1:{server.port}"


if __name__ == "__main__":
    app()
