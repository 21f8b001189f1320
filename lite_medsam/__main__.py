"""`python -m lite_medsam` is the same as the `lite-medsam` command."""

from lite_medsam.cli import main

main()
