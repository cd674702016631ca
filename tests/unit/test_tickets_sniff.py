"""What a file is, by its bytes: every accepted type, and the ways in which two files hide in one."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MillwrightError
from tests import file_kit as kit
from tickets import images, sniff
from tickets.file_errors import FileDamaged, FileEmpty, FileTypeRefused, TooManyPixels, TwoFilesInOne
from tickets.sniff import Kind

HONEST = {
    "image/png": kit.picture("PNG"),
    "image/jpeg": kit.picture("JPEG"),
    "image/gif": kit.picture("GIF"),
    "image/webp": kit.picture("WEBP"),
    "video/mp4": kit.mp4(),
    "audio/mp4": kit.mp4(b"soun", b"M4A "),
    "video/quicktime": kit.mp4(brand=b"qt  "),
    "video/webm": kit.webm(b"V_VP9"),
    "audio/webm": kit.webm(),
    "audio/ogg": kit.ogg(),
    "audio/wav": kit.wav(),
    "audio/mpeg": b"ID3\x04" + bytes(60),
    "application/pdf": kit.PDF,
    "text/plain": "Pumpe läuft; 泵运行正常\n".encode(),
}


def test_there_is_a_file_of_every_type_that_is_taken() -> None:
    assert set(HONEST) == set(sniff.MEDIA)


@pytest.mark.parametrize("media", HONEST)
def test_an_honest_file_is_what_its_bytes_say(media: str) -> None:
    seen = sniff.look(HONEST[media])
    assert (seen.media, seen.end) == (media, len(HONEST[media]))
    if seen.kind is Kind.IMAGE:
        assert (seen.width, seen.height) == (64, 48)


def test_lossless_and_animated_pictures_have_their_size() -> None:
    for data in (kit.picture("WEBP", lossless=True), kit.picture("WEBP", exif=b"Exif\0\0MM"), kit.noise((64, 48))):
        seen = sniff.look(data)
        assert (seen.width, seen.height, seen.end) == (64, 48, len(data))


@pytest.mark.parametrize("media", ["image/png", "image/jpeg", "image/gif", "image/webp"])
def test_a_second_file_behind_a_picture_is_refused(media: str) -> None:
    for second in (kit.archive(), kit.PDF, b"MZ\x90\0" + bytes(60), b"\x7fELF" + bytes(60), b"<svg onload=alert(1)>"):
        with pytest.raises(TwoFilesInOne):
            sniff.look(HONEST[media] + second)


@pytest.mark.parametrize("media", ["image/png", "image/jpeg", "image/gif"])
def test_what_a_phone_hangs_on_a_picture_is_cut_off(media: str) -> None:
    assert sniff.look(HONEST[media] + b"SEFH" + kit.mp4()).end == len(HONEST[media])


@pytest.mark.parametrize("media", HONEST)
def test_an_archive_behind_anything_is_found(media: str) -> None:
    with pytest.raises((TwoFilesInOne, FileTypeRefused, FileDamaged)):
        sniff.look(HONEST[media] + kit.archive())


def test_a_gif_that_is_a_script_is_refused() -> None:
    comment = b"\x21\xfe" + bytes([40]) + b"<ScRiPt >alert(document.cookie)</script>"[:40] + b"\0"
    with pytest.raises(TwoFilesInOne):
        sniff.look(HONEST["image/gif"][:-1] + comment + b"\x3b")


def test_markup_and_pdf_inside_a_picture_are_refused() -> None:
    for text in (b"<!DOCTYPE html>", b"<html >", b"<?php system(1)", b"javascript:alert(1)", b"%PDF-1.7"):
        segment = b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text
        with pytest.raises(TwoFilesInOne):
            sniff.look(HONEST["image/jpeg"][:2] + segment + HONEST["image/jpeg"][2:])


REFUSED = {
    "page": b"<!doctype html><script>1</script>",
    "vector": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
    "script": b"#!/bin/sh\necho",
    "archive": kit.archive(),
    "program": b"MZ\x90\0" + bytes(200),
    "page in text": b"hello <script >alert(1)</script>",
    "heic": kit.box(b"ftyp", b"heic" + bytes(8)) + kit.box(b"moov"),
    "matroska": b"\x1aE\xdf\xa3\x9f\x42\x82\x88matroska" + bytes(60),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_types_are_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(FileTypeRefused, match=r"taken|Set the camera"):
        sniff.look(REFUSED[name])


def test_nothing_is_no_file() -> None:
    with pytest.raises(FileEmpty):
        sniff.look(b"")


@pytest.mark.parametrize("media", [each for each in HONEST if each.startswith(("image/", "video/mp4", "audio/wav"))])
def test_a_file_that_is_cut_off_is_damaged(media: str) -> None:
    for keep in (20, len(HONEST[media]) // 2, len(HONEST[media]) - 3):
        with pytest.raises(FileDamaged):
            sniff.look(HONEST[media][:keep])


@given(st.sampled_from(sorted(HONEST)), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8))
@settings(max_examples=150, deadline=None)
def test_no_damage_surprises(media: str, hits: list[tuple[int, int]]) -> None:
    data = bytearray(HONEST[media])
    for at, value in hits:
        data[at % len(data)] = value
    with contextlib.suppress(MillwrightError):
        assert 0 < sniff.look(bytes(data)).end <= len(data)


def test_a_claim_of_too_many_pixels_is_refused_before_decoding() -> None:
    for width, height in ((50_000, 1), (9_000, 9_000), (2**31 - 1, 2**31 - 1)):
        seen = sniff.look(kit.huge_png(width, height))
        with pytest.raises(TooManyPixels, match="megapixels"):
            images.refuse_large(seen.width or 0, seen.height or 0, most_pixels=64_000_000)
