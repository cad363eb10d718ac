"""A checkpoint → a folder that Hugging Face's ``transformers`` opens: plain ``LlamaForCausalLM`` and its tokenizer.

Only the model of raw bytes is exported: the 320 raw ids, without the rows of compressed symbols and the heads that
predict further ahead. Using it needs none of our code; writing it does not import transformers, which takes many
seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pcdata.dataset import DatasetError
from pcdata.dataset.files import appearing, remove_left_beside, sync
from pcdata.dataset.names import regular_file
from pcdata.dataset.vocab import (
    BOS,
    EOS,
    FIRST_BYTE,
    FIRST_VIEW_MARK,
    MAX_VIEWS,
    N_BYTES,
    PAD,
    RAW_CLOSE,
    RAW_IDS,
    RAW_OPEN,
)
from pctrain.config import ModelConfig
from pctrain.errors import PctrainError
from pctrain.model.decoder import Decoder
from pctrain.training.resume import State
from pctrain.training.run_folder import load_model

_WEIGHTS: Final = "model.safetensors"
_CARD: Final = "README.md"
_LAYER: Final = {
    "attention_norm.weight": "input_layernorm.weight",
    "attention.query.weight": "self_attn.q_proj.weight",
    "attention.key.weight": "self_attn.k_proj.weight",
    "attention.value.weight": "self_attn.v_proj.weight",
    "attention.output.weight": "self_attn.o_proj.weight",
    "feed_norm.weight": "post_attention_layernorm.weight",
    "feed.gate.weight": "mlp.gate_proj.weight",
    "feed.up.weight": "mlp.up_proj.weight",
    "feed.down.weight": "mlp.down_proj.weight",
}
"""Our names of a layer's weights → Llama's. The weights are the same: see ``decoder`` on rotation."""


@dataclass(frozen=True)
class Export:
    """What was written."""

    step: int
    parameters: int
    was_there: bool
    """Whether an earlier call wrote it, and this one wrote nothing."""


def export_run(run: Path, output: Path, which: str = "last") -> Export:
    """Write the folder, whole or not at all. An identical export is left as it is.

    Raises ``PctrainError`` if something else is in its place, ``CheckpointError`` if the run does not have the
    requested checkpoint.
    """
    is_taken = output.exists() and (not output.is_dir() or any(output.iterdir()))
    if is_taken and not (output / _WEIGHTS).is_file():
        raise _taken(output)
    model, state = load_model(run, which, torch.device("cpu"))
    if not isinstance(model, Decoder):
        raise PctrainError(
            f"{run} has a model of patches (model.kind={state.config.model.kind}), which LlamaForCausalLM does not "
            "support; use it with pctrain eval and pctrain generate, or train a decoder to export"
        )
    if state.config.model.reach:
        raise PctrainError(
            f"{run} has a model whose layers reach {state.config.model.reach} positions (model.reach), which "
            "LlamaForCausalLM does not support; use a codec's model with --compressor neural:artifact=…"
        )
    tensors = llama_tensors(model)
    texts = _texts(state, sum(tensor.numel() for tensor in tensors.values()))
    if is_taken and not _is_same(output, tensors, texts):
        raise _taken(output)
    output = output.resolve()
    try:
        remove_left_beside(output)
        if not is_taken:
            _write(output, tensors, texts)
    except (OSError, SafetensorError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise PctrainError(f"{output} cannot be written: {reason}; name another folder with -o") from error
    return Export(state.step, sum(tensor.numel() for tensor in tensors.values()), is_taken)


def _taken(output: Path) -> PctrainError:
    return PctrainError(f"{output} is already there with other content; name a new folder with -o, or remove it")


def _is_same(output: Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> bool:
    """Whether a folder holds these files, and no others."""
    if {path.name for path in output.iterdir()} != {_WEIGHTS, *texts}:
        return False
    try:
        if any(regular_file(output, name).read_bytes() != text.encode() for name, text in texts.items()):
            return False
        with safe_open(regular_file(output, _WEIGHTS), "pt") as file:
            if {*file.keys()} != {*tensors}:
                return False
            found = ((file.get_tensor(name), tensor) for name, tensor in tensors.items())
            return all(one.dtype == other.dtype and torch.equal(one, other) for one, other in found)
    except (DatasetError, SafetensorError):
        return False


def _write(output: Path, tensors: dict[str, Tensor], texts: Mapping[str, str]) -> None:
    with appearing(output, folder=True) as temporary:
        for name, text in texts.items():
            (temporary / name).write_text(text, encoding="utf-8")
        weights = temporary / _WEIGHTS
        save_file(tensors, weights, metadata={"format": "pt"})
        weights.chmod((temporary / _CARD).stat().st_mode)  # safetensors makes it readable by the owner alone
        for path in (*temporary.iterdir(), temporary):
            sync(path)
    sync(output.parent)


def llama_tensors(model: Decoder) -> dict[str, Tensor]:
    """The weights of the raw ids under Llama's names; copies."""
    tensors = {"model.embed_tokens.weight": model.embed.weight[:RAW_IDS], "model.norm.weight": model.norm.weight}
    if not model.config.tie_embeddings:
        tensors["lm_head.weight"] = model.head.weight[:RAW_IDS]
    for index, layer in enumerate(model.layers):
        ours = dict(layer.named_parameters())
        tensors |= {f"model.layers.{index}.{theirs}": ours[name] for name, theirs in _LAYER.items()}
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _texts(state: State, parameters: int) -> dict[str, str]:
    """The text files, by name."""
    texts = {
        name: json.dumps(values, indent=1, ensure_ascii=False) + "\n" for name, values in _json_files(state).items()
    }
    return {**texts, _CARD: _card(state, parameters)}


def _json_files(state: State) -> dict[str, Any]:
    marks = {"bos_token_id": BOS, "eos_token_id": RAW_CLOSE, "pad_token_id": PAD}
    names = special_names()
    return {
        "config.json": llama_config(state.config.model, RAW_IDS, state.config.data.seq_len) | marks,
        "generation_config.json": marks
        | {
            "max_length": state.config.data.seq_len,
            # As pctrain generates: only bytes, or the end of the document.
            "suppress_tokens": [special for special in range(FIRST_BYTE) if special != RAW_CLOSE],
        },
        "tokenizer.json": _tokenizer(names),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": names[BOS],
            "eos_token": names[RAW_CLOSE],
            "pad_token": names[PAD],
            "model_max_length": state.config.data.seq_len,
            "clean_up_tokenization_spaces": False,
            # Of several prompts, so that the generated text follows each directly.
            "padding_side": "left",
            # Text that happens to spell a mark stays text.
            "split_special_tokens": True,
        },
    }


def llama_config(model: ModelConfig, n_ids: int, positions: int) -> dict[str, Any]:
    """A model's shape in Llama's words."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": n_ids,
        "hidden_size": model.width,
        "intermediate_size": model.hidden,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.attention_heads,
        "num_key_value_heads": model.kv_heads,
        "head_dim": model.width // model.attention_heads,
        "hidden_act": "silu",
        "max_position_embeddings": positions,
        "rms_norm_eps": model.norm_eps,
        "rope_theta": model.rope_base,
        "rope_parameters": {"rope_type": "default", "rope_theta": model.rope_base},
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": model.tie_embeddings,
        "dtype": "float32",
    }


def special_names() -> list[str]:
    """Names of the 64 special ids in the tokenizer."""
    names = {PAD: "<|pad|>", BOS: "<|bos|>", EOS: "<|eos|>", RAW_OPEN: "<|raw|>", RAW_CLOSE: "<|/raw|>"}
    for slot in range(MAX_VIEWS):
        names |= {FIRST_VIEW_MARK + 2 * slot: f"<|view{slot}|>", FIRST_VIEW_MARK + 2 * slot + 1: f"<|/view{slot}|>"}
    return [names.get(special, f"<|unused{special}|>") for special in range(FIRST_BYTE)]


def _tokenizer(names: list[str]) -> dict[str, Any]:
    """A byte-level BPE without merges, in the format of the ``tokenizers`` library: byte b is id 64 + b.

    It puts the opening marks before a text, as in training.
    """
    vocabulary = {name: special for special, name in enumerate(names)}
    vocabulary |= {character: FIRST_BYTE + byte for byte, character in enumerate(_byte_characters())}
    opening = [{"SpecialToken": {"id": names[special], "type_id": 0}} for special in (BOS, RAW_OPEN)]
    text = {"Sequence": {"id": "A", "type_id": 0}}
    other = {"Sequence": {"id": "B", "type_id": 0}}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": special, "content": name, **flags} for special, name in enumerate(names)],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [*opening, text],
            "pair": [*opening, text, other],
            "special_tokens": {
                names[special]: {"id": names[special], "ids": [special], "tokens": [names[special]]}
                for special in (BOS, RAW_OPEN)
            },
        },
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": [],
        },
    }


def _byte_characters() -> list[str]:
    """The character that ByteLevel writes for each byte: GPT-2's ``bytes_to_unicode``."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x100 + N_BYTES))
    return [chr(byte if byte in printable else next(others)) for byte in range(N_BYTES)]


def _card(state: State, parameters: int) -> str:
    measured = state.val_bits_per_byte
    figure = "" if measured is None else f"\n{measured:.4f} bits per raw byte on the run's slice of val."
    views = ", ".join(state.views) or "none"
    return f"""# A byte-level language model

`LlamaForCausalLM` with {parameters:,} parameters over raw bytes, exported by `pctrain export` after {state.step:,}
steps. Compressed views it was trained on beside raw bytes: {views}.{figure}

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer, model = (kind.from_pretrained(".") for kind in (AutoTokenizer, AutoModelForCausalLM))
inputs = tokenizer("def ", return_tensors="pt", return_token_type_ids=False)
print(tokenizer.decode(model.generate(**inputs)[0], skip_special_tokens=True))
```

Token {FIRST_BYTE} + b is byte b. The tokenizer puts `<|bos|><|raw|>` before a text; `<|/raw|>` ends a document.
A text and its continuation have {state.config.data.seq_len} positions together.
"""
