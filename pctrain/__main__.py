"""``pctrain``, ``python -m pctrain``, and ``torchrun … -m pctrain``."""

from pctrain.loading import loading


def main() -> None:
    """The command line."""
    with loading():
        from pctrain.cli import main
    main()


if __name__ == "__main__":
    main()
