"""Rules about older adults."""
