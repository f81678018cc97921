"""The tester's page: puts a hook call together, sends it, and shows what came back and what follows from it."""
