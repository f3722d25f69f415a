"""Which routes may hang on the customer of a post: those a changed customer may bring."""

from __future__ import annotations

from enrichers.route import RouteEnricher
from pipeline.app.cases.notices import queues_of, reading_customers
from pipeline.core.event import Route
from pipeline.core.process import Chain
from pipeline.core.routing import Router
from testkit.routing import router_of

GOLD, FIRE = 'customer.segment = "gold"', 'text contains "fire"'
STOP = "[[rules]]\nid = 'end'\nignore = true\nwhen = '''{}'''\n"


def chain_of(router: Router | None) -> Chain:
    class Customers:
        requires = ("post",)
        assigns = "customer"
        version = "1"

        def enrich(self, columns: object) -> list[object]:
            raise NotImplementedError

    return Chain([("customers", Customers()), ("route", RouteEnricher(router))])


def brought(router: Router | None) -> list[str]:
    reads = reading_customers(chain_of(router))
    return [rule for rule in ("r0", "r1", "default") if reads(Route("q0", 1, rule))]


def test_routes_of_rules_that_read_the_customer_and_no_others() -> None:
    router = router_of(GOLD, FIRE)
    assert brought(router) == ["r0"]
    assert brought(router_of(FIRE, f"{FIRE} and not {GOLD}")) == ["r1"]
    assert brought(router_of(FIRE)) == []
    assert queues_of(chain_of(router)) == sorted(router.queues)


def test_all_where_the_customer_decides_whether_later_rules_are_asked() -> None:
    assert brought(router_of(FIRE, rules=STOP.format(GOLD))) == ["r0", "r1", "default"]
    assert brought(router_of(FIRE, rules=STOP.format(FIRE))) == []


def test_none_without_rules() -> None:
    assert brought(None) == []
