"""`python -m benchmarks.answers`: builds the corpus of calls, has a server answer it, compares two files of answers.

    python -m benchmarks.answers calls calls.ndjson.gz
    python -m benchmarks.answers write old.ndjson --calls calls.ndjson.gz --server-cmd "…/cds-hooks serve --port {port}"
    python -m benchmarks.answers compare old.ndjson new.ndjson

`calls` is run once, on the older commit; `write` and `compare` speak the protocol only, so they work on any commit.
"""

import shlex
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Annotated

import msgspec
import typer

from benchmarks.answers.comparison import compare
from benchmarks.answers.corpus import Corpus, write_calls
from benchmarks.answers.exchange import CLOCK, Call, Client, read_answers, read_calls
from benchmarks.servers import Server, program, running
from benchmarks.subject import discover
from cds_hooks.settings import settings

QUICK = 300
_ServerCommand = Annotated[str | None, typer.Option(help="How to start the server; {port} is a free port.")]

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command("calls")
def build(
    out: Annotated[Path, typer.Argument(help="The gzipped file of calls to write.")], server_cmd: _ServerCommand = None
) -> None:
    """Build the calls from the services that discovery lists, this commit's samples and the charts of CDS_DATA_DIR."""
    with _server(server_cmd) as server:
        corpus = Corpus(discover(server.call_json), settings().data_dir)
    print(f"{write_calls(out, corpus.calls())} calls written to {out}")


@app.command()
def write(
    out: Annotated[Path, typer.Argument(help="The file of answers to write.")],
    calls: Annotated[Path, typer.Option(help="The file of calls.")],
    server_cmd: _ServerCommand = None,
    env: Annotated[list[str] | None, typer.Option(help="A setting of the server, as NAME=VALUE.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help=f"About {QUICK} calls, some of every kind.")] = False,
) -> None:
    """Send every call and write the normalised answers, in the order of the corpus."""
    started = perf_counter()
    statuses: Counter[int] = Counter()
    count = with_cards = 0
    with _server(server_cmd, env or ()) as server, out.open("wb") as file:
        for answer in map(Client(server.port).answer, _some(calls) if quick else read_calls(calls)):
            count += 1
            statuses.update(answer.statuses)
            with_cards += any(isinstance(body, dict) and body.get("cards") for body in answer.bodies)
            file.write(msgspec.json.encode(answer, order="deterministic") + b"\n")
    print(f"{count} calls answered in {perf_counter() - started:.0f} s: {with_cards} with cards; ", end="")
    print(", ".join(f"{number} with status {status}" for status, number in sorted(statuses.items())))


@app.command("compare")
def show(
    old: Annotated[Path, typer.Argument(help="The answers of the older commit.")],
    new: Annotated[Path, typer.Argument(help="The answers of the newer commit.")],
    examples: Annotated[int, typer.Option(help="Calls that are named for each change.")] = 5,
) -> None:
    """Print every change with the number of its calls; exit code 1 where there is one."""
    lines = list(compare(read_answers(old), read_answers(new), examples))
    print("\n".join(lines))
    raise typer.Exit(1 if len(lines) > 1 else 0)


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
def _server(command: str | None, env: Iterable[str] = ()) -> Iterator[Server]:
    """Yield a server that runs until the block is left, with the clock of the corpus."""
    words = shlex.split(command) if command else [program(), "serve", "--port", "{port}"]
    # no PYTHONPATH, so that the program in `--server-cmd` runs its own code and not this one
    environment = {"CDS_AS_OF": CLOCK.isoformat(), "PYTHONPATH": "", **dict(setting.split("=", 1) for setting in env)}
    with (
        tempfile.TemporaryDirectory(prefix="cds-hooks-answers-") as folder,
        running("answering", words, Path(folder), None, **environment) as server,
    ):
        yield server


if __name__ == "__main__":
    app()
