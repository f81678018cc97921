"""What clinical notes say: findings, drugs and results, each with its place, and with what is said of it."""
