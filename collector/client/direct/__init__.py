"""The project's own transport: HTTP/1.1 straight to the server, at thousands of requests at once.

reader      bytes of replies -> WireReply: no I/O, no clock
decoding    content-encodings undone, never beyond a cap
head        the first lines of a request
connection  one connection, one request at a time
dial        a host's addresses, tried in turn; TLS
pool        the idle connections of one origin, the last used first
transport   DirectTransport: httpx's seam, and the short way that ModelClient takes
"""

from __future__ import annotations

from collector.client.direct.transport import DirectTransport

__all__ = ["DirectTransport"]
