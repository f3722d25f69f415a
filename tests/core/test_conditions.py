"""What each condition means, and what is said of one that means nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.condition_text import parse_condition
from pipeline.core.errors import ConfigError
from pipeline.core.event_fields import event_fields
from testkit.routing import holds, router_of, rules_of

EVENT: dict[str, Any] = {
    "source": "x",
    "text": "No internet since 6, @larkwell. I will cancel. Ticket LW-204518",
    "created_at": datetime(2026, 11, 20, 17, 30, tzinfo=UTC),
    "hashtags": ["fail", "larkdown"],
    "author": {"handle": "petra_lindq", "followers": 245, "verified": False},
    "metrics": {"likes": 12},
    "language": {"code": "en", "confidence": 0.98},
    "sentiment": {"compound": -0.6, "label": "negative"},
    "entities": [
        {"id": "brand:larkwell", "kind": "brand", "confidence": 0.9},
        {"id": "place:tarnbridge", "kind": "place", "confidence": 0.4},
    ],
    "complaint": {"probability": 0.8, "is_complaint": True, "category": "outage", "urgency": 0.7},
    "intent": [{"name": "cancel", "probability": 0.3}, {"name": "refund", "probability": 0.9}],
    "customer": {"id": "LW-204518", "confidence": 0.95, "segment": "business", "evidence": ["handle", "bio"]},
}

TRUE = [
    'complaint.category = "outage"',
    'complaint.category == "outage"',
    'complaint.category != "billing"',
    "complaint.probability >= 0.8",
    "complaint.probability < 0.81",
    "complaint.is_complaint",
    "complaint.is_complaint = true",
    "not author.verified",
    "author.followers > 200",
    "metrics.likes >= 12",
    'customer.segment in ("gold", "business")',
    'customer.segment not in ["gold", "consumer",]',
    "customer exists",
    'customer.evidence = "bio"',
    'customer.evidence contains "BIO"',
    "noise is missing",
    "noise.spam missing",
    'hashtags = "fail"',
    'hashtags any of ("fail", "other")',
    'hashtags all of ("fail", "larkdown")',
    'not hashtags all of ("fail", "other")',
    'hashtags != "nice"',
    'entities.id = "brand:larkwell"',
    "entities.confidence < 0.5",
    'any entities (kind = "brand" and confidence > 0.8)',
    'not any entities (kind = "place" and confidence > 0.8)',
    'intent.name = "cancel" and intent.probability > 0.8',  # of different intents
    'not any intent (name = "cancel" and probability > 0.8)',
    'text contains "no internet"',
    "text contains 'CANCEL'",
    'text contains any of ("nothing", "tick*")',
    'text contains all of ("internet", "ticket")',
    'text matches "LW-[0-9]{6}"',
    'author.handle matches "^petra"',
    'created_at >= "2026-11-20"',
    'created_at < "2026-11-20T18:31:00+01:00"',
    'posted within "fri 18:00-19:00 Europe/Berlin"',
    'not posted within "mon-fri 09:00-17:00 Europe/London"',
    'source = "reddit" or source = "x" and sentiment.compound < 0',
    '(source = "reddit" or source = "x") and not (sentiment.label = "positive")',
    'SOURCE = "x"'.replace("SOURCE", "source") + ' AND NOT text contains "thanks"  # a comment',
    'source = "x"\n# a comment\nand language.code = "en"',
]


@pytest.mark.parametrize("condition", TRUE)
def test_it_holds(condition: str) -> None:
    assert holds(condition, **EVENT)
    assert not holds(f"not ({condition}\n)", **EVENT)


# Of a post of which nothing is known, only denials hold.
@pytest.mark.parametrize("condition", [condition for condition in TRUE if "not" not in condition])
def test_a_missing_field_fulfils_nothing(condition: str) -> None:
    assert holds(condition) == ("!=" in condition or "missing" in condition)


BAD = [
    (
        'complaint.categroy = "x"',
        "column 1: there is no field `complaint.categroy`, did you mean `complaint.category`",
    ),
    ('source = "x" and colour = 3', "column 18: there is no field `colour`"),
    ('post.text = "x"', "is called `text` here"),
    ('routes.queue = "x"', "not known yet"),
    ("version > 3", "not known yet"),
    ('complaint.category = "outage', 'the quote " is not closed'),
    ("complaint.category = “outage”", "`“` is no quote here"),
    ("complaint.category = outage", 'a text stands in quotes: write "outage"'),
    ("complaint.category", "expected a comparison after `complaint.category`"),
    ("complaint.category = ", "column 21: expected a value.*got nothing more"),
    ('source = "x" and', "expected a field.*got nothing more"),
    ('source = "x" source = "y"', "column 14: expected `and`, `or` or the end, got `source`"),
    ('(source = "x"', r"expected `and`, `or` or `\)`, got nothing more"),
    ('source in "x"', "expected a list in parentheses"),
    ("source in ()", "expected a value"),
    ('source in ("x" "y")', r"expected `,` or `\)`"),
    ("author.followers > 12k", "a number ends in letters"),
    ("complaint.probability > 60", "is never 60: it is a number from 0.0 to 1.0"),
    ('complaint.probability > "0.6"', 'is never "0.6": it is a number'),
    ("complaint.is_complaint = 1", "is never 1: it is true or false"),
    ('kind = "reviw"', "did you mean `review`"),
    ('source < "x"', "`<` compares numbers and times"),
    ("sentiment.compound contains 'x'", "only texts have words"),
    ("complaint = 'x'", "`complaint` is a table"),
    ('source all of ("x", "y")', "has one value only"),
    ('text contains "!!"', "no letter or digit"),
    ("text contains any of ('a', 3)", "words to look for stand in quotes, got 3"),
    ('text matches "[abc"', r"the pattern `\[abc` is wrong at character 1: missing \]"),
    ('text matches "a(?=b)"', "wrong at character 2: invalid perl operator"),
    (r"""text matches '(a)\1'""", "wrong at character 4: invalid escape"),
    ('text matches "((a{100}){100}){100}"', "is wrong"),
    (f'text matches "{"a?" * 1001}"', "a pattern of 2002 characters; at most 2000"),
    ('posted within "mon-fri 08:00-18:00"', "names no time zone"),
    ('posted = "monday"', "expected `within`"),
    ('any hashtags (x = "y")', "looks into the elements of `entities` or `intent`"),
    ('any entities (nme = "y")', "an element of `entities` has no field `nme`, did you mean `name`"),
    ('any entities (posted within "mon UTC")', "about the whole post"),
    ('any entities.id ("y")', "expected a field"),
    ('created_at > "soon"', '"soon" is none'),
    ("(" * 50 + 'source = "x"' + ")" * 50, "more than 40 parentheses"),
    ('source = "x"\nand colour', "line 2, column 5: there is no field"),
    ("source = 5 ∧ 6", "`∧` means nothing here"),
    ('and = "x"', "expected a field"),
]


@pytest.mark.parametrize(("condition", "told"), BAD, ids=[bad[0][:40] for bad in BAD])
def test_a_bad_condition_is_refused_in_words_with_its_place(condition: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as error:
        router_of(condition)
    assert 'rules: 1 problem\n  rules[0] "r0".when: ' in str(error.value)


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        parse_condition(text)
    except ConfigError:
        return


@given(st.sampled_from(TRUE), st.sampled_from(TRUE), st.booleans(), st.booleans())
def test_the_laws_of_and_or_not(one: str, two: str, first: bool, second: bool) -> None:
    one = one if first else f"not ({one}\n)"
    two = two if second else f"not ({two}\n)"
    assert holds(f"({one}\n) and ({two}\n)", **EVENT) == (first and second)
    assert holds(f"({one}\n) or ({two}\n)", **EVENT) == (first or second)
    assert holds(f"not (({one}\n) and ({two}\n))", **EVENT) == holds(
        f"not ({one}\n) or not ({two}\n)", **EVENT
    )
    assert holds(f"not not ({one}\n)", **EVENT) == first


def test_every_field_of_an_event_can_be_asked_for() -> None:
    for path in event_fields():
        router_of(f"{path} exists")
    assert {"text", "author.followers", "entities.kind", "customer.segment", "complaint.urgency"} <= set(
        event_fields()
    )


def test_names_for_conditions_and_hours() -> None:
    head = """
timezone = "Europe/Berlin"
[hours]
office = "mon-fri 08:00-18:00"
[conditions]
ours = 'entities.id = "brand:larkwell"'
urgent = 'ours and complaint.urgency > 0.5'
"""
    router = router_of('urgent and not posted within "office"', 'posted within "sat"', "ours", head=head)
    assert rules_of(router, **EVENT) == ["r0"]
    assert rules_of(router, **EVENT | {"created_at": datetime(2026, 11, 20, 16, tzinfo=UTC)}) == ["r2"]
    assert rules_of(router, created_at=datetime(2026, 11, 20, 23, 30, tzinfo=UTC)) == ["r1"]
    with pytest.raises(ConfigError, match="did you mean `office`"):
        router_of('posted within "offce"', head=head)


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ("[conditions]\na = 'a'", "conditions.a: column 1: the condition `a` needs itself: a → a"),
        ("[conditions]\na = 'b'\nb = 'not c'\nc = '(a)'", "the condition `a` needs itself: a → b → c → a"),
        ("[conditions]\ntext = 'complaint exists'", "`text` is the name of a field"),
        ("[conditions]\nany = 'complaint exists'", "is a word of the conditions themselves"),
        ("[conditions]\n\"1 a\" = 'complaint exists'", "a name begins with a letter"),
        ("[hours]\noffice = 'nine to five'", "hours.office: "),
        ("timezone = 'Berlin'", "timezone: `Berlin` is no time zone"),
        ("mode = 'some'", 'mode: expected one of first, all, got "some"'),
        ("defualt = 'q0'", "defualt: unknown key, did you mean `default`"),
        ("default = 'q9'", "default: there is no queue `q9`, did you mean `q0` or"),
        ("[queues.'Bad Name']", "the name of a queue has at most 64"),
        ("[queues.late]\npriority = 0", "queues.late.priority: expected an integer from 1 to 9"),
        ("[queues.late]\nhours = 'office'", "queues.late.hours: "),
        (
            "[queues.late]\nfirst_response_minutes = 0",
            "queues.late.first_response_minutes: expected an integer",
        ),
        ("[queues.late", "line 1, column 13: "),
    ],
)
def test_a_bad_file_is_refused_in_words(head: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        router_of(head=head)
    assert told in str(error.value)


RULE = 'id = "a"\nqueue = "q0"\nwhen = "text exists"'


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ('id = "a"\nqueue = "q7"\nwhen = \'text exists\'', 'rules[0] "a".queue: there is no queue `q7`'),
        ("id = \"a\"\nwhen = 'text exists'", "expected either `queue` or `ignore = true`"),
        ('id = "a"\nqueue = "q0"\nignore = true\nwhen = \'text exists\'', "expected either"),
        ("id = \"a\"\nignore = true\npriority = 2\nwhen = 'text exists'", "`ignore` sends to none"),
        ('id = "a"\nqueue = "q0"', "rules[0].when: missing"),
        ('id = "a"\nqueue = "q0"\nwhen = ""', "rules[0].when: expected text"),
        ('id = "A b"\nqueue = "q0"\nwhen = \'text exists\'', "the id of a rule has at most 64"),
        ('id = "default"\nqueue = "q0"\nwhen = \'text exists\'', "stands for the default queue"),
        (f"{RULE}\n[[rules]]\n{RULE}", 'rules[1] "a": rules[0] has the same id'),
    ],
)
def test_a_bad_rule_is_refused_in_words(rule: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        router_of(rules=f"[[rules]]\n{rule}")
    assert told in str(error.value)


def test_all_problems_come_at_once() -> None:
    with pytest.raises(ConfigError, match="rules: 3 problems"):
        router_of("colour = 3", 'text matches "("', head="default = 'nobody'")
