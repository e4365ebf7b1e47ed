"""A new connection to one origin: its addresses looked up once for all who ask, tried in turn, TLS verified."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from pathlib import Path

import httpx

from collector.client.direct.connection import Connection
from collector.client.direct.head import Origin
from collector.client.wire import TlsError

__all__ = ["Dialer", "verifying_context"]

_LOOKUP_SECONDS = 5.0
"""How long addresses are kept: thousands of connections at once shall not be thousands of questions to a name server.
Short, so that a name that moves is followed."""
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""A long generation is a silent connection. Probes keep the NATs and balancers between from forgetting it, and show a
host that is gone in 90 seconds."""


def verifying_context() -> ssl.SSLContext:
    """TLS that checks certificates and names against the system's authorities (SSL_CERT_FILE and SSL_CERT_DIR are
    heeded); against those that come with httpx where the system has none."""
    paths = ssl.get_default_verify_paths()
    has_authorities = paths.cafile or (paths.capath and any(Path(paths.capath).iterdir()))
    context = ssl.create_default_context() if has_authorities else httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Dialer:
    """Connects to one origin."""

    def __init__(self, origin: Origin, context: ssl.SSLContext | None) -> None:
        self._origin = origin
        self._context = context
        self._addresses = _Addresses(origin)

    async def dial(self, seconds: float) -> Connection:
        """An open connection within `seconds`. Raises httpx.ConnectTimeout, TlsError, httpx.ConnectError."""
        try:
            async with asyncio.timeout(seconds):
                return await self._try_each(seconds)
        except ssl.SSLCertVerificationError as error:
            raise TlsError(error.verify_message) from None
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            raise httpx.ConnectError("closed while TLS was being set up") from None
        except ssl.SSLError as error:
            raise TlsError((error.reason or str(error)).replace("_", " ").lower()) from None
        except TimeoutError:
            raise httpx.ConnectTimeout("no connection in time") from None
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(_words(error)) from None

    async def _try_each(self, seconds: float) -> Connection:
        addresses = await self._addresses.get()
        for left, address in zip(range(len(addresses), 1, -1), addresses, strict=False):
            try:
                async with asyncio.timeout(seconds / left):  # the others are to have their turn
                    return await self._connect(address)
            except ssl.SSLError:
                raise
            except OSError:
                self._addresses.failed(address)
        return await self._connect(addresses[-1])

    async def _connect(self, address: str) -> Connection:
        loop = asyncio.get_running_loop()
        transport, connection = await loop.create_connection(
            lambda: Connection(loop),
            address,
            self._origin.port,
            ssl=self._context,
            server_hostname=self._origin.host if self._context else None,
        )
        keep_alive(transport.get_extra_info("socket"))
        return connection


class _Addresses:
    """The addresses of a host. Those of the system's preferred family take turns at being first; one that failed goes
    last until the next lookup."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._known: list[tuple[int, str]] = []
        self._failed: set[str] = set()
        self._until = 0.0
        self._turn = 0
        self._lookup: asyncio.Task[None] | None = None

    def failed(self, address: str) -> None:
        self._failed.add(address)

    async def get(self) -> list[str]:
        """At least one address. Raises socket.gaierror."""
        if _is_address(self._origin.host):
            return [self._origin.host]
        if asyncio.get_running_loop().time() >= self._until:
            if self._lookup is None or self._lookup.done():
                self._lookup = asyncio.create_task(self._look_up())
                self._lookup.add_done_callback(_noticed)
            await asyncio.shield(self._lookup)
        return self._in_order()

    async def _look_up(self) -> None:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._origin.host, self._origin.port, type=socket.SOCK_STREAM)
        self._known = list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))
        self._failed.clear()
        self._until = loop.time() + _LOOKUP_SECONDS

    def _in_order(self) -> list[str]:
        self._turn += 1
        preferred = [address for family, address in self._known if family == self._known[0][0]]
        others = [address for family, address in self._known if family != self._known[0][0]]
        first = self._turn % len(preferred)
        ordered = preferred[first:] + preferred[:first] + others
        return sorted(ordered, key=self._failed.__contains__)


def _noticed(lookup: asyncio.Task[None]) -> None:
    """A failed lookup that nobody waits for any more is no news."""
    if not lookup.cancelled():
        lookup.exception()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _words(error: Exception) -> str:
    """What the system says, without the addresses that loops put around it."""
    number = getattr(error, "errno", None)
    if isinstance(error, OSError) and number and number > 0:
        return os.strerror(number)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def keep_alive(connection: socket.socket) -> None:
    """Has the system probe a silent connection, where it can."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
