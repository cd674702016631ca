"""Bytes ↔ readings. A file here is a codec (see ``core.registry``): ``NAME``, ``decode`` and ``encode`` in one file.

``decode(payload, *, source, tag, heard_us) -> Message`` raises DecodeError and nothing else, whatever the bytes are;
``encode(message) -> bytes`` is its inverse. Both are pure.
"""
