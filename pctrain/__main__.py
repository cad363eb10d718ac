"""The command ``pctrain``, also as ``python -m pctrain`` and ``torchrun … -m pctrain``."""

from pcdata.starting import start


def main() -> None:
    start("pctrain.cli")


if __name__ == "__main__":
    main()
