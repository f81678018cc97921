"""The data of a training: tables, charts, cohorts, outcomes, and the checks before anything is learned from them."""
