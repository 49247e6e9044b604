"""Every error of the tree has an HTTP status and an exit code, and stands in the drawing that opens its module."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest

from umekomi import errors
from umekomi.errors import UmekomiError


def tree(root: type[UmekomiError] = UmekomiError) -> Iterator[type[UmekomiError]]:
    for kind in root.__subclasses__():
        yield kind
        yield from tree(kind)


KINDS = tuple(tree())


def test_errors_are_defined_in_one_place() -> None:
    assert {kind.__module__ for kind in KINDS} == {errors.__name__}


def test_the_drawing_shows_the_tree_as_it_is() -> None:
    drawing = (inspect.getdoc(errors) or "").partition("\n\n")[2]
    drawn = re.findall(r"^(?:[│├└─ ]+)(\w+) {2,}", drawing, flags=re.MULTILINE)
    assert sorted(drawn) == sorted(kind.__name__ for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_an_exit_code(kind: type[UmekomiError]) -> None:
    from umekomi.cli.exit_codes import exit_code

    assert exit_code(kind("what happened")) in {1, 2, 3}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_status(kind: type[UmekomiError]) -> None:
    from umekomi.serve.status import STATUSES, status_of

    assert STATUSES.keys() & set(kind.__mro__) - {UmekomiError}, "only the root's row fits"
    assert 400 <= status_of(kind("what happened")).status < 600
