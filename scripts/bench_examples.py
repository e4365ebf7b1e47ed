"""Makes the pages of docs/examples: `pairmill bench` on the embedded model, and on llama.cpp's own server.

What the command says in the terminal is kept beside each page, and shown in docs/bench.md. Run it on an otherwise idle
machine.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.llamacpp.serving import llamacpp_server

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
SAMPLING = ["--temperature", "0.8", "--top-k", "0", "--min-p", "0", "--max-output-tokens", "96"]
"""llama.cpp's own defaults cut the distribution, and so the difference between rollouts."""


def main() -> None:
    """Both sweeps, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("which", nargs="?", choices=["embedded", "llamacpp"])
    which = parser.parse_args().which
    if which != "llamacpp":
        sweep("embedded", ["--auto"])
    if which != "embedded":
        with tempfile.TemporaryDirectory() as folder, llamacpp_server(Path(folder)) as url:
            sweep("llamacpp", ["--base-url", url, "--max-level", "64", "--level-seconds", "3", *SAMPLING])


def sweep(name: str, words: list[str]) -> None:
    """Runs the command and keeps its page, its summary and what it printed."""
    EXAMPLES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        places = ["--output-dir", str(Path(folder) / "b")]
        command = [sys.executable, "-m", "pairing.cli", "bench", *places, *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode not in (0, 3):
            sys.exit(done.returncode)
        print(done.stdout)
        shutil.copy(Path(folder) / "b" / "report.html", EXAMPLES / f"bench-{name}.html")
        shutil.copy(Path(folder) / "b" / "summary.json", EXAMPLES / f"bench-{name}.json")
        said = done.stdout.replace(str(Path(folder) / "b"), "b")
        (EXAMPLES / f"bench-{name}.txt").write_text(said, encoding="utf-8")
        show(name, said)


def show(name: str, said: str) -> None:
    """Puts what was printed into its place in docs/bench.md."""
    page = EXAMPLES.parent / "bench.md"
    before, begin, rest = page.read_text(encoding="utf-8").partition(f"<!-- begin {name} -->\n")
    _, end, after = rest.partition(f"<!-- end {name} -->\n")
    page.write_text(f"{before}{begin}```\n{said.strip()}\n```\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
