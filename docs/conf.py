"""Sphinx settings. Nothing in the built pages is fetched from a network: no web fonts, no MathJax, no inventories."""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.errors import SphinxError
from sphinx.writers.html5 import HTML5Translator

from myoloop import __version__

project = "myoloop"
author = "the myoloop authors"
project_copyright = "the myoloop authors, Apache-2.0"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"

html_theme = "furo"
html_title = f"myoloop {release}"
html_show_sourcelink = False
html_math_renderer = "mathml"


def _inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _display(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(tex2mathml(node.astext(), as_block=True))
    self.body.append("</div>\n")
    raise nodes.SkipNode


_FETCHED = re.compile(r"""(?:\bsrc=|<link\b[^>]*\bhref=|\burl\(|@import\s)["']?(?:https?:)?//[^"')>\s]+""")


def _refuse_what_is_fetched(app: Sphinx, failed: Exception | None) -> None:
    """Fail if a built page or style sheet would load anything from elsewhere; a link to follow is none of that."""
    if failed is not None:
        return
    for path in sorted(Path(app.outdir).rglob("*")):
        if path.suffix in {".html", ".css"}:
            found = _FETCHED.search(path.read_text(encoding="utf-8"))
            if found:
                raise SphinxError(f"{path.name} fetches {found[0][:120]}")


def setup(app: Sphinx) -> None:
    """Let formulas be MathML, which browsers draw themselves, and hold the pages to fetching nothing."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    app.connect("build-finished", _refuse_what_is_fetched)
