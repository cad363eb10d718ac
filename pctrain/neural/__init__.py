"""The neural codec: a small byte model behind pcdata's window coder, registered there as ``neural``."""

from pcdata.extras import missing

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing("torch", "it"), name="torch") from error
