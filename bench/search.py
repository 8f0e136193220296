"""What a search finds that uniform plans do not: MiniLM, half of its texts to search on, the other to judge.

``make bench-search`` writes ``docs/search.md`` and ``docs/search.png``. The 50 Lee documents are dealt out in
turn: even ones are searched on, odd ones judge. A search by TPE with variance-aware starts and one that draws
at random have as many trials each; both are judged by the front that they found on the first half.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from blocksim.explore.front import front, hypervolume, undominated
from blocksim.explore.search import search
from blocksim.explore.sweep import sweep
from blocksim.report.style import PALETTE, QUIET, new_figure
from blocksim.zoo.minilm import MiniLM, skeleton

ROOT = Path(__file__).parent.parent
TRIALS = 64
FORMATS = [
    "bfp8@1x16", "bfp7@1x16", "bfp6@1x16", "bfp5@1x16", "bfp5@1x32", "bfp4@1x16", "bfp4@1x32", "int4@16x16",
    "int4@64x64", "bfp3@1x16", "bfp3@1x32",
]  # fmt: skip
"""What each weight may be stored in."""

UNIFORM = [{"plan": plan, "block": f"{n}x{n}"} for plan in ("bct-int8", "bct-w4a8") for n in (16, 32, 64)]
COLUMNS = ["label", "cosine", "weight_bits", "cycles", "energy_pj"]


def halves(model: MiniLM, folder: Path) -> tuple[str, str]:
    """Inputs of the even and of the odd documents, padded to the longest of all."""
    longest = max(len(t) for t in model.lee_tokens)
    names = []
    for k, name in enumerate(("even", "odd")):
        ids = np.zeros((0, longest), np.int64)
        there = np.zeros((0, longest), np.int64)
        for tokens in model.lee_tokens[k::2]:
            ids = np.vstack([ids, np.pad(tokens, (0, longest - len(tokens)))])
            there = np.vstack([there, (np.arange(longest) < len(tokens)).astype(np.int64)])
        np.savez(
            folder / f"{name}.npz", input_ids=ids, attention_mask=there, token_type_ids=np.zeros_like(ids)
        )
        names.append(f"{name}.npz")
    return names[0], names[1]


def written(folder: Path, name: str, **fields: Any) -> Path:
    """A space or a search for MiniLM."""
    models = (ROOT / ".models" / "minilm" / "model.safetensors").resolve()
    given = {"model": str(skeleton().resolve()), "weights": str(models)} | fields
    (folder / name).write_text(yaml.safe_dump(given, sort_keys=False))
    return folder / name


def measured(out: Path, trials: int, progress: bool = True) -> dict[str, pd.DataFrame]:
    """Uniform plans on the other half; and the front of each search, judged there."""
    out.mkdir(parents=True, exist_ok=True)
    searched_on, judged_on = halves(MiniLM(ROOT / ".models" / "minilm"), out)
    found = {
        "uniform": sweep(
            written(out, "uniform.yaml", inputs=judged_on, configurations=UNIFORM), out / "uniform",
            progress=progress,
        ).frame
    }  # fmt: skip
    for sampler, start in (("tpe", "variance"), ("random", "none")):
        problem = written(
            out, f"{sampler}.yaml", inputs=searched_on, holdout=judged_on, sampler=sampler, start=start,
            settings={"plan": "bct-int8", "block": "16x16"}, tensors={"*": FORMATS},
            objectives=["cosine", "weight_bits"], trials=trials, seed=0,
        )  # fmt: skip
        found[sampler] = search(problem, out / sampler, progress=progress).held_out
    return found


def as_points(frame: pd.DataFrame) -> np.ndarray:
    """Error, one less the cosine, and bits."""
    return np.stack([1 - frame["cosine"].to_numpy(float), frame["weight_bits"].to_numpy(float)], axis=1)


def better_than(uniform: pd.Series, found: pd.DataFrame) -> pd.Series | None:
    """The smallest found configuration with no more error than a uniform plan."""
    good = found[found["cosine"] >= uniform["cosine"]]
    return None if good.empty else good.loc[good["weight_bits"].idxmin()]


def page(found: dict[str, pd.DataFrame], trials: int) -> str:
    """The figures as a page."""
    uniform, tpe = found["uniform"], found["tpe"]
    worst = (float(as_points(uniform)[:, 0].max()) * 1.05, float(uniform["weight_bits"].max()) * 1.05)
    volumes = {name: hypervolume(as_points(frame), worst) for name, frame in found.items()}
    lines = [
        "# What a search finds", "",
        f"Written by `make bench-search`: MiniLM, a format for each of its weights, {trials} trials of a "
        f"search by TPE with variance-aware starts and {trials} drawn at random, on 25 documents; every "
        "figure here is of the 25 others. Activations are `int8@16x16` in both. *Memory* is that of the "
        "linear layers with all exponents. Of a front the smallest configuration is named that has no more "
        "error than the uniform plan on those 25.",
        "", "![fronts](search.png)", "",
        "| uniform plan | 1 - cosine | Mbit | found with no more error | 1 - cosine | Mbit | less memory |",
        "|---|---:|---:|---|---:|---:|---:|",
    ]  # fmt: skip
    for _, row in uniform.iterrows():
        own = f"| {row['plan']} {row['block']} | {1 - row['cosine']:.4f} | {row['weight_bits'] / 1e6:.2f} "
        best = better_than(row, tpe)
        if best is None:
            lines.append(f"{own}| none | | | |")
            continue
        less = 1 - best["weight_bits"] / row["weight_bits"]
        mbit = best["weight_bits"] / 1e6
        lines.append(f"{own}| {best['label']} | {1 - best['cosine']:.4f} | {mbit:.2f} | {less:.1%} |")
    ratios = ", ".join(f"{name} {volume / volumes['uniform']:.3f}" for name, volume in volumes.items())
    lines += [
        "", f"Hypervolume of (1 - cosine, bits) before ({worst[0]:.4f}, {worst[1] / 1e6:.2f} Mbit), that of "
        f"uniform plans being 1: {ratios}.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def draw(found: dict[str, pd.DataFrame], path: Path) -> None:
    """Every front over memory."""
    figure, ax = new_figure(8, 5)
    looks = {"uniform": ("s", PALETTE[0]), "random": ("o", QUIET), "tpe": ("o", PALETTE[1])}
    names = {"uniform": "uniform plans", "random": "drawn at random", "tpe": "searched"}
    for name, (marker, colour) in looks.items():
        frame = found[name].sort_values("weight_bits")
        best = frame[undominated(as_points(frame))]
        ax.plot(frame["weight_bits"] / 1e6, 1 - frame["cosine"], marker, color=colour, label=names[name])
        ax.plot(best["weight_bits"] / 1e6, 1 - best["cosine"], color=colour, drawstyle="steps-post")
    for _, row in front(found["uniform"], ("cosine", "weight_bits")).iterrows():
        ax.annotate(
            f"{row['plan']} {row['block']}", (row["weight_bits"] / 1e6, 1 - row["cosine"]), (5, 4),
            textcoords="offset points", fontsize=7,
        )  # fmt: skip
    ax.set_yscale("log")
    ax.set_xlabel("linear weights with exponents, Mbit")
    ax.set_ylabel("1 - cosine to fp32, texts that no trial has seen")
    ax.set_title("MiniLM: a format for each weight against one for all", loc="left")
    ax.legend(frameon=False)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Search, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--out", type=Path, help="keep the searches there, and go on with them")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(given.out or Path(folder), given.trials)
        (ROOT / "docs" / "search.md").write_text(page(found, given.trials))
        draw(found, ROOT / "docs" / "search.png")
        print(page(found, given.trials))


if __name__ == "__main__":
    main()
