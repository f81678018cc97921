"""The pages /rules: the list of rules and the page of each."""
