"""The page of a data set: all numbers in a table, a figure for each distribution, hostile names as text."""

from __future__ import annotations

import base64
import html
import json
import re

from trackers.data_page import DataPage, Distribution, render_data

HOSTILE = '</script><img src=x onerror="alert(1)">'


def rendered(**changes: object) -> str:
    values: dict[str, object] = {
        "title": f"set {HOSTILE}",
        "facts": {"source": f"folder:/{HOSTILE}"},
        "notes": [f"left out: {HOSTILE}"],
        "classes": ["cat", HOSTILE],
        "distributions": [
            Distribution("Images by class", (40, 20), (), (5, 6)),
            Distribution("With imbalance 10", (20, 2), (3, 0), (5, 6), [HOSTILE]),
        ],
        "sheet": b"\x89PNG-bytes",
        "sheet_caption": "Random images",
    }
    return render_data(DataPage(**{**values, **changes}))  # type: ignore[arg-type]


def test_numbers_figures_and_sheet_are_in_the_page() -> None:
    page = rendered()
    assert base64.b64encode(b"\x89PNG-bytes").decode() in page
    figures = re.findall(r'<script type="application/json" id="classes-\d-data">(.*?)</script>', page)
    assert [json.loads(text)["data"][0]["y"] for text in figures] == [[40, 20], [20, 2]]
    assert "a ratio of 2.0." in page
    assert "a ratio of 10.0. Hatched classes are too small to be validated" in page
    head, tail = page.split("In numbers")[1].split("With imbalance 10</h3>")
    assert re.findall(r'data-value="(\d+)">', head) == ["0", "40", "5", "1", "20", "6"]
    assert re.findall(r'data-value="(\d+)">', tail) == ["0", "20", "3", "5", "1", "2", "0", "6"]


def test_hostile_names_stay_text_and_nothing_is_loaded() -> None:
    page = rendered()
    assert "<img src=x" not in page
    assert page.count("&lt;/script&gt;&lt;img") >= 5
    assert "default-src 'none'; script-src 'sha256-" in html.unescape(page)
    ours = page.split('id="templates"')[0]  # what follows is Plotly's library
    assert not re.findall(r'(?:src|href)="https?:', ours)
