"""Pairs of a collection that still goes on: as groups close they are appended to a live file, and at the end the output
is written with the bytes that an offline run gives.
"""

from pairing.follow.follower import Follower
from pairing.follow.watch import Clock, follow

__all__ = ["Clock", "Follower", "follow"]
