"""Who imports whom: modules import from lower rows only, and nothing imports TensorFlow."""

import ast

ROWS = (
    ("__main__", "main", "predict", "benchmark"),
    ("commands",),
    ("train_together",),
    ("train", "benchmarks"),
    ("evaluate",),
    ("inference",),
    ("run",),
    ("tasks",),
    ("reporting",),
    ("weights", "metrics"),
    ("models", "losses"),
    ("data", "ops", "parallel"),
    ("config", "types"),
    ("storage",),
    ("ctrl_c",),
)
ROW = {name: row for row, names in enumerate(ROWS) for name in names}


def imported(path):
    """The modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parts(root):
    """Each file of the package, with the part of the house that it belongs to."""
    for path in sorted((root / "jaxseg").rglob("*.py")):
        part = path.relative_to(root / "jaxseg").parts[0].removesuffix(".py")
        if part != "__init__":
            yield path, part


def test_modules_import_from_lower_rows_or_their_own_folder(root):
    wrong = []
    for path, part in parts(root):
        used = {name.split(".")[1] for name in imported(path) if name.startswith("jaxseg.")}
        wrong += [f"{path.name} imports {name}" for name in used - {part} if name in ROW and ROW[name] <= ROW[part]]
    assert not wrong


def test_every_module_has_its_row(root):
    assert {part for _, part in parts(root)} <= set(ROW)


def test_data_and_types_are_numpy_only(root):
    for path, part in parts(root):
        if part in ("data", "types"):
            assert not [name for name in imported(path) if name.split(".")[0] in ("jax", "flax", "optax")], path


def test_tensorflow_is_imported_nowhere(root):
    for path, _ in parts(root):
        assert not [name for name in imported(path) if name.split(".")[0] == "tensorflow"], path
