"""Scores the rollouts of an existing file again, with another verifier, and asks no model for new ones.

scoring     the main path: rows in, the same rows with new rewards out, durable, resumable, sealed
run         the workers that judge them, and the counts of one run
sources     the files that hold the rollouts, as they were when the run began
survey      what they hold, read once: how many rollouts of how many prompts, and whether they can be scored at all
identities  which rollout a row is, where rows name it and where they do not
origin      the run that wrote them, as its run file tells it
candidates  what is to be scored, whichever file it stands in
rebuild     a row -> the task and the reply that a verifier judges
splice      a row's bytes with a new verdict in them, all else untouched
leftovers   replies that stand in a failures file because only their verifier failed
"""

from __future__ import annotations

from collector.reverify.scoring import reverify

__all__ = ["reverify"]
