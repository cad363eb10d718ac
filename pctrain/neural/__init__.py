"""The neural codec: a small byte model behind pcdata's window coder, registered there as ``neural``."""

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError('it needs torch; pip install "proxy-compression[train]"', name="torch") from error
