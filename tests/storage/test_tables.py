"""Tables as Excel, Windows and scripts write them."""

import pytest

from lite_medsam.errors import CaseError
from lite_medsam.storage.tables import file_names, read_table

ROWS = "file,group\na.npz,Müller\nb.npz,P2\n"
WANTED = [{"file": "a.npz", "group": "Müller"}, {"file": "b.npz", "group": "P2"}]
WRITTEN = {
    "plain": ROWS.encode(),
    "byte order mark": ROWS.encode("utf-8-sig"),
    "UTF-16": ROWS.encode("utf-16"),
    "UTF-16 big endian": b"\xfe\xff" + ROWS.encode("utf-16-be"),
    "semicolons": ROWS.replace(",", ";").encode("utf-8-sig"),
    "tabs": ROWS.replace(",", "\t").encode(),
    "bars": ROWS.replace(",", "|").encode(),
    "Excel's first line": b"sep=;\r\n" + ROWS.replace(",", ";").replace("\n", "\r\n").encode(),
    "old Mac": ROWS.replace("\n", "\r").encode(),
    "blank lines": ("\n\n" + ROWS.replace("\n", "\n\n,\n  \n")).encode(),
    "spaces": ROWS.replace(",", " ,  ").encode(),
    "quotes": '"file", "group"\n"a.npz", "Müller"\n"b.npz","P2"\n'.encode(),
    "capitals": ROWS.replace("file,group", "File, GROUP").encode(),
    "more columns": b"n,file,group\n1,a.npz,M\xc3\xbcller\n2,b.npz,P2\n",
    "empty cells at the end": ROWS.replace("\n", ",,\n").encode(),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_read_whatever_wrote_it(tmp_path, name):
    (tmp_path / "t.csv").write_bytes(WRITTEN[name])
    rows = read_table(tmp_path / "t.csv", ("file", "group")).rows
    assert [{key: row[key] for key in ("file", "group")} for row in rows] == WANTED


def test_an_old_encoding_is_told(tmp_path):
    (tmp_path / "t.csv").write_bytes(ROWS.encode("cp1252"))
    with pytest.warns(RuntimeWarning, match=r"t\.csv is not in UTF-8; it was read as cp1252"):
        assert list(read_table(tmp_path / "t.csv", ("file", "group")).rows) == WANTED


BROKEN = {
    "neither encoding": (ROWS.encode().replace("ü".encode(), b"\x81"), "must be in UTF-8, byte 19"),
    "cut UTF-16": (ROWS.encode("utf-16")[:-1], "must be in UTF-16"),
    "zero bytes": (ROWS.encode().replace(b"a", b"\0"), "zero bytes"),
    "no such column": (b"name;group\na;b\n", r"columns file and group, got \['name', 'group'\]"),
    "empty": (b"", r"columns file and group, got \[\]"),
    "a comma without quotes": (b"file,group\na.npz,cyst, large\n", "line 2 has 3 cells, the header has 2"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_table_names_the_file(tmp_path, name):
    data, message = BROKEN[name]
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(CaseError, match=rf"t\.csv.*{message}"):
        read_table(tmp_path / "t.csv", ("file", "group"))


def test_a_table_that_is_not_there(tmp_path):
    for path in (tmp_path, tmp_path / "no.csv"):
        with pytest.raises(CaseError, match="could not be read"):
            read_table(path, ("file",))


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("a.npz", ("a", "a.npz")), (r"C:\data\a.npz", ("a", "a.npz")), ("data/CT/a.NPZ", ("a", "a.NPZ")), ("P1.a", ("P1.a",)),
        (".npz", (".npz",)), ("1.2.3.55", ("1.2.3.55",)), ("v.nii.gz", ("v", "v.nii.gz")), (" a ", ("a",)),
        (r"\\server\x\a", ("a",)),
    ],
)  # fmt: skip
def test_names_in_cells(cell, names):
    assert file_names(cell, (".nii.gz", ".npz")) == names
