"""Which rollouts take part at all: a small expression over the fields of their rows, `--where 'reward >= 0.3'`.

    reward >= 0.3 and finish_reason == "stop"
    verifier_metadata.level in ["hard", "medium"] and not (tags.0 == "draft")
    len(answer()) < 4000 and responses_create_params.model ~ "^qwen"

`grammar` reads the text, `nodes` says what it means, `where` asks it of a rollout. Nothing in it is ever run.
"""

from __future__ import annotations

from pairing.filters.grammar import parse
from pairing.filters.where import Where

__all__ = ["Where", "parse"]
