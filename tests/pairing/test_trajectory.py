"""Where two trajectories part: what counts as shared, where a prompt may end, and whose call ids stand after it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pairing.formats.trajectory import other_names, renamed, shared_turns
from tests.pairing.make import Row
from tests.pairing.make_pairs import said, user


def called(*names: str, text: str = "", says: str = "{}") -> Row:
    return said(
        text, tool_calls=[{"id": n, "type": "function", "function": {"name": "f", "arguments": says}} for n in names]
    )


def result(name: str, text: str = "2") -> Row:
    return {"role": "tool", "tool_call_id": name, "content": text}


def split(chosen: list[Row], rejected: list[Row]) -> tuple[list[Row], list[Row], list[Row]]:
    turns = shared_turns(chosen, rejected)
    names = other_names(chosen[:turns], rejected[:turns])
    return chosen[:turns], chosen[turns:], renamed(rejected[turns:], names)


def test_the_last_message_alone_differs() -> None:
    """All before it is shared."""
    shared = [called("c1"), result("c1")]
    assert split([*shared, said("Two.")], [*shared, said("Three.")]) == (shared, [said("Two.")], [said("Three.")])


def test_ids_of_the_chosen_side_win() -> None:
    """Calls with other ids are the same calls, and what comes later refers to them under the ids that stand."""
    chosen = [called("a1"), result("a1"), said("Two.")]
    rejected = [called("b1"), result("b1"), said("Wait."), result("b1", "late"), said("Three.")]
    prompt, _, rest = split(chosen, rejected)
    assert prompt == chosen[:2]
    assert rest == [said("Wait."), result("a1", "late"), said("Three.")]


def test_an_id_that_means_another_call_on_the_other_side_is_renamed() -> None:
    """The rejected side's second call has the id of the chosen side's first: it takes the one that is free."""
    chosen = [called("x"), result("x"), said("Two.")]
    rejected = [called("y"), result("y"), called("x"), result("x", "3"), said("Three.")]
    prompt, _, rest = split(chosen, rejected)
    assert prompt == chosen[:2]
    assert rest == [called("y"), result("y", "3"), said("Three.")]


def test_ids_used_again_each_turn_are_followed() -> None:
    """Some servers count calls anew in each turn: the latest call of a name is meant."""
    chosen = [called("a"), result("a", "1"), called("b"), result("b", "2"), said("Two.")]
    rejected = [called("0"), result("0", "1"), called("0"), result("0", "2"), said("Three.")]
    assert split(chosen, rejected)[0] == chosen[:4]


def test_a_prompt_never_ends_between_calls_and_their_results() -> None:
    """Two calls of one turn, the second result differs: the turn stays on the sides with all of it."""
    before = [said("A."), user("B?")]
    chosen = [*before, called("c1", "c2"), result("c1"), result("c2", "good"), said("Yes.")]
    rejected = [*before, called("c1", "c2"), result("c1"), result("c2", "bad"), said("No.")]
    assert split(chosen, rejected)[0] == before
    late = [called("c1"), user("Well?"), said("Wait."), user("And?"), said("So."), result("c1"), said("Yes.")]
    assert shared_turns(late, [*late[:-1], said("No.")]) == len(late) - 1
    assert shared_turns(late, [*late[:4], said("No.")]) == 0


def test_a_call_that_nobody_answers_holds_nothing_up() -> None:
    """No result of it follows on either side."""
    shared = [called("c1"), user("Never mind. B?")]
    assert shared_turns([*shared, said("Yes.")], [*shared, said("No.")]) == 2


def test_a_prompt_never_ends_with_the_assistant_and_a_side_never_begins_otherwise() -> None:
    """Different questions of a user (a simulated one) stay on the sides, with the answer that led to them."""
    chosen = [said("A."), user("One?"), said("1")]
    rejected = [said("A."), user("Two?"), said("2")]
    assert shared_turns(chosen, rejected) == 0
    assert shared_turns([said("A."), said("1")], [said("A."), said("2")]) == 0


def test_a_side_is_never_left_empty() -> None:
    """One side stopped where the other went on: its last turns are what differs."""
    whole = [called("c1"), result("c1"), said("A."), user("B?"), said("C.")]
    assert shared_turns(whole, whole[:2]) == 0
    assert shared_turns(whole, whole[:3]) == 2
    assert shared_turns(whole, whole) == 4
    assert shared_turns([said("A.")], whole) == shared_turns([], whole) == 0


def test_what_makes_a_turn_another_one() -> None:
    """A text, a reasoning, an argument; an argument that is written otherwise counts as another too."""
    for one, other in (
        (called("c", text="a"), called("c", text="b")),
        (called("c") | {"reasoning_content": "a"}, called("c")),
        (called("c", says='{"a":1}'), called("c", says='{"a": 1}')),
        (called("c", "d"), called("c")),
    ):
        assert shared_turns([one, result("c"), said("x")], [other, result("c"), said("y")]) == 0


actions = st.lists(
    st.sampled_from(["talk", "ask", "call", "two calls", "answer later", "system"]), min_size=1, max_size=8
)


def trajectory(doings: list[str], prefix: str, last: str) -> list[Row]:
    """A trajectory whose calls are numbered, with results at once or after other turns."""
    turns: list[Row] = []
    owed: list[str] = []
    for place, doing in enumerate(doings):
        if doing in ("call", "two calls", "answer later"):
            names = [f"{prefix}{place}{letter}" for letter in ("ab" if doing == "two calls" else "a")]
            turns.append(called(*names, text=f"t{place}"))
            owed += names
            if doing != "answer later":
                turns += [result(name, f"r{place}") for name in owed]
                owed = []
        elif doing == "ask":
            turns.append(user(f"u{place}"))
        else:
            turns.append(said(f"s{place}") if doing == "talk" else {"role": "system", "content": "s"})
    return [*turns, said(last)]


def references(turns: list[Row]) -> list[tuple[int, int]]:
    """(place of a result, place of its call), by the last call of that name before it."""
    found: list[tuple[int, int]] = []
    calls: dict[Any, int] = {}
    for place, turn in enumerate(turns):
        calls |= {call["id"]: place for call in turn.get("tool_calls", ())}
        if turn["role"] == "tool":
            found.append((place, calls.get(turn["tool_call_id"], -1)))
    return found


def without_ids(turns: list[Row]) -> list[Any]:
    return [
        (turn["role"], turn["content"], [call["function"] for call in turn.get("tool_calls", ())]) for turn in turns
    ]


@given(actions, actions, actions, st.sampled_from(["c", "r"]))
def test_a_split_keeps_every_turn_and_every_reference(
    shared: list[str], mine: list[str], theirs: list[str], prefix: str
) -> None:
    """Prompt and side together are the trajectory that was, and each result still belongs to its own call; the prompt
    ends with the user or a tool, and no result stands apart from its call."""
    chosen = trajectory([*shared, *mine], "c", "good")
    rejected = trajectory([*shared, *theirs], prefix, "bad")
    prompt, one, other = split(chosen, rejected)
    assert [*prompt, *one] == chosen
    assert without_ids([*prompt, *other]) == without_ids(rejected)
    assert references([*prompt, *other]) == references(rejected)
    if prompt:
        assert prompt[-1]["role"] in ("user", "tool")
        assert one[0]["role"] == other[0]["role"] == "assistant"
    for side in (one, other):
        assert all(called_at >= len(prompt) for at, called_at in references([*prompt, *side]) if at >= len(prompt))
