"""Whose image each case is: tables of users against the cases that are there."""

import pytest

from lite_medsam.cases.groups import read_groups
from lite_medsam.errors import CaseError

NAMES = ("2D_US_a", "2D_US_b", "P1.a")


def table(tmp_path, text):
    (tmp_path / "g.csv").write_text(text, encoding="utf-8")
    return tmp_path / "g.csv"


@pytest.mark.parametrize(
    "cell", ["2D_US_a", "2D_US_a.npz", r"C:\data\2D_US_a.npz", "x/2D_US_a.NPZ", "2D_us_A.npz", "2D_US_a.png"]
)
def test_a_case_by_name_or_path(tmp_path, cell):
    assert read_groups(table(tmp_path, f"file,group\n{cell},P7\n"), NAMES)[0] == {"2D_US_a": "P7"}


def test_dots_without_an_ending(tmp_path):
    assert read_groups(table(tmp_path, "file,group\nP1.a,x\n"), NAMES)[0] == {"P1.a": "x"}


def test_nothing_is_left_out_in_silence(tmp_path):
    groups, notes = read_groups(table(tmp_path, "file;group\n2D_US_a;P1\nother;P2\n2D_US_b;\n"), NAMES)
    assert groups == {"2D_US_a": "P1"}
    told = "\n".join(notes)
    assert "1 of 3 rows name no case here, such as 'other'" in told and "1 rows have an empty group" in told
    assert "2 of 3 cases are in no row" in told


def test_a_table_of_which_no_row_fits(tmp_path):
    for text in ("file,group\nx,1\n", "file,group\n"):
        with pytest.raises(CaseError, match=r"g\.csv: no row names any of the 3 cases"):
            read_groups(table(tmp_path, text), NAMES)


def test_two_groups_for_one_case(tmp_path):
    with pytest.raises(CaseError, match="lines 2 and 3 put 2D_US_a into 'P1' and 'P2'"):
        read_groups(table(tmp_path, "file,group\nP1/2D_US_a.npz,P1\nP2/2D_US_a.npz,P2\n"), NAMES)
