"""What was decided and what came of it: storage, audit, replay, outcomes and the monitor."""
