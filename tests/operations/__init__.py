"""The server as an operator meets it: faults, processes, settings, traces, files of docs/operations."""
