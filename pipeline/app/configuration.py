"""Which settings a command works with, and where the servers are that it speaks to.

The only place that joins the command line, the environment, the home of the installation and the
settings; what a settings file may say is the business of :mod:`pipeline.core.configuration`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pipeline.app import logs
from pipeline.app.brokers import Brokers
from pipeline.core.configuration import read_settings
from pipeline.core.errors import ConfigError
from pipeline.core.settings import Settings
from pipeline.embedded.home import Layout, home
from pipeline.embedded.process import read_state
from pipeline.embedded.status import address

FILE_NAME = "groundswell.toml"
DEFAULT_KAFKA = "127.0.0.1:9092"
DEFAULT_ELASTICSEARCH = "http://127.0.0.1:9200"


def settings_for(args: argparse.Namespace) -> Settings:
    """The settings of one call: its file (see `settings_file`) with the environment over it.

    Raises ConfigError with all problems at once.
    """
    file = settings_file(getattr(args, "config", None), os.environ, home_for(args))
    settings = read_settings(file, os.environ)
    logs.hide(settings)
    return settings


def settings_file(named: str | None, environ: Mapping[str, str], home: Path) -> Path | None:
    """The file named on the command line, else by GROUNDSWELL_CONFIG, else the first that exists of
    ./groundswell.toml and groundswell.toml in the home; None where there is none.

    A file that is named need not exist: reading it is what complains.
    """
    if chosen := named or environ.get("GROUNDSWELL_CONFIG"):
        return Path(chosen)
    for found in (Path(FILE_NAME), home / FILE_NAME):
        # A dangling link or a folder of that name is a mistake to be told of, not a missing file.
        if os.path.lexists(found):
            return found
    return None


def home_for(args: argparse.Namespace) -> Path:  # noqa: ARG001 - every command passes what it was called with
    """The folder with all state of this installation; absolute, and perhaps not there yet."""
    return home()


def brokers_of(settings: Settings, home: Path) -> Brokers:
    """The brokers: at the settings' own address, else the home's embedded server's, else the default.

    Raises ConfigError where the home may not be read.
    """
    address = settings.kafka.bootstrap or _embedded("kafka", home) or DEFAULT_KAFKA
    return Brokers(address, settings.kafka)


def elasticsearch_url(settings: Settings, home: Path) -> str:
    """Address of Elasticsearch: the settings' own, else the home's embedded server's, else the default.

    Raises ConfigError where the home may not be read.
    """
    return settings.elasticsearch.url or _embedded("elasticsearch", home) or DEFAULT_ELASTICSEARCH


def _embedded(name: Literal["kafka", "elasticsearch"], home: Path) -> str:
    """Where the home's own server is, or was when it ran last; empty where the home never had one.

    One that was killed or stopped counts: it comes back at the same port, and until then nobody should be
    sent to the default one, where some other installation's server may listen: posts would go into its
    topics, and its answers would look like ours.
    """
    path = Layout(home).state(name)
    try:
        state = read_state(path)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}): set GROUNDSWELL_HOME to a home of your own"
            " or give the servers' addresses in the settings"
        ) from error
    return address(name, state.port) if state is not None else ""
