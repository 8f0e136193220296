"""Texts to judge a sentence encoder by: Lee50 with human similarities, and rated film-review snippets.

Both lie in the folder that ``blocksim fetch minilm`` makes. The texts of one length are run together, so
that no padding takes part: `grouped` says which those are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blocksim.errors import BlocksimError

MAX_TOKENS = 256
"""Longer texts are cut here, ``[SEP]`` kept: the length that all-MiniLM-L6-v2 is used with."""

CLEAR = 0.5
"""A snippet whose mean rating is nearer to zero than this has no label."""

SEED = 0
FIT, TEST, CALIBRATE = 2000, 1000, 32
"""Sizes of the three parts of `split`."""

RIDGE = 1.0
"""Weight of the squared norm in `fit_head`."""

NEWTON_STEPS = 50


@dataclass(frozen=True)
class Lee50:
    """Fifty short news texts, and how alike people found them (Lee, Pincombe and Welsh, 2005).

    Attributes
    ----------
    texts : tuple of str
    ratings : float64 array, shape (50, 50)
        Mean similarity from 0 to 1; symmetric, 1 on the diagonal.
    """

    texts: tuple[str, ...]
    ratings: NDArray[np.float64]


@dataclass(frozen=True)
class Snippets:
    """Sentences of film reviews with a clear rating (Hutto and Gilbert, 2014).

    Attributes
    ----------
    texts : tuple of str
    labels : int64 array
        1 where the mean rating is `CLEAR` or more, 0 where it is -`CLEAR` or less.
    """

    texts: tuple[str, ...]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Indices of snippets, no text in two parts.

    Attributes
    ----------
    fit : int64 array, shape (2000,)
        To fit a head on.
    test : int64 array, shape (1000,)
        To judge it by.
    calibrate : int64 array, shape (32,)
        To set scales or LUT ranges by.
    """

    fit: NDArray[np.int64]
    test: NDArray[np.int64]
    calibrate: NDArray[np.int64]


def tokenise(folder: Path, texts: Sequence[str]) -> list[NDArray[np.int64]]:
    """Token numbers of each text, with ``[CLS]`` and ``[SEP]``, without padding, at most `MAX_TOKENS`.

    Parameters
    ----------
    folder : Path
        With ``tokenizer.json``.
    texts : sequence of str

    Raises
    ------
    BlocksimError
        If the package `tokenizers` or the file is missing, or the file is damaged.
    """
    path = _existing(folder, "tokenizer.json")
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise BlocksimError(
            path, "tokenizers", "not installed", "run: pip install 'blocksim[models]'"
        ) from None
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exception
        raise BlocksimError(path, "file", "not a tokeniser", str(error)) from None
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return [np.array(encoding.ids, np.int64) for encoding in tokenizer.encode_batch(list(texts))]


def grouped(token_lists: Sequence[NDArray[np.int64]], step: int = 1) -> dict[int, list[int]]:
    """Indices of the token lists of each length, shortest first; lengths count in whole steps.

    >>> grouped([np.arange(3), np.arange(2), np.arange(3)])
    {2: [1], 3: [0, 2]}
    >>> grouped([np.arange(3), np.arange(2), np.arange(5)], step=4)
    {4: [0, 1], 8: [2]}
    """
    groups: dict[int, list[int]] = {}
    for index, tokens in enumerate(token_lists):
        groups.setdefault(-(-len(tokens) // step) * step, []).append(index)
    return dict(sorted(groups.items()))


def padded(token_lists: Sequence[NDArray[np.int64]], length: int) -> dict[str, NDArray[np.int64]]:
    """Model inputs of texts in one batch: their ids, and which of them are there."""
    ids = np.zeros((len(token_lists), length), np.int64)
    for row, tokens in zip(ids, token_lists, strict=True):
        row[: len(tokens)] = tokens
    there = np.arange(length) < np.array([len(tokens) for tokens in token_lists])[:, None]
    return {
        "input_ids": ids, "attention_mask": there.astype(np.int64), "token_type_ids": np.zeros_like(ids)
    }  # fmt: skip


def lee50(folder: Path) -> Lee50:
    """Lee50 from a fetched folder.

    Raises
    ------
    BlocksimError
        If a file is missing or damaged.
    """
    texts = _existing(folder, "lee.cor").read_text(encoding="latin-1").splitlines()
    path = _existing(folder, "similarities0-1.txt")
    try:
        table = np.loadtxt(path, ndmin=2)
    except ValueError as error:
        raise BlocksimError(path, "file", "not a table of numbers", str(error)) from None
    if table.shape != (len(texts), len(texts)):
        shape = " x ".join(map(str, table.shape))
        raise BlocksimError(path, "ratings", shape, f"want one for each pair of the {len(texts)} texts")
    upper = np.triu(table, 1)
    return Lee50(tuple(texts), upper + upper.T + np.eye(len(texts)))


def snippets(folder: Path) -> Snippets:
    """The clearly rated snippets from a fetched folder, in the order of the file.

    Raises
    ------
    BlocksimError
        If the file is missing or damaged.
    """
    path = _existing(folder, "movie_reviews.tsv")
    texts, labels = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            _, rating, text = line.split("\t")
            score = float(rating)
        except ValueError:
            raise BlocksimError(
                path, f"line {number}", repr(line[:40]), "want number, rating and text between tabs"
            ) from None
        if abs(score) >= CLEAR:
            texts.append(text)
            labels.append(score > 0)
    return Snippets(tuple(texts), np.array(labels, np.int64))


def split(given: Snippets, seed: int = SEED) -> Split:
    """Three disjoint parts of the snippets, the same on every machine and numpy version.

    The texts are put in the order of the SHA-256 of ``"<seed>:<text>"``; of equal texts only the first
    counts. The first 2,000 are to fit, the next 1,000 to test, the next 32 to calibrate.

    Raises
    ------
    BlocksimError
        If there are too few texts.
    """
    first: dict[str, int] = {}
    for index, text in enumerate(given.texts):
        first.setdefault(text, index)
    need = FIT + TEST + CALIBRATE
    if len(first) < need:
        raise BlocksimError("snippets", "texts", len(first), f"a split needs {need} different ones")
    ordered = sorted(first, key=lambda text: hashlib.sha256(f"{seed}:{text}".encode()).digest())
    chosen = np.array([first[text] for text in ordered[:need]], np.int64)
    fit, test, calibrate = np.split(chosen, [FIT, FIT + TEST])
    return Split(fit, test, calibrate)


def lee_correlations(embeddings: NDArray[np.floating], ratings: NDArray[np.float64]) -> tuple[float, float]:
    """Pearson's and Spearman's correlation of cosine similarities with human ones, over all pairs.

    Parameters
    ----------
    embeddings : array, shape (n, d)
        Need not have norm 1.
    ratings : array, shape (n, n)
        Only its upper triangle is read.

    Returns
    -------
    pearson, spearman : float
    """
    rows = embeddings.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = np.triu_indices(len(rows), 1)
    cosines, human = (rows @ rows.T)[pairs], ratings[pairs]
    return _pearson(cosines, human), _pearson(_ranks(cosines), _ranks(human))


def fit_head(embeddings: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights of a linear head with two classes: ridge-penalised logistic regression, by Newton's method.

    Parameters
    ----------
    embeddings : array, shape (n, d)
        Of norm 1 each.
    labels : array, shape (n,)
        0 or 1.

    Returns
    -------
    float64 array, shape (d + 1,)
        The last one is the bias, which is not penalised.
    """
    x, y = _with_one(embeddings), labels.astype(np.float64)
    penalty = np.full(x.shape[1], RIDGE)
    penalty[-1] = 0
    weights = np.zeros(x.shape[1])
    for _ in range(NEWTON_STEPS):
        p = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (p - y) + penalty * weights
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        weights -= step
        if np.abs(step).max() < 1e-9:
            break
    return weights


def head_accuracy(
    weights: NDArray[np.float64], embeddings: NDArray[np.floating], labels: NDArray[np.int64]
) -> float:
    """Fraction of texts that a head of `fit_head` labels rightly.

    >>> head_accuracy(np.array([1.0, 0.0]), np.array([[0.5], [-0.5]]), np.array([1, 1]))
    0.5
    """
    return float(np.mean((_with_one(embeddings) @ weights > 0) == (labels == 1)))


def _with_one(embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.concatenate([embeddings.astype(np.float64), np.ones((len(embeddings), 1))], axis=1)


def _pearson(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0, equal values sharing the mean of theirs."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts) - 1
    mean: NDArray[np.float64] = (last - (counts - 1) / 2)[which]
    return mean


def _existing(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise BlocksimError(path, "file", "missing", f"run: blocksim fetch minilm --out {folder.parent}")
    return path
