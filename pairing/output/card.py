"""The dataset card: YAML front matter that the Hugging Face Hub reads, then what made the pairs and what did not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pairing.formats import Format
from pairing.formats.shapes import arrow_name
from pairing.reports.funnel import REASONS, PairReport

__all__ = ["MARK", "dataset_card"]

MARK = "<!-- written by pairmill -->"
"""By this line a card of ours is known, and may be replaced."""
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10**7, "1M<n<10M"))


def dataset_card(report: PairReport, target: Format, columns: frozenset[str]) -> str:
    """The card's whole text. It holds counts and names alone, no text of a model."""
    import yaml  # few runs write a card: the others need not wait for it

    front = yaml.safe_dump(_front(report, target, columns), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n{MARK}\n" + "\n".join(_body(report, target)) + "\n"


def _front(report: PairReport, target: Format, columns: frozenset[str]) -> dict[str, Any]:
    splits = _splits(report)
    rows = sum(report.rows)
    front: dict[str, Any] = {
        "task_categories": ["text-generation", "reinforcement-learning"],
        "tags": ["preference", "dpo", "pairmill"],
        "size_categories": [next((name for bound, name in _SIZES if rows < bound), "n>10M")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": name} for split, name, _ in splits],
            }
        ],
    }
    shape = target.shape(columns)
    if shape is not None:
        front["dataset_info"] = {
            "features": [_feature(name, kind) for name, kind in shape.items()],
            "splits": [{"name": split, "num_examples": count} for split, _, count in splits],
        }
    return front


def _splits(report: PairReport) -> list[tuple[str, str, int]]:
    """(split, file, rows) of each file."""
    names = ("train", "validation")
    return [
        (names[place], path.name, count)
        for place, (path, count) in enumerate(zip(report.outputs, report.rows, strict=True))
    ]


def _feature(name: str, kind: Any) -> dict[str, Any]:
    if isinstance(kind, list):
        inner = kind[0]
        if isinstance(inner, dict):
            return {"name": name, "list": [_feature(key, value) for key, value in inner.items()]}
        return {"name": name, "list": arrow_name(inner)}
    if isinstance(kind, dict):
        return {"name": name, "struct": [_feature(key, value) for key, value in kind.items()]}
    return {"name": name, "dtype": arrow_name(kind)}


def _body(report: PairReport, target: Format) -> Iterator[str]:
    from importlib.metadata import version  # slow to load, likewise

    yield "\n# Preference pairs\n"
    yield f"Made by pairmill {version('pairmill')}, format `{target.name}`, strategy `{report.strategy}`.\n"
    yield "| file | split | rows |\n|---|---|---|"
    for split, name, count in _splits(report):
        yield f"| `{name}` | {split} | {count:,} |"
    yield "\n## What was paired\n"
    yield "| | count |\n|---|---|"
    yield f"| rollouts | {report.rollouts:,} |"
    yield f"| usable | {report.usable:,} |"
    yield f"| prompts | {report.groups:,} |"
    yield f"| with a pair | {report.paired:,} ({report.pair_yield:.1%}) |"
    yield f"| pairs | {report.pairs:,} |"
    if report.pairs:
        yield f"| mean reward gap | {report.gaps.mean:.3f} ({report.gaps.minimum:.3g} to {report.gaps.maximum:.3g}) |"
    if report.usable:
        yield f"| mean reward | {report.rewards.mean:.3f}, standard deviation {report.rewards.std:.3f} |"
    yield from _reasons("\n## What was left out", {**report.line_drops, **report.sample_drops, **report.group_drops})
    yield from _reasons("\n## What was changed to fit the format", report.adapted)
    loss = target.capabilities.loss
    yield f"\n## For training\n\nTrained on: {loss}. `pairmill check {report.outputs[0].name} --target {target.name}`."


def _reasons(heading: str, counts: Any) -> Iterator[str]:
    if any(counts.values()):
        yield f"{heading}\n\n| reason | count | meaning |\n|---|---|---|"
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            if count:
                yield f"| `{name}` | {count:,} | {REASONS.get(name, '')} |"
