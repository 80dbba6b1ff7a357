"""How Sphinx makes the site out of what build.py staged; see https://www.sphinx-doc.org for each name."""

from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

STAGE = Path(__file__).resolve().parents[2] / "build" / "site-source"

project = "CLIP, step by step"
language = "en"
extensions = ["myst_nb", "docs.site.mathml"]
exclude_patterns = ["extra"]

nb_execution_mode = "off"  # the outputs are those that the tests compared
nb_merge_streams = True
nb_code_prompt_show = nb_code_prompt_hide = "On Colab: fetch the course"  # the one cell that is folded
myst_enable_extensions = ["attrs_block", "dollarmath"]
myst_heading_anchors = 4  # the names that GitHub gives to headings

html_theme = "furo"
html_title = project
templates_path = ["templates"]
html_static_path = ["static"]
html_extra_path = [str(STAGE / "extra")]  # figures, and the lessons to download
html_favicon = "static/favicon.svg"
html_css_files = ["style.css"]
html_js_files = ["scroll.js"]
html_theme_options: dict[str, list[str]] = {"top_of_page_buttons": []}
html_copy_source = html_show_sourcelink = html_show_copyright = html_use_index = False
html_show_search_summary = False  # it would fetch pages, which a browser refuses for files of its own disk
html_math_renderer = "mathml"


def finish(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Describe a page to search engines by its first paragraph; give the captions of the theme their level."""
    paragraphs = doctree.findall(nodes.paragraph) if doctree else []
    texts = [paragraph.astext() for paragraph in paragraphs if "links" not in paragraph["classes"]]
    text = " ".join(next(iter(texts), "A hands-on course on CLIP's two encoders").split())
    short = text if len(text) <= 200 else text[:200].rpartition(" ")[0] + " …"
    context["metatags"] = context.get("metatags", "") + f'<meta name="description" content="{escape(short)}">'
    tree = context["furo_navigation_tree"]
    context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')


def setup(app: Sphinx) -> None:
    """Tell Sphinx."""
    app.connect("html-page-context", finish, priority=900)  # after the theme
