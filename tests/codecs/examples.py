"""Every codec with every option that changes its output, fitted on a few library files."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from pcdata.codecs.base import Artifact, Codec, codec_class
from pcdata.codecs.requests import parse_request
from tests.strategies import library_files

REQUESTS = (
    "zstd",
    "zstd:size=64,level=1",
    "zstd:dictionary=0",
    "zstd:size=512,level=19,dictionary=2048",
    "zstd:unit=block",
    "zstd:unit=block,size=64,dictionary=0,level=9",
    "zstd:unit=block,size=65536,level=1",
    "gzip",
    "gzip:size=64,level=1",
    "gzip:size=65536,level=9",
    "gzip:backend=zlib-ng",
    "gzip:backend=zlib-ng,level=1,size=64",
    "gzip:backend=zlib-ng,level=9,size=65536",
    "bpe:vocab_size=256",
    "bpe:vocab_size=700",
    "bpe:vocab_size=700 with tokenizers",
    "bpe:vocab_size=700 split as GPT-4 does",
    "token-bytes:vocab_size=700",
    "token-bytes:vocab_size=700,code=gray",
    "doublebyte",
    "halfbyte",
    "doublebit",
    "bit",
    "ngram",
    "ngram:segment=16,order=3,contexts=500",
    "ngram:window_bits=24,reset=window",
    "ngram:window_bits=24,symbol_bits=8,segment=32",
    "ngram:window_bits=32,order=1,contexts=1",
    "ngram:literals=true",
    "ngram:literals=true,window_bits=24,symbol_bits=8,segment=4,reset=window",
    "ngram:window_bits=32,symbol_bits=4,reset=window,segment=64",
    "entropy",
    "entropy:segment=16,order=2,contexts=500,monotonic=true",
)

_GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@cache
def codec(request: str) -> Codec:
    """An instance for one of ``REQUESTS``; the same one each time, so that fitting happens once."""
    return opened(request)


def opened(request: str) -> Codec:
    """A new instance, made as a build makes it."""
    text, _, variant = request.partition(" ")
    parsed = parse_request(text)
    cls = codec_class(parsed.codec)
    artifact = fitted(text)
    if variant == "split as GPT-4 does":
        artifact = {"tokenizer.json": splitting_as_gpt4(artifact["tokenizer.json"])}
    backends = cls.choose_backends(parsed.parameters, artifact, library_files()[:5])
    if variant == "with tokenizers":
        backends = {"engine": "tokenizers"}
    return cls(parsed.parameters, artifact, backends)


@cache
def fitted(text: str) -> Artifact:
    parsed = parse_request(text)
    cls = codec_class(parsed.codec)
    return cls.fit(parsed.parameters, library_files()) if cls.is_fitted(parsed.parameters) else {}


def splitting_as_gpt4(tokenizer: bytes) -> bytes:
    """The same vocabulary behind the pre-tokenizer that most models since GPT-4 have."""
    found: dict[str, Any] = json.loads(tokenizer)
    split = {"type": "Split", "pattern": {"Regex": _GPT4}, "behavior": "Isolated", "invert": False}
    last = {**found["pre_tokenizer"], "use_regex": False}
    return json.dumps({**found, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, last]}}).encode()
