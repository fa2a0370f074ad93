"""How the documentation is built: ``tools/test`` does, or ``sphinx-build docs OUT``."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import commandpages  # noqa: E402
import decisiontable  # noqa: E402

import datalad_mrishare  # noqa: E402

project = "datalad-mrishare"
author = "The datalad-mrishare developers"
copyright = author
version = release = datalad_mrishare.__version__

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

html_theme = "alabaster"
html_theme_options = {"description": "Share MRI data as far as its participants consented"}
html_show_copyright = False

commandpages.write_pages(HERE / "commands")
decisiontable.write_page(HERE / "decisions.md")
