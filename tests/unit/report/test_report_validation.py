"""The table of published figures: how numbers, errors and remarks are written, and what the summary counts."""

import pytest

from einloom.report.validation import summary, validation_tables

ROW = {"file": "d.yaml", "design": "d.yaml", "case": "a", "figure": "f", "unit": "ms", "published": 2.0,
       "modelled": 2.1, "error": 0.05, "class": "silicon", "basis": "predicted", "source": "paper", "title": None,
       "tolerance": None, "reason": None, "ok": None, "problem": None}  # fmt: skip


def cells(**changes):
    (table,) = validation_tables([{**ROW, **changes}])
    return dict(zip(table.header, table.rows[0], strict=True))


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.0, "2"), (0.123456789, "0.12346"), (10**18 + 1, "1,000,000,000,000,000,001"),
     (23051894784.000004, "23,051,894,784"),
     (2.6e15, "2.6e+15"), ([41.0, 137.0], "41 to 137"), (None, ""), (99, "99"), (123456.7, "123,457")],
)  # fmt: skip
def test_a_value_is_written_in_full_or_to_five_digits(value, text):
    assert cells(published=value)["published"] == text


@pytest.mark.parametrize(
    ("error", "text"), [(0.05, "5"), (-0.123456, "-12.3"), (3e-13, "0"), (None, ""), (0.0, "0"), (2e-6, "0.0002")]
)
def test_an_error_is_in_per_cent(error, text):
    assert cells(error=error)["error [%]"] == text


@pytest.mark.parametrize(
    ("changes", "remark"),
    [
        ({}, ""),
        ({"ok": False, "tolerance": 0.015}, "beyond 1.5 %"),
        ({"ok": False, "tolerance": 0.01, "problem": "divides by zero"}, "no value: divides by zero"),
        ({"basis": "calibrated: fill class"}, "fill class"),
        ({"class": "not_checkable", "reason": "clock unknown", "modelled": None}, "clock unknown"),
    ],
)
def test_a_remark_says_what_the_number_does_not(changes, remark):
    assert cells(**changes)["remark"] == remark


def test_there_is_a_table_a_design_and_a_case_is_named_once():
    rows = [ROW, {**ROW, "figure": "g"}, {**ROW, "case": "b"}, {**ROW, "file": "e.yaml"}]
    tables = validation_tables(rows)
    assert [table.title for table in tables] == ["d.yaml", "e.yaml"]
    assert [row[0] for row in tables[0].rows] == ["a", "", "b"]
    assert tables[0].note == "paper"


def test_the_summary_counts_by_class():
    rows = [
        ROW, {**ROW, "error": -0.15}, {**ROW, "class": "exact", "error": 0.0}, {**ROW, "error": None},
        {**ROW, "class": "not_checkable", "modelled": None, "error": None},
        {**ROW, "modelled": None, "error": None, "ok": False, "problem": "x"}, {**ROW, "ok": False, "tolerance": 0.01},
    ]  # fmt: skip
    assert summary(rows) == (
        "7 figures of 1 design; 5 modelled; silicon: 3, error 8.33 % mean, 15 % most; exact: 1, error 0 % mean, 0 % "
        "most; 1 not checkable; 1 without a value; 1 beyond the stated tolerance"
    )
    assert summary([]) == "0 figures of 0 designs; 0 modelled"
