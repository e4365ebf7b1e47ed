"""Faults: kills, full disks, broken input, hostile servers, each against the real command."""
