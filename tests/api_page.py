"""Write helpers/README.md: what every public call takes, gives and raises, out of the docstrings.

python tests/api_page.py
"""

import ast
import inspect
from pathlib import Path

import helpers
from helpers.index.searchable import Searchable

HELPERS = Path(helpers.__file__).parent
PAGE = HELPERS / "README.md"
SCALE = {"encode_manifest": "job", "ShardIndex": "index", "LanceIndex": "lance"}  # read, for they need pyarrow
HEAD = """\
# The public API of `helpers`

Made from the docstrings by `make api`. Feature arrays are NumPy float32; texts come first: `similarity[text_i, img_j]`.
"""


def page() -> str:
    """Write the whole page."""
    sections = [*(_section(name, getattr(helpers, name)) for name in helpers.__all__), *map(_of_scale, SCALE)]
    return "\n".join([HEAD, *sections])


def _section(name: str, thing: object) -> str:
    if inspect.ismodule(thing):
        parts = [_text(inspect.getdoc(thing))]
    elif callable(thing):
        parts = _described(ast.parse(inspect.getsource(thing)).body[0])
        inherited = [base for base in getattr(thing, "__mro__", ())[1:] if base.__module__.startswith("helpers.")]
        for base in inherited:
            parts += _methods(ast.parse(inspect.getsource(base)).body[0], thing.__name__)
    else:
        parts = [f"```python\n{name} = {thing!r}\n```"]
    return "\n\n".join([f"## `{name}`", *parts]) + "\n"


def _of_scale(name: str) -> str:
    module = f"scale/{SCALE[name]}.py"
    tree = ast.parse((HELPERS / module).read_text(encoding="utf-8"))
    parts = _described(next(node for node in tree.body if getattr(node, "name", "") == name))
    if name == "ShardIndex":
        parts += _methods(ast.parse(inspect.getsource(Searchable)).body[0], name)
    return "\n\n".join([f"## `scale.{name}`", f"In `helpers/{module}`.", *parts]) + "\n"


def _described(node: ast.FunctionDef | ast.ClassDef) -> list[str]:
    parts = [_text(ast.get_docstring(node))]
    if isinstance(node, ast.FunctionDef):
        return [f"```python\n{node.name}({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}\n```", *parts]
    starts = [part for part in node.body if getattr(part, "name", "") == "__init__"]
    calls = [f"```python\n{node.name}({ast.unparse(start.args).removeprefix('self, ')})\n```" for start in starts]
    return [*calls, *parts, *_methods(node, node.name)]


def _methods(node: ast.ClassDef, name: str) -> list[str]:
    methods = [part for part in node.body if isinstance(part, ast.FunctionDef) and not part.name.startswith("_")]
    return [part for method in methods for part in (f"### `{name}.{method.name}`", *_described(method))]


def _text(docstring: str) -> str:
    return f"```text\n{docstring}\n```"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
