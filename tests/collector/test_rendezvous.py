"""Which endpoint a prompt goes to: the same one whatever else changes, and as few moves as can be when one goes."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from collector.rendezvous import preference

NAMES = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=8, unique=True)
PROMPTS = [f"{number:016x}" for number in range(2000)]


def order(prompt_id: str, names: list[str]) -> list[str]:
    return preference(prompt_id, names, lambda name: name)


@given(st.text(), NAMES, st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_the_order_of_the_flags(prompt_id: str, names: list[str], rng: object) -> None:
    """The same endpoints in another order are the same endpoints; each stands in a prompt's order once."""
    shuffled = list(names)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert order(prompt_id, shuffled) == order(prompt_id, names)
    assert sorted(order(prompt_id, names)) == sorted(names)


@given(st.text(), NAMES, st.data())
def test_an_endpoint_that_goes_moves_its_own_prompts_alone(
    prompt_id: str, names: list[str], data: st.DataObject
) -> None:
    """Without one of them the others keep their order: a prompt that was elsewhere stays there."""
    gone = data.draw(st.sampled_from(names))
    rest = [name for name in names if name != gone]
    assert order(prompt_id, rest) == [name for name in order(prompt_id, names) if name != gone]


def test_prompts_are_spread_evenly_and_so_are_those_of_one_that_goes() -> None:
    """Four endpoints have a quarter each; when one goes, the other three share what it had."""
    names = [f"http://node-{number}:8000/v1" for number in range(4)]
    orders = [order(prompt_id, names) for prompt_id in PROMPTS]
    shares = Counter(first for first, *_ in orders)
    assert all(430 < shares[name] < 570 for name in names)
    heirs = Counter(second for first, second, *_ in orders if first == names[0])
    assert all(heirs[name] > shares[names[0]] / 4 for name in names[1:])
