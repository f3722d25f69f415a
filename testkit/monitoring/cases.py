"""For each alert what makes it fire, and what looks much like it and must not.

Values are in the notation of promtool, one a minute: ``0+5x30`` begins at 0 and grows by 5 thirty times,
``_`` is a scrape without an answer.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

Series = Mapping[str, str]


class Case(Struct, frozen=True):
    """Looked at ``minutes`` after the beginning. ``fires`` are the labels of each alert that is to fire then,
    beside those that its rule gives; none, and it must be quiet."""

    alert: str
    minutes: int
    series: Series
    fires: tuple[Mapping[str, str], ...] = ()


ENRICH = 'instance="a:9641",job="groundswell",role="enrich"'
INDEX = 'instance="a:9642",job="groundswell",role="index"'
_VALID = f"groundswell_files_valid{{{ENRICH}}}"
_STALL = f'groundswell_waiting{{part="stall",{INDEX}}}'
_QUEUE = f"groundswell_producer_queue_records{{{ENRICH}}}"


def _ready(*roles: str) -> Series:
    return {f'groundswell_ready{{role="{role}"}}': "1x60" for role in roles}


def _flag(alert: str, series: str, labels: Mapping[str, str], lasting: int, short: int) -> list[Case]:
    """Of a flag that must stand for a while: it does, it does not for long enough, it never does."""
    return [
        Case(alert, lasting, {series: "1x90"}, (labels,)),
        Case(alert, short + 4, {series: f"0x3 1x{short - 1} 0x60"}),
        Case(alert, lasting, {series: "0x90"}),
    ]


def _age(alert: str, bound: int, minutes: int) -> list[Case]:
    old = f'groundswell_oldest_record_seconds{{partition="1",topic="groundswell.posts",{ENRICH}}}'
    other = f'groundswell_oldest_record_seconds{{partition="2",topic="groundswell.posts",{ENRICH}}}'
    slow = 'groundswell_oldest_record_seconds{partition="0",role="directory",topic="groundswell.customers"}'
    behind = {"role": "enrich", "topic": "groundswell.posts"}
    return [
        Case(alert, minutes + 2, {old: f"{bound + 10}+60x60", other: "0x60"}, (behind,)),
        Case(alert, minutes + 2, {old: f"{bound - 10}x60", other: "1x60"}),
        Case(alert, minutes + 2, {slow: f"{bound * 2}x60"}),
    ]


_ROLES = [
    Case(
        "GroundswellRoleDown",
        4,
        {'up{instance="a:9641",job="groundswell"}': "1 0x10", 'up{instance="b:9641",job="other"}': "0x10"},
        ({"instance": "a:9641", "job": "groundswell"},),
    ),
    Case("GroundswellRoleDown", 9, {'up{instance="a:9641",job="groundswell"}': "1x3 0x2 1x10"}),
    Case(
        "GroundswellRoleMissing",
        24,
        {**_ready("collect", "enrich", "directory"), 'groundswell_ready{role="index"}': "1x5 _x30"},
        ({"role": "index"},),
    ),
    Case("GroundswellRoleMissing", 20, _ready("collect", "enrich", "index", "directory")),
    Case(
        "GroundswellRoleParked",
        2,
        {
            'groundswell_role_parked{instance="a:9640",role="index"}': "0 1x5",
            'groundswell_role_parked{instance="a:9641",role="index"}': "0 1x5",
            'groundswell_role_parked{instance="a:9641",role="enrich"}': "0x5",
        },
        ({"role": "index"},),
    ),
    Case("GroundswellRoleParked", 2, {'groundswell_role_parked{instance="a:9640",role="index"}': "0x5"}),
    Case(
        "GroundswellRestarting",
        20,
        {f"groundswell_started_seconds{{{INDEX}}}": "100x5 400x2 600x2 900x20"},
        ({"role": "index", "instance": "a:9642"},),
    ),
    Case("GroundswellRestarting", 20, {f"groundswell_started_seconds{{{INDEX}}}": "100x9 800x20"}),
    Case("GroundswellRestarting", 80, {f"groundswell_started_seconds{{{INDEX}}}": "1x2 2x2 3x2 4x90"}),
    *_flag(
        "GroundswellStalled",
        f'groundswell_waiting{{part="stall",{ENRICH}}}',
        {"role": "enrich", "instance": "a:9641", "part": "stall"},
        1,
        1,
    ),
    Case("GroundswellStalled", 5, {f'groundswell_waiting{{part="kafka",{ENRICH}}}': "1x20"}),
    Case("GroundswellNotReady", 12, {f"groundswell_ready{{{INDEX}}}": "0x20"}, ({"role": "index"},)),
    Case("GroundswellNotReady", 12, {f"groundswell_ready{{{INDEX}}}": "0x9 1 0x20"}),
    Case(
        "GroundswellRebalancing",
        36,
        {f"groundswell_rebalances_total{{{ENRICH}}}": "0+0.3x60"},
        ({"role": "enrich"},),
    ),
    Case("GroundswellRebalancing", 36, {f"groundswell_rebalances_total{{{ENRICH}}}": "1x10 5x60"}),
    Case("GroundswellMemory", 17, {f"groundswell_memory_bytes{{{INDEX}}}": "600e6x30"}, ({"role": "index"},)),
    Case("GroundswellMemory", 17, {f"groundswell_memory_bytes{{{INDEX}}}": "450e6x5 700e6x5 450e6x20"}),
    Case(
        "GroundswellVersionsMixed",
        62,
        {
            'groundswell_build_info{role="index",version="0.1.0"}': "1x90",
            'groundswell_build_info{role="enrich",version="0.2.0"}': "1x90",
        },
        ({},),
    ),
    Case(
        "GroundswellVersionsMixed",
        62,
        {
            'groundswell_build_info{role="index",version="0.1.0"}': "1x20 _x90",
            'groundswell_build_info{role="index",version="0.2.0"}': "_x20 1x90",
            'groundswell_build_info{role="enrich",version="0.2.0"}': "1x90",
        },
    ),
    Case("GroundswellFilesRefused", 2, {_VALID: "0x9"}, ({"role": "enrich"},)),
    Case("GroundswellFilesRefused", 3, {_VALID: "1x9"}),
]

_SERVERS = [
    *_flag(
        "GroundswellKafkaAway",
        f'groundswell_waiting{{part="kafka answers",{ENRICH}}}',
        {"role": "enrich", "instance": "a:9641"},
        3,
        2,
    ),
    Case(
        "GroundswellKafkaAway",
        3,
        {
            f'groundswell_waiting{{part="kafka",{ENRICH}}}': "1x9",
            _STALL: "1x9",
        },
        ({"role": "enrich", "instance": "a:9641"},),
    ),
    *_flag(
        "GroundswellElasticsearchAway",
        f'groundswell_waiting{{part="elasticsearch",{INDEX}}}',
        {"role": "index", "instance": "a:9642"},
        3,
        2,
    ),
    Case(
        "GroundswellElasticsearchAway",
        3,
        {f'groundswell_waiting{{part="elasticsearch answers",{INDEX}}}': "1x9"},
        ({"role": "index", "instance": "a:9642"},),
    ),
    Case("GroundswellElasticsearchRed", 7, {f"groundswell_elasticsearch_status{{{INDEX}}}": "2x20"}, ({},)),
    Case("GroundswellElasticsearchRed", 7, {f"groundswell_elasticsearch_status{{{INDEX}}}": "1x20"}),
    Case(
        "GroundswellElasticsearchPushesBack",
        35,
        {f'groundswell_retries_total{{part="elasticsearch",{INDEX}}}': "0+4x60"},
        ({"role": "index"},),
    ),
    Case(
        "GroundswellElasticsearchPushesBack",
        35,
        {
            f'groundswell_retries_total{{part="elasticsearch",{INDEX}}}': "0+2x60",
            f'groundswell_retries_total{{part="kafka",{INDEX}}}': "0+60x60",
        },
    ),
    Case(
        "GroundswellProducerFull",
        7,
        {_QUEUE: "99000x20"},
        ({"role": "enrich"},),
    ),
    Case("GroundswellProducerFull", 7, {_QUEUE: "80000x3 95000 80000x9"}),
]

_LOST = f'groundswell_records_lost_total{{topic="groundswell.posts",{ENRICH}}}'
_APPLIED = f'groundswell_records_out_total{{outcome="applied",{ENRICH}}}'
_REJECTED = f'groundswell_records_out_total{{outcome="rejected",{ENRICH}}}'
_AGED = 'instance="a:9643",role="directory"'

_TIDIED = 'groundswell_tidied_seconds{instance="a:9642",role="index"}'
_TIDIED_TOO = 'groundswell_tidied_seconds{instance="b:9642",role="index"}'

_FLOW = [
    *_age("GroundswellBehind", 300, 10),
    *_age("GroundswellFarBehind", 3600, 15),
    Case("GroundswellRecordsLost", 1, {_LOST: "50x20"}, ({"topic": "groundswell.posts", "role": "enrich"},)),
    Case("GroundswellRecordsLost", 90, {_LOST: "0x80 50x20"}, ({"topic": "groundswell.posts"},)),
    Case("GroundswellRecordsLost", 100, {_LOST: "50x110"}),
    Case("GroundswellRecordsLost", 90, {_LOST: "0x110"}),
    Case("GroundswellRefusing", 22, {_APPLIED: "0+900x30", _REJECTED: "0+100x30"}, ({"role": "enrich"},)),
    Case("GroundswellRefusing", 22, {_APPLIED: "0+960x30", _REJECTED: "0+40x30"}),
    Case("GroundswellRefusing", 22, {_APPLIED: "0x30", _REJECTED: "0x30"}),
    Case(
        "GroundswellSlowBatches",
        27,
        {
            f'groundswell_batch_seconds_bucket{{le="10.0",{INDEX}}}': "0+989x60",
            f'groundswell_batch_seconds_bucket{{le="30.0",{INDEX}}}': "0+1000x60",
            f'groundswell_batch_seconds_bucket{{le="+Inf",{INDEX}}}': "0+1000x60",
        },
        ({"role": "index"},),
    ),
    Case(
        "GroundswellSlowBatches",
        27,
        {
            f'groundswell_batch_seconds_bucket{{le="5.0",{INDEX}}}': "0x60",
            f'groundswell_batch_seconds_bucket{{le="10.0",{INDEX}}}': "0+1000x60",
            f'groundswell_batch_seconds_bucket{{le="+Inf",{INDEX}}}': "0+1000x60",
        },
    ),
    Case(
        "GroundswellDirectoryOld",
        7,
        {f"groundswell_directory_age_seconds{{{_AGED}}}": "130+60x20"},
        ({"instance": "a:9643"},),
    ),
    Case(
        "GroundswellDirectoryOld",
        7,
        {f'groundswell_waiting{{part="directory",{ENRICH}}}': "1x20"},
        ({"instance": "a:9641"},),
    ),
    Case(
        "GroundswellDirectoryOld",
        7,
        {
            f"groundswell_directory_age_seconds{{{_AGED}}}": "1x20",
            f'groundswell_waiting{{part="directory",{_AGED}}}': "1x20",
            f'groundswell_waiting{{part="directory",{ENRICH}}}': "1x2 0x20",
        },
    ),
    # Two days and 30 minutes after the start of the clock; of several workers the last one counts.
    Case("GroundswellNotTidied", 2912, {_TIDIED: "1x3000", _TIDIED_TOO: "1x3000"}, ({},)),
    Case("GroundswellNotTidied", 2912, {_TIDIED: "1x3000", _TIDIED_TOO: "1x1000 60000x2000"}),
]


def _state(state: str, connector: str = "red") -> str:
    return f'groundswell_connector_state{{connector="{connector}",instance="a:9640",state="{state}"}}'


def _limit(left: int, resets: int) -> Series:
    labels = 'connector="ex",instance="a:9640",limit="reads"'
    return {
        f"groundswell_connector_limit_left{{{labels}}}": f"{left}x30",
        f"groundswell_connector_limit_total{{{labels}}}": "1000x30",
        f"groundswell_connector_limit_resets_seconds{{{labels}}}": f"{resets}-60x30",
    }


_POSTS = 'groundswell_connector_posts_total{connector="red",instance="a:9640"}'
_OTHERS = 'groundswell_connector_posts_total{connector="blue",instance="a:9640"}'
_LAST = 'groundswell_connector_last_post_seconds{connector="red",instance="a:9640"}'
_LATE = 'groundswell_cases_late{instance="a:9642",queue="billing"}'
_LATE_TOO = 'groundswell_cases_late{instance="b:9642",queue="billing"}'

_SOURCES = [
    Case("GroundswellNothingComesIn", 130, {_POSTS: "7x200", _OTHERS: "9x200"}, ({},)),
    Case("GroundswellNothingComesIn", 130, {_POSTS: "7x200", _OTHERS: "9+1x200"}),
    Case("GroundswellNothingComesIn", 130, _ready("collect")),
    *_flag("GroundswellConnectorParked", _state("parked"), {"connector": "red"}, 2, 1),
    *_flag("GroundswellConnectorSilent", _state("silent"), {"connector": "red"}, 6, 5),
    Case(
        "GroundswellConnectorFailing",
        80,
        {_state("rests"): "1x28 0x1 1x120", _state("waits"): "0x29 1x1 0x120", _state("reads"): "0x150"},
        ({"connector": "red"},),
    ),
    Case(
        "GroundswellConnectorFailing",
        80,
        {_state("rests"): "1x20 0x12 1x120", _state("reads"): "0x20 1x12 0x120"},
    ),
    Case("GroundswellConnectorQuiet", 1452, {_LAST: "1x1500"}, ({"connector": "red"},)),
    Case("GroundswellConnectorQuiet", 1452, {_LAST: "7120x1500"}),
    Case("GroundswellConnectorLimit", 17, _limit(20, 6_300), ({"connector": "ex", "limit": "reads"},)),
    Case("GroundswellConnectorLimit", 17, _limit(20, 4_400)),
    Case("GroundswellConnectorLimit", 17, _limit(900, 90_000)),
]

_SUPPORT = [
    Case("GroundswellCasesLate", 17, {_LATE: "3x30", _LATE_TOO: "3x30"}, ({"queue": "billing"},)),
    Case("GroundswellCasesLate", 17, {_LATE: "3x5 0x30"}),
]

CASES: tuple[Case, ...] = (*_ROLES, *_SERVERS, *_FLOW, *_SOURCES, *_SUPPORT)
