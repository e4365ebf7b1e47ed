"""The request path: the only room that knows httpx and its transports. One attempt at a time; retry policy is pure.

client      ModelClient: one request out, its whole body back, every fault a RequestError
carriers    how its requests reach a transport: our own by the short way, any other by httpx's
transport   which httpx transport carries the requests
direct/     the project's own: straight to the server
proxied     pyreqwest's, where a proxy stands between
wire        a reply as it came, and the faults that httpx has no exception for
redaction   credentials taken out of what comes back
faults      third-party exceptions and HTTP statuses -> RequestError
preflight   is the endpoint there, and does it serve the model
retry       when to try again, and when the endpoint is dead
"""

from __future__ import annotations

from collector.client.client import ModelClient
from collector.client.preflight import check_endpoint
from collector.client.retry import ConnectionWatch, next_delay
from collector.client.transport import build_transport

__all__ = ["ConnectionWatch", "ModelClient", "build_transport", "check_endpoint", "next_delay"]
