"""What a ``tokenizer.json`` must contain to encode bytes without loss, and its canonical form.

Hugging Face's format describes far more than byte-level BPE. Accepted are: bytes shown as the 256 characters of GPT-2,
any splitting that keeps all text, and merges. Rejected, by name, are fields that change text (normalizer, prefix space,
dropout, word prefixes) and unknown fields. Added tokens, post-processor, decoder and unknown token are dropped: they
would make special ids from text that contains such strings, and since all bytes are present none is needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, Final

from pcdata.dataset.json_files import parse_json
from pcdata.errors import CodecError

TOKENIZER: Final = "tokenizer.json"
MOST_SYMBOLS: Final = 1 << 20

_MUST_BE_NULL = ("truncation", "padding", "normalizer")
_LEFT_OUT = ("version", "added_tokens", "post_processor", "decoder")
_MODEL_FIELDS: Mapping[str, tuple[Any, ...]] = {
    "dropout": (None, 0, 0.0),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "byte_fallback": (None, False),
    "ignore_merges": (None, False, True),
}
"""Fields with the values that keep the text; ``type``, ``vocab`` and ``merges`` are checked on their own."""
_HARMLESS_MODEL_FIELDS = frozenset({"type", "vocab", "merges", "unk_token", "fuse_unk"})
_KEEPS_TEXT = ("Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")


@lru_cache(maxsize=8)
def canonical(data: bytes) -> bytes:
    """The same vocabulary, merges and splitting without anything else, in one spelling.

    ``canonical(canonical(x)) == canonical(x)``. Raises ``CodecError`` naming the field that is not accepted.
    """
    try:
        return _canonical(parse_json(data))
    except ValueError as error:
        raise CodecError(f"{TOKENIZER} is not JSON in UTF-8: {error}") from None


@lru_cache(maxsize=8)
def token_bytes(data: bytes) -> tuple[bytes | None, ...]:
    """The bytes of each id of a canonical file; None for ids that no text gets."""
    vocab: dict[str, int] = parse_json(data)["model"]["vocab"]
    tokens: list[bytes | None] = [None] * (max(vocab.values()) + 1)
    for token, symbol in vocab.items():
        tokens[symbol] = _raw(token)
    return tuple(tokens)


@lru_cache(maxsize=8)
def splits_by_pattern(data: bytes) -> bool:
    """Whether a canonical file has its own pattern, which decides how long splitting takes."""
    found = parse_json(data)["pre_tokenizer"]
    return any(step["type"] == "Split" for step in found.get("pretokenizers", [found]))


@cache
def byte_characters() -> tuple[str, ...]:
    """The character for each byte, as in GPT-2's ``bytes_to_unicode``: printable bytes of Latin-1 for themselves, the
    others numbered from U+0100."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return tuple(chr(byte if byte in printable else 0x100 + others.index(byte)) for byte in range(256))


@cache
def _byte_of() -> Mapping[str, int]:
    return {character: byte for byte, character in enumerate(byte_characters())}


def _raw(token: str) -> bytes | None:
    try:
        return bytes(map(_byte_of().__getitem__, token)) or None
    except KeyError:
        return None


def _canonical(found: Any) -> bytes:
    found = _mapping(found, "the file")
    for field, value in found.items():
        if field in _MUST_BE_NULL and value is not None:
            raise _refused(field, value, "null")
        if field not in (*_MUST_BE_NULL, *_LEFT_OUT, "pre_tokenizer", "model"):
            raise CodecError(f"{TOKENIZER}: unknown field {field}; leave it out")
    _check_pre_tokenizer(found.get("pre_tokenizer"))
    kept = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": found["pre_tokenizer"],
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "model": _canonical_model(_mapping(found.get("model"), "model")),
    }
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()


def _check_pre_tokenizer(found: Any) -> None:
    """Any steps that keep all text, and one ByteLevel after them."""
    found = _mapping(found, "pre_tokenizer")
    steps = found.get("pretokenizers") if found.get("type") == "Sequence" else [found]
    if not isinstance(steps, list) or not steps:
        raise _refused("pre_tokenizer.pretokenizers", steps, "a list that ends with ByteLevel")
    for step in (_mapping(step, "pre_tokenizer.pretokenizers") for step in steps[:-1]):
        if step.get("type") not in ("Split", "Digits", "Punctuation"):
            raise _refused("pre_tokenizer.type", step.get("type"), "Split, Digits or Punctuation before ByteLevel")
        if step["type"] != "Digits" and step.get("behavior") not in _KEEPS_TEXT:
            raise _refused("pre_tokenizer.behavior", step.get("behavior"), f"one of {', '.join(_KEEPS_TEXT)}")
    last = _mapping(steps[-1], "pre_tokenizer.pretokenizers")
    if last.get("type") != "ByteLevel":
        raise _refused("pre_tokenizer.type", last.get("type"), "ByteLevel")
    if last.get("add_prefix_space") is not False:
        raise _refused("pre_tokenizer.add_prefix_space", last.get("add_prefix_space"), "false")


def _canonical_model(model: dict[str, Any]) -> dict[str, Any]:
    if model.get("type") != "BPE":
        raise _refused("model.type", model.get("type"), "BPE")
    for field, value in model.items():
        if field not in _MODEL_FIELDS and field not in _HARMLESS_MODEL_FIELDS:
            raise CodecError(f"{TOKENIZER}: unknown field model.{field}; leave it out")
        if field in _MODEL_FIELDS and value not in _MODEL_FIELDS[field]:
            raise _refused(f"model.{field}", value, "null or left out")
    vocab = _checked_vocab(model.get("vocab"))
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": bool(model.get("ignore_merges")),
        "vocab": vocab,
        "merges": _checked_merges(model.get("merges"), vocab),
    }


def _checked_vocab(vocab: Any) -> dict[str, int]:
    """In the order of ids. Every byte has a token, no id has two."""
    vocab = _mapping(vocab, "model.vocab")
    for token, symbol in vocab.items():
        if type(symbol) is not int or not 0 <= symbol < MOST_SYMBOLS:
            raise _refused(f"model.vocab[{token!r}]", symbol, f"an id of 0 … {MOST_SYMBOLS - 1}")
    missing = [byte for byte, character in enumerate(byte_characters()) if character not in vocab]
    if missing:
        raise CodecError(f"{TOKENIZER}: model.vocab has no token for {len(missing)} bytes, such as {missing[0]:#04x}")
    if len(set(vocab.values())) < len(vocab):
        raise CodecError(f"{TOKENIZER}: model.vocab gives one id to two tokens")
    return dict(sorted(vocab.items(), key=lambda item: item[1]))


def _checked_merges(merges: Any, vocab: Mapping[str, int]) -> list[list[str]]:
    """As pairs; older files have one string with a space."""
    if not isinstance(merges, list):
        raise _refused("model.merges", merges, "a list")
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise _refused("model.merges", pair, "pairs of tokens")
        for token in (*pair, "".join(pair)):
            if token not in vocab or _raw(token) is None:
                raise CodecError(f"{TOKENIZER}: model.merges uses {token!r}, which model.vocab does not have as bytes")
    return pairs


def _mapping(found: Any, field: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise _refused(field, found, "an object")
    return found


def _refused(field: str, value: Any, wanted: str) -> CodecError:
    shown = json.dumps(value, ensure_ascii=True)
    return CodecError(f"{TOKENIZER}: {field} must be {wanted}, got {shown if len(shown) < 80 else shown[:77] + '...'}")
