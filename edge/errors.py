"""What can be wrong with how a machine is heard."""

from __future__ import annotations

from core.errors import ConfigError


class SourceConfig(ConfigError):
    """The configuration of a source does not fit."""

    code = "source_config"


class GatewayConfig(ConfigError):
    """The gateway's file does not fit."""

    code = "gateway_config"
