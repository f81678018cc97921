"""From a table to an artifact. Needs the `train` extra; serving code never imports it."""
