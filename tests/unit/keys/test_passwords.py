"""Passwords: the right one fits, no other does, and nothing fits where nothing is kept."""

import subprocess
import sys

import pytest

from keys import passwords


def test_the_password_itself_fits_and_is_not_what_is_kept() -> None:
    kept = passwords.hashed("correct horse battery")
    assert kept.startswith("$argon2id$") and "correct" not in kept
    assert passwords.fits(kept, "correct horse battery")
    assert passwords.hashed("correct horse battery") != kept


def test_another_password_does_not_fit() -> None:
    assert not passwords.fits(passwords.hashed("another one"), "correct horse battery")


@pytest.mark.parametrize("kept", [None, "", "not a hash"])
def test_nothing_fits_where_no_password_is_kept(kept: str | None) -> None:
    assert not passwords.fits(kept, "correct horse battery")


def test_reading_the_module_hashes_nothing() -> None:
    said = "from keys import passwords; print(passwords._nobody.cache_info().currsize)"
    done = subprocess.run([sys.executable, "-c", said], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "0"
