"""Programs for the command line: the commands, the contract kit and scores of whole tables."""
