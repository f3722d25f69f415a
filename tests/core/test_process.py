"""The chain: checks at its construction, one outcome a post in order, and a culprit alone is rejected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from pipeline.core.errors import ConfigError, FatalError, RejectedError, RetryableError
from pipeline.core.event import Event, Language, Sentiment, decode_event, encode_event
from pipeline.core.post import Author, Post
from pipeline.core.process import Chain, Outcome
from pipeline.core.version import is_deletion, version_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LOGGED = datetime(2026, 11, 22, 11, tzinfo=UTC)
OK = Sentiment(compound=0.0, label="neutral", positive=0.0, neutral=1.0, negative=0.0)


class Step:
    """An enricher made of a function of one post; counts its calls."""

    requires: ClassVar[tuple[str, ...]] = ("post",)
    assigns: ClassVar[str] = "language"

    def __init__(self, of: Callable[[Post], Any], *, version: str = "1") -> None:
        self.of = of
        self.version = version
        self.calls: list[int] = []

    def enrich(self, columns: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
        self.calls.append(len(columns["post"]))
        return [self.of(post) for post in columns["post"]]


class Second(Step):
    """A step after the first."""

    requires: ClassVar[tuple[str, ...]] = ("post", "language")
    assigns: ClassVar[str] = "sentiment"

    def enrich(self, columns: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
        assert len(columns["language"]) == len(columns["post"])
        for post, language in zip(columns["post"], columns["language"], strict=True):
            assert language.code == code(post).code  # rows stay together when others are left out
        return super().enrich(columns)


def code(post: Post) -> Language:
    return Language(f"l{post.text}", 1.0)


def post(n: int, **more: Any) -> Post:
    fields: dict[str, Any] = {"id": f"x:{n}", "text": str(n), "author": Author(id="x:a")}
    return Post(**fields | more)


def process(chain: Chain, posts: Sequence[Post], operation: int = 0) -> list[Outcome]:
    return chain.process(
        posts, [LOGGED] * len(posts), prefix="g", now=NOW, operations=[operation] * len(posts)
    )


def test_an_event_holds_what_the_steps_found_and_the_rules_say() -> None:
    chain = Chain([("language", Step(code, version="a-1")), ("mood", Second(lambda _: OK, version="b-2"))])
    subject = post(7, created_at=datetime(2026, 3, 1, tzinfo=UTC), edited_at=datetime(2026, 3, 2, tzinfo=UTC))
    (event,) = process(chain, [subject], operation=3)
    assert event == Event(
        post=subject,
        language=Language("l7", 1.0),
        sentiment=OK,
        versions={"language": "a-1", "mood": "b-2"},
        index="g-posts-2026.03",
        version=version_of(subject, 3),
        processed_at=NOW,
    )
    assert decode_event(encode_event(event)) == event
    assert chain.versions == {"language": "a-1", "mood": "b-2"}


def test_a_chain_without_steps_still_makes_events() -> None:
    outcomes = process(Chain([]), [post(1), post(2, deleted=True)])
    assert [outcome.post.id for outcome in outcomes if isinstance(outcome, Event)] == ["x:1", "x:2"]
    assert process(Chain([]), []) == []


def test_a_batch_is_one_call() -> None:
    step = Step(code)
    process(Chain([("s", step)]), [post(n) for n in range(100)])
    assert step.calls == [100]


@pytest.mark.parametrize(
    ("created", "collected", "index"),
    [
        (datetime(2026, 11, 1, tzinfo=UTC), None, "g-posts-2026.11"),
        (None, None, "g-posts-undated"),
        (datetime(1969, 7, 20, tzinfo=UTC), None, "g-posts-undated"),
        (datetime(2100, 1, 1, tzinfo=UTC), None, "g-posts-undated"),
        # The time of collection goes before that of the log, in both directions.
        (datetime(2026, 12, 24, tzinfo=UTC), datetime(2026, 12, 25, tzinfo=UTC), "g-posts-2026.12"),
        (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC), "g-posts-undated"),
    ],
)
def test_the_index_follows_collection_or_else_the_log(
    created: datetime | None, collected: datetime | None, index: str
) -> None:
    (event,) = process(Chain([]), [post(1, created_at=created, collected_at=collected)])
    assert isinstance(event, Event)
    assert event.index == index


def test_deletions_pass_no_step_and_hold_no_text() -> None:
    step = Step(code)
    deletion = post(1, deleted=True, text="what I said", created_at=datetime(2026, 3, 1, tzinfo=UTC))
    first, second = process(Chain([("s", step)]), [deletion, post(2)], operation=9)
    assert step.calls == [1]
    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert first.post == Post(id="x:1", text="", deleted=True, created_at=deletion.created_at)
    assert (first.language, first.versions, first.index) == (None, {}, "g-posts-2026.03")
    assert is_deletion(first.version)
    assert b"said" not in encode_event(first)
    assert second.language == Language("l2", 1.0)


def test_only_the_culprit_is_rejected_and_later_steps_go_on_without_it() -> None:
    def touchy(subject: Post) -> Language:
        if subject.text in ("3", "5"):
            raise ValueError(f"cannot read {subject.text}")
        return code(subject)

    def fussy(subject: Post) -> Sentiment:
        if subject.text == "8":
            raise RejectedError("not this one", "odd")
        return OK

    first, second = Step(touchy), Second(fussy)
    posts = [post(n, deleted=n == 4) for n in range(10)]
    outcomes = process(Chain([("touchy", first), ("fussy", second)]), posts)
    refused = {n: outcome for n, outcome in enumerate(outcomes) if isinstance(outcome, RejectedError)}
    assert {n: error.reason for n, error in refused.items()} == {3: "enricher", 5: "enricher", 8: "enricher"}
    assert str(refused[3]) == "step `touchy` cannot take this post: ValueError: cannot read 3"
    assert "`fussy`" in str(refused[8])
    for n, outcome in enumerate(outcomes):
        if isinstance(outcome, Event):
            assert outcome.post.id == f"x:{n}"
            assert outcome.language == (None if n == 4 else Language(f"l{n}", 1.0))
    assert second.calls[0] == 7  # neither the deletion nor the two


def test_a_batch_that_fails_as_a_whole_loses_none_of_its_posts() -> None:
    class Whole(Step):
        def enrich(self, columns: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
            if len(columns["post"]) > 1:
                raise MemoryError
            return super().enrich(columns)

    outcomes = process(
        Chain([("whole", Whole(code)), ("next", Second(lambda _: OK))]), [post(n) for n in range(5)]
    )
    assert [outcome.sentiment for outcome in outcomes if isinstance(outcome, Event)] == [OK] * 5


def test_when_all_are_rejected_later_steps_are_spared() -> None:
    def never(_: Post) -> None:
        raise RuntimeError("broken")

    second = Second(lambda _: OK)
    outcomes = process(Chain([("never", Step(never)), ("next", second)]), [post(1), post(2)])
    assert [type(outcome) for outcome in outcomes] == [RejectedError] * 2
    assert second.calls == []


@pytest.mark.parametrize("values", [[], [None], [None] * 3])
def test_a_step_with_a_wrong_number_of_values_is_fatal(values: list[None]) -> None:
    class Miscounting(Step):
        def enrich(self, columns: Mapping[str, Sequence[Any]]) -> Sequence[Any]:  # noqa: ARG002
            return values

    with pytest.raises(FatalError, match=rf"step `off` returned {len(values)} values for 2 posts"):
        process(Chain([("off", Miscounting(code))]), [post(1), post(2)])


@pytest.mark.parametrize("error", [FatalError("x"), ConfigError("x"), RetryableError("x")])
def test_what_is_no_fault_of_a_post_is_passed_on(error: Exception) -> None:
    def fail(_: Post) -> None:
        raise error

    with pytest.raises(type(error)):
        process(Chain([("s", Step(fail))]), [post(1)])


def test_a_date_at_the_end_of_the_calendar_rejects_one_post_only() -> None:
    last = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    outcomes = process(
        Chain([]), [post(1, collected_at=last, created_at=NOW), post(2), post(3, created_at=last)]
    )
    assert isinstance(outcomes[1], Event)
    assert isinstance(outcomes[2], Event)
    assert isinstance(outcomes[0], RejectedError)
    assert "collected_at" in str(outcomes[0])


def test_as_many_times_as_posts_are_needed() -> None:
    with pytest.raises(FatalError, match="2 posts came with 1 times"):
        Chain([]).process([post(1), post(2)], [LOGGED], prefix="g", now=NOW)


def test_a_step_before_what_it_needs_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"step `mood` needs the column `language`.*move it behind `tongue`"
    ):
        Chain([("mood", Second(lambda _: OK)), ("tongue", Step(code))])
    with pytest.raises(ConfigError, match=r"step `mood` needs the column `language`.*add a step"):
        Chain([("mood", Second(lambda _: OK))])


def test_two_steps_of_one_column_are_refused() -> None:
    with pytest.raises(ConfigError, match="steps `one` and `two` both assign the column `language`"):
        Chain([("one", Step(code)), ("two", Step(code))])


@pytest.mark.parametrize("column", ["version", "mood", "versions", "processed_at"])
def test_a_step_fills_only_columns_that_are_its_to_fill(column: str) -> None:
    step = Step(code)
    step.assigns = column  # type: ignore[misc]
    with pytest.raises(ConfigError, match=f"step `s` assigns `{column}`"):
        Chain([("s", step)])


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as told:
        Chain([("a", Second(code)), ("b", Step(code)), ("c", Step(code))])
    assert len(str(told.value).splitlines()) == 2


@given(st.lists(st.sampled_from(["live", "deleted", "bad"]), max_size=12), st.integers(1, 12))
def test_outcomes_do_not_depend_on_how_the_posts_are_batched(kinds: list[str], size: int) -> None:
    def touchy(subject: Post) -> Language:
        if subject.url:
            raise ValueError("bad")
        return code(subject)

    chain = Chain([("touchy", Step(touchy)), ("next", Second(lambda _: OK))])
    posts = [post(n, deleted=kind == "deleted", url="x" * (kind == "bad")) for n, kind in enumerate(kinds)]
    parts = [process(chain, posts[start : start + size]) for start in range(0, len(posts), size)]
    whole = [outcome for part in parts for outcome in part]
    shown = [[str(outcome) for outcome in outcomes] for outcomes in (process(chain, posts), whole)]
    assert shown[0] == shown[1]
    assert len(shown[0]) == len(kinds)


def test_a_step_may_give_the_posts_anew_for_all_behind_it() -> None:
    class Outward(Step):
        assigns: ClassVar[str] = "post"

    rewriting = Outward(lambda one: structs.replace(one, direction="outbound"))
    seen = Step(lambda one: Language(one.direction, 1.0))
    (event,) = process(Chain([("turn", rewriting), ("see", seen)]), [post(1)])
    assert isinstance(event, Event)
    assert event.post.direction == "outbound"
    assert event.language == Language("outbound", 1.0)
