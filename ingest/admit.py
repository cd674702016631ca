"""From a delivery to the message it carries: its envelope opened, its payload decoded. Pure."""

from __future__ import annotations

from core.registry import load
from edge.codecs import columns
from edge.delivery import Delivery, Fault, Message, Origin, Raw
from edge.reasons import DecodeError, Reason
from ingest.signatures import Keys, must_sign, opened

SUSPECT = frozenset({Reason.BAD_SIGNATURE, Reason.UNSIGNED})  # a device's key may be newer than what we know


def read(delivery: Delivery, *, site_id: int, keys: Keys) -> Message:
    """The message of a delivery; one that cannot be read is a message with a fault."""
    if isinstance(delivery.content, Message):
        return _decoded(delivery, delivery.content, site_id=site_id, keys=keys)
    raw = delivery.content
    try:
        payload = raw.payload
        if delivery.origin is Origin.DEVICE:
            payload = opened(raw, site_id=site_id, device=delivery.source, topic=delivery.topic, keys=keys)
        message: Message = load("edge.codecs")[_codec(raw, payload)].decode(
            payload, source=delivery.source, tag=raw.tag, heard_us=delivery.heard_us
        )
    except DecodeError as error:
        fault = Fault(raw.tag or "", error.reason, error.message, raw.payload)
        return Message((), (fault,), *(error.number or (None, None)))
    except Exception as error:  # noqa: BLE001 - a codec's own mistake must cost one message, not the plant's data
        detail = f"{raw.codec}: {type(error).__name__}: {error}"
        return Message((), (Fault(raw.tag or "", Reason.POISON, detail, raw.payload),))
    return message


def _decoded(delivery: Delivery, message: Message, *, site_id: int, keys: Keys) -> Message:
    """A message that came without a payload of ours (Sparkplug) carries no signature."""
    count = sum(len(reading.at_us) for reading in message.readings)
    signed = delivery.origin is not Origin.DEVICE or not must_sign(keys, site_id=site_id, device=delivery.source)
    if signed or not count:
        return message
    detail = f"{delivery.source} must sign what it sends; {delivery.kind} has no signatures."
    return Message((), (Fault("", Reason.UNSIGNED, detail, readings=count), *message.faults))


def is_suspect(message: Message) -> bool:
    """Whether a key that was made a moment ago may explain what is wrong."""
    return bool(message.faults) and message.faults[0].reason in SUSPECT


def rows(message: Message) -> int:
    """Samples and faulty readings."""
    found = sum([len(reading.at_us) for reading in message.readings])
    return found + sum([fault.readings for fault in message.faults]) if message.faults else found


def _codec(raw: Raw, payload: bytes) -> str:
    """A batch says by itself whether it is JSON or columns; in an envelope that is seen only now."""
    return columns.named(payload) if raw.tag is None and raw.codec == "json" else raw.codec
