"""Parts of self-contained pages: one file, no network, light and dark, readable on a phone."""

import base64
import os
import pathlib
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np

from jaxseg.data.colors import OKABE_ITO
from jaxseg.storage import is_bucket

JPEG_QUALITY = 82
_LINES = "".join(
    f".c{number}{{stroke:rgb{color};background:rgb{color};fill:rgb{color}}}" for number, color in enumerate(OKABE_ITO)
)
STYLE = (
    """
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--pale:#68707a;--line:#d8dce1;--card:#f5f7f9;--bar:#0072b2;
--link:#0a58a8;--good:#117a4f;--bad:#a83a00}
@media(prefers-color-scheme:dark){:root{--paper:#14171b;--ink:#e4e7ea;--pale:#9aa3ad;--line:#343a41;--card:#1d2126;
--bar:#56b4e9;--link:#7ab8f5;--good:#4cc38a;--bad:#ff9a62}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1180px;padding:16px;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.2;margin:.4em 0}h2{font-size:1.2rem;margin:2em 0 .6em;padding-top:.4em;
border-top:1px solid var(--line)}h3{font-size:1rem;margin:1.4em 0 .5em}
p{margin:.5em 0}a{color:var(--link)}.pale,figcaption,.unit{color:var(--pale)}
.cards{display:grid;gap:10px;grid-template-columns:repeat(auto-fit,minmax(160px,1fr));margin:1em 0}
.card{background:var(--card);border-radius:8px;padding:10px 14px}
.card b{display:block;font-size:1.2rem;line-height:1.25}
.wide{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;overflow-wrap:normal}
th,td{padding:4px 10px;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}
th:first-child,td:first-child{text-align:left}thead th{color:var(--pale);font-weight:600}
td.text,th.text{text-align:left}
.matrix td{min-width:3.2em;text-align:center}.matrix td.cell{color:#111}.matrix th{text-align:left}
.charts{display:grid;gap:16px;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr))}
figure{margin:0}.chart{max-width:600px}.row{display:flex;flex-wrap:wrap;gap:8px 48px}
.chart>svg{width:100%;height:auto;display:block}.chart figcaption{font-weight:600}
svg text{font-size:12px;fill:var(--ink)}svg .frame{fill:none;stroke:var(--line)}svg .grid{stroke:var(--line);opacity:.7}
svg polyline{fill:none!important;stroke-width:2;stroke-linejoin:round}svg .bar{fill:var(--bar);opacity:.8}
svg .diagonal{stroke:var(--ink);stroke-dasharray:4 4}
.cp{stroke:var(--line);background:var(--line);fill:var(--line)}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;list-style:none;margin:.2em 0;padding:0 0 0 8px;font-size:.85rem}
.swatch{display:inline-block;width:12px;height:12px;border-radius:2px;margin-right:5px;border:1px solid var(--line)}
.panels{display:grid;gap:4px;grid-template-columns:repeat(4,1fr);margin:.3em 0 1.1em}
.panels img{width:100%;height:auto;display:block;border-radius:3px}.panels figcaption{font-size:.78rem}
.photos{display:grid;gap:10px;grid-template-columns:repeat(auto-fill,minmax(230px,1fr))}
.photos img{width:100%;height:auto;display:block;border-radius:3px}.photos figcaption{font-size:.8rem}
@media(max-width:640px){.panels{grid-template-columns:repeat(2,1fr)}body{padding:12px}
.photos{grid-template-columns:1fr 1fr}}
details{margin:.6em 0}summary{cursor:pointer;font-weight:600}code{font-size:.9em}
.problem{border-left:4px solid var(--bad);padding:2px 12px;margin:.7em 0}.fine{border-left-color:var(--good)}
@media print{details{display:block}}
"""
    + _LINES
    + "svg polyline{background:none}"
)


def page(title: str, *parts: str) -> str:
    """Returns a whole page with a heading and parts in HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n" + "\n".join(part for part in parts if part) + "\n</body></html>\n"
    )


def section(title: str, *parts: str, name: str = "") -> str:
    """Returns a section with a heading; nothing if its parts are empty.

    Args:
      title: the heading.
      parts: HTML.
      name: the id of the section, for links and programs.
    """
    content = "\n".join(part for part in parts if part)
    anchor = f' id="{escape(name)}"' if name else ""
    return f"<section{anchor}><h2>{escape(title)}</h2>\n{content}</section>" if content else ""


def paragraph(text: str) -> str:
    """Returns a paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def cards(facts: Mapping[str, str]) -> str:
    """Returns facts as cards: a name and a value each."""
    return (
        '<div class="cards">'
        + "".join(
            f'<div class="card"><span class="pale">{escape(name)}</span><b>{escape(value)}</b></div>'
            for name, value in facts.items()
        )
        + "</div>"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], name: str = "") -> str:
    """Returns a table that scrolls sideways where it is wide.

    Args:
      head: titles of the columns.
      rows: cells; a float is shown with four digits and keeps all of them in ``data-value``, None is a dash.
      name: the id of the table.
    """
    if not rows:
        return ""
    anchor = f' id="{escape(name)}"' if name else ""
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    return f'<div class="wide"><table{anchor}><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: Any) -> str:
    if value is None:
        return "<td>–</td>"
    if isinstance(value, float):
        return f'<td data-value="{value!r}">{value:.4f}</td>'
    if isinstance(value, int | np.integer):
        return f'<td data-value="{int(value)}">{int(value):,}</td>'
    return f'<td class="text">{value if isinstance(value, Markup) else escape(str(value))}</td>'


class Markup(str):
    """Text that is HTML already."""


def swatch(color: Sequence[int], name: str) -> Markup:
    """Returns a name with its color in front of it."""
    red, green, blue = map(int, color)
    return Markup(f'<span class="swatch" style="background:rgb({red},{green},{blue})"></span>{escape(name)}')


def fold(summary: str, content: str) -> str:
    """Returns content that opens on a click."""
    return f"<details><summary>{escape(summary)}</summary>\n{content}</details>" if content else ""


def picture(image: np.ndarray, alternative: str, longest: int = 300) -> str:
    """Returns an image, uint8 ``[h, w, 3]``, inside the page, reduced to at most ``longest`` pixels per side."""
    height, width = image.shape[:2]
    factor = min(1.0, longest / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    reduced = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if factor < 1 else image
    _, content = cv2.imencode(
        ".jpg", cv2.cvtColor(reduced, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    data = base64.b64encode(content.tobytes()).decode()
    return f'<img src="data:image/jpeg;base64,{data}" width="{size[0]}" height="{size[1]}" alt="{escape(alternative)}">'


def panels(pictures: Sequence[np.ndarray], titles: Sequence[str], name: str) -> str:
    """Returns pictures of one image side by side under titles; two columns on a phone."""
    return (
        '<div class="panels">'
        + "".join(
            f"<figure>{picture(image, f'{name}: {title}')}<figcaption>{escape(title)}</figcaption></figure>"
            for image, title in zip(pictures, titles, strict=True)
        )
        + "</div>"
    )


def link(path: str, text: str) -> Markup:
    """Returns a link to a file; plain text where there is no path."""
    return Markup(f'<a href="{escape(quote(path))}">{escape(text)}</a>' if path else escape(text))


def relative_path(file: str, folder: pathlib.Path) -> str:
    """Returns the path of a file from a folder; the path itself where there is none, as between drives or buckets."""
    if is_bucket(folder):
        return pathlib.Path(file).as_posix()
    try:
        return pathlib.Path(os.path.relpath(file, folder.resolve())).as_posix()
    except ValueError:
        return pathlib.Path(file).as_posix()
