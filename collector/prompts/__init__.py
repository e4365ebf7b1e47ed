"""The input: rows read one at a time, each checked, worded as the settings say, and repeated in the aabbcc pattern.

Not covered here: what a row's parameters mean to a server, which is the protocol's business.
"""

from __future__ import annotations

from collector.prompts.reading import Inventory, check_rows, read_rows, rows_of
from collector.prompts.repeats import repeat_rows

__all__ = ["Inventory", "check_rows", "read_rows", "repeat_rows", "rows_of"]
