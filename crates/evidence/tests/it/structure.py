"""The structure of a page: python3 structure.py index.html. Says what it counted, or what is wrong."""

import sys
import xml.etree.ElementTree as xml
from html.parser import HTMLParser

VOID = {"meta", "br"}
NEVER = {"script", "link", "img", "iframe", "object", "embed", "form", "base", "a", "foreignobject", "use", "image"}
ATTRIBUTES = {"href", "src", "srcset", "style", "action", "http-equiv", "xlink:href", "xmlns", "background", "data"}


class Page(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.count, self.levels = [], set(), {}, []
        self.text = []

    def handle_starttag(self, tag, attributes):
        where = f"line {self.getpos()[0]}: <{tag}>"
        assert tag not in NEVER, where
        self.count[tag] = self.count.get(tag, 0) + 1
        for name, value in attributes:
            assert name not in ATTRIBUTES and not name.startswith("on"), f"{where} {name}"
            if name == "id":
                assert value not in self.ids, f"{where}: {value} twice"
                self.ids.add(value)
        if tag in {"h1", "h2", "h3"}:
            level = int(tag[1])
            assert level <= (self.levels[-1] if self.levels else 0) + 1, f"{where}: a level is left out"
            self.levels.append(level)
        if tag == "tr":
            assert self.open[-1] in {"thead", "tbody"}, where
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag not in VOID and self.open and self.open[-1] == tag, f"line {self.getpos()[0]}: </{tag}> in {self.open}"
        self.open.pop()

    def handle_data(self, data):
        self.text.append(data)


text = open(sys.argv[1], encoding="utf-8").read()
assert text.startswith("<!DOCTYPE html>") and "http" not in text.lower() and "url(" not in text
page = Page()
page.feed(text)
page.close()
assert page.open == [], page.open
assert page.count["h1"] == page.count["main"] == page.count["title"] == page.count["style"] == 1, page.count
assert "</svg><script src=http://a></script>" in "".join(page.text), "it is read as text"
drawings = text.split("<svg ")[1:]
for drawing in drawings:
    root = xml.fromstring("<svg " + drawing.split("</svg>")[0] + "</svg>")
    width, height = (float(part) for part in root.get("viewBox").split()[2:])
    assert root.get("aria-label") and len(root) > 0
    for box in root.iter("rect"):
        x, y, w, h = (float(box.get(name)) for name in ("x", "y", "width", "height"))
        assert 0 <= x and x + w <= width and 0 <= y and y + h <= height, xml.tostring(box)
headings = sum(1 for level in page.levels if level < 3)
print(f"headings {headings}, tables {page.count['table']}, drawings {len(drawings)}, sections {page.count['section']}")
