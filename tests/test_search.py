"""Searches: fixed by their seed, interrupted or not; limits; what is refused; allocations by distortion."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
import yaml

import blocksim as bs
from blocksim.errors import BlocksimError
from blocksim.explore.columns import COLUMNS
from blocksim.explore.distortion import Weights
from blocksim.explore.search import Search, search
from blocksim.explore.searchfile import load
from blocksim.explore.store import ROWS
from blocksim.explore.variance import allocations
from blocksim.graph import Graph
from hwmodels.formats import parse

TIMING = [c.name for c in COLUMNS if c.timing]
FORMATS = ["int8@16x16", "bfp4@1x16", "int4@64x64"]


def file(folder: Path, **fields: Any) -> Path:
    path = folder / "search.yaml"
    given = {
        "model": "vit_fashion", "samples": 4, "settings": {"block": "16x16"}, "trials": 10, "batch": 3,
        "tensors": {"*.ffn1.weight": FORMATS}, "axes": {"machine.aligner.guard_bits": [0, 8]},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(given | fields, sort_keys=False))
    return path


def told(done: Search) -> pd.DataFrame:
    return done.frame.drop(columns=TIMING)


@pytest.fixture(scope="module")
def names() -> list[str]:
    return Weights(bs.import_onnx(bs.zoo.load("vit_fashion").path)).names


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_a_search_is_fixed_by_its_seed(tmp_path: Path, sampler: str, names: list[str]) -> None:
    """By one worker or two, at once or interrupted: rows that are lost are measured again."""
    first = search(file(tmp_path, sampler=sampler, seed=1), tmp_path / "a", jobs=2)
    assert first.frame["trial"].tolist() == list(range(10))
    tensors = [n for n in first.frame if n.startswith("tensors.")]
    assert tensors == [f"tensors.{n}" for n in names if n.endswith(".ffn1.weight")]
    assert len(tensors) > 1
    assert set(first.frame[tensors].to_numpy().ravel()) <= set(FORMATS)
    for row in list((tmp_path / "a" / ROWS).iterdir())[::2]:
        row.unlink()
    again = search(file(tmp_path, sampler=sampler, seed=1), tmp_path / "a", jobs=1)
    pd.testing.assert_frame_equal(told(first), told(again))
    other = search(file(tmp_path, sampler=sampler, seed=2, trials=4), tmp_path / "b", jobs=1)
    assert not told(other)[tensors].equals(told(first)[tensors][:4])


def test_limits_are_kept_apart(tmp_path: Path) -> None:
    done = search(
        file(tmp_path, limits={"cosine": 0.999, "energy_pj": 1e12}, trials=8), tmp_path / "out", jobs=2
    )
    within = done.frame["cosine"] >= 0.999
    assert 0 < within.sum() < 8
    assert (done.frame["allowed"] == "yes").tolist() == within.tolist()
    assert (done.front["cosine"] >= 0.999).all()
    assert len(done.front)


def test_the_front_is_judged_on_other_samples(tmp_path: Path) -> None:
    vit = bs.zoo.load("vit_fashion")
    for name, images in (("seen", slice(0, 4)), ("unseen", slice(4, 8))):
        np.savez(tmp_path / f"{name}.npz", image=vit.inputs["image"][images])
    (tmp_path / "model.onnx").write_bytes(vit.path.read_bytes())
    path = file(tmp_path, model="model.onnx", inputs="seen.npz", holdout="unseen.npz", trials=5)
    done = search(path, tmp_path / "out", jobs=2)
    best = done.front.drop_duplicates("config_id")
    assert done.held_out["label"].tolist() == best["label"].tolist()
    assert (done.held_out["weight_bits"].to_numpy() == best["weight_bits"].to_numpy()).all()
    assert (done.held_out["sqnr_db"].to_numpy() != best["sqnr_db"].to_numpy()).any()
    tensors = {n: done.held_out[n].iloc[0] for n in done.held_out if n.startswith("tensors.")}
    precision = {"tensors": {n.removeprefix("tensors."): form for n, form in tensors.items()}}
    plan = {
        "weight": "int8@16x16", "activation": "int8@16x16", "vector": "int16@16x16", "bias": "int8@1x16",
        "embedding": "int8@row",
    } | precision  # fmt: skip
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    machine = tmp_path / "machine.yaml"
    content = yaml.safe_load((Path(bs.__file__).parents[1] / "hwmodels/machines/bct64.yaml").read_text())
    content["aligner"]["guard_bits"] = int(done.held_out["machine.aligner.guard_bits"].iloc[0])
    machine.write_text(yaml.safe_dump(content))
    alone = bs.run(
        tmp_path / "model.onnx",
        {"image": vit.inputs["image"][4:8]},
        machine,
        tmp_path / "plan.yaml",
        threads=1,
    )
    assert alone.data.outputs["logits"].sqnr_db == done.held_out["sqnr_db"].iloc[0]


def test_a_storage_gets_a_copy_of_the_study(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    first = told(search(file(tmp_path, trials=4), tmp_path / "out", url, jobs=1))
    then = search(file(tmp_path, trials=6), tmp_path / "out", url, jobs=1)
    whole = search(file(tmp_path, trials=6), tmp_path / "whole", jobs=1)
    pd.testing.assert_frame_equal(told(then), told(whole))
    (study,) = optuna.get_all_study_summaries(url)
    copied = optuna.load_study(study_name=study.study_name, storage=url).trials
    assert [t.user_attrs["config_id"] for t in copied] == then.frame["config_id"].tolist()
    assert then.frame["trial"].tolist() == list(range(6))
    pd.testing.assert_frame_equal(told(then)[:4], first)
    with pytest.raises(BlocksimError, match="--storage: nowhere://x"):
        search(file(tmp_path), tmp_path / "other", "nowhere://x")


REFUSED = {
    "a column": ({"objectives": ["speed"]}, "objectives: speed: give some of accuracy, cosine"),
    "a name": ({"objectives": "cheap"}, "objectives: cheap: give error-memory, 2310.05079, or a list"),
    "a limit": ({"limits": {"label": 3}}, "limits: label: give some of accuracy"),
    "a setting": ({"axes": {"blok": ["1x1"]}}, "axes: blok: no such setting"),
    "a pattern": ({"tensors": {"nothing.*": FORMATS}}, "tensors: nothing.*: fits no weight; there are"),
    "no choice": ({"tensors": {}, "axes": {}}, "axes: nothing: give axes or tensors to choose"),
    "a format": (
        {"tensors": {"*.ffn1.weight": ["int9@1x16", "int8@1x16"]}},
        "weight: int9@1x16: the",
    ),
    "a curve": (
        {"tensors": {"*.ffn1.weight": ["log2u4@1x16", "int8@1x16"]}},
        "weight: log2u4@1x16: the",
    ),
    "no number": ({"limits": {"cosine": float("nan")}}, "limits.cosine: nan"),
    "a negative seed": ({"seed": -1}, "seed: -1: Input should be greater"),
    "a field": ({"trails": 3}, "trails: unknown field: known fields: model, inputs"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_search_is_refused(tmp_path: Path, case: str) -> None:
    fields, said = REFUSED[case]
    with pytest.raises(BlocksimError) as refused:
        search(file(tmp_path, **fields), tmp_path / "out", jobs=1)
    assert said in str(refused.value)


def test_named_objectives() -> None:
    path = Path(__file__).parent.parent / "examples" / "search.yaml"
    assert load(path).objectives == ("sqnr_db", "weight_bits")


def test_allocations_are_the_best_of_their_size(vit_graph: Graph) -> None:
    """Against every allocation of three weights: none of its size or less has a smaller sum of errors."""
    weights = Weights(vit_graph)
    names = weights.names[:3]
    forms = ["int8@16x16", "bfp6@1x16", "int4@16x16", "int4@64x64"]
    choices: dict[str, list[Any]] = {f"tensors.{n}": list(forms) for n in names}
    stored = {n: [weights.stored(n, parse(f)) for f in forms] for n in names}

    def figures(which: tuple[int, ...]) -> tuple[int, float]:
        own = [stored[n][i] for n, i in zip(names, which, strict=True)]
        return sum(s.bits for s in own), sum(s.relative for s in own)

    every = [figures(which) for which in itertools.product(range(4), repeat=3)]
    made = list(allocations(weights, choices, 99))
    assert len(made) > 3
    sizes = []
    for one in made:
        bits, error = figures(tuple(forms.index(str(one[f"tensors.{n}"])) for n in names))
        assert error == min(e for b, e in every if b <= bits)
        sizes.append(bits)
    assert sizes == sorted(sizes)
    assert [len(list(allocations(weights, choices, n))) for n in (1, 2)] == [1, 2]
