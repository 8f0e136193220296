"""Export all-MiniLM-L6-v2 as five skeletons, one for each way that torch writes a sentence encoder.

The script needs the extra ``export`` (torch, transformers) and the weights that ``blocksim fetch minilm``
downloads::

    python traces/export_minilm.py --weights .models/minilm/model.safetensors --out traces/minilm

Each skeleton is run in onnxruntime with the weights as inputs, on a padded batch, and is written only if
it computes what the torch module does. The weights are needed for that, and because the exporters merge
equal initialisers, of which an untrained model has many.
"""

from __future__ import annotations

import argparse
import io
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from safetensors.torch import load_file
from skeleton import Wrapper, dynamo, padded_batch, skeletonise, write
from torch import Tensor
from torch.nn import functional as F
from transformers import BertConfig, BertModel

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT = "sentence_embedding"
HIDDEN, POSITIONS, VOCABULARY = 384, 512, 30522
TOLERANCE = 2e-6


@dataclass(frozen=True)
class Way:
    """One way to export.

    Attributes
    ----------
    dynamo : bool
        torch's newer exporter; else the tracing one.
    opset : int
    attention : str
        How transformers computes attention. Opset 11 has no form of torch's fused one.
    """

    dynamo: bool
    opset: int
    attention: str = "sdpa"


WAYS = {
    "dynamo18": Way(True, 18),
    "dynamo23": Way(True, 23),
    "tracing11": Way(False, 11, "eager"),
    "tracing14": Way(False, 14),
    "tracing17": Way(False, 17),
}


class SentenceEncoder(Wrapper):
    """BERT, the mean over the tokens that are not padding, and a vector of norm 1.

    Pooling and normalisation are written as sentence-transformers writes them.
    """

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        tokens = self.model(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state
        mask = attention_mask.unsqueeze(-1).expand(tokens.size()).to(tokens.dtype)
        pooled = torch.sum(tokens * mask, 1) / torch.clamp(mask.sum(1), min=1e-9)
        return F.normalize(pooled, p=2, dim=1)


def build(weights: Path, attention: str) -> SentenceEncoder:
    """The model with its trained weights; the checkpoint's pooler has no part in it."""
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        max_position_embeddings=POSITIONS,
        layer_norm_eps=1e-12,
        hidden_act="gelu",
        attn_implementation=attention,
    )
    model = BertModel(config, add_pooling_layer=False)
    state = {
        key: value
        for key, value in load_file(weights).items()
        if not key.startswith("pooler.") and key != "embeddings.position_ids"
    }
    model.load_state_dict(state)
    return SentenceEncoder(model)


def export(module: SentenceEncoder, way: Way, feeds: dict[str, Tensor]) -> onnx.ModelProto:
    """The model as torch writes it, with the names of its weights."""
    if way.dynamo:
        axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("seq", max=POSITIONS)}
        return dynamo(module, feeds, way.opset, OUTPUT, axes)
    file = io.BytesIO()
    torch.onnx.export(
        module,
        tuple(feeds.values()),
        file,
        dynamo=False,
        opset_version=way.opset,
        do_constant_folding=False,
        input_names=list(INPUTS),
        output_names=[OUTPUT],
        dynamic_axes={name: {0: "batch", 1: "seq"} for name in INPUTS} | {OUTPUT: {0: "batch"}},
    )
    return onnx.load_from_string(file.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, default=Path(".models/minilm/model.safetensors"))
    parser.add_argument("--out", type=Path, default=Path("traces/minilm"))
    arguments = parser.parse_args()
    feeds = padded_batch(INPUTS, VOCABULARY)
    for name, way in WAYS.items():
        module = build(arguments.weights, way.attention)
        made = skeletonise(export(module, way, feeds), module.keys(), ("batch", HIDDEN))
        write(made, arguments.out / f"{name}.onnx", module, feeds, TOLERANCE)


if __name__ == "__main__":
    main()
