"""Train, export and package the embedded model: a small ViT on Fashion-MNIST.

The script needs the extra ``export`` (torch) and the four Fashion-MNIST archives, for instance from
Debian's ``dataset-fashion-mnist`` (``/usr/share/datasets/fashion-mnist``)::

    python traces/train_vit_fashion.py --data /usr/share/datasets/fashion-mnist --out blocksim/zoo/vit_fashion

It writes ``model.onnx`` (torch's dynamo exporter, opset 18), ``images.npz`` (the first 1,000 test
images, uint8, with labels) and ``card.json``. Training takes about half an hour on two cores; the
seed fixes the data order and the initial weights.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH, DEPTH, HEADS, MLP, PATCH, CLASSES = 128, 4, 4, 512, 4, 10
TOKENS = (28 // PATCH) ** 2
MEAN, STD = 0.2860, 0.3530  # of the training images, as fractions of 255
EVALUATION_IMAGES = 1000


class Layer(nn.Module):
    """One pre-norm encoder layer, written with the operators that an accelerator sees."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH)
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.ffn1 = nn.Linear(WIDTH, MLP)
        self.ffn2 = nn.Linear(MLP, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        batch = x.shape[0]

        def heads(t: Tensor) -> Tensor:
            return t.reshape(batch, TOKENS, HEADS, WIDTH // HEADS).transpose(1, 2)

        h = self.norm1(x)
        q, k, v = heads(self.query(h)), heads(self.key(h)), heads(self.value(h))
        scores = torch.matmul(q, k.transpose(2, 3)) / math.sqrt(WIDTH // HEADS)
        mixed = torch.matmul(torch.softmax(scores, dim=-1), v)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, TOKENS, WIDTH))
        return x + self.ffn2(F.gelu(self.ffn1(self.norm2(x))))


class ViT(nn.Module):
    """Patch projection, learned positions, four layers, mean over the tokens, linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, WIDTH, PATCH, PATCH)
        self.position = nn.Parameter(torch.randn(1, TOKENS, WIDTH) * 0.02)
        self.encoder = nn.ModuleList(Layer() for _ in range(DEPTH))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        x = self.embed(image).flatten(2).transpose(1, 2) + self.position
        for layer in self.encoder:
            x = layer(x)
        return self.head(self.norm(x).mean(dim=1))


def read_idx(path: Path) -> np.ndarray:
    """One gzipped IDX file as a uint8 array."""
    raw = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(raw, ">u4", raw[3], 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def normalise(images: Tensor) -> Tensor:
    """uint8 images to the model's input, (n, 1, 28, 28) float32."""
    return ((images.float() / 255 - MEAN) / STD)[:, None]


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Flip half of the images and shift each by up to two pixels."""
    n = len(images)
    images = torch.where(torch.rand(n, 1, 1, generator=generator) < 0.5, images.flip(2), images)
    padded = F.pad(images, (2, 2, 2, 2))
    dy, dx = (torch.randint(0, 5, (n, 1, 1), generator=generator) for _ in range(2))
    rows = dy + torch.arange(28).view(1, 28, 1)
    columns = dx + torch.arange(28).view(1, 1, 28)
    return padded[torch.arange(n).view(n, 1, 1), rows, columns]


@torch.no_grad()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    model.eval()
    right = [
        (model(normalise(x)).argmax(1) == y).sum()
        for x, y in zip(images.split(1000), labels.split(1000), strict=True)
    ]
    return float(sum(right)) / len(labels)


def train(data: Path, epochs: int, seed: int) -> tuple[ViT, dict[str, float]]:
    """A trained model and its accuracy on all 10,000 and on the packaged test images."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    images = torch.from_numpy(read_idx(data / "train-images-idx3-ubyte.gz").copy())
    labels = torch.from_numpy(read_idx(data / "train-labels-idx1-ubyte.gz").astype(np.int64))
    test_images = torch.from_numpy(read_idx(data / "t10k-images-idx3-ubyte.gz").copy())
    test_labels = torch.from_numpy(read_idx(data / "t10k-labels-idx1-ubyte.gz").astype(np.int64))
    model, batch = ViT(), 256
    steps = epochs * (len(images) // batch)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.5e-3, steps, pct_start=0.1)
    for epoch in range(epochs):
        model.train()
        order = torch.randperm(len(images), generator=generator)
        total = 0.0
        for step in range(len(images) // batch):
            pick = order[step * batch : (step + 1) * batch]
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(normalise(augment(images[pick], generator)))
            loss = F.cross_entropy(logits.float(), labels[pick], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += loss.item()
        test = accuracy(model, test_images, test_labels)
        print(f"epoch {epoch + 1}/{epochs}: loss {total / (step + 1):.4f}, test {test:.4f}", flush=True)
    packaged = accuracy(model, test_images[:EVALUATION_IMAGES], test_labels[:EVALUATION_IMAGES])
    return model, {"test_10000": test, "packaged_1000": packaged}


def export(model: ViT, path: Path) -> None:
    """Write the model as one ONNX file, batch left free, weights under their torch names."""
    model.eval()
    program = torch.onnx.export(
        model,
        (torch.zeros(2, 1, 28, 28),),
        dynamo=True,
        optimize=False,
        opset_version=18,
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
    )
    assert program is not None
    program.save(path, external_data=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the four IDX archives")
    parser.add_argument("--out", type=Path, default=Path("blocksim/zoo/vit_fashion"))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    model, scores = train(args.data, args.epochs, args.seed)
    export(model, args.out / "model.onnx")
    images = read_idx(args.data / "t10k-images-idx3-ubyte.gz")[:EVALUATION_IMAGES]
    labels = read_idx(args.data / "t10k-labels-idx1-ubyte.gz")[:EVALUATION_IMAGES]
    np.savez_compressed(args.out / "images.npz", images=images, labels=labels)
    card = {
        "name": "vit_fashion",
        "task": "Fashion-MNIST, 10 classes of clothing, 28 x 28 grey images",
        "data": {
            "source": "Fashion-MNIST, Zalando SE (Debian package dataset-fashion-mnist)",
            "licence": "MIT, Copyright 2017 Zalando SE",
            "images": "the first 1,000 of the 10,000 test images, none of them trained on",
        },
        "model": {
            "architecture": f"pre-norm ViT, patch {PATCH}, width {WIDTH}, depth {DEPTH}, {HEADS} heads, "
            f"MLP {MLP}, mean pooling, {sum(p.numel() for p in model.parameters()):,} parameters",
            "licence": "Apache-2.0, as this project",
            "input": {"name": "image", "mean": MEAN, "std": STD},
        },
        "training": f"AdamW, one-cycle rate to 1.5e-3, batch 256, {args.epochs} epochs, flips and 2-pixel "
        f"shifts, label smoothing 0.05, bfloat16 products, seed {args.seed}; torch {torch.__version__}",
        "fp32_accuracy": scores,
        "sha256": {
            name: hashlib.sha256((args.out / name).read_bytes()).hexdigest()
            for name in ("model.onnx", "images.npz")
        },
    }
    (args.out / "card.json").write_text(json.dumps(card, indent=2) + "\n")


if __name__ == "__main__":
    main()
