"""The least rights, held against true servers: with them all works, without any one something fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from pipeline.app.amends import Late, amends
from pipeline.app.authors.memory import AuthorMemory
from pipeline.app.brokers import Brokers
from pipeline.app.health import Health
from pipeline.app.kafka_rights import ALL, GROUPS, MAKING, ROLES, demand, lacking, needs
from pipeline.app.log_reader import read_topic
from pipeline.app.meters import Meters
from pipeline.app.offsets import spans
from pipeline.app.patience import Patience
from pipeline.app.producer import Producer, Record
from pipeline.app.site import now
from pipeline.app.tidying.record import Records
from pipeline.app.topics import Topics, admin_client, ensure_topics, topics_of
from pipeline.core.errors import ConfigError, FatalError, RetryableError
from pipeline.core.event import Event
from pipeline.core.post import Author, Post
from pipeline.core.settings import ElasticsearchSettings, Secret
from sinks import elastic, months, rights
from sinks.cases import Cases
from sinks.elastic import client_for
from sinks.store import Put, Store
from testkit.secured.elasticsearch import PASSWORD as STANDING_PASSWORD
from testkit.secured.elasticsearch import SecuredElasticsearch
from testkit.secured.kafka import Right, SecuredKafka, rights_of

Make = Callable[..., Brokers]


@pytest.mark.parametrize("role", ROLES)
def test_a_missing_right_is_named_whatever_it_is(
    safe_kafka: SecuredKafka, brokers: Make, prefix: str, user: str, role: str
) -> None:
    given = rights_of(role, prefix, ["refunds"])
    safe_kafka.allow(user, given)
    there = brokers()
    wanted = needs([role], topics_of(there.settings), there.settings, ["refunds"])
    with closing(admin_client(there)) as admin:
        assert lacking(admin, wanted, user) == []
        for right in given:
            kind, name, operation = right
            if operation == "DESCRIBE" and len([one for one in given if one[:2] == (kind, name)]) > 1:
                continue  # READ and WRITE imply it; without all of them nothing is told at all
            safe_kafka.forbid(user, right)
            assert lacking(admin, wanted, user) == [
                f"Kafka denies `{user}` {operation} on the {kind} {name}: allow it (docs/security.md)"
            ]
            safe_kafka.allow(user, [right])


def test_a_role_waits_and_says_for_which_right(
    safe_kafka: SecuredKafka, brokers: Make, prefix: str, user: str
) -> None:
    given = rights_of("enrich", prefix)
    lost = ("topic", f"{prefix}.changes", "WRITE")
    safe_kafka.allow(user, [right for right in given if right != lost])
    there = brokers()
    health = Health("enrich", Meters())
    patience = Patience("kafka", health, logging.getLogger("test"))
    wanted = needs(["enrich"], topics_of(there.settings), there.settings)
    waiting = threading.Thread(target=lambda: patience.insist(lambda: demand(there, wanted)))
    waiting.start()
    try:
        sentence = f"Kafka denies `{user}` WRITE on the topic {prefix}.changes: allow it (docs/security.md)"
        with pytest.raises(RetryableError, match="Kafka denies"):
            demand(there, wanted)
        while not health.reasons:
            waiting.join(0.05)
        assert health.reasons == {"kafka": sentence}
        safe_kafka.allow(user, [lost])
        waiting.join(120)
        assert not waiting.is_alive(), "the role goes on as soon as it may"
        assert health.reasons == {}
    finally:
        patience.end()


def test_enrich_may_put_posts_back_that_it_sent_too_late(
    safe_kafka: SecuredKafka, brokers: Make, prefix: str, user: str
) -> None:
    """Else it would end for want of a right in the one moment in which it must not."""
    there = brokers()
    ensure_topics(Brokers(safe_kafka.addresses["PLAINTEXT"]), there.settings)
    safe_kafka.allow(user, rights_of("enrich", prefix))
    name = topics_of(there.settings).posts.name
    producer = Producer(there)
    post = Record(name, b"x:1", b'{"id": "x:1", "text": "hello", "author": {"id": "x:a"}}')
    producer.deliver([post])
    late = amends(there, name, [Late(0, 0, 10), Late(1, 0, 10), Late(2, 0, 10), Late(3, 0, 10)])
    assert late == [post]
    producer.deliver(late)
    producer.close()


def test_topics_are_made_only_by_who_may(
    safe_kafka: SecuredKafka, brokers: Make, prefix: str, user: str
) -> None:
    there = brokers()

    def refused() -> str:
        with pytest.raises(RetryableError) as caught:
            ensure_topics(there, there.settings)
        return str(caught.value)

    everything = f"{prefix}."
    assert refused().startswith(
        f"Kafka denies `{user}` DESCRIBE on the topic {prefix}.posts, {prefix}.events"
    )
    safe_kafka.allow(user, [("topic", everything, operation) for operation in ALL])
    assert refused() == (
        f"Kafka denies `{user}` CREATE on the missing topic {prefix}.posts: allow it (docs/security.md), or"
        " make the topic"
    )
    making: list[Right] = [("topic", everything, operation) for operation in MAKING]
    safe_kafka.allow(user, making)
    assert ensure_topics(there, there.settings) == topics_of(there.settings)
    for right in making:
        safe_kafka.forbid(user, right)
    ensure_topics(there, there.settings)  # nothing is left to make
    longer = brokers(posts_days=9)
    with pytest.raises(RetryableError, match=f"ALTER_CONFIGS on the topic {prefix}.posts"):
        ensure_topics(longer, longer.settings)
    safe_kafka.forbid(user, ("topic", everything, "DESCRIBE_CONFIGS"))
    assert "DESCRIBE_CONFIGS on the topic" in refused()


def test_a_topic_that_may_not_be_seen_is_not_an_empty_one(
    safe_kafka: SecuredKafka, brokers: Make, user: str, prefix: str
) -> None:
    there = brokers()
    topics = topics_of(there.settings)
    assert list(read_topic(Brokers(safe_kafka.addresses["PLAINTEXT"]), topics.posts.name)) == []
    with pytest.raises(RetryableError, match="did not give the topic"):
        list(read_topic(there, topics.posts.name))
    with closing(admin_client(there)) as admin, pytest.raises(RetryableError, match="may not DESCRIBE it"):
        spans(admin, topics.posts.name, None)


def test_groups_are_those_of_the_table(prefix: str, brokers: Make) -> None:
    there = brokers()
    known = {f"{prefix}-{name}" for groups in GROUPS.values() for name in groups}
    assert there.reader_group in known
    assert set(GROUPS) == set(ROLES)
    assert {name for topics in ROLES.values() for name in topics} <= set(Topics.__struct_fields__)


def test_the_shipped_role_is_what_the_code_needs(role: dict[str, Any]) -> None:
    assert tuple(role["cluster"]) == rights.CLUSTER
    (indices,) = role["indices"]
    assert (indices["names"], tuple(indices["privileges"])) == (["groundswell-*"], rights.INDICES)


@pytest.fixture
def allowed(
    safe_elasticsearch: SecuredElasticsearch, role: dict[str, Any], prefix: str
) -> Iterator[Callable[[str], ElasticsearchSettings]]:
    """Settings of an account with the shipped role, on this test's indices, without one privilege."""

    def make(without: str = "") -> ElasticsearchSettings:
        less = {
            "cluster": [one for one in role["cluster"] if one != without],
            "indices": [
                {
                    "names": [f"{prefix}-*"],
                    "privileges": [one for one in role["indices"][0]["privileges"] if one != without],
                }
            ],
        }
        return safe_elasticsearch.settings(prefix, api_key=safe_elasticsearch.key(less))

    yield make
    full = make("")
    with closing(client_for(full, full.url)) as client:
        elastic.drop(client, prefix)


def work(settings: ElasticsearchSettings) -> None:
    """What roles and commands do in Elasticsearch, one of each."""
    sink = elastic.build(settings, settings.url)
    with closing(sink.client) as client:
        post = Post(id="mail:1", text="broken", author=Author(id="mail:a"))
        event = Event(post=post, version=1, index=f"{settings.prefix}-posts-undated", processed_at=now())
        assert sink.write([event]) == [None]
        assert sink.authors([event]) == {"mail:1": "mail:a"}
        client.indices.refresh(index=f"{settings.prefix}-posts-*")
        with elastic.answering(client):
            assert client.cluster.health()["status"]
            assert client.count(index=f"{settings.prefix}-posts-*")["count"] == 1
        cases = Cases(client, settings)
        cases.prepare()
        cases.store.refresh()
        store = Store(client, settings, "customers")
        store.prepare()
        store.put([Put("c", 1, {"id": "c"})])
        store.refresh()
        assert store.get(["c"])["c"].source == {"id": "c"}
        AuthorMemory(client, settings, now).reckon_all()
        _tidy(client, settings)
        assert rights.lacking(client, settings.prefix) == []
        assert set(rights.templates(client, settings).values()) == {"ours"}
        store.drop()
        cases.drop()
        elastic.drop(client, settings.prefix)


def _tidy(client: Elasticsearch, settings: ElasticsearchSettings) -> None:
    """What tidying does with a month."""
    assert Records(client, settings).claim(now())
    name = f"{settings.prefix}-posts-undated"
    months.close(client, settings.prefix, name)
    assert months.reopen(client, settings.prefix, name)
    months.block(client, settings.prefix, name)
    months.merge(client, name)
    assert [one.blocked for one in months.indices(client, settings.prefix)] == [True]
    Store(client, settings, "tidying").drop()


def test_the_shipped_role_suffices(allowed: Callable[..., ElasticsearchSettings]) -> None:
    work(allowed())


@pytest.mark.parametrize("privilege", [*rights.CLUSTER, *rights.INDICES])
def test_every_privilege_of_the_shipped_role_is_needed_and_named(
    allowed: Callable[..., ElasticsearchSettings], privilege: str, prefix: str
) -> None:
    settings = allowed(privilege)
    with pytest.raises((ConfigError, RetryableError, FatalError, AssertionError)):
        work(settings)
    with closing(client_for(settings, settings.url)) as client:
        what = "the cluster" if privilege in rights.CLUSTER else f"the indices {prefix}-*"
        assert rights.lacking(client, prefix) == [
            f"Elasticsearch denies this account {privilege} on {what}: give it the role of docs/security.md"
        ]


def test_name_and_password(safe_elasticsearch: SecuredElasticsearch) -> None:
    signed_in = safe_elasticsearch.settings(
        "groundswell-test", username="groundswell", password=Secret(STANDING_PASSWORD)
    )
    work(signed_in)
    wrong = safe_elasticsearch.settings(
        "groundswell-test", username="groundswell", password=Secret("hunter2")
    )
    with closing(client_for(wrong, wrong.url)) as client, pytest.raises(ConfigError) as caught:
        rights.lacking(client, "groundswell-test")
    assert "refuses the sign-in" in str(caught.value)
    assert "hunter2" not in str(caught.value) + repr(wrong)
