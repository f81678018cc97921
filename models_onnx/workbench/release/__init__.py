"""From a draft to a signed release: publishing, importing a model of others, the list of models, their pages."""
