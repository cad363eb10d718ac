"""Build, read and inspect sharded datasets of raw bytes and their compressed views."""

__version__ = "0.1.0"
