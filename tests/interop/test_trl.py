"""TRL's own trainers take our files, tools, metadata and all: they tokenize what the rows say, and they train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pairing import build_pairs
from tests.interop.conftest import MODEL, Loaded
from tests.pairing.make import our_row, write_rows

Made = Callable[[str, Any], Any]


@pytest.fixture
def trainer(tmp_path: Path, tokenizer: Any) -> Made:
    """trainer("DPO", dataset): TRL's trainer of that name on the embedded model, for one step."""

    def make(kind: str, dataset: Any) -> Any:
        import trl
        from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

        model = (
            AutoModelForSequenceClassification.from_pretrained(MODEL, num_labels=1)
            if kind == "Reward"
            else AutoModelForCausalLM.from_pretrained(MODEL)
        )
        settings = getattr(trl, f"{kind}Config")(
            output_dir=str(tmp_path / "out"),
            report_to=[],
            use_cpu=True,
            max_steps=1,
            max_length=None,
            per_device_train_batch_size=2,
            save_strategy="no",
            disable_tqdm=True,
        )
        of_kind = getattr(trl, f"{kind}Trainer")
        return of_kind(model=model, args=settings, train_dataset=dataset, processing_class=tokenizer)

    return make


@pytest.mark.parametrize(
    ("format", "kind"), [("trl", "DPO"), ("trl-standard", "DPO"), ("trl-implicit", "Reward"), ("trl-kto", "KTO")]
)
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_the_trainer_takes_the_file_and_trains(
    pairs: Callable[..., Path], loaded: Loaded, trainer: Made, format: str, kind: str, suffix: str
) -> None:
    """One step of every trainer, with rows that have tools, reasoning, several messages and odd text."""
    rows = loaded(pairs(format, suffix))
    made = trainer(kind, rows)
    assert len(made.train_dataset) == len(rows)
    assert made.train().training_loss > 0


def test_dpo_sees_prompt_and_answers(pairs: Callable[..., Path], loaded: Loaded, trainer: Made, tokenizer: Any) -> None:
    """The tokens of each row are its prompt with the template, and its answers with an end."""
    rows = loaded(pairs("trl"))
    for row, seen in zip(rows, trainer("DPO", rows).train_dataset, strict=True):
        assert tokenizer.decode(seen["prompt_ids"]).endswith(
            row["prompt"][-1]["content"].strip() + "<|end|><|assistant|>"
        )
        for side in ("chosen", "rejected"):
            text = tokenizer.decode(seen[f"{side}_ids"])
            assert text.endswith("<|end|>")
            assert all(message["content"].strip() in text for message in row[side])


def test_kto_never_meets_its_own_prompt(tmp_path: Path, loaded: Loaded, trainer: Made) -> None:
    """The completion that stands in for another, in the KL term, is one of another prompt, for every row."""
    answers = [(task, n, float(n), f"Answer {n} to {task}.") for task in range(40) for n in (0, 1)]
    source = write_rows(tmp_path / "r.jsonl", *(our_row(*answer) for answer in answers))
    build_pairs(source, tmp_path / "p.jsonl", format="trl-kto")
    rows = loaded(tmp_path / "p.jsonl")
    owner = {tuple(seen["completion_ids"]): tuple(seen["prompt_ids"]) for seen in trainer("KTO", rows).train_dataset}
    for seen in trainer("KTO", rows).train_dataset:
        assert owner[tuple(seen["KL_completion_ids"])] != tuple(seen["prompt_ids"])


USER = {"role": "user", "content": "q"}
STRINGS_ALONE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' }}{{ m['content'] if m['content'] is string }}{{ eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""A template of the common kind that puts in what is a string and nothing else."""


@pytest.mark.parametrize(
    "content",
    [[{"type": "output_text", "text": "The answer."}], [{"type": "text", "text": "The answer."}]],
)
def test_why_items_and_parts_are_wrong(trainer: Made, tokenizer: Any, monkeypatch: Any, content: Any) -> None:
    """TRL takes items of the Responses API, and parts of text, and trains on nothing: no error, no text."""
    from datasets import Dataset

    monkeypatch.setattr(tokenizer, "chat_template", STRINGS_ALONE)
    item = {"type": "message", "role": "assistant", "content": content}
    (seen,) = trainer(
        "DPO", Dataset.from_list([{"prompt": [USER], "chosen": [item], "rejected": [item]}])
    ).train_dataset
    assert tokenizer.decode(seen["chosen_ids"]) == "<|end|>"


def test_why_chat_template_kwargs_must_stand_on_all_rows(trainer: Made) -> None:
    """On some rows only, the trainer ends with a TypeError; on all of them it does not."""
    from datasets import Dataset

    row = {"prompt": [USER], "chosen": [{"role": "assistant", "content": "a"}]}
    row |= {"rejected": [{"role": "assistant", "content": "b"}]}
    asked = {"chat_template_kwargs": {"thinking": True}}
    assert len(trainer("DPO", Dataset.from_list([row | asked, row | asked])).train_dataset) == 2
    with pytest.raises(TypeError):
        trainer("DPO", Dataset.from_list([row | asked, row | {"chat_template_kwargs": None}]))


def test_identical_sides_are_taken_in_silence(trainer: Made) -> None:
    """Why the check must tell: the trainer does not."""
    from datasets import Dataset

    same = [{"role": "assistant", "content": "a"}]
    assert (
        len(trainer("DPO", Dataset.from_list([{"prompt": [USER], "chosen": same, "rejected": same}])).train_dataset)
        == 1
    )
