"""Lists the shipped configs: name, task and data of each.

jaxseg configs
jaxseg configs unet_pets
jaxseg train unet_pets --help
"""

import textwrap

from jaxseg.commands.arguments import Parser
from jaxseg.config import pages

WIDTH = 110


def main(arguments: list[str]) -> None:
    """Prints a table of the pages, or the description of one."""
    parser = Parser("configs", __doc__)
    parser.add_argument("name", nargs="?", metavar="CONFIG", help="Print the description of this config instead.")
    options = parser.parse(arguments)
    print(pages.description(options.name) if options.name else table())


def table() -> str:
    """Returns a table of all shipped pages."""
    rows = [("NAME", "TASK", "DATA"), *((name, pages.load(name).task, _data(name)) for name in pages.page_names())]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    indent = sum(widths) + 4
    lines = []
    for name, task, data in rows:
        first, *more = textwrap.wrap(data, WIDTH - indent) or [""]
        lines.append(f"{name:{widths[0]}}  {task:{widths[1]}}  {first}")
        lines += [" " * indent + line for line in more]
    return "\n".join(lines)


def _data(name: str) -> str:
    """Returns the first sentence that the description of a page says of its data."""
    part = pages.description(name).split("\nData: ", 1)[-1].split("\nRecipe:", 1)[0]
    sentence = " ".join(part.split()).split(". ")[0].rstrip(".")
    return sentence[:1].upper() + sentence[1:]
