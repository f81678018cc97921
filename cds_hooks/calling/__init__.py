"""A client: builds a hook call from a chart on disk, sends it, draws the cards in the terminal."""
