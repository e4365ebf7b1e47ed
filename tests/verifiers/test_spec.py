"""Specifications: what is read from them, and what is said of wrong ones."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from collector.errors import VerifierSetupError
from collector.records.rows import Reply, Task, Verdict
from collector.settings import CollectSettings
from collector.verifiers import REGISTRY, BaseVerifier, build_verifier
from tests.verifiers.make import SETTINGS, build, judge

WRONG = {
    "exakt": "no verifier 'exakt'; known: exact, numeric, contains, regex, math, json_schema, python, http,",
    "": "no verifier ''; known: exact",
    "exact:feild=a": "exact: unknown parameter 'feild'; it takes field, ignore_case, strip",
    "exact:field=a,x=1": "unknown parameter 'x'; it takes",
    "exact:field=": "exact: field=: give a value",
    "exact:field=a,field=b": "exact: field is given twice",
    "exact:strip=maybe": "exact: strip=maybe: give true or false",
    "embedded:field=a": "embedded: unknown parameter 'field'; it takes none",
    "numeric:tolerance=a bit": "tolerance=a bit: give a number, 0 or more",
    "numeric:tolerance=-1": "tolerance=-1: give a number, 0 or more",
    "numeric:tolerance=nan": "tolerance=nan: give a number",
    "numeric:percent=50": "percent=50: give one of ignore, divide",
    "http:ftp://x": "http: url=ftp://x: give the server's URL",
    "http:": "http: url=: give the server's URL",
    "http://:80": "give the server's URL",
    "http:http://host:99999": "give the server's URL",
    "http:http://me:secret@host:1": "http: the URL holds a user or password, which is never sent: leave it out",
    "http:timeout=0,http://host:1": "timeout=0: give a number, more than 0",
    "http:http://host:1,timeout=3": "url runs to the end of the specification: put timeout before it",
    "http:timeout=1e308,http://host:1": "http: timeout=1e308: give 10000000 at most",
    "regex:timeout=1e8,pattern=x": "regex: timeout=1e8: give 10000000 at most",
    "math:timeout=1e10": "math: timeout=1e10: give 10000000 at most",
    "math:workers=1e9": "math: workers=1e9: give 256 at most",
    "math:precision=1e300": "math: precision=1e300: give 1000000000 at most",
    "python:threads=1e6,math:hypot": "threads=1e6: give 1024 at most",
    "python:threads=1.5,math:hypot": "threads=1.5: give a whole number",
}


@pytest.mark.parametrize(("spec", "message"), WRONG.items(), ids=list(WRONG))
def test_a_wrong_specification_is_one_clear_line(spec: str, message: str) -> None:
    """Each mistake names the parameter and what is accepted."""
    with pytest.raises(VerifierSetupError, match=re.escape(message)) as raised:
        build(spec)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("flag", ["ignore_case", "ignore_case=true", "ignore_case=YES", "ignore_case=1"])
async def test_a_flag_may_be_written_in_several_ways(flag: str) -> None:
    """The bare name of a flag means true, as do the usual words for it."""
    assert (await judge(f"exact:{flag},strip=no", {"expected_answer": "A"}, "a")).reward == 1.0


async def test_a_verifier_may_be_added() -> None:
    """One entry in the registry makes a new verifier known by name."""

    class Always(BaseVerifier):
        name = "always"

        async def verify(self, task: Task, reply: Reply) -> Verdict:
            return Verdict(0.5)

    def build_always(rest: str, settings: CollectSettings) -> Always:
        assert rest == "a=b"
        return Always()

    REGISTRY["always"] = build_always
    try:
        verifier = build_verifier("always:a=b", settings=SETTINGS)
        assert verifier.name == "always"
        assert (await judge("always:a=b", {}, "")).reward == 0.5
    finally:
        del REGISTRY["always"]


def test_a_run_loads_no_more_than_its_verifier_needs() -> None:
    """The help and a run with `numeric` load no algebra, no schema checker, no judge and no mix."""
    script = (
        "import sys, pairing.cli, collector.collecting\n"
        "from tests.verifiers.make import build\n"
        "build('numeric')\n"
        "print(*(m.removeprefix('collector.verifiers.') for m in sys.modules))"
    )
    root = Path(__file__).parents[2]
    loaded = subprocess.run([sys.executable, "-c", script], cwd=root, check=True, capture_output=True, text=True)
    heavy = {"sympy", "math_verify", "jsonschema", "referencing", "mathematics", "json_schema", "workers.pool", "mix"}
    assert "numeric" in loaded.stdout.split()
    assert heavy.isdisjoint(loaded.stdout.split())
    assert {"judge", "reward_model"}.isdisjoint(loaded.stdout.split())
