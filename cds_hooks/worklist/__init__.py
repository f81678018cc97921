"""The worklist as a page: whom to see first and why, and what was done about it."""
