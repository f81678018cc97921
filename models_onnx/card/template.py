"""The words a new model has to bring for its card: what nobody can compute, as questions to be answered."""

from typing import Any

TO_DO = "TODO: "


def template() -> dict[str, Any]:
    """A `<id>.card.json` whose open questions begin with TODO; a card with one of them left is refused."""
    return {
        "attributes": {
            "development.relevance": f"{TO_DO}whom the data stand for, where they come from, whom they do not fit.",
            "fairness.approach": f"{TO_DO}why this label, which inputs were left out, which threshold policy.",
            "fairness.mitigation": f"{TO_DO}what was done about differences between groups, and what was not.",
        },
        "product": {
            "acting_window_hours": 720,
            "indications": ["TODO: what it is about"],
            "setting": "outpatient",
            "data_last_year": 2000,
            "label": {
                "kind": "outcome",
                "words": f"{TO_DO}what was counted as the outcome, and from which source",
                "stands_for": f"{TO_DO}the need it stands for",
                "audit": {"need": "TODO_column_of_the_table", "words": f"{TO_DO}the need", "axis": "TODO_axis"},
            },
            "fairness_axes": {"sex": "all", "age band": "calibration"},
            "auroc_floor": 0.6,
            "stress_move_at_most": 0.15,
            "one_option_rationale": "",
            "waivers": [],
            "keywords": [],
            "bibliography": f"{TO_DO}source of the data",
        },
    }
