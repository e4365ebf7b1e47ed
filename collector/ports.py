"""How many connections this machine can have to one server: each needs a port of its own to come from."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

from collector.client.transport import is_loopback, proxy_for
from collector.errors import UsageError
from collector.urls import shown_url

__all__ = ["check_ports", "local_ports"]

_KERNEL = Path("/proc/sys/net/ipv4")


def local_ports(kernel: Path = _KERNEL) -> int | None:
    """The ports that connections may come from, those reserved taken off; None where the system does not say. (Linux,
    man 7 ip: ip_local_port_range, ip_local_reserved_ports; both hold for IPv6 too.)"""
    try:
        first, last = map(int, (kernel / "ip_local_port_range").read_text(encoding="utf-8").split())
        reserved = (kernel / "ip_local_reserved_ports").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    spans = [tuple(map(int, span.split("-"))) for span in reserved.split(",") if span]
    taken = sum(max(0, min(last, span[-1]) - max(first, span[0]) + 1) for span in spans)
    return last - first + 1 - taken


def check_ports(url: str, in_flight: int, ports: int | None = None) -> None:
    """Raises UsageError when more requests shall be in flight at `url` than connections can be opened to it: those
    beyond would fail in the middle of the run (`Cannot assign requested address`). `ports` stands in for
    `local_ports()`. A name that cannot be looked up is left to whoever asks it."""
    ports = local_ports() if ports is None else ports
    if ports is None or in_flight <= ports:
        return
    target = url if is_loopback(url) else proxy_for(url) or url
    most = ports * _addresses(target)
    if 0 < most < in_flight:
        raise UsageError(
            f"--num-samples-in-parallel: {in_flight} requests in flight at {shown_url(target)}, but only {most}"
            " connections to it can be open from here (net.ipv4.ip_local_port_range): give fewer, a further --base-url"
            " with another port or address, --samples-per-request, or widen that range (`sysctl -w`)"
        )


def _addresses(url: str) -> int:
    """How many addresses the URL's host has; 0 when that cannot be found out."""
    parts = urlsplit(url)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return 0
    families = {family for family, *_ in found}
    # Addresses of one family take turns; those of the other are the way out where all of these fail.
    return max((len({address[0] for kind, *_, address in found if kind == family}) for family in families), default=0)
