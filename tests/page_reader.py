"""Reads a page as a test asks about it: tags with their attributes, numbers with their paths, text."""

from html.parser import HTMLParser


class Reader(HTMLParser):
    """Collects what a test asks of a page; complains about tags that do not close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.numbers: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        last = self.attributes[-1] if self.attributes else ("", {})
        if last[0] == "data" and self.open and self.open[-1] == "data":
            self.numbers.append((str(last[1]["data-metric"]), str(last[1]["value"]), data))
        elif self.open and self.open[-1] not in ("style", "title"):
            self.text.append(data)
