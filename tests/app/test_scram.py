"""The example of RFC 7677, and what a server may not get away with."""

from __future__ import annotations

import pytest

from pipeline.app.scram import Scram, ServerDidNotProve

NONCE = "rOprNGfwEbeRWgbNEkqO"
FIRST = f"r={NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".encode()


@pytest.fixture
def scram() -> Scram:
    return Scram("SCRAM-SHA-256", "user", "pencil", NONCE)


def test_the_example_of_the_standard(scram: Scram) -> None:
    assert scram.first() == f"n,,n=user,r={NONCE}".encode()
    assert (
        scram.final(FIRST)
        == (
            f"c=biws,r={NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        ).encode()
    )
    scram.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


def test_a_server_without_the_password_is_found_out(scram: Scram) -> None:
    scram.final(FIRST)
    for answer in (b"v=AAAATRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", b"", b"v="):
        with pytest.raises(ServerDidNotProve):
            scram.verify(answer)


def test_a_nonce_that_is_not_ours_is_refused(scram: Scram) -> None:
    with pytest.raises(ServerDidNotProve):
        scram.final(FIRST.replace(NONCE.encode(), b"somebody-elses"))


def test_signs_in_a_name_are_escaped() -> None:
    assert Scram("SCRAM-SHA-512", "a,b=c", "x", "n").first() == b"n,,n=a=2Cb=3Dc,r=n"
