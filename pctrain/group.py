"""How commands end: as ``pcdata.group`` says, with sentences for errors of torch that are not bugs."""

from __future__ import annotations

import pcdata.group
from pcdata.extras import EXTRAS, missing
from pctrain.torch_errors import of_memory, of_peer


class Group(pcdata.group.Group):
    def sentence(self, error: BaseException) -> str | None:
        if isinstance(error, ModuleNotFoundError) and error.name in EXTRAS:
            return missing(error.name, "pctrain")
        if (lacking := of_memory(error)) is not None:
            return f"{lacking}; end other programs, or take a smaller model or, with pctrain eval, fewer --batch-rows"
        if (gone := of_peer(error)) is not None:
            return f"{gone}; run the same command again"
        return super().sentence(error)
