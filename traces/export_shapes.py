"""Export skeletons of untrained encoders of known shapes; a generator of weights fills them.

The script needs the extra ``export`` (torch, transformers) and nothing else::

    python traces/export_shapes.py --out traces

All come from torch's dynamo exporter at opset 18. As in ``export_minilm.py``, a skeleton is written only
if onnxruntime computes from it what torch does. The weights for that are random, biases and norms too,
because the exporters merge equal initialisers.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from skeleton import Wrapper, dynamo, padded_batch, skeletonise, write
from torch import Tensor, nn

TEXT = ("input_ids", "attention_mask", "token_type_ids")
OPSET, POSITIONS, IMAGE = 18, 512, 32
TOLERANCE = 1e-5

TINY_TEXT = {
    "vocab_size": 300,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 96,
}
TINY_IMAGE = {
    "image_size": IMAGE,
    "patch_size": 8,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 96,
    "num_labels": 10,
}
TINY_DISTILBERT = {"vocab_size": 300, "dim": 48, "n_layers": 2, "n_heads": 3, "hidden_dim": 96}


@dataclass(frozen=True)
class Shape:
    """A model of transformers and how it is exported.

    Attributes
    ----------
    model, config : str
        Classes of transformers.
    sizes : dict
        What the config changes from its defaults.
    inputs : sequence of str
        Tokens, mask and token types, as far as the model takes them, or an image.
    output : str
        The field of the model's result that is exported.
    shape : tuple
        Of the output.
    arguments : dict
        For the model's constructor.
    """

    model: str
    config: str
    sizes: dict[str, Any]
    inputs: Sequence[str]
    output: str
    shape: tuple[int | str, ...]
    arguments: dict[str, Any]


NO_POOLER = {"add_pooling_layer": False}
HIDDEN_48 = ("batch", "seq", 48)

SHAPES = {
    "bert_base": Shape(
        "BertModel", "BertConfig", {}, TEXT, "last_hidden_state", ("batch", "seq", 768), NO_POOLER
    ),
    "bert_tiny": Shape("BertModel", "BertConfig", TINY_TEXT, TEXT, "pooler_output", ("batch", 48), {}),
    "roberta_tiny": Shape(
        "RobertaModel", "RobertaConfig", TINY_TEXT, TEXT[:2], "last_hidden_state", HIDDEN_48, NO_POOLER
    ),
    "distilbert_tiny": Shape(
        "DistilBertModel", "DistilBertConfig", TINY_DISTILBERT, TEXT[:2], "last_hidden_state", HIDDEN_48, {}
    ),
    "vit_tiny": Shape(
        "ViTForImageClassification",
        "ViTConfig",
        TINY_IMAGE,
        ("pixel_values",),
        "logits",
        ("batch", 10),
        {},
    ),
    "deit_tiny": Shape(
        "DeiTForImageClassificationWithTeacher",
        "DeiTConfig",
        TINY_IMAGE,
        ("pixel_values",),
        "logits",
        ("batch", 10),
        {},
    ),
}


class TextModel(Wrapper):
    """A text encoder, of whose results one is wanted."""

    def __init__(self, model: nn.Module, output: str) -> None:
        super().__init__(model)
        self.output = output

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        return self.model(input_ids=input_ids, attention_mask=attention_mask, **types)[self.output]


class ImageModel(Wrapper):
    """An image classifier."""

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.model(pixel_values=pixel_values).logits


def build(shape: Shape) -> Wrapper:
    """The model, its weights all different."""
    torch.manual_seed(0)
    config = getattr(transformers, shape.config)(**shape.sizes)
    model = getattr(transformers, shape.model)(config, **shape.arguments)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    return ImageModel(model) if shape.inputs == ("pixel_values",) else TextModel(model, shape.output)


def example(shape: Shape) -> dict[str, Tensor]:
    """Inputs to export and to check with."""
    if shape.inputs == ("pixel_values",):
        return {"pixel_values": torch.randn(3, 3, IMAGE, IMAGE, generator=torch.Generator().manual_seed(0))}
    return padded_batch(shape.inputs, 300)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("traces"))
    arguments = parser.parse_args()
    for name, shape in SHAPES.items():
        module, feeds = build(shape), example(shape)
        axes = {0: torch.export.Dim("batch")}
        if "input_ids" in feeds:
            axes[1] = torch.export.Dim("seq", max=POSITIONS)
        exported = dynamo(module, feeds, OPSET, shape.output, axes)
        made = skeletonise(exported, module.keys(), shape.shape)
        write(made, arguments.out / f"{name}.onnx", module, feeds, TOLERANCE)


if __name__ == "__main__":
    main()
