"""The formats by name. A new target is one subclass of Format and one entry here."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from collector.errors import UsageError
from pairing.formats.axolotl import Axolotl, AxolotlIntel
from pairing.formats.base import Capabilities, Format, Unfit
from pairing.formats.conversations import MsSwift, OpenInstruct, OpenRlhf, Oumi, Torchtune
from pairing.formats.llama_factory import LlamaFactory, LlamaFactoryAlpaca
from pairing.formats.nemo import NemoAligner, NemoRl, NemoRlBinary
from pairing.formats.openai import Fireworks, OpenAi, Together
from pairing.formats.policy import SKIP, UnfitPolicy
from pairing.formats.recipe import Recipe
from pairing.formats.trl import Trl
from pairing.formats.trl_text import TrlImplicit, TrlKto, TrlStandard
from pairing.formats.verl import Verl

__all__ = ["FORMATS", "Capabilities", "Format", "Unfit", "UnfitPolicy", "get_format"]

_KINDS: tuple[type[Format], ...] = (
    Trl,
    TrlStandard,
    TrlImplicit,
    TrlKto,
    NemoRl,
    NemoRlBinary,
    NemoAligner,
    OpenRlhf,
    Axolotl,
    AxolotlIntel,
    LlamaFactory,
    LlamaFactoryAlpaca,
    MsSwift,
    OpenInstruct,
    Torchtune,
    Oumi,
    Verl,
    OpenAi,
    Together,
    Fireworks,
    Recipe,
)
FORMATS: Mapping[str, Format] = {kind.name: kind() for kind in _KINDS}
"""Each format with the policy that skips what does not fit."""


def get_format(name: str, unfit: UnfitPolicy = SKIP) -> Format:
    """The format of that name, with that policy. Raises UsageError for a name that is none."""
    known = FORMATS.get(name)
    if known is None:
        near = difflib.get_close_matches(name, FORMATS, n=1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise UsageError(f"--format {name}: give one of {', '.join(sorted(FORMATS))}{meant}")
    return known if unfit == SKIP else type(known)(unfit)
