"""An explanation as a page of text for people: one section a step, in the order in which they ran."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from enrichers.complaint import Explanation as ComplaintTold
from pipeline.app.explain import Explained
from pipeline.app.explanation import Judged, Word, Words
from pipeline.cli.output import fit, plain
from pipeline.cli.wrapping import duration, moment, wrapped
from pipeline.core.event import Event
from pipeline.core.routing import Step

WIDTH = 80
_TEXT = 1200
"""Characters of a text that are shown."""
_CONDITION = 60
"""Characters that are shown of a test that did not hold."""

Lines = Iterator[str]


def page(told: Explained) -> str:
    """The whole page, each line at most 80 cells wide and without anything that drives a terminal."""
    event = told.event
    lines = [*_head(event), *_times(told)]
    if event.post.deleted:
        lines += ["", *wrapped(_DELETED, WIDTH, "")]
    else:
        for section in (_language, _sentiment, _entities, _complaint, _contacts):
            lines += section(event, told.judged)
        lines += [*_customer(told), *_routing(event, told.judged)]
    lines += _case(told)
    if not event.post.deleted:
        lines += _today(told.judged)
    return "\n".join([*lines, *_versions(told)]) + "\n"


_DELETED = (
    "This post was deleted. What is left is a stub: nothing is known any more of its text, its author and"
    " what was found, so there is nothing to explain."
)


def _said(text: str, indent: str = "  ") -> Lines:
    return wrapped(text, WIDTH, indent, indent + "  ")


def _title(name: str, value: str) -> Lines:
    yield ""
    yield from wrapped(f"{name.upper():<12}{value}" if value else name.upper(), WIDTH, "", " " * 12)


def _head(event: Event) -> Lines:
    post = event.post
    yield from wrapped(f"{post.id}: a {post.kind} on {post.source}, {post.direction}", WIDTH, "")
    if post.deleted:
        return
    author = post.author
    handle = author.handle if post.source == "mail" or not author.handle else f"@{author.handle}"
    names = " ".join(part for part in (handle, author.name) if part)
    yield from _said(f"by {names} ({author.id})" if names else f"by {author.id}")
    for name, value in (("at", post.url), ("answers", post.in_reply_to), ("thread", post.thread)):
        if value:
            yield from _said(f"{name} {value}")
    yield ""
    yield from wrapped(marked(event), WIDTH, "  | ") if post.text else ["  (no text)"]


def marked(event: Event) -> str:
    """The beginning of the text with its entities in brackets, each with its numbers in the list below."""
    text, parts, at = event.post.text, [], 0
    numbered = sorted((e.start, e.end, n) for n, e in enumerate(event.entities, 1) if e.end)
    for (start, end), group in groupby(numbered, key=lambda one: one[:2]):
        if start < at or end > len(text):
            continue  # not of this text: shown in the list alone
        numbers = ",".join(str(number) for _, _, number in group)
        parts.append(f"{text[at:start]}[{text[start:end]}]{numbers}")
        at = end
    whole = "".join(parts) + text[at:]
    return whole if len(whole) <= _TEXT else f"{whole[:_TEXT]}… ({len(whole) - _TEXT} more characters)"


def _times(told: Explained) -> Lines:
    yield from _title("times", "")
    for stage in told.times:
        delay = ""
        if stage.delay is not None:
            word = "after" if stage.delay >= 0 else "before"
            delay = f"{duration(abs(stage.delay))} {word} {stage.after}"
        yield f"  {stage.stage:<16}{moment(stage.at)}  {delay}".rstrip()


def _language(event: Event, judged: Judged) -> Lines:
    if event.language is None:
        return
    how = f": {judged.language_by}" if judged.language_by else ""
    yield from _title("language", f"{event.language.code}, confidence {event.language.confidence:.2f}{how}")


def _sentiment(event: Event, judged: Judged) -> Lines:
    stored = event.sentiment
    if stored is None:
        yield from _title("sentiment", "none: its language is not scored")
        return
    yield from _title(
        "sentiment",
        f"{stored.label}, compound {stored.compound:+.4f} (positive {stored.positive:.2f}, neutral"
        f" {stored.neutral:.2f}, negative {stored.negative:.2f})",
    )
    if judged.sentiment is not None:
        yield from _words(judged.sentiment)


def _words(told: Words) -> Lines:
    for word in told.words:
        name = fit(plain(f"{word.emoji} ({word.word})" if word.emoji else word.word), 24)
        yield from wrapped(f"{word.valence:+.2f}{_changes(word)}", WIDTH, f"  {name}", " " * 28)
    if not told.words:
        yield "  no word of it is in the lexicon"
        return
    if told.emphasis:
        yield f"  {'! and ?':<24}{told.emphasis:+.2f}"
    total = sum(word.valence for word in told.words) + told.emphasis
    yield from wrapped(
        f"{total:+.2f}, which makes a compound of {told.compound:+.4f}", WIDTH, f"  {'sum':<24}"
    )


def _changes(word: Word) -> str:
    if not word.changes:
        return ""
    steps = []
    for cause, by, before, after in word.changes:
        because = "in capitals" if cause == "capitals" else f"joined with “{by}”" if cause == "joined" else ""
        because = because or (by if cause == "but" else f"{cause} “{by}”")
        steps.append(f"{because} {before:+.2f} → {after:+.2f}")
    return f"  ({'; '.join(steps)})"


def _entities(event: Event, judged: Judged) -> Lines:
    if not event.entities:
        return
    yield from _title("entities", str(len(judged.entities)))
    for number, named in enumerate(judged.entities, 1):
        one = named.entity
        place = f", characters {one.start} to {one.end}" if one.end else ""
        share = (
            f", confidence {one.confidence:.2f}: others claim the same words" if one.confidence < 1 else ""
        )
        yield from _said(f"[{number}] {one.name} ({one.id}) by {named.by} “{one.text}”{place}{share}")


def _complaint(event: Event, judged: Judged) -> Lines:
    stored = event.complaint
    if stored is None:
        ours = event.post.direction == "outbound"
        why = "a post of our own is never one" if ours else "not judged: no table of words for its language"
        yield from _title("complaint", why)
        return
    about = f" about {stored.category}" if stored.category else ""
    yield from _title(
        "complaint",
        f"{'yes' if stored.is_complaint else 'no'}{about}, probability {stored.probability:.2f}, urgency"
        f" {stored.urgency:.2f}",
    )
    if judged.complaint is not None:
        yield from _cues(judged.complaint)


def _cues(told: ComplaintTold) -> Lines:
    for cue in told.cues:
        about = f", about {cue.category}" if cue.category else ""
        yield from _said(f"“{cue.text}” is {cue.family} ({cue.weight:+.2f}){about}, rule “{cue.cue}”")
    parts = " ".join(f"{name} {value:+.2f}" for name, value in told.parts)
    yield from _said(f"{parts}: probability {told.probability:.2f}, a complaint from {told.threshold:g} on")


def _contacts(event: Event, _: Judged) -> Lines:
    # The author's handle is told with the author.
    if shown := sorted({f"{one.kind} in the {one.place}" for one in event.contacts if one.kind != "handle"}):
        yield from _title("contacts", ", ".join(shown))


def _customer(told: Explained) -> Lines:
    link = told.event.customer
    if link is None:
        if "customer" in told.event.versions:
            yield from _title("customer", "none that we know of")
        return
    name = f" {told.customer_name}" if told.customer_name else " (not in the customers' index any more)"
    worth = f", worth {link.value:g} a year" if link.value is not None else ""
    segment = f", {link.segment}" if link.segment else ""
    yield from _title("customer", f"{link.id}{name}{segment}{worth}, confidence {link.confidence:.2f}")
    for evidence in link.evidence:
        yield from _said(f"by {evidence}")


def _routing(event: Event, judged: Judged) -> Lines:
    routes = ", ".join(f"{one.queue}, priority {one.priority}, by rule {one.rule}" for one in event.routes)
    if not routes and "route" not in event.versions and judged.way is None:
        return
    yield from _title("routing", routes or "to no queue")
    if judged.way is None:
        return
    rules = next((one for one in judged.versions if one.step == "route"), None)
    if rules is not None and rules.differs:
        was = f"by rules {rules.stored}" if rules.stored else "without rules"
        yield from _said(f"It was routed {was}; the way below is that of today's rules, {rules.today}:")
    for step in judged.way.steps:
        yield from _way(step)
    today = [(one.queue, one.priority, one.rule) for one in judged.way.routes]
    if today != [(one.queue, one.priority, one.rule) for one in event.routes]:
        goes = ", ".join(f"{queue}, priority {priority}" for queue, priority, _ in today) or "no queue"
        yield from _said(f"So by today's rules what is stored would go to: {goes}")


def _way(step: Step) -> Lines:
    """A rule that held with all its reasons, one that did not with the first of what stood against it."""
    shown = [_reason(one, None if step.held else _CONDITION) for one in step.reasons]
    if not step.held:
        shown = shown[:1]
    goes = f" → {step.queue}" if step.queue else " → nowhere" if step.held and step.rule else ""
    name = f"{step.rule}{goes}: " if step.rule else ""
    verdict = f"  {'held' if step.held else 'no':<6}"
    yield from wrapped(f"{name}{'; '.join(shown)}".rstrip(": "), WIDTH, verdict, " " * 10)


def _reason(reason: str, room: int | None) -> str:
    """A test and the value that it saw; of a test of the text not the text once more."""
    test, _, seen = " ".join(reason.split()).rpartition(" (it ")
    if not test:
        return reason
    if room is not None and len(test) > room:
        test = f"{test[:room]}…"
    return test if test.removeprefix("not ").startswith("text ") else f"{test} (it {seen}"


def _case(told: Explained) -> Lines:
    case = told.case
    if case is None:
        return
    who = f", {case.assignee} has it" if case.assignee else ""
    posts = f"{case.posts} posts" if case.posts != 1 else "1 post"
    yield from _title(
        "case", f"{case.id}, {case.state} in {case.queue} with priority {case.priority}{who}, {posts}"
    )


def _today(judged: Judged) -> Lines:
    if not judged.today and not judged.problems:
        return
    yield from _title("today", "the steps would say something else")
    for one in judged.today:
        yield from _said(f"{one.step}: as stored {one.stored}; today it would be {one.today}")
    for problem in judged.problems:
        yield from _said(problem)


def _versions(told: Explained) -> Lines:
    yield from _title("versions", "")
    for one in told.judged.versions:
        now = "" if not one.differs else f", today {one.today}" if one.today else ", no step of today"
        yield from wrapped(f"{one.stored or 'did not run'}{now}", WIDTH, f"  {plain(one.step):<12}", " " * 14)
    parts = told.version
    if parts.deleted:
        words = ["deleted"]
    else:
        words = [f"edited {moment(parts.edited_at)}" if parts.edited_at else "never edited"]
        words.append("linked or enriched anew" if parts.operation else "first enriched")
    if parts.operation:
        words.append(f"operation {parts.operation}")
    if parts.seen_after is not None:
        low, high = parts.seen_after
        words.append(f"seen {duration(low)} to {duration(high)} after it was written")
    yield from wrapped(f"{told.event.version}: {', '.join(words)}", WIDTH, f"  {'the event':<12}", " " * 14)
    yield from wrapped(told.event.index, WIDTH, f"  {'index':<12}", " " * 14)
