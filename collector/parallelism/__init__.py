"""The sweep: how many requests in flight this server is best given, measured on the user's own prompts and verifier."""

from __future__ import annotations

from collector.parallelism.settings import CACHE_MODES, BenchSettings
from collector.parallelism.summary import Summary
from collector.parallelism.sweep import CountPairs, Swept, Watcher, sweep

__all__ = ["CACHE_MODES", "BenchSettings", "CountPairs", "Summary", "Swept", "Watcher", "sweep"]
