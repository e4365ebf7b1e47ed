"""Stops sampling a prompt once it has a usable pair, or cannot get one: `--until-gap`.

`rule` says when a prompt stops, `ledger` knows how far each prompt is, `rounds` asks for the next samples, `decisions`
writes down what became of each prompt. docs/early-stop.md has the whole of it.
"""

from __future__ import annotations

from collector.early_stop.ledger import Ledger
from collector.early_stop.rounds import Rounds
from collector.early_stop.rule import StopRule, rule_of

__all__ = ["Ledger", "Rounds", "StopRule", "rule_of"]
