"""Language rules that a program can check; the rest of them is in .github/CONTRIBUTING.md."""

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

MOST_WORDS = 25
# First words that end in "s" like a verb, but are not one.
NOT_VERBS = {
    *(
        "This",
        "As",
        "Its",
        "Whose",
        "Always",
        "Thus",
        "Towards",
        "Boxes",
        "Images",
        "Anchors",
        "Proposals",
        "Losses",
        "Logits",
    ),
    *("Indices", "Pixels", "Arrays", "Classes", "Files", "Paths", "Numbers", "Features", "Gradients", "Colors", "Rows"),
    *("Columns", "Lines", "Detections", "Instances", "Objects", "Regions", "Layers", "Devices", "Processes", "Extents"),
    *("Deltas", "Totals", "Kernels", "Variables", "Parameters", "Settings", "Options", "Statistics", "Predictions"),
    *("Polygons", "Records", "Examples", "Batches", "Words", "Fields", "Sizes", "Coordinates", "Positions", "Points"),
    *("Levels", "Sides", "Areas", "Parts", "Views"),
}
AVOIDED = re.compile(
    r"\b(anew|to be had|goes on|stands for nothing|whatever|lest|learnt|theirs|ours|of which|whose|so many)\b",
    re.IGNORECASE,
)
BRITISH = re.compile(
    r"colour|neighbour|behaviour|favour|centre|grey|labell|modell|cancell|travell|licence|artefact"
    r"|(normal|optim|initial|quant|recogn|serial|organ|summar|visual|minim|maxim|parallel|general|regular)is(e|ed|es|er|ing|ation)"
)


def sources(root: Path) -> list[Path]:
    """Returns the Python files whose words are checked."""
    return [path for folder in ("jaxseg", "configs", "launch") for path in sorted((root / folder).rglob("*.py"))]


def documented(path: Path) -> Iterator[tuple[ast.AST, str]]:
    """Yields every module, class and function of a file that has a docstring, with that docstring."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield node, text


def asides(path: Path) -> Iterator[tuple[int, str]]:
    """Yields the comments and the texts of a file, such as messages, with their lines; docstrings are left out."""
    text = path.read_text()
    documentation = {docstring for _, docstring in documented(path)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and inspect.cleandoc(node.value) not in documentation:
            yield node.lineno, node.value


def starts_with_verb(docstring: str) -> bool:
    """Returns whether the first word looks like a verb in the third person."""
    first = re.match(r"[A-Za-z]+", docstring)
    return bool(first) and first[0].endswith("s") and not first[0].endswith("ss") and first[0] not in NOT_VERBS


def sentences(docstring: str) -> Iterator[str]:
    """Yields the sentences of a docstring; code, tables and examples are left out."""
    text = re.sub(r"```.*?```", "", docstring, flags=re.DOTALL)
    text = re.sub(r"``[^`]*``", "CODE", text)
    text = re.sub(r"^\s*(>>>|\.\.\.|\|).*(\n(?!\s*\n).*)*", "", text, flags=re.MULTILINE)  # doctests with their output
    text = re.sub(r"::\n\n(([ \t]{2,}.*)?\n?)+", ".\n\n", text)  # indented code
    for paragraph in re.split(r"\n\s*\n|\n\s*(?=[-*] )|\n\s*(?=\*{0,2}\w+(?:, \w+)*: )", text):
        yield from (" ".join(part.split()) for part in re.split(r"(?<=[.!?;:])\s+", paragraph))


def word_count(sentence: str) -> int:
    """Returns the number of words in a sentence; numbers and signs alone are no words."""
    return sum(bool(re.search(r"[A-Za-z]", word)) for word in sentence.split())


def faults(root: Path, check) -> list[str]:
    """Returns one line for each docstring in which ``check(node, text)`` finds a fault."""
    found = []
    for path in sources(root):
        for node, text in documented(path):
            found += [f"{path.relative_to(root)}:{getattr(node, 'lineno', 1)}: {fault}" for fault in check(node, text)]
    return found


def test_functions_start_with_a_verb(root):
    def check(node, text):
        if isinstance(node, ast.FunctionDef) and not starts_with_verb(text):
            yield text.splitlines()[0]

    assert not faults(root, check)


def test_sentences_have_at_most_25_words(root):
    def check(node, text):
        yield from (sentence for sentence in sentences(text) if word_count(sentence) > MOST_WORDS)

    assert not faults(root, check)


def test_avoided_words_do_not_appear(root):
    def check(node, text):
        yield from (
            f"{match[0]!r} in {sentence}" for sentence in sentences(text) if (match := AVOIDED.search(sentence))
        )

    assert not faults(root, check)


def test_avoided_words_are_in_no_comment_and_no_message(root):
    found = []
    for path in sources(root):
        for line, text in asides(path):
            found += [f"{path.relative_to(root)}:{line}: {match[0]}" for match in AVOIDED.finditer(text)]
    assert not found


def test_spelling_is_american(root):
    found = []
    for path in sources(root):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found += [f"{path.relative_to(root)}:{number}: {match[0]}" for match in BRITISH.finditer(line.lower())]
    assert not found


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [("Returns the box.", True), ("The box.", False), ("Boxes of an image.", False), ("Samples anchors.", True)],
)
def test_verbs_are_told_from_nouns(docstring, expected):
    assert starts_with_verb(docstring) is expected


def test_sentences_end_at_periods_lists_and_arguments():
    text = "Returns one. Then two ``a b c``.\n\nArgs:\n  x: three words here.\n  y: four.\n\n  >>> f(1)\n  2\n"
    assert list(map(word_count, filter(None, sentences(text)))) == [2, 3, 1, 1, 3, 1, 1]
