"""`pairmill collect` and `pairmill serve`: flags to settings, a run in the terminal, exit codes."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from collector.errors import EXIT_INTERRUPTED, EXIT_PARTIAL, UsageError
from collector.options import (
    add_collect_options,
    given_path,
    positive_int,
    protocol_of,
    settings_from,
    watch_from,
)
from collector.terminal import plain, print_line

if TYPE_CHECKING:  # the run's own imports cost start-up time that --help should not pay
    from collector.adaptive.steering import LimitRange
    from collector.live.watch import Watch
    from collector.result import CollectResult
    from collector.settings import CollectSettings

__all__ = [
    "add_parsers",
    "collect_in_terminal",
    "collect_watched",
    "endpoint_of",
    "finish_collecting",
    "resume_command",
    "show_dry_run",
]

_USER = re.compile(r"//[^/\s]*@")  # greedy: a password may hold an @ itself
_NO_SERVER = "http://127.0.0.1"

T = TypeVar("T")


def add_parsers(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the collector's commands; each parsed namespace carries its handler as `handler`."""
    collect = commands.add_parser("collect", help="query a model server, verify, stream rollouts to disk")
    collect.add_argument("--input", type=given_path, required=True, metavar="PATH", help="prompts, JSONL")
    collect.add_argument("--output", type=given_path, required=True, metavar="PATH", help="rollouts, JSONL")
    add_collect_options(collect)
    collect.add_argument(
        "--reverify", action="store_true", help="score the rollouts of --input again; no server is asked for new ones"
    )
    collect.set_defaults(handler=_collect, parser=collect)
    serve = commands.add_parser("serve", help="serve the embedded model, OpenAI-compatible")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    serve.add_argument("--port", type=int, default=8000, metavar="N", help="default 8000; 0 takes a free one")
    serve.add_argument("--model-dir", type=given_path, metavar="DIR", help="another small Llama in Hugging Face form")
    serve.add_argument("--model-name", metavar="NAME", help="the name clients ask for (default pairmill-demo)")
    serve.add_argument("--max-batch", type=positive_int, metavar="N", help="sequences that run at once (default 64)")
    serve.set_defaults(handler=_serve, parser=serve)


def endpoint_of(args: argparse.Namespace) -> str | None:
    """The URL that the flags name: --base-url, --agent-url, or what the head server knows of the rows' agents.

    None when they name no server. Sets `args.agent_urls` when the head server was asked: each row then goes to the
    agent that it names.
    """
    if args.base_url and args.agent_url:
        raise UsageError("--base-url and --agent-url: give one")
    url = args.base_url[0] if args.base_url else args.agent_url
    if protocol_of(args) != "agent":
        return None if url is None else str(url)
    from collector.nemo_gym import agents_of_rows, check_named, check_one_agent, find_agents
    from collector.urls import bare_url, shown_url, url_problem

    named = agents_of_rows(args.input, args.limit, args.agent_name)
    if url is not None:
        check_one_agent(args.input, named, args.agent_name)
        return str(url)
    problem = url_problem(args.head_url)
    if problem:
        raise UsageError(f"--head-url {bare_url(args.head_url)}: {problem}; give a URL such as http://127.0.0.1:11000")
    check_named(args.input, named)
    # Its servers take new ports at each start: to --resume the endpoint is the head server.
    args.endpoint_name = shown_url(args.head_url)
    if args.dry_run:
        return str(args.head_url)
    args.agent_urls = find_agents(args.head_url, args.input, named)
    return str(next(iter(args.agent_urls.values())))


def collect_in_terminal(work: Callable[[], Awaitable[T]]) -> T:
    """Runs an async command on the fastest event loop that is installed."""
    import anyio

    try:
        import uvloop  # noqa: F401 - only asked whether it is there
    except ImportError:
        return anyio.run(work)
    return anyio.run(work, backend_options={"use_uvloop": True})


def _collect(args: argparse.Namespace) -> int:
    if args.reverify:
        return _reverify(args)
    base_url = endpoint_of(args)
    if base_url is None:
        raise UsageError("no server: give --base-url URL or --agent-name NAME (`pairmill run` brings its own)")
    settings = settings_from(args, base_url=base_url, output=args.output)
    if args.dry_run:
        return show_dry_run(settings)
    watch = watch_from(args)
    result = collect_in_terminal(lambda: collect_watched(settings, watch))
    return finish_collecting(result)


def show_dry_run(settings: CollectSettings) -> int:
    """Prints what the run would ask first, and the plan; sends and writes nothing."""
    from collector.dry_run import dry_run

    print_line(dry_run(settings))
    return 0


def _reverify(args: argparse.Namespace) -> int:
    """Scores the rollouts of a file again, with no model server."""
    from collector.options.scoring import check_scoring_alone

    check_scoring_alone(args)
    settings = settings_from(args, base_url=_NO_SERVER, output=args.output)
    watch = watch_from(args)
    return finish_collecting(collect_in_terminal(lambda: _reverified(settings, watch)))


async def _reverified(settings: CollectSettings, watch: Watch) -> CollectResult | None:
    from collector.interrupt import interruptible
    from collector.live import watched
    from collector.reverify import reverify

    with watched(watch) as observer:
        return await interruptible(lambda stop: reverify(settings, observer=observer, stop=stop), observer.note)


async def collect_watched(
    settings: CollectSettings, watch: Watch, begun: Callable[[], None] | None = None
) -> CollectResult | None:
    """One run that is watched, and with Ctrl-C as a user expects it; None when a second Ctrl-C cut it short.

    `begun` is called when the first rollout is on disk: what an --overwrite discards is gone by then.
    """
    from collector.collecting import collect
    from collector.interrupt import interruptible
    from collector.live import watched
    from collector.openfiles import allow_open_files

    allow_open_files(settings.num_samples_in_parallel)
    with watched(watch, begun) as observer:
        return await interruptible(lambda stop: collect(settings, observer=observer, stop=stop), observer.note)


def finish_collecting(result: CollectResult | None) -> int:
    """Prints what a run left, and gives the exit code."""
    if result is None or result.interrupted:
        print_interrupted()
        return EXIT_INTERRUPTED
    print_collected(result)
    return EXIT_PARTIAL if result.failed else 0


def print_interrupted() -> None:
    sys.stderr.write(f"interrupted: what was collected is on disk; go on with\n  {resume_command(sys.argv)}\n")


def resume_command(argv: list[str]) -> str:
    """The command line that goes on with the run that `argv` began, fit for the terminal: placeholders stand for a
    user and password that stood in a URL."""
    words = [word for word in argv if word != "--overwrite" and not word.lstrip("+").startswith("overwrite=")]
    name = Path(words[0]).name
    words[0] = name if shutil.which(name) else words[0]  # a command that is not on the PATH keeps its path
    if "--resume" not in words:
        words.append("--resume")
    command = shlex.join(_USER.sub("//USER:PASSWORD@", word) for word in words)
    return command if command.isprintable() else plain(command)


def print_collected(result: CollectResult) -> None:
    """The mean of every numeric field as JSON, as NeMo Gym prints it, then what lies where."""
    from collector.summary import summarise

    summary = summarise(result.paths.rollouts)
    means = {name: round(mean, 6) for name, mean in summary.means.items()}
    if means:
        print_line(orjson.dumps(means, option=orjson.OPT_INDENT_2).decode())
    reward = summary.numbers.get("reward")
    aside = result.seal.incomplete_rows if result.seal else 0
    if reward is not None:
        extent = f"from {reward.minimum:.3g} to {reward.maximum:.3g}" + (" (whole groups alone)" if aside else "")
        print_line(f"reward: mean {reward.mean:.3f}, std {reward.std:.3f}, {extent}")
    print_line(f"rollouts: {result.rollouts} of {result.tasks}{_pace(result)}")
    if result.stops:
        print_line(f"  early stop: {_stops(result)} ({plain(str(result.paths.decisions))})")
    print_line(f"  {plain(str(result.paths.rollouts))}: {summary.rows} rollouts, in order, whole groups")
    if aside:
        print_line(f"  {plain(str(result.paths.incomplete))}: {aside} rollouts of groups that lack a member")
    for line in summary.oddities():
        print_line(f"  {line}")
    if result.limits is not None:
        print_line(_limits(result, result.limits))
    if result.retries:
        print_line(f"  retried: {_counts(result.retries)}")
    if result.failed:
        classes = _counts(result.failures)
        where = plain(str(result.paths.failures))
        print_line(f"  {where}: {result.failed} rollouts failed ({classes}); --resume tries them again")


def _limits(result: CollectResult, used: LimitRange) -> str:
    """Between which limits the run went on, and how, drawn over its time."""
    if used.lowest == used.highest:
        return f"requests in flight: up to {used.highest} all the time"
    from collector.adaptive.history import limit_line, read_steps
    from collector.adaptive.log import limits_path

    steps = read_steps(limits_path(result.paths.rollouts), result.settings.num_samples_in_parallel)
    drawn = limit_line(steps, result.seconds, sys.stdout.encoding or "utf-8")
    return f"requests in flight: {used.lowest} to {used.highest}, {used.last} at the end {drawn}".rstrip()


def _stops(result: CollectResult) -> str:
    """Why prompts stopped, and what that spared. Their numbers of rollouts depend on the rewards, so that the mean of
    the rewards says less of the model than that of other runs."""
    most = result.rows * result.settings.num_repeats
    reasons = ", ".join(f"{name} {count}" for name, count in result.stops.items() if count)
    return f"{reasons} of {result.rows} prompts; {most - result.tasks} of {most} rollouts spared"


def _counts(by_class: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(by_class.items()))


def _pace(result: CollectResult) -> str:
    """How fast this run's own rollouts came: those it resumed from cost it nothing."""
    new = result.rollouts - result.resumed
    if not new:
        return ", all of them there before" if result.resumed else ""
    pace = f"{result.seconds:.1f} s, {new / max(result.seconds, 1e-9):.0f}/s"
    return f" ({new} new in {pace})" if result.resumed else f" in {pace}"


def _serve(args: argparse.Namespace) -> int:
    from collector.embedded.server import serve
    from collector.embedded.settings import ServeSettings

    names = ("host", "port", "model_dir", "model_name", "max_batch")
    serve(ServeSettings(**{name: getattr(args, name) for name in names if getattr(args, name) is not None}))
    return 0
