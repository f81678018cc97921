"""Training, compiling and judging of models: loaded by the commands that need it, never by the server."""
