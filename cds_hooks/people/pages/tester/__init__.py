"""The page /try: puts a hook call together, sends it, and shows the answer and what follows from it."""
