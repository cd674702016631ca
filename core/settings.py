"""One frozen Settings from the environment (``MILLWRIGHT_*``) or ``millwright.toml``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)


class Settings(BaseSettings):
    """What can be set. Every field has a heading in ``docs/settings.md`` (a test checks it)."""

    model_config = SettingsConfigDict(
        env_prefix="MILLWRIGHT_", toml_file="millwright.toml", frozen=True, extra="ignore"
    )

    data_dir: Path = Field(Path(".millwright"), description="Where an instance keeps its data and secrets.")
    host: str = Field("127.0.0.1", description="Address the web server binds to.")
    port: int = Field(
        8080, description="Preferred web port; the next free one is taken and remembered.", ge=0, le=65535
    )
    public_url: str | None = Field(
        None,
        description="What people type to reach the console (https://mill.example.org); unset = as it was asked for.",
        pattern=r"^https?://[^/\s]+$",
    )
    database_url: str | None = Field(None, description="PostgreSQL DSN of your own server; unset = embedded.")
    database_owner_url: str | None = Field(None, description="DSN that may migrate; unset = database_url.")
    database_ingest_url: str | None = Field(None, description="DSN of the ingest role; unset = database_url.")
    broker_url: str | None = Field(None, description="mqtt://user:password@host:port; unset = managed broker.")
    broker_port: int = Field(1883, description="Preferred port of the managed broker.", ge=0, le=65535)
    broker_kind: str = Field("auto", description="Managed broker: auto, mosquitto or amqtt.")
    mqtt_listen: str = Field("127.0.0.1", description="Address that the managed broker's TLS listeners bind to.")
    mqtt_plain: Literal["loopback", "outside"] = Field(
        "loopback", description="MQTT without TLS: on this machine alone, or outside: on mqtt_listen too."
    )
    mqtt_tls_port: int | None = Field(
        None, description="Port of MQTT over TLS with passwords; unset = none.", ge=1, le=65535
    )
    mqtt_certificate_port: int | None = Field(
        None, description="Port of MQTT over TLS with client certificates; unset = none.", ge=1, le=65535
    )
    mqtt_tls_cert: Path | None = Field(None, description="The broker's certificate (PEM); unset = one of our own.")
    mqtt_tls_key: Path | None = Field(None, description="The key of mqtt_tls_cert (PEM, without a password).")
    mqtt_tls_names: str = Field("", description="More names of the broker in our own certificate, by commas.")
    site: str = Field("plant", description="Code of the first site, made at first start.")
    site_name: str = Field("My plant", description="Name of the first site.")
    timezone: str = Field("UTC", description="Time zone of the first site (IANA name).")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    log_format: str = Field("text", description="text for people, json for collectors.")
    ingest_batch_rows: int = Field(10_000, description="Most samples a commit.", ge=1)
    ingest_linger_s: float = Field(0.02, description="Longest wait for a fuller batch, in seconds.", gt=0)
    ingest_workers: int = Field(1, description="Ingest processes that share what comes.", ge=1, le=16)
    ingest_deadline_s: float = Field(
        20.0, description="Longest wait for the database in ingest, in seconds; then it connects anew.", gt=0
    )
    ingest_queue_messages: int = Field(5_000, description="Messages held in memory before back-pressure.", ge=1)
    sparkplug: bool = Field(True, description="Hear Sparkplug B on the broker, as a host application.")
    sparkplug_host_id: str = Field(
        "millwright", description="Sparkplug host id; its STATE says so.", pattern=r"^[^/+#\s]{1,64}$"
    )
    river_estimators: str = Field(
        "", description="Estimators of river that judge every machine, by commas: anomaly.HalfSpaceTrees, drift.ADWIN."
    )
    verify_hours: float = Field(12.0, description="Plant hours of healthy running data a repair must show.", gt=0)
    verify_limit_hours: float = Field(72.0, description="Plant hours after which a person is asked instead.", gt=0)
    attachments_dir: Path | None = Field(None, description="Where files of tickets are kept; unset = in data_dir.")
    backup: Literal["nightly", "off"] = Field(
        "nightly", description="Back up the embedded database, its log and the attachments: nightly, or off."
    )
    backup_dir: Path | None = Field(None, description="Where backups are kept, best on another disk; unset = data_dir.")
    backup_at: str = Field(
        "02:30", description="When the nightly backup is made, in the first site's time zone.", pattern=r"^\d\d:\d\d$"
    )
    backup_keep: int = Field(3, description="How many backups are kept; each is a whole copy.", ge=1)
    attachment_image_mb: float = Field(25.0, description="Largest picture, in MB.", gt=0)
    attachment_audio_mb: float = Field(50.0, description="Largest sound, in MB.", gt=0)
    attachment_video_mb: float = Field(300.0, description="Largest video, in MB.", gt=0)
    attachment_document_mb: float = Field(25.0, description="Largest PDF or text, in MB.", gt=0)
    attachment_megapixels: float = Field(64.0, description="Most pixels of a picture, in millions.", gt=0)
    labour_rate: float = Field(0.0, description="Cost of an hour of work, where the engineer has no rate.", ge=0)
    webhook_networks: str = Field(
        "", description="Networks inside the plant that webhooks may reach, by commas (10.1.0.0/16); unset = none."
    )
    statement_timeout_s: float = Field(30.0, description="Longest database statement, in seconds.", gt=0)
    instance_factor: float = Field(1.0, description="Speed of the plant clock at first start (1 = live).", gt=0)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the hook's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls))


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
