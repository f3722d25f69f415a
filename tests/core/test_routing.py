"""The laws of routing: order, mode, default, exemption; and the index never hides a rule that holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core import routing
from pipeline.core.case_work import VERBS
from pipeline.core.errors import ConfigError
from pipeline.core.event import Route
from pipeline.core.rule_tests import columns_from, read_rule_tests, run_rule_tests
from testkit.routing import route_each, router_of, rules_of

# Conditions that share values, words and fields, so that the index has choices to make.
SIMPLE = st.sampled_from(
    [
        'source = "x"',
        'source in ("reddit", "mail")',
        'complaint.category = "outage"',
        'complaint.category in ("billing", "price")',
        "complaint.probability >= 0.5",
        "complaint.is_complaint",
        'entities.id = "brand:a"',
        'entities.id all of ("brand:a", "brand:b")',
        'any entities (kind = "brand" and confidence > 0.5)',
        'hashtags any of ("one", "two")',
        'text contains "cancel*"',
        'text contains any of ("no internet", "down")',
        'text contains all of ("bill", "wrong")',
        'text contains all of ("all down", "no internet")',
        'author.bio contains "retired"',
        'text contains "断网"',
        "author.followers = 3",
        'language.code in ("en", "de")',
        "entities exists",
        'text matches "[0-9]+"',
        'posted within "sat-sun UTC"',
        "customer exists",
        "sentiment.compound < 0",
    ]
)
CONDITIONS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        inner.map(lambda one: f"not ({one})"),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({' and '.join(parts)})"),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({' or '.join(parts)})"),
    ),
    max_leaves=6,
)
SHARES = st.sampled_from([0.0, 0.3, 0.5, 0.9])
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "source": st.sampled_from(["x", "reddit", "mail"]),
        "text": st.sampled_from(
            ["", "No internet, all down", "the bill is WRONG", "cancelling 3", "又断网了"]
        ),
        "created_at": st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1)).map(
            lambda naive: naive.replace(tzinfo=UTC)
        ),
        "hashtags": st.lists(st.sampled_from(["one", "two", "three"]), max_size=2),
        "sentiment": st.fixed_dictionaries({"compound": st.sampled_from([-0.5, 0.0, 0.5])}),
        "customer": st.just({"id": "c"}),
        "author": st.sampled_from([{"bio": "Retired."}, {"followers": 3}, {"followers": 4, "bio": "x"}]),
        "language": st.sampled_from([{"code": "en"}, {"code": "fr"}]).map(
            lambda one: {**one, "confidence": 1}
        ),
        "entities": st.lists(
            st.fixed_dictionaries(
                {
                    "id": st.sampled_from(["brand:a", "brand:b"]),
                    "kind": st.just("brand"),
                    "confidence": SHARES,
                }
            ),
            max_size=2,
        ),
        "complaint": st.fixed_dictionaries(
            {
                "probability": SHARES,
                "is_complaint": st.booleans(),
                "category": st.sampled_from(["outage", "billing", "price", ""]),
            }
        ),
    },
)
FILES = st.lists(CONDITIONS, min_size=1, max_size=8)


@settings(max_examples=200, deadline=None)
@given(FILES, EVENTS)
def test_first_is_the_first_of_all(conditions: list[str], event: dict[str, Any]) -> None:
    head = "default = 'q5'"
    first = rules_of(router_of(*conditions, head=head), **event)
    everything = rules_of(router_of(*conditions, head=f"{head}\nmode = 'all'"), **event)
    assert first == everything[:1]


@settings(max_examples=200, deadline=None)
@given(FILES, EVENTS, st.sampled_from(["first", "all"]))
def test_the_index_hides_no_rule_and_reasons_agree(
    conditions: list[str], event: dict[str, Any], mode: str
) -> None:
    router = router_of(*conditions, head=f"mode = '{mode}'")
    columns = columns_from(event)
    way = router.explain(columns)
    assert router.route(columns) == way.routes
    assert route_each(router, [event]) == [[route.rule for route in way.routes]]
    asked = [step for step in way.steps if step.rule != "default"]
    assert all(step.reasons for step in asked)
    alone = [bool(router_of(condition).route(columns)) for condition in conditions]
    assert [step.held for step in asked] == alone[: len(asked)]


@settings(max_examples=200, deadline=None)
@given(FILES, st.lists(EVENTS, max_size=12), st.sampled_from(["first", "all"]))
def test_posts_like_others_before_them_are_routed_as_each_alone(
    conditions: list[str], events: list[dict[str, Any]], mode: str
) -> None:
    router = router_of(*conditions, head=f"mode = '{mode}'\ndefault = 'q5'")
    alone = [[route.rule for route in router.explain(columns_from(event)).routes] for event in events]
    assert route_each(router, events) == alone
    assert route_each(router, events[::-1]) == alone[::-1]


def test_more_kinds_of_posts_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "_REMEMBERED", 3)
    router = router_of(*(f'text contains "w{n}"' for n in range(8)))
    events = [{"text": f"w{n} w{n % 3}"} for n in range(8)]
    for _ in range(3):
        assert route_each(router, events) == [[f"r{min(n, n % 3)}"] for n in range(8)]


@settings(max_examples=100, deadline=None)
@given(FILES, EVENTS, st.randoms())
def test_rules_that_do_not_hold_may_stand_anywhere(
    conditions: list[str], event: dict[str, Any], shuffle: Any
) -> None:
    held = [one for one in conditions if rules_of(router_of(one), **event)]
    others = [one for one in conditions if one not in held]
    shuffle.shuffle(others)
    mixed = [*others[: len(others) // 2], *held, *others[len(others) // 2 :]]
    shift = len(others) // 2
    found = rules_of(router_of(*mixed, head="mode = 'all'"), **event)
    expected = rules_of(router_of(*held, head="mode = 'all'"), **event)
    # Queues repeat after six rules, so with that many the one that a queue's first rule names may differ.
    if len(mixed) <= 6:
        assert [int(rule[1:]) - shift for rule in found] == [int(rule[1:]) for rule in expected]


def test_a_route_has_the_queue_the_priority_and_the_rule() -> None:
    rules = '[[rules]]\nid = "mine"\nqueue = "q3"\npriority = 1\nwhen = \'source = "mail"\''
    router = router_of('source = "x"', rules=rules, head="default = 'q4'")
    assert router.route(columns_from({"source": "x"})) == (Route("q0", 1, "r0"),)
    assert router.route(columns_from({"source": "mail"})) == (Route("q3", 1, "mine"),)
    assert router.route(columns_from({"source": "rss"})) == (Route("q4", 5, "default"),)


def test_a_queue_has_a_post_once() -> None:
    again = '[[rules]]\nid = "again"\nqueue = "q0"\nwhen = \'text exists\''
    assert rules_of(router_of("text exists", rules=again, head="mode = 'all'"), text="hi") == ["r0"]


def test_what_is_ignored_goes_nowhere_and_ends_the_reading() -> None:
    ignore = '[[rules]]\nid = "spam"\nignore = true\nwhen = \'text contains "win"\'\n'
    after = '[[rules]]\nid = "after"\nqueue = "q1"\nwhen = \'text exists\''
    for mode, expected in (("first", ["r0"]), ("all", ["r0"])):
        router = router_of('source = "x"', rules=ignore + after, head=f"mode = '{mode}'\ndefault = 'q5'")
        assert rules_of(router, source="x", text="win") == expected
        assert rules_of(router, text="win") == []
        assert rules_of(router, text="lose") == ["after"]


@pytest.mark.parametrize("exempt", [{"direction": "outbound"}, {"deleted": True}])
def test_deletions_and_our_own_posts_are_never_routed(exempt: dict[str, Any]) -> None:
    router = router_of("text exists or text missing", head="default = 'q0'\nmode = 'all'")
    assert rules_of(router, **exempt) == []
    (step,) = router.explain(columns_from(exempt)).steps
    assert "never routed" in step.reasons[0]


def test_the_version_follows_the_rules_and_nothing_else() -> None:
    one, two = router_of('source = "x"'), router_of('source = "y"')
    assert one.version != two.version
    assert one.version == router_of('source = "x"', head="# a comment\nmode = 'first'").version


def test_columns_are_those_that_the_rules_read() -> None:
    router = router_of('complaint.category = "a"', 'any intent (name = "b")', 'posted within "mon UTC"')
    assert set(router.columns) == {"post", "complaint", "intent", "observed"}
    assert router.readers("intent") == ["r1"]
    assert router_of().columns == ("post",)


def test_a_post_without_any_date_was_posted_when_the_log_took_it_in() -> None:
    router = router_of('posted within "sat UTC"')
    columns = columns_from({"text": "hi"})
    assert router.route(columns) == ()
    assert router.route({**columns, "observed": datetime(2026, 11, 21, 9, tzinfo=UTC)}) != ()


def test_a_queue_promises_within_its_hours() -> None:
    head = (
        "[queues.care]\nhours = 'mon-fri 09:00-17:00 Europe/London'\nfirst_response_minutes = 120\n"
        "[queues.always]\nfirst_response_minutes = 15\n"
    )
    queues = router_of(head=head).queues
    friday = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
    assert queues["care"].due_at(friday) == datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
    assert queues["always"].due_at(friday) == datetime(2026, 11, 20, 16, 15, tzinfo=UTC)
    assert queues["q0"].due_at(friday) is None


def test_reasons_are_the_tests_that_decided() -> None:
    router = router_of('complaint.probability >= 0.5 and (source = "x" or source = "mail")')
    held = {"complaint": {"probability": 0.8, "is_complaint": True}, "source": "mail"}
    assert router.explain(columns_from(held)).steps[0].reasons == (
        "complaint.probability >= 0.5 (it is 0.8)",
        'source = "mail" (it is "mail")',
    )
    assert router.explain(columns_from({"source": "x"})).steps[0].reasons == (
        "complaint.probability >= 0.5 (it has none)",
    )


def test_reasons_under_a_denial_say_so() -> None:
    router = router_of('not source = "mail" and not (not source = "x")')
    assert router.explain(columns_from({"source": "x"})).steps[0].reasons == (
        'not source = "mail" (it is "x")',
        'source = "x" (it is "x")',
    )
    assert router.explain(columns_from({"source": "mail"})).steps[0].reasons == (
        'not source = "mail" (it is "mail")',
    )


def test_rule_tests_say_what_they_expected_and_what_came() -> None:
    tests = b"""
[[tests]]
name = "goes"
queues = ["q0"]
rules = ["r0"]
event = { source = "x" }
[[tests]]
name = "stays"
queues = ["q1"]
event = { source = "mail", author.followers = 3 }
"""
    good, bad = run_rule_tests(router_of('source = "x"'), read_rule_tests(tests, "tests"))
    assert good.passed
    assert (bad.passed, bad.expected, bad.got) == (False, "queues q1", "queues none")
    assert bad.way.steps[0].reasons == ('source = "x" (it is "mail")',)


@pytest.mark.parametrize(
    ("test", "told"),
    [
        ('name = "a"\nevent = {}', "tests[0]: expected `queues` or `rules`"),
        ("queues = []\nevent = {}", "tests[0].name: missing"),
        ('name = "a"\nqueues = []', "tests[0].event: missing"),
        (
            'name = "a"\nqueues = []\nevent = { txt = "x" }',
            "event.txt: there is no such field, did you mean `text`",
        ),
        (
            'name = "a"\nqueues = []\nevent = { complaint.categry = "x" }',
            "event.complaint.categry: there is no",
        ),
        (
            'name = "a"\nqueues = []\nevent = { author.folowers = 3 }',
            "event.author.folowers: there is no such",
        ),
        (
            'name = "a"\nqueues = []\nevent = { complaint.probability = 3 }',
            "event.complaint.probability: Expected",
        ),
        (
            'name = "a"\nqueues = []\nevent = { entities = [{ id = 3 }] }',
            "event.entities[0].id: Expected `str`",
        ),
        ('name = "a"\nqueue = ["x"]\nevent = {}', "tests[0].queue: unknown key, did you mean `queues`"),
    ],
)
def test_a_bad_rule_test_is_refused_in_words(test: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_rule_tests(f"[[tests]]\n{test}".encode(), "tests")
    assert told in str(error.value)


def test_no_queue_has_the_name_of_a_verb() -> None:
    for verb in VERBS:
        with pytest.raises(ConfigError, match=rf"queues.{verb}: `{verb}` is a word of the command"):
            router_of(rules=f"[queues.{verb}]\npriority = 1\n")
