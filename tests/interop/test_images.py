"""Images of prompts: TRL, LLaMA-Factory and ms-swift open what is written for them, and put it where it was."""

from __future__ import annotations

import base64
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pairing import build_pairs
from pairing.checking import check_file
from tests.interop.alone import alone
from tests.interop.conftest import MODEL, Loaded
from tests.pairing.make import Row, write_rows
from tests.pairing.make_pairs import asked, said, user

COLORS = ("red", "lime", "blue")
RGB = {"red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255)}
SPEAKING = (
    "{% for m in messages %}<|{{ m['role'] }}|>{% for p in m['content'] %}"
    "{{ '<image>' if p['type'] == 'image' else p['text'] }}{% endfor %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""A chat template of the kind that vision models have: parts, and an image's token where its part is."""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Callable[[str, str], Row]]:
    """gallery("red", "path"): a part with a picture of that colour, given as a path, a URL or a data URI."""
    from PIL import Image

    folder = tmp_path / "my pictures"
    folder.mkdir()
    for color in COLORS:
        Image.new("RGB", (32, 32), color).save(folder / f"{color}.png")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def part(color: str, kind: str) -> Row:
        data = base64.b64encode((folder / f"{color}.png").read_bytes()).decode()
        url = {
            "path": (folder / f"{color}.png").as_uri(),
            "url": f"http://127.0.0.1:{server.server_port}/{color}.png",
            "data": f"data:image/png;base64,{data}",
        }[kind]
        return {"type": "image_url", "image_url": {"url": url}}

    yield part
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def written(tmp_path: Path, gallery: Callable[[str, str], Row], loaded: Loaded) -> Callable[..., Any]:
    """written(format, kinds, suffix): the rows of prompts with images and without, as HF datasets loads them; the check
    finds nothing wrong with them."""

    def text(words: str) -> Row:
        return {"type": "text", "text": words}

    def write(format: str, kinds: tuple[str, ...], suffix: str = ".jsonl") -> Any:
        rows = asked(user("Plain, and an <image> in words."), task=0)("Good one.", "An <image> of it.")
        for place, kind in enumerate(kinds):
            two = [text("Is "), gallery("red", kind), text(" like "), gallery("blue", kind), text("?")]
            rows += asked(user("Hi."), said("Hello."), {"role": "user", "content": two}, task=2 * place + 1)(
                "No.", "Yes."
            )
            one = [text("Which? "), gallery("lime", kind)]
            rows += asked({"role": "user", "content": one}, task=2 * place + 2)("Green.", "Gray.")
        path = tmp_path / f"pairs{suffix}"
        report = build_pairs(write_rows(tmp_path / "r.jsonl", *rows), path, format=format)
        assert report.pairs == 1 + 2 * len(kinds)
        assert not check_file(path, format).wrong
        return loaded(path)

    return write


def color_of(image: Any) -> tuple[int, ...]:
    pixel: tuple[int, ...] = image.convert("RGB").getpixel((5, 5))
    return pixel


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An empty module where one that a loader imports, and never uses for images, is not installed."""
    if importlib.util.find_spec(name) is None:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))


EXPECTED = {0: [], 2: [RGB["red"], RGB["blue"]], 1: [RGB["lime"]]}
"""The colours of a row's images, in order, by their number."""


@pytest.fixture
def processor(tokenizer: Any) -> Any:
    """LLaVA's processor over the embedded model's tokenizer, for pictures of four tokens."""
    from transformers import LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    sizes = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    pictures = CLIPImageProcessorPil(**sizes, do_normalize=False)
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=SPEAKING,
    )


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_trl_puts_pixels_where_images_were(written: Callable[..., Any], processor: Any, suffix: str) -> None:
    """Its own collator: four tokens in each image's place, the colours in order, from paths, URLs and data URIs."""
    from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

    rows = written("trl", ("path", "url", "data"), suffix)
    collate = DataCollatorForVisionPreference(processor)
    made = collate([dict(row) for row in rows])
    seen = [tuple(round(255 * float(value)) for value in picture[:, 5, 5]) for picture in made["pixel_values"]]
    assert seen == 2 * [color for row in rows for color in EXPECTED[len(row["images"])]]
    token = processor.tokenizer.convert_tokens_to_ids("<image>")
    for row, ids in zip(rows, made["input_ids"], strict=False):
        assert int((ids == token).sum()) == 4 * len(row["images"])
        assert len(row["images"]) != 2 or "Is <image><image>" in processor.decode(ids)


def test_trl_trains_on_them(written: Callable[..., Any], processor: Any, tmp_path: Path) -> None:
    """One step of its DPOTrainer with a small LLaVA, rows without images among them."""
    import trl
    from transformers import AutoConfig, CLIPVisionConfig, LlavaConfig, LlavaForConditionalGeneration

    text = AutoConfig.from_pretrained(MODEL)
    text.vocab_size = len(processor.tokenizer)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = CLIPVisionConfig(image_size=32, patch_size=16, **sizes)
    token = processor.tokenizer.convert_tokens_to_ids("<image>")
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_id=token)
    LlavaForConditionalGeneration(config).float().save_pretrained(tmp_path / "model")
    model = LlavaForConditionalGeneration.from_pretrained(
        tmp_path / "model"
    )  # the reference model comes from there too
    settings = trl.DPOConfig(
        output_dir=str(tmp_path / "out"),
        report_to=[],
        use_cpu=True,
        max_steps=1,
        max_length=None,
        per_device_train_batch_size=3,
        save_strategy="no",
        disable_tqdm=True,
    )
    rows = written("trl", ("data",))
    made = trl.DPOTrainer(model=model, args=settings, train_dataset=rows, processing_class=processor)
    assert made.train().training_loss > 0


@pytest.fixture
def llama_factory(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of its plugins; sound, which it imports too, is not needed."""
    stand_in(monkeypatch, "torchaudio")
    return alone("llamafactory.data.mm_plugin")


def test_llama_factory_opens_paths(
    written: Callable[..., Any], processor: Any, llama_factory: Any, tmp_path: Path
) -> None:
    """Its parser, converter and plugin: as many marks as images in every row, the pictures' colours in order."""
    rows = written("llama-factory", ("path",))
    (attributes,) = alone("llamafactory.data.parser").get_dataset_list(["pairs"], str(tmp_path))
    converter = alone("llamafactory.data.converter").get_dataset_converter(
        attributes.formatting, attributes, SimpleNamespace(media_dir="")
    )
    assert attributes.images == "images"
    plugin = llama_factory.get_mm_plugin("llava", image_token="<image>")
    plugin.expand_mm_tokens = False
    sizes = {"image_max_pixels": 10**6, "image_min_pixels": 1}
    for row in rows:
        made = converter(row)
        images = made["_images"] or []
        for answer in made["_response"]:
            turns = plugin.process_messages([*made["_prompt"], answer], images, [], [], processor)
            assert sum(turn["content"].count("<image>") for turn in turns) == len(images)
        pictures = plugin._regularize_images(images, **sizes)["images"]
        assert [color_of(picture) for picture in pictures] == EXPECTED[len(images)]


def test_why_llama_factory_gets_paths_alone(gallery: Callable[[str, str], Row], llama_factory: Any) -> None:
    """It takes a URL or a data URI for the name of a file."""
    plugin = llama_factory.get_mm_plugin("llava", image_token="<image>")
    for kind in ("url", "data"):
        with pytest.raises(OSError, match=r"No such file|File name too long"):
            plugin._regularize_images([gallery("red", kind)["image_url"]["url"]])


def test_ms_swift_opens_them_all(written: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its inputs and its image loader: both sides have the pictures, their marks in the same places."""
    inputs = alone("swift.template.template_inputs").TemplateInputs
    stand_in(monkeypatch, "json_repair")
    load_image = alone("swift.template.vision_utils").load_image
    for row in written("ms-swift", ("path", "url", "data")):
        made = inputs.from_dict({key: value for key, value in row.items() if key != "meta"})
        for side in (made.chosen, made.rejected):
            assert [color_of(load_image(image)) for image in side.images] == EXPECTED[len(row["images"])]
            marks = sum(message["content"].count("<image>") for message in side.messages)
            assert not side.images or marks == len(side.images)
        assert made.chosen.images or not made.chosen.is_multimodal  # a mark is read as one in rows with images alone
