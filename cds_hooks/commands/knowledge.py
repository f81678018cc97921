"""`cds-hooks knowledge`: published knowledge artifacts, checked and evaluated."""

import sys

import orjson
import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Check published knowledge artifacts (PlanDefinitions and measures with ELM) and evaluate their expressions.",
)


@app.command()
def evaluate() -> None:
    """Evaluate expressions of ELM libraries that are given as JSON lines on standard input.

    A line with `library` (ELM), `libraries` (a list of ELM) and `valuesets` ({URL: {"codes": [[SYSTEM, CODE]]}})
    stays in
    force for the lines after it. A line with `expressions` (names), `resources`, `parameters` and `now` is one
    evaluation; for it one line is printed: {"values": {NAME: VALUE}}, where VALUE is {"error": TEXT} for an
    expression that has no
    value. Exit code 1 where a line has another form.
    """
    from cards.knowledge.lines import LineRefused, Session

    session, refused = Session(), False
    for line in sys.stdin.buffer:
        if not line.strip():
            continue
        try:
            answer = session.answer(line)
        except LineRefused as problem:
            answer, refused = {"error": str(problem)}, True
        if answer is not None:
            sys.stdout.buffer.write(orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE, default=str))
            sys.stdout.buffer.flush()
    if refused:
        raise typer.Exit(1)
