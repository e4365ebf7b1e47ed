"""Plans a run from rollouts that are there: what other repeats and gaps would yield, no request sent."""
