"""Write helpers/README.md: what every public call takes, returns and raises, out of the docstrings.

python tests/api_page.py
"""

import ast
import re
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import helpers
import helpers.shards

HELPERS = Path(helpers.__file__).parent
PAGE = HELPERS / "README.md"
HEAD = """\
# The public API of `helpers`

Made from the docstrings by `make api`. Feature arrays are NumPy float32; texts come first: `similarity[text_i, img_j]`.
"""
SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises):\n((?:[ ]{4}.*\n|\n)+)", re.M)


def page() -> str:
    """Write the whole page: a table of contents, then a section for each public name."""
    homes = [(name, f"helpers.{home}", name) for name, home in helpers._HOME.items()]
    homes += [(f"shards.{name}", f"helpers.shards.{home}", name) for name, home in helpers.shards._HOME.items()]
    contents = "\n".join(f"- [`{title}`](#{re.sub(r'[^a-z0-9_-]', '', title.lower())})" for title, _, _ in homes)
    sections = [f"## `{title}`\n\n{describe(module, name)}\n" for title, module, name in homes]
    return "\n".join([HEAD, f"{contents}\n", *sections])


def describe(module: str, name: str) -> str:
    """Describe a function, a class or a constant; its module is read, not imported, for some need pyarrow."""
    tree = ast.parse(Path(find_spec(module).origin).read_text(encoding="utf-8"))
    for node in tree.body:
        if getattr(node, "name", "") == name:
            return "\n\n".join([f"In `{module}`.", *described(node)])
    return f"In `{module}`.\n\n```python\n{name} = {getattr(helpers, name)!r}\n```"


def described(node: ast.FunctionDef | ast.ClassDef, owner: str = "") -> list[str]:
    """List the paragraphs about a function, or about a class, its construction and its public methods."""
    text = prose(ast.get_docstring(node) or "")
    if isinstance(node, ast.FunctionDef):
        return [signature(node, owner + node.name), text]
    parts = []
    for method in (part for part in node.body if isinstance(part, ast.FunctionDef)):
        if method.name == "__init__":
            parts = [signature(method, node.name), text, prose(ast.get_docstring(method) or "")]
        elif not method.name.startswith("_"):
            parts += ["" if parts else text, f"### `{node.name}.{method.name}`", *described(method, "")]
    return [part for part in parts or [text] if part]


def signature(node: ast.FunctionDef, name: str) -> str:
    """Write how a function is called, one argument per line; of a property, what it is."""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    if any(ast.unparse(mark) == "property" for mark in node.decorator_list):
        return f"```python\n{name}: {ast.unparse(node.returns)}\n```"
    arguments = [argument for argument in split(ast.unparse(node.args)) if argument != "self"]
    inner = "".join(f"    {argument},\n" for argument in arguments)
    return f"```python\n{name}(" + (f"\n{inner}" if inner else "") + f"){returns}\n```"


def split(arguments: str) -> list[str]:
    """Cut arguments at the commas that stand in no bracket, and set a default apart from its type."""
    found, depth = [""], 0
    for letter in arguments:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            found.append("")
        else:
            found[-1] += letter
    found = [argument.strip() for argument in found if argument.strip()]
    return [argument.replace("=", " = ", 1) if ":" in argument else argument for argument in found]


def prose(docstring: str) -> str:
    """Turn a docstring into Markdown: its sections become bold titles with a list."""
    marked = SECTION.sub(section, f"{docstring}\n")
    return re.sub(r"``(.+?)``", r"`\1`", marked).strip()


def section(found: re.Match) -> str:
    """Write one section: a list of what it names, or a paragraph."""
    title, body = found[1].replace("Args", "Arguments"), dedent(found[2]).strip()
    if found[1] in ("Returns", "Yields"):
        return f"**{title}**: {body}\n\n"
    items = re.split(r"\n(?=\S)", body)
    lines = [re.sub(r"^([^:\n]+): ?", lambda named: f"- {names(named[1])}: ", item, count=1) for item in items]
    return f"**{title}**\n\n" + "\n".join(re.sub(r"\n\s+", "\n  ", line) for line in lines) + "\n\n"


def names(listed: str) -> str:
    """Write each of some names as code."""
    return ", ".join(f"`{name.strip(' `')}`" for name in listed.split(","))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
