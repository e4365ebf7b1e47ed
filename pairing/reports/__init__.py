"""What pairing tells its user: the funnel, the hints, why a prompt gave this pair, strategies side by side."""
