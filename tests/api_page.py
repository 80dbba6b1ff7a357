"""Write helpers/README.md: what every public call takes, gives and raises, out of the docstrings.

python tests/api_page.py
"""

import ast
import inspect
from pathlib import Path

import helpers

PAGE = Path(helpers.__file__).parent / "README.md"
HEAD = """\
# The public API of `helpers`

Made from the docstrings by `make api`. Feature arrays are NumPy float32; texts come first: `similarity[text_i, img_j]`.
"""


def page() -> str:
    """Write the whole page."""
    return "\n".join([HEAD, *(_section(name, getattr(helpers, name)) for name in helpers.__all__)])


def _section(name: str, thing: object) -> str:
    if inspect.ismodule(thing):
        parts = [_text(inspect.getdoc(thing))]
    elif callable(thing):
        parts = _described(ast.parse(inspect.getsource(thing)).body[0])
    else:
        parts = [f"```python\n{name} = {thing!r}\n```"]
    return "\n\n".join([f"## `{name}`", *parts]) + "\n"


def _described(node: ast.FunctionDef | ast.ClassDef) -> list[str]:
    parts = [_text(ast.get_docstring(node))]
    if isinstance(node, ast.FunctionDef):
        return [f"```python\n{node.name}({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}\n```", *parts]
    methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
    for method in methods:
        if method.name == "__init__":
            parts[:0] = [f"```python\n{node.name}({ast.unparse(method.args).removeprefix('self, ')})\n```"]
        elif not method.name.startswith("_"):
            parts += [f"### `{node.name}.{method.name}`", *_described(method)]
    return parts


def _text(docstring: str) -> str:
    return f"```text\n{docstring}\n```"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
