"""``python -m pctrain``, and ``torchrun … -m pctrain``."""

from pctrain.cli import main

main()
