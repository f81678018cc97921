"""Notes and summaries: an optional part that the server never loads and no card rests on."""
