"""The identity of documents, and the hashes drawn from it.

Every use of a document's hash has its own BLAKE2b personalisation, so that, for example, being in val says nothing
about being in a codec's fitting sample.
"""

from __future__ import annotations

import hashlib
import struct

_DOCUMENT = b"pcdata.document"
SPLIT = b"pcdata.split"
FIT = b"pcdata.fit"
SAMPLE = b"pcdata.sample"


def doc_id_of(raw: bytes | memoryview) -> bytes:
    """16 bytes that name a document's content."""
    return hashlib.blake2b(raw, digest_size=16, person=_DOCUMENT).digest()


def document_hash() -> hashlib.blake2b:
    """The running hash of ``doc_id_of``, for a document that is read in pieces."""
    return hashlib.blake2b(digest_size=16, person=_DOCUMENT)


def draw(doc_id: bytes, use: bytes) -> int:
    """A 64-bit number that depends on the document and on the purpose (``SPLIT``, ``FIT``, ``SAMPLE``)."""
    number: int = struct.unpack("<Q", hashlib.blake2b(doc_id, digest_size=8, person=use).digest())[0]
    return number
