"""Reads the descriptions of fields from the comments in ``defaults.py``."""

import ast
import functools
import inspect
import io
import tokenize
from collections.abc import Iterator

from jaxseg.config import defaults

# The function with the fields of the other task. Both may have a field of the same name, with another meaning.
OTHER = {"semantic": "detector", "instances": "semantic"}


@functools.cache
def descriptions(task: str) -> dict[str, str]:
    """Returns the comment of each field in ``defaults.py``, by dotted name such as "train.steps".

    Args:
      task: "semantic" or "instances".
    """
    source = inspect.getsource(defaults)
    comments = _comments(source)
    found: dict[str, str] = {}
    functions = [part for part in ast.parse(source).body if isinstance(part, ast.FunctionDef)]
    for node in (node for part in functions if part.name != OTHER[task] for node in ast.walk(part)):
        name, value = _assigned(node)
        if name is not None and value is not None:
            found |= {field: text for field, line in _fields(name, value) if (text := _comment_at(comments, line))}
    return found


def _assigned(node: ast.AST) -> tuple[str | None, ast.expr | None]:
    """Returns the dotted name that a statement such as ``config.data = {...}`` sets, and the value."""
    if isinstance(node, ast.Assign):
        target = ast.unparse(node.targets[0])
        if target.startswith("config."):
            return target.removeprefix("config."), node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "update":
        target = ast.unparse(node.func.value)
        if target.startswith("config.") and node.args:
            return target.removeprefix("config."), node.args[0]
    return None, None


def _fields(name: str, value: ast.expr) -> Iterator[tuple[str, int]]:
    """Yields the fields that a value sets, with the line that each is on."""
    if not isinstance(value, ast.Dict):
        yield name, value.lineno
        return
    for key, inner in zip(value.keys, value.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield from _fields(f"{name}.{key.value}", inner)


def _comments(source: str) -> dict[int, tuple[str, bool]]:
    """Returns the comments by line, and whether each has the line for itself."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: (token.string.lstrip("# ").strip(), token.line.lstrip().startswith("#"))
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _comment_at(comments: dict[int, tuple[str, bool]], line: int) -> str:
    """Returns the comment behind a line, or else the lines of comments above it."""
    if line in comments:
        return comments[line][0]
    above: list[str] = []
    while comments.get(line - 1, ("", False))[1]:
        line -= 1
        above.insert(0, comments[line][0])
    return " ".join(above)
