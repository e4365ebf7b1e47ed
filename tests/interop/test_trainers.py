"""The loaders of LLaMA-Factory, Axolotl, OpenRLHF, torchtune, Oumi, ms-swift and verl read what is written for them:
each one's own module, from its own release, without what the rest of it depends on."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.interop.alone import alone
from tests.interop.conftest import Loaded
from tests.pairing.make import Row, read_rows

Pairs = Callable[..., Path]
ADAPT = "last-turn,inline-reasoning"


@pytest.mark.parametrize("name", ["llama-factory", "llama-factory-alpaca"])
def test_llama_factory(pairs: Pairs, loaded: Loaded, name: str) -> None:
    """By the entry of dataset_info.json that was written, every row converts: no one is skipped, none loses a text."""
    path = pairs(name, unfit=ADAPT)
    (attributes,) = alone("llamafactory.data.parser").get_dataset_list(["pairs"], str(path.parent))
    converter = alone("llamafactory.data.converter").get_dataset_converter(
        attributes.formatting, attributes, SimpleNamespace(media_dir="")
    )
    assert attributes.ranking
    for row in loaded(path):
        made = converter(row)
        assert [turn["role"] for turn in made["_prompt"]][-1] in ("user", "observation")
        assert len(made["_response"]) == 2
        wanted = [row[side]["value"] if name == "llama-factory" else row[side] for side in ("chosen", "rejected")]
        assert [turn["content"] for turn in made["_response"]] == wanted


TRIMMING = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture
def axolotl(tokenizer: Any) -> Callable[[Row], Mapping[str, str]]:
    settings = {"datasets": [{"field_messages": "messages"}], "chat_template": "jinja", "chat_template_jinja": TRIMMING}
    chat = alone("axolotl.prompt_strategies.dpo.chat_template")
    transform, _ = chat.default(_Dotted(settings))
    return lambda row: transform(row, tokenizer=tokenizer)


class _Dotted(dict[str, Any]):
    """A mapping whose keys are attributes too, as Axolotl's settings are."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name)


def test_axolotl_chat_template(pairs: Pairs, loaded: Loaded, axolotl: Callable[[Row], Mapping[str, str]]) -> None:
    """Each side is its text and the turn's end, under a template that trims."""
    for row in loaded(pairs("axolotl", unfit=ADAPT)):
        made = axolotl(row)
        assert made["prompt"].endswith("<|im_start|>assistant\n")
        for side in ("chosen", "rejected"):
            assert made[side] == row[side]["content"] + "<|im_end|>"


def test_why_axolotl_needs_trimmed_answers(axolotl: Callable[[Row], Mapping[str, str]]) -> None:
    """What the check calls wrong is: white space at an end, or a piece of the template, and the answer is gone."""
    row: Row = {"messages": [{"role": "user", "content": "q"}]}
    sides = {
        "chosen": {"role": "assistant", "content": " spaced"},
        "rejected": {"role": "assistant", "content": "user"},
    }
    made = axolotl(row | sides)
    assert "spaced" not in made["chosen"]
    assert made["rejected"] != "user<|im_end|>"


def test_axolotl_intel(pairs: Pairs, loaded: Loaded) -> None:
    """The system message, the question and both answers reach the ChatML."""
    transform = alone("axolotl.prompt_strategies.dpo.chatml").intel(None)
    for row in loaded(pairs("axolotl-intel")):
        made = transform(dict(row))
        assert row["question"] in made["prompt"]
        assert row["system"] in made["prompt"]
        assert made["chosen"] == f"{row['chosen']}<|im_end|>"


def test_openrlhf(pairs: Pairs, loaded: Loaded, tokenizer: Any) -> None:
    """With its prompt key each side is cut where the prompt ends."""
    preprocess = alone("openrlhf.datasets.reward_dataset").preprocess_data
    for row in loaded(pairs("openrlhf")):
        prompt, chosen, rejected, margin = preprocess(
            row, None, "prompt", "chosen", "rejected", tokenizer.apply_chat_template, True
        )
        assert prompt.endswith("<|assistant|>")
        assert margin == row["margin"]
        for side, text in (("chosen", chosen), ("rejected", rejected)):
            assert text.startswith(row[side][0]["content"])
            assert text.endswith(row[side][-1]["content"] + "<|end|>")


def test_torchtune(pairs: Pairs, loaded: Loaded) -> None:
    """Everything but the assistant's turns is masked, and no text is lost."""
    transform = alone("torchtune.data._messages").ChosenRejectedToMessages()
    for row in loaded(pairs("torchtune", unfit=ADAPT)):
        made = transform(row)
        for side in ("chosen", "rejected"):
            assert [(m.role, m.text_content, m.masked) for m in made[side]] == [
                (m["role"], m["content"], m["role"] != "assistant") for m in row[side]
            ]


def test_oumi(pairs: Pairs, loaded: Loaded, tokenizer: Any) -> None:
    """Prompt and sides come out as the template renders them."""
    base = alone("oumi.core.datasets.base_dpo_dataset").BaseDpoDataset

    def to_list(turn: Any, role: Any) -> Any:
        return base._to_messages_list(None, turn, role)

    dataset = SimpleNamespace(_tokenizer=tokenizer, _to_messages_list=to_list)
    for row in loaded(pairs("oumi")):
        made = base._process_sample(dataset, base.transform_preference(dataset, row))
        for side in ("chosen", "rejected"):
            ids = made.get(f"{side}_ids", made.get(f"{side}_input_ids"))
            assert row[side][-1]["content"] in tokenizer.decode(ids)


def test_ms_swift(pairs: Pairs, loaded: Loaded) -> None:
    """Both conversations share the prompt, and end with the two answers."""
    inputs = alone("swift.template.template_inputs").TemplateInputs
    for row in loaded(pairs("ms-swift", unfit=ADAPT)):
        kept = {key: value for key, value in row.items() if key != "meta"}  # its loader keeps the columns it knows
        made = inputs.from_dict(kept)
        assert made.chosen.messages[:-1] == made.rejected.messages[:-1]
        assert made.chosen.messages[-1]["content"] == row["messages"][-1]["content"]
        assert made.rejected.messages[-1]["content"] == row["rejected_response"]


def test_ms_swift_takes_prefixed_keys_for_a_side(pairs: Pairs) -> None:
    """Why metadata is one object: `rejected_reward` at the top level becomes a part of the rejected side."""
    inputs = alone("swift.template.template_inputs").TemplateInputs
    (row, *_) = read_rows(pairs("ms-swift"))
    made = inputs.from_dict({key: row[key] for key in ("messages", "rejected_response")} | {"rejected_reward": 0.0})
    assert made.rejected.extra_kwargs.get("reward") == 0.0


def test_verl(pairs: Pairs, tokenizer: Any, tmp_path: Path) -> None:
    """Its data set reads the Parquet file, and tokenizes prompt and sides of every row."""
    names = alone("verl.utils.tokenizer")
    module = alone("verl.utils.dataset.rm_dataset", hf_tokenizer=names.hf_tokenizer)
    path = pairs("verl", ".parquet", unfit=ADAPT)
    dataset = module.RMDataset(str(path), tokenizer, cache_dir=str(tmp_path / "verl"), max_length=64)
    assert len(dataset) >= 5
    for number in range(len(dataset)):
        both = dataset[number]["input_ids"]
        assert both.shape == (2, 64)
        assert dataset.prompts[number] in tokenizer.decode(both[0])
    assert os.environ["HF_HUB_OFFLINE"] == "1"
