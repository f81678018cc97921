"""One module per gate or small group of gates, found by itself: a module declares `GATES`."""
