"""What all tests share: how hypothesis looks for counterexamples."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# The machine is shared and slow at times: no deadline. CI tries the same examples each time, so that what landed once
# does not fail for chance; elsewhere each run tries new ones.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile("ci" if os.environ.get("CI") else "default")

# A shell starts its background jobs with SIGINT ignored; tests that send one want Python's own handler.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
