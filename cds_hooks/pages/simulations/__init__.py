"""The pages /simulations: what a change to a rule or a model would do."""
