"""The version of both packages. A file of its own, so that those who want it do not import what imports them."""

__version__ = "0.1.0"
