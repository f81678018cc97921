"""The same patients through the server, the command line, Spark and Ray: the same bits, and what each costs."""
