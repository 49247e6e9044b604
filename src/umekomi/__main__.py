"""``python -m umekomi``: the same as the ``umekomi`` command."""

from umekomi.cli.main import main

main()
