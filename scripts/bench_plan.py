"""Holds `pairmill plan` against the truth: the embedded model gives 16 rollouts of each prompt, the plan sees 2, 4 or 8
of them, and what it foretells for 8 and 16 is set beside what all 16 give. Prints docs/plan.md's table.

The truth is exact for these prompts (the mean over all subsets of the 16), so a figure outside its interval is the
model's fault or chance's: of 95% intervals one in twenty may miss.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pairing.planning.chances import Rule
from pairing.planning.figures import Between, Row, plan_by_rewards
from pairing.planning.render import aligned
from pairing.planning.samples import PromptSamples, read_pilot
from pairing.reading.groups import iter_groups
from pairing.settings import PairSettings

ALL = 16
GAPS = (0.15, 0.3, 0.6)
FORETOLD = {2: (4, 8), 4: (8, 16), 8: (16,)}


def collected(folder: Path, temperature: float, prompts: int) -> list[PromptSamples]:
    output = folder / f"t{temperature:g}"
    command = [sys.executable, "-m", "pairing.cli", "run", "--output-dir", str(output), "--limit", str(prompts)]
    command += ["--temperature", f"{temperature:g}", "--num-repeats", str(ALL)]
    if not (output / "rollouts.jsonl").is_file():
        subprocess.run(command, check=True, capture_output=True)
    return read_pilot(iter_groups(output / "rollouts.jsonl"), PairSettings().policy(), None).prompts


def first(prompt: PromptSamples, count: int) -> PromptSamples:
    return replace(prompt, count=count, members=prompt.members[:count])


def cells(temperature: float, seen: int, foretold: Row, truth: Row) -> Iterator[tuple[list[str], list[bool]]]:
    pairs: Sequence[tuple[Between, Between, str]] = (
        (foretold.paired, truth.paired, ".1%"),
        (foretold.mean_gap, truth.mean_gap, ".3f"),
    )
    row = [f"{temperature:g}", str(seen), str(foretold.repeats), f"{foretold.gap:g}"]
    held = [each.low <= true.value <= each.high for each, true, _ in pairs]
    for (each, true, form), inside in zip(pairs, held, strict=True):
        row += [f"{each.value:{form}}", f"{each.low:{form}}-{each.high:{form}}"]
        row += [f"{true.value:{form}}", "" if inside else "out"]
    yield row, held


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=300)
    parser.add_argument("--temperature", default="0.3,0.6,1.0")
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    head = ["T", "seen", "for", "gap", "with a pair", "interval", "truth", "", "mean gap", "interval", "truth", ""]
    rows, held, misses = [head], [], []
    with tempfile.TemporaryDirectory() as scratch:
        for temperature in map(float, args.temperature.split(",")):
            prompts = collected(args.folder or Path(scratch), temperature, args.prompts)
            truth = {(row.repeats, row.gap): row for row in plan_by_rewards(prompts, (4, 8, ALL), Rule(GAPS)).rows}
            for seen, repeats in FORETOLD.items():
                for row in plan_by_rewards([first(prompt, seen) for prompt in prompts], repeats, Rule(GAPS)).rows:
                    true = truth[row.repeats, row.gap]
                    for line, inside in cells(temperature, seen, row, true):
                        rows.append(line)
                        held.append(inside)
                        misses.append(abs(row.paired.value - true.paired.value))
    print("\n".join(aligned(rows)))
    share = np.mean(held, axis=0)
    print(f"inside the interval: yield {share[0]:.0%}, mean gap {share[1]:.0%} of {len(held)} figures;", end=" ")
    print(f"yield off by {np.mean(misses):.1%} on average, {max(misses):.1%} at most")
    return 0


if __name__ == "__main__":
    sys.exit(main())
