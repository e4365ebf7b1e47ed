"""How many requests may be in flight, found while the run goes on: one controller per endpoint, pure but for its clock.

level         the limit itself: grows smoothly, is cut at once, pauses, keeps below a ceiling
queue_target  the law for a server that shows its queue: a short one, never empty
gradient      the law for one that shows nothing: latency per output token
controller    one endpoint's: which law is in force, what a refusal or a fault does
changes       a change of the limit, as it is told and logged
log           the changes on disk
history       the changes read back, and drawn in a line of text
steering      the controllers of a run, its limiter, its endpoints and their load, put together
"""

from __future__ import annotations

from collector.adaptive.changes import LimitChange
from collector.adaptive.controller import Controller

__all__ = ["Controller", "LimitChange"]
