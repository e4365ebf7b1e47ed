"""`pairmill`: both stages under one command. `run` collects and pairs; the other commands do one thing each.

Exit codes: 0 done, 1 error, 2 usage, 3 finished but with failures or without a pair, 130 interrupted.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Mapping
from typing import Any

from collector.cli import add_parsers
from collector.errors import EXIT_PARTIAL, PairmillError, UsageError
from collector.options import Parser, add_collect_options, given_path
from collector.options.bench import add_bench_options
from collector.options.config_file import taken_elsewhere, with_config
from collector.options.credentials import is_credential
from collector.options.plus_args import translate
from collector.terminal import plain, print_line
from pairing.options.flags import (
    add_compare_options,
    add_explain_options,
    add_group_size,
    add_pair_options,
    add_policy_options,
    add_strategy,
)
from pairing.options.paths import given_file
from pairing.planning.options import add_plan_options
from pairing.stats.options import add_stats_options
from pairing.streams import keep_writing, lost_output
from pairing.tuning.options import add_tune_options

__all__ = ["main", "parse"]


_OUTPUT = re.compile(r"--output(?![-\w])")


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit code. No traceback reaches the user but for a fault of Pairmill's own."""
    keep_writing()
    return _flushed(_command(argv))


def _command(argv: list[str] | None) -> int:
    args: argparse.Namespace | None = None
    try:
        args = parse(sys.argv[1:] if argv is None else argv)
        return int(args.handler(args))
    except PairmillError as error:
        sys.stderr.write(f"pairmill: error: {plain(_with_own_flags(str(error), args))}\n")
        return error.exit_code
    except OSError as error:  # what no command looks out for, such as a path too long for the system
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"pairmill: error: {plain(f'{where}{error.strerror or error}')}\n")
        return PairmillError.exit_code
    except SystemExit as end:  # argparse, after --help and --version
        return int(end.code or 0)
    except KeyboardInterrupt:
        sys.stderr.write("pairmill: interrupted\n")
        return 130


def _with_own_flags(message: str, args: argparse.Namespace | None) -> str:
    """The collector speaks of --output; a command that writes into a folder has --output-dir in its place."""
    if hasattr(args, "output_dir") and not hasattr(args, "output"):
        return _OUTPUT.sub("--output-dir", message)
    return message


def parse(argv: list[str]) -> argparse.Namespace:
    """The command that `argv` asks for. Raises UsageError; an option that is none is shown with those most like it."""
    parser, commands = _parser()
    _check_has_no_input_flag(argv, commands)
    args, unknown = parser.parse_known_args(with_config(translate(argv), commands))
    if unknown:
        raise UsageError(f"{_unknown(unknown, argv, args.parser, commands)} (see {args.parser.prog} --help)")
    return args


def _check_has_no_input_flag(argv: list[str], commands: Mapping[str, argparse.ArgumentParser]) -> None:
    """`check` alone takes its file without a flag, all others behind --input: said before argparse misses the file."""
    if argv[:1] == ["check"] and any(word.partition("=")[0] == "--input" for word in argv):
        raise UsageError(f"--input: it takes the file without a flag: {commands['check'].prog} FILE")


def _unknown(
    words: list[str], argv: list[str], parser: argparse.ArgumentParser, commands: Mapping[str, argparse.ArgumentParser]
) -> str:
    """What is wrong with words that are no option. No value is repeated: behind `--api-key` it is the key, and so may
    be a word of a header that was written without quotes."""
    options = [word.partition("=")[0] for word in words if word.startswith("-")]
    if not options:
        secret = any(is_credential(word) or word.startswith("--header") for word in argv)
        return f"unrecognized arguments: {'(not shown)' if secret else ' '.join(words)}: quote what has spaces in it"
    elsewhere = taken_elsewhere(options[0], parser, commands)
    if elsewhere:
        return f"unrecognized arguments: {options[0]}: {elsewhere}"
    flags = [flag for action in parser._actions for flag in action.option_strings]
    near = difflib.get_close_matches(options[0], flags, n=2, cutoff=0.6)
    return f"unrecognized arguments: {' '.join(options)}" + (f"; did you mean {' or '.join(near)}?" if near else "")


def _flushed(code: int) -> int:
    """The exit code, once standard output has taken all: what a full disk swallowed is said."""
    error = lost_output()
    if error is None:
        return code
    sys.stderr.write(f"pairmill: error: standard output: {error.strerror}; the work itself is done\n")
    return code or PairmillError.exit_code


def _parser() -> tuple[Parser, Mapping[str, Parser]]:
    """The whole parser, and that of each command by name."""
    parser = Parser(prog="pairmill", description="Prompts and a model server in, preference pairs out.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_run(commands)
    add_parsers(commands)
    _add_pair(commands)
    _add_formats(commands)
    _add_check(commands)
    _add_explain(commands)
    _add_compare(commands)
    _add_stats(commands)
    _add_plan(commands)
    _add_tune(commands)
    _add_bench(commands)
    return parser, commands.choices


class _Version(argparse.Action):
    """Reads the version when it is asked for: looking a package's metadata up takes a while."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        parser.exit(message=f"pairmill {version('pairmill')}\n")


def _add_run(commands: argparse._SubParsersAction[Parser]) -> None:
    run = commands.add_parser("run", help="collect and pair, in one go; brings its own model when given no server")
    run.add_argument("--output-dir", type=given_path, required=True, metavar="DIR", help="where everything is written")
    run.add_argument("--input", type=given_path, metavar="PATH", help="prompts, JSONL (default: the bundled ones)")
    add_collect_options(run)
    add_pair_options(run)
    run.set_defaults(handler=_run, parser=run)


def _add_pair(commands: argparse._SubParsersAction[Parser]) -> None:
    pair = commands.add_parser("pair", help="rollouts to preference pairs")
    pair.add_argument("--input", type=given_path, nargs="+", required=True, metavar="PATH", help="rollouts, JSONL")
    pair.add_argument("--output", type=given_file, required=True, metavar="PATH", help="pairs, JSONL")
    pair.add_argument("--overwrite", action="store_true", help="replace the output when it exists")
    pair.add_argument(
        "--follow",
        action="store_true",
        help="pair while the run that writes --input goes on: pairs.live.jsonl grows, --output comes at the end",
    )
    add_group_size(pair)
    add_pair_options(pair)
    pair.set_defaults(handler=_pair, parser=pair)


def _add_formats(commands: argparse._SubParsersAction[Parser]) -> None:
    formats = commands.add_parser("formats", help="the trainers' formats, and what each can hold")
    formats.add_argument("name", nargs="?", metavar="NAME", help="tell of this one")
    formats.set_defaults(handler=_formats, parser=formats)


def _add_check(commands: argparse._SubParsersAction[Parser]) -> None:
    check = commands.add_parser("check", help="look through any preference file for what its trainer trips over")
    check.add_argument("file", type=given_path, metavar="FILE", help="JSON lines or .parquet")
    check.add_argument(
        "--target", default="auto", metavar="NAME", help="the format to check against (default: told from the rows)"
    )
    check.add_argument("--show", type=int, default=3, metavar="N", help="lines shown of each problem (default 3)")
    check.set_defaults(handler=_check, parser=check)


def _add_explain(commands: argparse._SubParsersAction[Parser]) -> None:
    explain = commands.add_parser("explain", help="why a prompt gives this pair, or none")
    add_explain_options(explain)
    explain.set_defaults(handler=_explain, parser=explain)


def _add_compare(commands: argparse._SubParsersAction[Parser]) -> None:
    compare = commands.add_parser("compare", help="what several strategies make of the same rollouts")
    add_compare_options(compare)
    compare.set_defaults(handler=_compare, parser=compare)


def _add_stats(commands: argparse._SubParsersAction[Parser]) -> None:
    stats = commands.add_parser("stats", help="the numbers of rollouts and their pairs, and what looks wrong")
    add_stats_options(stats)
    stats.set_defaults(handler=_stats, parser=stats)


def _add_bench(commands: argparse._SubParsersAction[Parser]) -> None:
    bench = commands.add_parser("bench", help="measure how many requests in flight your server is best given")
    bench.add_argument(
        "--output-dir", type=given_path, required=True, metavar="DIR", help="where everything is written"
    )
    bench.add_argument("--input", type=given_path, metavar="PATH", help="prompts, JSONL (default: the bundled ones)")
    add_bench_options(bench)
    add_collect_options(bench)
    pairing = bench.add_argument_group("pairing")
    add_strategy(pairing)
    add_policy_options(bench, pairing)
    bench.set_defaults(handler=_bench, parser=bench)


def _add_tune(commands: argparse._SubParsersAction[Parser]) -> None:
    tune = commands.add_parser(
        "tune", help="find temperature, top_p and repeats on a pilot of prompts", conflict_handler="resolve"
    )
    tune.add_argument("--output-dir", type=given_path, required=True, metavar="DIR", help="where everything is written")
    tune.add_argument("--input", type=given_path, metavar="PATH", help="prompts, JSONL (default: the bundled ones)")
    add_collect_options(tune)
    add_tune_options(tune)
    tune.set_defaults(handler=_tune, parser=tune)


def _add_plan(commands: argparse._SubParsersAction[Parser]) -> None:
    plan = commands.add_parser(
        "plan", help="foretell yield and cost at other repeats and gaps, no request sent", conflict_handler="resolve"
    )
    add_plan_options(plan)
    plan.set_defaults(handler=_plan, parser=plan)


def _run(args: argparse.Namespace) -> int:
    from pairing.run import run

    return run(args)


def _pair(args: argparse.Namespace) -> int:
    from pairing.run import pair

    return pair(args)


def _formats(args: argparse.Namespace) -> int:
    from pairing.run import show_formats

    return show_formats(args)


def _check(args: argparse.Namespace) -> int:
    from pairing.run import check

    return check(args)


def _explain(args: argparse.Namespace) -> int:
    from pairing.reports.explain import explain

    return explain(args)


def _compare(args: argparse.Namespace) -> int:
    from pairing.reports.compare import compare

    return compare(args)


def _bench(args: argparse.Namespace) -> int:
    from pairing.bench import bench

    return bench(args)


def _stats(args: argparse.Namespace) -> int:
    from pairing.run import ended_by_signals
    from pairing.stats.command import stats

    with ended_by_signals():
        answer = stats(args)
    print_line(answer.text)
    for line in answer.unmet:
        sys.stderr.write(f"pairmill: {plain(line)}\n")
    return EXIT_PARTIAL if answer.unmet else 0


def _tune(args: argparse.Namespace) -> int:
    from pairing.tune import tune

    return tune(args)


def _plan(args: argparse.Namespace) -> int:
    from pairing.planning.command import plan
    from pairing.run import ended_by_signals

    with ended_by_signals():
        planned = plan(args)
    print_line(planned.text)
    return 0 if planned.any_pair else EXIT_PARTIAL


if __name__ == "__main__":
    sys.exit(main())
