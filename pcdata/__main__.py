"""The command ``pcdata``, also as ``python -m pcdata``."""

from pcdata.starting import start


def main() -> None:
    start("pcdata.cli")


if __name__ == "__main__":
    main()
