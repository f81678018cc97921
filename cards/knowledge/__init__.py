"""Runs published knowledge as it is: PlanDefinitions and quality measures with the ELM of their libraries."""
