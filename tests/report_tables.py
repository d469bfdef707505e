"""Reads the tables of a report."""

from html.parser import HTMLParser


class Tables(HTMLParser):
    """Reads the tables of a page: by id, the rows as lists of texts and exact numbers."""

    def __init__(self, page):
        super().__init__()
        self.tables, self.rows, self.cell = {}, None, None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "table":
            self.rows = self.tables.setdefault(attributes.get("id"), [])
        elif tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.cell = attributes.get("data-value")
            self.rows[-1].append(float(self.cell) if self.cell else "")

    def handle_data(self, data):
        if self.rows and self.rows[-1] and self.cell is None:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag):
        if tag in ("td", "table"):
            self.cell = ""
