"""More requests in flight than ports to come from: said before the run, with the ways out."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.collecting import collect
from collector.errors import UsageError
from collector.ports import check_ports, local_ports
from tests.model_server import ModelServer
from tests.runs import prompts, settings


def kernel(folder: Path, ports: str, reserved: str = "") -> Path:
    (folder / "ip_local_port_range").write_text(f"{ports}\n")
    (folder / "ip_local_reserved_ports").write_text(f"{reserved}\n")
    return folder


@pytest.mark.parametrize(
    ("ports", "reserved", "count"),
    [("32768\t60999", "", 28_232), ("1024\t65535", "", 64_512), ("100\t199", "50-109,150,190-300", 100 - 10 - 1 - 10)],
)
def test_the_ports_are_counted_as_the_kernel_says(tmp_path: Path, ports: str, reserved: str, count: int) -> None:
    """Both ends count; those reserved inside the range are taken off, those outside are not."""
    assert local_ports(kernel(tmp_path, ports, reserved)) == count


def test_a_system_that_does_not_say_is_left_alone(tmp_path: Path) -> None:
    """No such file, or one that holds no range: nothing is known, and nothing refused."""
    assert local_ports(tmp_path) is None
    assert local_ports(kernel(tmp_path, "many")) is None


def test_more_in_flight_than_ports_names_the_ways_out() -> None:
    """The number, the server without its password, the limit's name and what to do; just enough is enough."""
    check_ports("http://127.0.0.1:8000/v1", 28_232, ports=28_232)
    check_ports("http://nowhere.invalid/v1", 28_233, ports=28_232)
    with pytest.raises(
        UsageError, match="28233 requests in flight at http://127.0.0.1:8000/v1, but only 28232 con"
    ) as caught:
        check_ports("http://me:secret@127.0.0.1:8000/v1", 28_233, ports=28_232)
    for words in ("ip_local_port_range", "--base-url", "--samples-per-request", "sysctl"):
        assert words in str(caught.value)


@pytest.mark.skipif(local_ports() is None, reason="this system does not say which ports connections come from")
async def test_a_run_checks_it_before_its_output_is_touched(tmp_path: Path) -> None:
    """One server alone is too few for so many; two of them, each with its own share, are not."""
    prompts(tmp_path / "in.jsonl", 1)
    most = local_ports() or 0
    server, other = ModelServer(), ModelServer()
    with server.serving(), other.serving():
        given = settings(tmp_path, server, num_samples_in_parallel=min(60_000, most + 1))
        if most < 60_000:
            with pytest.raises(UsageError, match="connections to it can be open from here"):
                await collect(given)
            assert not given.output.parent.exists()
        both = settings(tmp_path, server, num_samples_in_parallel=most, replica_urls=(other.url,))
        assert (await collect(both)).rollouts == 4
