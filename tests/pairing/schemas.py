"""What each loader takes, as JSON Schemas: written from the loaders' sources and the services' documentation, not from
our code. `{}` takes anything."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def obj(required: dict[str, Schema], *, closed: bool = False, **optional: Schema) -> Schema:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **optional},
        "additionalProperties": not closed,
    }


def many(items: Schema, **bounds: int) -> Schema:
    return {"type": "array", "items": items, **bounds}


TEXT: Schema = {"type": "string", "pattern": r"\S"}
ANY_TEXT: Schema = {"type": "string"}
ROLE: Schema = {"enum": ["system", "user", "assistant", "tool"]}
MESSAGE = obj({"role": ROLE, "content": ANY_TEXT})
PLAIN = obj({"role": {"enum": ["system", "user", "assistant"]}, "content": ANY_TEXT}, closed=True)
ANSWER = obj({"role": {"const": "assistant"}, "content": TEXT}, closed=True)
TURNS = many(MESSAGE, minItems=1)
TEXTS = obj({"prompt": TEXT, "chosen": TEXT, "rejected": TEXT})
WHOLE = many(PLAIN, minItems=2)
TURN = obj(
    {"from": {"enum": ["human", "gpt", "system", "observation", "function_call"]}, "value": ANY_TEXT}, closed=True
)
REPLY = obj({"from": {"enum": ["gpt", "function_call"]}, "value": TEXT}, closed=True)
ASKED = obj(
    {"messages": many(obj({"role": ROLE}), minItems=1)},
    closed=True,
    tools=many({}),
    parallel_tool_calls={"type": "boolean"},
)
OUTPUT = many(ANSWER, minItems=1, maxItems=1)
SERVICE = obj({"input": ASKED, "preferred_output": OUTPUT, "non_preferred_output": OUTPUT}, closed=True)


def _ranked(rank: int) -> Schema:
    return obj({"rank": {"const": rank}, "completion": TURNS}, closed=True)


SCHEMAS: dict[str, Schema] = {
    "trl": obj({"prompt": TURNS, "chosen": TURNS, "rejected": TURNS}, tools=ANY_TEXT),
    "trl-standard": TEXTS,
    "trl-implicit": obj({"chosen": TURNS, "rejected": TURNS}, margin={"type": "number"}, tools=ANY_TEXT),
    "trl-kto": obj({"prompt": TURNS, "completion": TURNS, "label": {"type": "boolean"}}, tools=ANY_TEXT),
    "nemo-rl": obj(
        {
            "context": TURNS,
            "completions": {**many({}, minItems=2, maxItems=2), "prefixItems": [_ranked(0), _ranked(1)]},
        },
        task_name={"not": {}},
    ),
    "nemo-rl-binary": TEXTS,
    "nemo-aligner": obj(
        {
            "prompt": many(PLAIN, minItems=1),
            "chosen_response": ANSWER,
            "rejected_response": ANSWER,
            "chosen_reward": {"type": "number"},
            "rejected_reward": {"type": "number"},
        }
    ),
    "openrlhf": obj({"prompt": TURNS, "chosen": TURNS, "rejected": TURNS}, margin={"type": "number"}),
    "axolotl": obj({"messages": many(PLAIN, minItems=1), "chosen": ANSWER, "rejected": ANSWER}),
    "axolotl-intel": obj({"system": ANY_TEXT, "question": TEXT, "chosen": TEXT, "rejected": TEXT}),
    "llama-factory": obj({"conversations": many(TURN, minItems=1), "chosen": REPLY, "rejected": REPLY}, tools=ANY_TEXT),
    "llama-factory-alpaca": obj(
        {"instruction": TEXT, "input": ANY_TEXT, "chosen": TEXT, "rejected": TEXT, "system": ANY_TEXT}
    ),
    "ms-swift": obj({"messages": WHOLE, "rejected_response": TEXT})
    | {"patternProperties": {"^(rejected_(?!response$)|positive_|negative_)": {"not": {}}}},
    "open-instruct": obj({"chosen": WHOLE, "rejected": WHOLE}),
    "torchtune": obj({"chosen": WHOLE, "rejected": WHOLE}),
    "oumi": obj({"prompt": TURNS, "chosen": TURNS, "rejected": TURNS}),
    "verl": TEXTS,
    "openai": SERVICE,
    "together": SERVICE,
    "fireworks": SERVICE,
    "recipe": obj({"prompt": {}, "chosen": many({}), "rejected": many({}), "reward_gap": {"type": "number"}}),
}
