"""Both sides run under one server program with the same flags, or the ratio says nothing."""

from uvicorn.main import main as uvicorn_command
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from benchmarks.servers import bare_command
from cds_hooks.server import server_config

_THAT_COST_SOMETHING = ("access_log", "proxy_headers", "server_header", "date_header", "timeout_keep_alive", "backlog")


def test_the_bare_handler_is_served_with_the_flags_of_the_service() -> None:
    arguments = [part.replace("{port}", "0") for part in bare_command()[3:]]
    bare = uvicorn_command.make_context("uvicorn", arguments).params
    service = server_config(1)
    for flag in _THAT_COST_SOMETHING:
        assert bare[flag] == getattr(service, flag), flag
    assert (bare["loop"], bare["http"]) == ("uvloop", "httptools")
    assert service.loop == "auto"  # which takes it where it is installed
    assert isinstance(service.http, type)
    assert issubclass(service.http, HttpToolsProtocol)  # with the bounds of cds_hooks/edge.py
