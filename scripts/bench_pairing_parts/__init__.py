"""The pairing benchmark: its rows, the methods that are compared, and how each is measured."""
