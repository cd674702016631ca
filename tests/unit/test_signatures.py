"""Who must sign, who may, and what becomes of the rest."""

from __future__ import annotations

import pytest

from edge import envelope
from edge.delivery import Delivery, Message, Origin, Raw, reading
from edge.reasons import DecodeError, Reason
from ingest import admit
from ingest.signatures import Key, Signing, must_sign, opened
from plant.model import Quality

SITE, OTHER_SITE = 1, 2
TOPIC = "mw/v1/plant/gw/g"
SECRET = envelope.key_of("secret", site="plant", device="gw")
KEYS = {
    (SITE, "gw"): Key(SECRET, Signing.REQUIRED),
    (SITE, "pump"): Key(envelope.key_of("pump's", site="plant", device="pump")),
    (SITE, "old"): Key(None),
    (OTHER_SITE, "gw"): Key(envelope.key_of("secret", site="other", device="gw"), Signing.REQUIRED),
}
SEALED = envelope.seal(SECRET, TOPIC, b"{}")


def reason(raw: Raw, *, device: str = "gw", site_id: int = SITE, topic: str = TOPIC) -> Reason:
    with pytest.raises(DecodeError) as caught:
        opened(raw, site_id=site_id, device=device, topic=topic, keys=KEYS)
    return caught.value.reason


def test_a_signed_batch_is_opened() -> None:
    assert opened(Raw(SEALED, signed=True), site_id=SITE, device="gw", topic=TOPIC, keys=KEYS) == b"{}"


def test_a_signed_waveform_is_opened_on_its_own_topic() -> None:
    topic = "mw/v1/plant/gw/w/P-101/acc"
    raw = Raw(envelope.seal(SECRET, topic, b"wave"), "wave", "P-101/acc")
    assert opened(raw, site_id=SITE, device="gw", topic=topic, keys=KEYS) == b"wave"
    assert reason(raw, topic="mw/v1/plant/gw/w/P-102/acc") is Reason.BAD_SIGNATURE


def test_who_must_sign_is_refused_without() -> None:
    assert reason(Raw(b"{}"), topic="mw/v1/plant/gw/b") is Reason.UNSIGNED
    assert reason(Raw(b"\x01wave", "wave", "x"), topic="mw/v1/plant/gw/w/x") is Reason.UNSIGNED
    assert reason(Raw(b"{}", signed=True)) is Reason.BAD_SIGNATURE
    health = Raw(b"{}", "health")
    assert opened(health, site_id=SITE, device="gw", topic="mw/v1/plant/gw/health", keys=KEYS) == b"{}"


def test_who_may_sign_need_not() -> None:
    assert opened(Raw(b"{}"), site_id=SITE, device="pump", topic="mw/v1/plant/pump/b", keys=KEYS) == b"{}"
    assert opened(Raw(b"{}"), site_id=SITE, device="nobody", topic="mw/v1/plant/nobody/b", keys=KEYS) == b"{}"


@pytest.mark.parametrize(("device", "site_id"), [("pump", SITE), ("gw", OTHER_SITE), ("old", SITE), ("nobody", SITE)])
def test_an_envelope_of_somebody_else_is_refused_even_where_signing_is_optional(device: str, site_id: int) -> None:
    assert reason(Raw(SEALED, signed=True), device=device, site_id=site_id) is Reason.BAD_SIGNATURE
    assert reason(Raw(SEALED), device=device, site_id=site_id) is Reason.BAD_SIGNATURE


def test_who_must_sign() -> None:
    found = {device: must_sign(KEYS, site_id=SITE, device=device) for device in ("gw", "pump", "old", "nobody")}
    assert found == {"gw": True, "pump": False, "old": False, "nobody": False}


def test_a_key_is_not_printed() -> None:
    assert repr(SECRET)[2:-1] not in repr(KEYS)


def test_what_came_decoded_cannot_have_been_signed() -> None:
    """Sparkplug: a device that must sign cannot get round it."""
    heard = Message((reading("gw", "flow", 1, 2.0, Quality.GOOD), reading("gw", "temp", 1, 2.0, Quality.GOOD)))

    def read(device: str, origin: Origin = Origin.DEVICE) -> Message:
        return admit.read(
            Delivery("plant", device, heard, 1, "spBv1.0/…", origin, "sparkplug"), site_id=SITE, keys=KEYS
        )

    refused = read("gw")
    assert [(fault.reason, fault.readings) for fault in refused.faults] == [(Reason.UNSIGNED, 2)]
    assert refused.readings == ()
    assert read("pump") is heard and read("gw", Origin.CONFIGURED) is heard
