"""The checker of the documentation finds what is wrong, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from kit.source import ROOT


@pytest.fixture
def checker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    yield import_module("check_docs")


def found(checker: Any, path: Path, text: str) -> list[str]:
    path.write_text(text, encoding="utf-8")
    page = checker.Page(path)
    return [problem for check in checker.CHECKS for _, problem in check(page)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("See [there](missing.md).", "leads nowhere"),
        ("# Here\n\n[there](#elsewhere)", "names a heading"),
        ("```sh\numekomi fly\n```", "there is no command 'fly'"),
        ("```sh\necho x | umekomi embed --wings\n```", "no flag --wings"),
        ("```sh\numekomi embed \\\n  --wings 2\n```", "no flag --wings"),
        ("Run `umekomi embed --wings`.", "no flag --wings"),
        ("```sh\n.venv/bin/umekomi models fetch x\n```", "there is no command 'models fetch'"),
        ("```sh\nmake coffee\n```", "the Makefile has no coffee"),
        ("```python\nimport umekomi\numekomi.fly()\n```", "there is no umekomi.fly"),
        ("```python\nfrom umekomi.errors import Wrong\n```", "there is no umekomi.errors.Wrong"),
        ("```python\nx = = 1\n```", "is no Python"),
        ("```yaml\nmodels:\n  - nam: x\n```", "is no umekomi.yaml"),
        ("```json\n{a: 1}\n```", "is no JSON"),
        ("Set `UMEKOMI_WINGS`.", "nothing reads UMEKOMI_WINGS"),
    ],
)
def test_a_mistake_is_found(checker: Any, tmp_path: Path, text: str, problem: str) -> None:
    problems = found(checker, tmp_path / "page.md", text)
    assert any(problem in each for each in problems), problems


def test_what_is_right_passes(checker: Any, tmp_path: Path) -> None:
    text = """
# 見出し and `code`

[up](#見出し-and-code), [page](page.md), [web](https://example.com/x), `[no](link.md)`

```sh
make serve PORT=9000  # comment
cat x.txt | umekomi embed --role query > y.jsonl
UMEKOMI_HOME=/data .venv/bin/umekomi models pull intfloat/multilingual-e5-base
```

```python
import umekomi
from umekomi.errors import UserError
```
"""
    assert found(checker, tmp_path / "page.md", text) == []


def test_a_translation_that_lags_behind_is_found(checker: Any, tmp_path: Path) -> None:
    original, translation = tmp_path / "a.md", tmp_path / "b.md"
    original.write_text(
        "# A\n\n## B\n\n```sh\nls  # all\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n", encoding="utf-8"
    )

    def differences(text: str) -> list[str]:
        translation.write_text(text, encoding="utf-8")
        return [problem for _, problem in checker.differences(checker.Page(translation), checker.Page(original))]

    same = "# あ\n\n## い\n\n```sh\nls  # 全部\n```\n\n| あ | い |\n|---|---|\n| 一 | 二 |\n"
    assert differences(same) == []
    assert differences(same.replace("## い\n", ""))
    assert differences(same.replace("ls", "dir"))
    assert differences(same.replace("| 一 | 二 |\n", ""))
