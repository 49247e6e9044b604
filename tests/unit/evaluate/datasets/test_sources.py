"""Archives and folders: what unpacks without end, leads out, hides or is broken gets no further than a message."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zipfile
from pathlib import Path

import openpyxl
import pyarrow
import pyarrow.parquet
import pytest

from umekomi.errors import InvalidInput
from umekomi.evaluate.datasets import open_task
from umekomi.evaluate.datasets.sources import SMALL_BYTES
from umekomi.evaluate.tasks import LabelTask

TABLE = b"text,label\n" + b"".join(b"t%d,l%d\n" % (n, n % 2) for n in range(6))


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_of_several_tables_one_is_named(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "set.zip", {"data/dev.csv": TABLE, "data/test.csv": TABLE, "LICENSE": b""})
    with pytest.raises(InvalidInput, match=r"holds 2 tables: data/dev\.csv, data/test\.csv; name one: .*#data/dev"):
        open_task(str(source))
    for part in ("test.csv", "data/test.csv"):
        assert open_task(f"{source}#{part}").name == "test"
    with pytest.raises(InvalidInput, match=r"no 'train\.csv' in it; there is LICENSE, data/dev\.csv"):
        open_task(f"{source}#train.csv")


def test_shards_are_one_table_and_splits_are_named(tmp_path: Path) -> None:
    table = pyarrow.table({"text": [f"t{n}" for n in range(8)], "label": ["a", "b"] * 4})
    for split in ("train", "test"):
        for n in range(2):
            (tmp_path / "data").mkdir(exist_ok=True)
            path = tmp_path / "data" / f"{split}-{n:05}-of-00002.parquet"
            pyarrow.parquet.write_table(table.slice(4 * n, 4), path)
    with pytest.raises(InvalidInput, match=r"holds 2 tables: data/test\.parquet, data/train\.parquet; name one"):
        open_task(str(tmp_path))
    for part in ("test", "data/test.parquet"):
        task = open_task(f"{tmp_path}#{part}")
        assert isinstance(task, LabelTask)
        assert (task.name, task.texts) == ("test", tuple(f"t{n}" for n in range(8)))
    assert len(open_task(f"{tmp_path}#data/test-00001-of-00002.parquet")) == 4


def test_shards_of_different_columns_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "a-0-of-2.csv").write_bytes(TABLE)
    (tmp_path / "a-1-of-2.csv").write_bytes(TABLE.replace(b"label", b"class"))
    with pytest.raises(InvalidInput, match=r"its columns 'text', 'class' are not those of .*: 'text', 'label'"):
        open_task(str(tmp_path))


def test_a_folder_with_one_table_is_that_table(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("about")
    (tmp_path / ".hidden.csv").write_bytes(TABLE)
    (tmp_path / "a.csv").write_bytes(TABLE)
    assert len(open_task(str(tmp_path))) == 6


def test_a_file_with_a_number_sign_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "set#1.csv").write_bytes(TABLE)
    assert open_task(str(tmp_path / "set#1.csv")).name == "set#1"


@pytest.mark.parametrize("name", ["../a.csv", "/etc/a.csv", "x/../../a.csv", "..\\a.csv", "C:\\a.csv"])
def test_a_member_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="leads out of the archive; do not trust"):
        open_task(str(write_zip(tmp_path / "a.zip", {name: TABLE})))


def bomb(size_bytes: int) -> bytes:
    return b"text,label\n" + b"a" * size_bytes


@pytest.mark.parametrize("kind", ["zip", "gz", "nested", "xlsx"])
def test_a_bomb_is_stopped_at_the_bound(tmp_path: Path, kind: str) -> None:
    size_bytes = SMALL_BYTES + (1 << 20)
    path = tmp_path / f"a.{ {'nested': 'zip', 'gz': 'csv.gz'}.get(kind, kind) }"
    if kind == "gz":
        path.write_bytes(gzip.compress(bomb(size_bytes), 1))
    elif kind == "nested":
        write_zip(path, {"a.csv.gz": gzip.compress(bomb(size_bytes), 1)})
    else:
        write_zip(path, {"a.csv": bomb(size_bytes)})
    assert path.stat().st_size < size_bytes // 100
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput, match=f"unpack to more than {SMALL_BYTES}, the limit for them"):
            open_task(str(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * SMALL_BYTES


def test_a_parquet_file_of_one_value_repeated_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("umekomi.evaluate.datasets.tables.MAX_ROWS", 10_000)
    table = pyarrow.table({"text": ["a"] * 100_000, "label": ["b"] * 100_000})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InvalidInput, match="or 10000 rows unpacked"):
        open_task(str(tmp_path / "a.parquet"))


def test_an_archive_that_is_cut_or_encrypted_says_so(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "a.zip", {"a.csv": TABLE})
    data = bytearray(source.read_bytes())
    for at in (data.index(b"PK\x03\x04") + 6, data.index(b"PK\x01\x02") + 8):
        data[at] |= 1  # the flag of encryption, in both headers
    (tmp_path / "b.zip").write_bytes(bytes(data))
    with pytest.raises(InvalidInput, match="encrypted; unpack it with its password"):
        open_task(str(tmp_path / "b.zip"))
    data = bytearray(source.read_bytes())
    data[60] ^= 0xFF
    (tmp_path / "c.zip").write_bytes(bytes(data))
    with pytest.raises(InvalidInput, match=r"cannot be unpacked|cannot be read"):
        open_task(str(tmp_path / "c.zip"))


def test_a_spreadsheet_with_entities_does_not_grow(tmp_path: Path) -> None:
    out = io.BytesIO()
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["text", "label"])
    book.save(out)
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "lol"}">' for n in range(12))
    cell = '<row><c t="str"><v>&a11;</v></c></row>'
    sheet = f'<?xml version="1.0"?><!DOCTYPE x [{entities}]><worksheet><sheetData>{cell}</sheetData></worksheet>'
    with zipfile.ZipFile(out) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["xl/worksheets/sheet1.xml"] = sheet.encode()
    with pytest.raises(InvalidInput):
        open_task(str(write_zip(tmp_path / "a.xlsx", members)))


@pytest.mark.parametrize("nested", [False, True])
def test_a_parquet_file_of_one_long_text_in_every_row_is_stopped_before_it_is_written_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: bool
) -> None:
    monkeypatch.setattr("umekomi.evaluate.datasets.tables.MAX_BYTES", 50_000_000)
    value: object = [{"text": "x" * 100_000}] if nested else "x" * 100_000
    pyarrow.parquet.write_table(
        pyarrow.table({"query": ["a"] * 1000, "positive": [value] * 1000}), tmp_path / "a.parquet"
    )
    assert (tmp_path / "a.parquet").stat().st_size < 1_000_000
    with pytest.raises(InvalidInput, match="over 50000000 bytes or"):
        open_task(str(tmp_path / "a.parquet"))


@pytest.mark.parametrize("name", ["x" * 5000, "\0", "a\0b#c", "/dev/null/x"])
def test_a_name_that_the_system_refuses_is_one_clear_error(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"does not exist|cannot be read"):
        open_task(name)


def test_what_describes_a_file_is_no_table_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(TABLE)
    (tmp_path / "a.csv.json").write_text('{"umekomi_dataset": 1, "licence": "MIT", "preparation": ["cut"]}')
    assert len(open_task(str(tmp_path))) == 6
    origin = open_task(str(tmp_path / "a.csv")).origin
    assert (origin.licence, origin.preparation) == ("MIT", ("cut",))
    for content in ("[", "[1]", '{"umekomi_dataset": 2, "licence": "MIT"}', '{"licence": "MIT"}'):
        (tmp_path / "a.csv.json").write_text(content)
        assert open_task(str(tmp_path / "a.csv")).origin.licence == ""
