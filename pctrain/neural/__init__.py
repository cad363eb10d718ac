"""The codec ``neural``: a small byte model for pcdata's window coder."""

from pcdata.extras import missing

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing("torch", "it"), name="torch") from error
