"""The page /worklist: whom to see first and why."""
