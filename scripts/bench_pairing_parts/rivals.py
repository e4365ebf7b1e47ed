"""What one would write without Pairmill: the reference recipe, and its decisions in three other tools.

All take the best and the worst reward of each prompt, and keep gaps of 0.15 and more; none has a guard. Each returns
how many pairs it wrote.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench_pairing_parts.rows import REPEATS

__all__ = ["METHODS"]

_MIN_GAP = 0.15


def reference(source: Path, output: Path) -> int:
    """The reference recipe in our words: all rows in one list, each run of REPEATS rows is a prompt."""
    with source.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    pairs = _pairs(rows)
    with output.open("w", encoding="utf-8") as file:
        for pair in pairs:
            file.write(json.dumps(pair) + "\n")
    return len(pairs)


def reference_orjson(source: Path, output: Path) -> int:
    """The same with a faster parser."""
    import orjson

    with source.open("rb") as lines:
        rows = [orjson.loads(line) for line in lines]
    pairs = _pairs(rows)
    with output.open("wb") as file:
        for pair in pairs:
            file.write(orjson.dumps(pair) + b"\n")
    return len(pairs)


def polars(source: Path, output: Path) -> int:
    """group_by over the columns that are needed, types given."""
    import polars as pl

    message: Any = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
    schema: Any = {
        "_ng_task_index": pl.Int64,
        "responses_create_params": pl.Struct({"input": message}),
        "output": message,
        "reward": pl.Float64,
    }
    best, worst = pl.col("reward").arg_max(), pl.col("reward").arg_min()
    prompt = pl.col("responses_create_params").struct.field("input")
    rows = pl.read_ndjson(source, schema=schema)
    pairs = (
        rows.group_by("_ng_task_index", maintain_order=True)
        .agg(
            prompt.get(best).alias("prompt"),
            pl.col("output").get(best).alias("chosen"),
            pl.col("output").get(worst).alias("rejected"),
            (pl.col("reward").max() - pl.col("reward").min()).alias("reward_gap"),
        )
        .filter(pl.col("reward_gap") >= _MIN_GAP)
        .drop("_ng_task_index")
    )
    pairs.write_ndjson(output)
    return pairs.height


def duckdb(source: Path, output: Path) -> int:
    """arg_max and arg_min over the columns that are needed, left as JSON."""
    import duckdb as db

    columns = "{_ng_task_index: 'BIGINT', responses_create_params: 'JSON', output: 'JSON', reward: 'DOUBLE'}"
    query = f"""
        SELECT arg_max(responses_create_params, reward) -> 'input' AS prompt, arg_max(output, reward) AS chosen,
               arg_min(output, reward) AS rejected, max(reward) - min(reward) AS reward_gap
        FROM read_json('{source}', format = 'newline_delimited', columns = {columns})
        GROUP BY _ng_task_index HAVING max(reward) - min(reward) >= {_MIN_GAP} ORDER BY _ng_task_index
    """
    connection = db.connect(config={"threads": "1"})
    connection.execute(f"COPY ({query}) TO '{output}' (FORMAT JSON)")
    with output.open("rb") as lines:
        return sum(1 for _ in lines)


def _pairs(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    pairs = []
    for start in range(0, len(rows), REPEATS):
        ranked = sorted(rows[start : start + REPEATS], key=lambda row: row["reward"], reverse=True)
        best, worst = ranked[0], ranked[-1]
        gap = best["reward"] - worst["reward"]
        if gap < _MIN_GAP:
            continue
        prompt = best["responses_create_params"]["input"]
        pairs.append({"prompt": prompt, "chosen": best["output"], "rejected": worst["output"], "reward_gap": gap})
    return pairs


METHODS: Mapping[str, Callable[[Path, Path], int]] = {
    "reference": reference,
    "reference-orjson": reference_orjson,
    "polars": polars,
    "duckdb": duckdb,
}
