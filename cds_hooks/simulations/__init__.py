"""What a change to a rule or a model would do: tried on charts or on recorded decisions, in the background."""
