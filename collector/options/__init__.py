"""What the user wrote becomes CollectSettings: flags, NeMo Gym's +key=value, a TOML file. One file for each purpose."""

from __future__ import annotations

from collector.options.flags import add_collect_options, protocol_of, settings_from
from collector.options.parser import Parser, given_path, positive_int
from collector.options.watching import watch_from

__all__ = ["Parser", "add_collect_options", "given_path", "positive_int", "protocol_of", "settings_from", "watch_from"]
