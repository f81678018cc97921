"""The pages /models: the list of models and the page of each."""
