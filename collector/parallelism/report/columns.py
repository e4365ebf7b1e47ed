"""The columns of a sweep's tables: what each is called, how it is read from a level's figures, how it is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from collector.parallelism.figures import LevelFigures
from collector.parallelism.intervals import Interval
from collector.parallelism.summary import Summary

__all__ = ["COLUMNS", "Column", "Value", "columns_of", "number", "shown", "table_rows"]

Value = float | int | Interval | None


@dataclass(frozen=True, slots=True)
class Column:
    """`name` is that of the CSV, in plain units; `head` heads the tables, where the value is times `scale`. `short`:
    also shown in the terminal."""

    name: str
    head: str
    read: Callable[[LevelFigures], Value]
    scale: float = 1.0
    short: bool = False


COLUMNS: tuple[Column, ...] = (
    Column("level", "in flight", lambda f: f.level, short=True),
    Column("rollouts_per_s", "rollouts/s", lambda f: f.rollouts_per_s, short=True),
    Column("output_tokens_per_s", "output tokens/s", lambda f: f.tokens_per_s),
    Column("latency_p50_s", "p50 ms", lambda f: f.p50, 1000, short=True),
    Column("latency_p90_s", "p90 ms", lambda f: f.p90, 1000),
    Column("latency_p99_s", "p99 ms", lambda f: f.p99, 1000, short=True),
    Column("latency_longest_s", "longest ms", lambda f: f.longest, 1000, short=True),
    Column("pairs_per_s", "usable pairs/s", lambda f: f.pairs_per_s, short=True),
    Column("pairs_per_million_tokens", "pairs/M tokens", lambda f: f.pairs_per_million_tokens, short=True),
    Column("reward_mean", "reward mean", lambda f: f.reward, short=True),
    Column("reward_std", "reward std", lambda f: f.reward_std),
    Column("tokens_per_rollout", "tokens/rollout", lambda f: f.tokens_per_rollout),
    Column("truncated_share", "truncated %", lambda f: f.truncated, 100),
    Column("in_flight_mean", "mean in flight", lambda f: f.in_flight),
    Column("in_flight_max", "max in flight", lambda f: f.in_flight_max),
    Column("client_cpu_share", "client CPU %", lambda f: f.client_cpu, 100, short=True),
    Column("loop_lag_p99_s", "loop lag p99 ms", lambda f: f.lag_p99, 1000),
    Column("server_running", "server running", lambda f: f.running),
    Column("server_waiting", "server waiting", lambda f: f.waiting, short=True),
    Column("server_kv_max", "KV cache max %", lambda f: f.kv_max, 100),
    Column("server_preemptions", "preemptions", lambda f: f.preemptions),
    Column("server_first_token_s", "first token ms", lambda f: f.first_token, 1000),
    Column("retries", "retries", lambda f: f.retries),
    Column("failures", "failures", lambda f: sum(f.failures.values())),
    Column("measured_rollouts", "rollouts", lambda f: f.rollouts),
    Column("whole_prompts", "prompts", lambda f: f.prompts),
    Column("usable_pairs", "usable pairs", lambda f: f.pairs),
    Column("measured_s", "measured s", lambda f: f.seconds),
    Column("warmup_s", "warm-up s", lambda f: f.warmup_s),
    Column("tail_s", "tail s", lambda f: f.tail_s),
    Column("tail_rollouts", "tail rollouts", lambda f: f.tail_rollouts),
)


def columns_of(levels: tuple[LevelFigures, ...], *, short: bool = False) -> tuple[Column, ...]:
    """The columns of which at least one level has a value."""
    return tuple(
        column
        for column in COLUMNS
        if (column.short or not short) and any(column.read(figures) is not None for figures in levels)
    )


def table_rows(summary: Summary, columns: tuple[Column, ...], *, interval: bool = True) -> list[list[str]]:
    """The cells of a table, a row a level; the limit that found itself is the last one, by its name."""
    rows = [[shown(column, figures, interval=interval) for column in columns] for figures in summary.levels]
    if summary.auto is not None:
        figures = summary.auto.figures
        rows.append(["auto", *(shown(column, figures, interval=interval) for column in columns[1:])])
    return rows


def shown(column: Column, figures: LevelFigures, *, interval: bool = True) -> str:
    """The value as people read it: three digits that count, and half of what holds 95% behind ±; a dash for none."""
    value = column.read(figures)
    if value is None:
        return "-"
    if isinstance(value, Interval):
        half = (value.high - value.low) / 2 * column.scale
        told = number(value.value * column.scale)
        return f"{told} ± {number(half)}" if interval else told
    return str(value) if isinstance(value, int) else number(value * column.scale)


def number(value: float) -> str:
    """Three digits that count; whole above 100."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) < 0.0005:
        return "0"
    text = f"{value:.3g}"
    return text if "e" not in text else f"{value:.4f}"
