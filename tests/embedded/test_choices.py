"""Several choices of one request (`n`): drawn apart, the same each time, and read by the collector's own protocols."""

from __future__ import annotations

import httpx
import pytest

from collector.protocols import get_protocol
from collector.records.rows import Reply, Usage
from tests.collector.test_protocols import settings, task

PARAMS = {"temperature": 1.3, "max_output_tokens": 12}


@pytest.mark.parametrize("name", ["chat", "completions"])
def test_each_choice_is_a_draw_of_its_own(client: httpx.Client, name: str) -> None:
    """The first is what a request for one gives, so that asking for more changes no rollout; all are there again when
    asked again; tokens are counted of all, those of the prompt once."""
    protocol = get_protocol(name)

    def ask(samples: int) -> list[Reply]:
        reply = client.post(protocol.path, content=protocol.build(task(params=PARAMS, seed=5), settings(), samples))
        assert reply.status_code == 200
        return protocol.parse_samples(reply.content)

    (single,), several = ask(1), ask(4)
    assert [reply.text for reply in several] == [reply.text for reply in ask(4)]
    assert several[0].text == single.text
    assert len({reply.text for reply in several}) == 4
    assert {reply.samples for reply in several} == {4}
    assert single.usage is not None
    assert several[0].usage is not None
    assert several[0].usage == Usage(single.usage.input_tokens, several[0].usage.output_tokens)
    assert single.usage.output_tokens < several[0].usage.output_tokens <= 4 * 12


@pytest.mark.parametrize(("n", "says"), [(0, "n: expected `int` >= 1"), (129, "n: expected `int` <= 128")])
def test_a_number_of_choices_out_of_range_is_refused(client: httpx.Client, n: int, says: str) -> None:
    """OpenAI's own limit, and the field's name in the message."""
    reply = client.post("/chat/completions", json={"messages": [{"role": "user", "content": "x"}], "n": n})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "n")
    assert says in reply.json()["error"]["message"]
