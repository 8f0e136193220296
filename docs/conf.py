"""How the documentation is built: `make docs`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generate

from blocksim import __version__

project = "blocksim"
author = "the authors of blocksim"
version = release = __version__
html_title = f"blocksim {__version__}"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

# Notebooks are executed by the tests; here what they hold is shown.
nb_execution_mode = "off"
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say more
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_param = False  # types are words, such as path, and no names to link to
default_role = "code"

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["blocksim.css"]
html_copy_source = False
html_show_copyright = False


def setup(_app: Any) -> None:
    """Write the pages that are made from the code, before Sphinx reads any."""
    generate.write_made(HERE / "made")
