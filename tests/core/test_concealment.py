"""Secrets are replaced wherever they turn up; what is no secret stays as it is."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.concealment import Concealment, secrets_in
from pipeline.core.settings import ElasticsearchSettings, KafkaSettings, Secret, Settings, Table

PLANTED = 'pl4nted/s3cret+"quoted"\'é'


def concealing(*secrets: str) -> Concealment:
    one = Concealment()
    one.add(secrets)
    return one


@pytest.mark.parametrize(
    "written",
    [
        PLANTED,
        quote(PLANTED, safe=""),
        repr(PLANTED),
        repr(PLANTED.encode()),
        json.dumps(PLANTED),
        repr({"key": repr(PLANTED.encode())}),
        json.dumps(json.dumps(repr(PLANTED))),
        quote(quote(PLANTED)),
        b64encode(PLANTED.encode()).decode(),
        b64encode(f"ann:{PLANTED}".encode()).decode(),
        b64encode(f"anna:{PLANTED}".encode()).decode(),
        b64encode(f"a:{PLANTED}".encode()).decode(),
        f"{PLANTED}{PLANTED}",
    ],
)
def test_a_known_secret_is_hidden_however_it_is_written(written: str) -> None:
    shown = concealing(PLANTED).apply(f"before {written} after")
    assert "s3cret" not in shown
    assert len(shown) < len("before  after") + 30
    assert concealing(PLANTED).apply(f"before {PLANTED} after") == "before *** after"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot reach https://ann:pw1234@es:9200/x", "cannot reach https://***@es:9200/x"),
        ("Authorization: Bearer abcdef1234567890", "Authorization: Bearer ***"),
        ("{'authorization': 'ApiKey abc=='}", "{'authorization': 'ApiKey ***'}"),
        ("('Authorization', b'Basic YTpi')", "('Authorization', b'Basic ***')"),
        ("x-api-key: 12345", "x-api-key: ***"),
        ("sent bearer AAAAAAAAAAAAAAAAAAAAAAAA", "sent bearer ***"),
        ("POST /token?client_secret=xyz&a=1", "POST /token?client_secret=***&a=1"),
        ('{"access_token": "ya29", "n": 1}', '{"access_token": "***", "n": 1}'),
    ],
)
def test_what_looks_like_a_credential_is_hidden_though_nobody_knows_it(text: str, shown: str) -> None:
    assert Concealment().apply(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "set password_file, or the variable GROUNDSWELL_KAFKA_PASSWORD",
        "kafka.password: missing, expected a secret",
        "basic authentication is off; bearer tokens are not taken",
        "see https://example.com/a@b and mail ann@example.com",
        "X takes the token of the next page for rule `a` no more",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert concealing("hunter2").apply(text) == text


@given(st.text(min_size=4, max_size=40), st.text(max_size=80), st.text(max_size=80))
def test_no_known_secret_is_left(secret: str, before: str, after: str) -> None:
    shown = concealing(secret).apply(before + secret + after)
    # What hides it may spell it: `***` contains `**`.
    assert secret not in shown.replace("***", "")


def test_the_secrets_of_all_settings_are_found() -> None:
    settings = Settings(
        kafka=KafkaSettings(security_protocol="SASL_SSL", username="a", password=Secret("of-kafka")),
        elasticsearch=ElasticsearchSettings(api_key=Secret("of-elastic")),
        connectors={"x": Table({"kind": "x", "deep": [Secret("of-a-part"), Secret()]})},
    )
    assert sorted(secrets_in(settings)) == ["of-a-part", "of-elastic", "of-kafka"]


@pytest.mark.parametrize("unit", ["a.", "a://", "token=", "authorization: ", "bearer ", "a" * 10, "\\u00e9"])
def test_hiding_takes_time_in_proportion_to_the_text(unit: str) -> None:
    def spent(count: int) -> float:
        text, began = unit * count, time.process_time()
        concealing(PLANTED).apply(text)
        return time.process_time() - began

    few = max(min(spent(4_000) for _ in range(3)), 0.002)
    assert min(spent(40_000) for _ in range(3)) < few * 40
