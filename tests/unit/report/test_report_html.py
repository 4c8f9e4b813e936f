from html.parser import HTMLParser

import pytest
from evaluated import RESULT

from einloom.report.html import evaluation_page, study_page, write_page

VOID = {"meta", "br", "link"}


class Balanced(HTMLParser):
    """Checks that every element is closed, and collects what a page would load."""

    def __init__(self):
        super().__init__()
        self.open, self.loads, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [
            value for name, value in attrs if name in ("src", "href", "xlink:href") and value[:1] != "#"
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def checked(page):
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert parser.loads == []
    assert "script" not in parser.tags
    return parser


def test_a_page_of_a_study_stands_alone_with_its_figure_and_tables(study):
    page = study_page(study, "latency_us", "energy_uj")
    parser = checked(page)
    assert parser.tags.count("svg") == 1
    assert parser.tags.count("table") == 3
    assert parser.tags.count("tr") > len(study.front)
    assert "area_mm2 &lt;= 3" in page


def test_a_page_of_a_design_shows_its_tables_and_its_mapping():
    page = evaluation_page(RESULT)
    assert checked(page).tags.count("table") == 3
    assert "  - DRAM holds A, B, Z" in page


def test_a_fused_mapping_is_shown_nested():
    tree = ["DRAM holds Q", {"pipelined": [{"QK": ["for m in 4", "PE"]}, {"AV": []}]}]
    page = evaluation_page({**RESULT, "mapping": tree})
    assert "- DRAM holds Q\n- pipelined:\n    - QK:\n        - for m in 4\n        - PE\n    - AV:" in page


def test_names_cannot_break_a_page():
    page = evaluation_page({**RESULT, "design": "<script>alert(1)</script>"})
    assert "script" not in checked(page).tags


def test_a_page_is_written_where_it_is_wanted(tmp_path):
    assert write_page("<p>ü</p>", tmp_path / "new" / "page.html").read_text(encoding="utf-8") == "<p>ü</p>"


@pytest.mark.parametrize("times", [2])
def test_the_same_study_gives_the_same_page(study, times):
    assert len({study_page(study) for _ in range(times)}) == 1
