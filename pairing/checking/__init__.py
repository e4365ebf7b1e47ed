"""`pairmill check`: looks through any preference file, ours or not, for what its trainer trips over.

Row by row, with line numbers, in memory that does not grow with the file. It covers what a loader does with a row; what
a model makes of it is no part of it.
"""

from __future__ import annotations

from pairing.checking.checker import CheckReport, check_file
from pairing.checking.problems import PROBLEMS, Problem

__all__ = ["PROBLEMS", "CheckReport", "Problem", "check_file"]
