"""Files to texts and chunks.

Files are read in processes of their own, so that none can break or hang its caller. What this front names is what
other parts and users import; a format's library is loaded only in the process that reads it.
"""

from umekomi.documents.api import ReadFile, ReadOptions, iter_documents, read_document
from umekomi.documents.chunking.chunks import build_chunks, iter_chunks
from umekomi.documents.chunking.counting import TokenCounter, load_counter
from umekomi.documents.chunking.packing import ChunkSize
from umekomi.documents.document import Block, Chunk, Document, FileOutcome, Place
from umekomi.documents.encodings import Decoded, Encoding, decode_text, detect_encoding, open_text
from umekomi.documents.isolation.pool import Limits

__all__ = [
    "Block",
    "Chunk",
    "ChunkSize",
    "Decoded",
    "Document",
    "Encoding",
    "FileOutcome",
    "Limits",
    "Place",
    "ReadFile",
    "ReadOptions",
    "TokenCounter",
    "build_chunks",
    "decode_text",
    "detect_encoding",
    "iter_chunks",
    "iter_documents",
    "load_counter",
    "open_text",
    "read_document",
]
