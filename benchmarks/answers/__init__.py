"""The answers corpus: some thousand hook calls, answered by two commits of the server and compared."""
