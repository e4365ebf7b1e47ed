"""Which httpx transport carries the requests: the project's own, or pyreqwest's where a proxy stands between.

TLS is verified, redirects are not followed, and the pools have no ceiling: how many requests are in flight is the
limiter's decision alone. docs/transport.md has the reasons and the numbers.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

import httpx

from collector.client.direct import DirectTransport
from collector.settings import CollectSettings, shown_url

__all__ = ["build_transport", "is_loopback", "proxy_for"]


def build_transport(settings: CollectSettings) -> httpx.AsyncBaseTransport:
    """A transport for this run. It belongs to the caller, who closes it."""
    loopback = is_loopback(settings.base_url)
    proxy = None if loopback else proxy_for(settings.base_url)
    if proxy is not None:
        # Imported where it is needed: a run without a proxy does not pay for it.
        from collector.client.proxied import ProxiedTransport

        return ProxiedTransport(settings.timeouts.connect, settings.timeouts.total, via=shown_url(proxy))
    return DirectTransport(
        connect=settings.timeouts.connect,
        total=settings.timeouts.total,
        max_bytes=settings.max_reply_bytes,
        compressed=not loopback,  # on one machine it costs more than it saves
    )


def proxy_for(url: str) -> str | None:
    """The proxy that the environment (http_proxy, https_proxy, all_proxy, no_proxy) names for `url`, or None."""
    parts = urlsplit(url)
    proxies = getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass_environment(parts.hostname or "", proxies):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def is_loopback(url: str) -> bool:
    """True for a URL of this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
