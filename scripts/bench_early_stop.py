"""What early stop costs and gives, on the embedded model: the same prompts and seeds with a fixed number of rollouts,
with a gap that ends them, and with a number of equal rewards that gives a prompt up, at several temperatures.

Usable pairs are counted twice: by the gap alone, and by the pairing stage with its own default rules. In flight is the
mean over the whole run, its end included: the sum of all requests' seconds over the run's.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import orjson

from collector.collecting import collect
from collector.embedded.process import EmbeddedServer
from collector.embedded.tasks import prompt_rows
from collector.journal import iter_lines
from collector.result import CollectResult
from collector.settings import CollectSettings
from collector.usable import RewardRange, usable
from pairing import build_pairs

_MODES = ("fixed", "until-gap", "until-gap, futile")


@dataclass(frozen=True, slots=True)
class Figures:
    """One run. `pairs_by_gap` counts prompts, `pairs` what the pairing stage makes of the file; `gap` is the mean of
    those pairs."""

    temperature: float
    mode: str
    rollouts: int
    output_tokens: int
    pairs_by_gap: int
    pairs: int
    gap: float
    seconds: float
    in_flight: float

    @property
    def tokens_per_pair(self) -> float:
        return self.output_tokens / max(1, self.pairs)

    @property
    def tokens_per_pair_by_gap(self) -> float:
        return self.output_tokens / max(1, self.pairs_by_gap)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--prompts", type=int, default=400, metavar="N", help="bundled prompts (default 400)")
    parser.add_argument("--temperatures", default="0.4,0.6,0.8,1.0,1.2", metavar="X,X,...")
    parser.add_argument("--cap", type=int, default=8, metavar="K", help="most rollouts of a prompt (default 8)")
    parser.add_argument("--gap", type=float, default=0.15, metavar="G", help="default 0.15, pairing's own")
    parser.add_argument("--futile-after", type=int, default=4, metavar="N", help="default 4")
    parser.add_argument("--slots", type=int, default=32, metavar="N", help="requests in flight (default 32)")
    args = parser.parse_args()
    found = anyio.run(_measure, args)
    sys.stdout.write("\n".join(_table(found, args)) + "\n")
    sys.stdout.write(json.dumps({**vars(args), "runs": [asdict(each) for each in found]}) + "\n")


async def _measure(args: argparse.Namespace) -> list[Figures]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedServer() as server:
            for number, temperature in enumerate(map(float, args.temperatures.split(","))):
                for mode in _MODES:
                    output = Path(folder) / f"{number}-{mode}" / "rollouts.jsonl"
                    result = await collect(_settings(args, server.base_url, output, temperature, mode))
                    found.append(_figures(result, temperature, mode, args.gap))
    return found


def _settings(args: argparse.Namespace, base_url: str, output: Path, temperature: float, mode: str) -> CollectSettings:
    return CollectSettings(
        input=prompt_rows("train"),
        output=output,
        base_url=base_url,
        verifier="embedded",
        limit=args.prompts,
        num_repeats=args.cap,
        num_samples_in_parallel=args.slots,
        params={"temperature": temperature},
        until_gap=None if mode == "fixed" else args.gap,
        futile_after=args.futile_after if "futile" in mode else None,
    )


def _figures(result: CollectResult, temperature: float, mode: str, gap: float) -> Figures:
    rewards: dict[int, RewardRange] = {}
    tokens, busy = 0, 0.0
    for line in iter_lines(result.paths.rollouts):
        row = orjson.loads(line.raw)
        rewards.setdefault(row["_ng_task_index"], RewardRange()).add(row["reward"])
        tokens += row["usage"]["output_tokens"]
        busy += row["timing"]["latency"]
    report = build_pairs(result.paths.rollouts, result.paths.rollouts.with_name("pairs.jsonl"))
    return Figures(
        temperature=temperature,
        mode=mode,
        rollouts=result.rollouts,
        output_tokens=tokens,
        pairs_by_gap=sum(usable(each, gap) for each in rewards.values()),
        pairs=report.pairs,
        gap=round(report.gaps.mean, 3),
        seconds=round(result.seconds, 2),
        in_flight=round(busy / result.seconds, 1),
    )


def _table(found: list[Figures], args: argparse.Namespace) -> Iterator[str]:
    """Markdown; each run beside the fixed one of its temperature."""
    yield (
        f"{args.prompts} prompts, cap {args.cap}, gap {args.gap:g}, futile after {args.futile_after},"
        f" {args.slots} slots"
    )
    yield ""
    yield (
        "| temperature | run | rollouts | output tokens | pairs by gap | pairs | tokens a pair by gap | tokens a pair"
        " | fewer by gap | fewer | mean gap | seconds | in flight |"
    )
    yield "|---" * 13 + "|"
    for each in found:
        base = next(one for one in found if one.temperature == each.temperature)
        by_gap = base.tokens_per_pair_by_gap / each.tokens_per_pair_by_gap
        yield (
            f"| {each.temperature:g} | {each.mode} | {each.rollouts:,} | {each.output_tokens:,} | {each.pairs_by_gap}"
            f" | {each.pairs} | {each.tokens_per_pair_by_gap:,.0f} | {each.tokens_per_pair:,.0f} | {by_gap:.2f}x"
            f" | {base.tokens_per_pair / each.tokens_per_pair:.2f}x | {each.gap:.2f} | {each.seconds:.1f}"
            f" | {each.in_flight:.1f} |"
        )


if __name__ == "__main__":
    main()
