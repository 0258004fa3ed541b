"""The settings that .env.example explains are those that there are, with their true defaults."""

import re
from pathlib import Path

from app.settings import Settings

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / ".env.example").read_text()
COMPOSE = (ROOT / "docker-compose.yml").read_text()
# Compose and the image say these: where the database is, and where the service listens.
OF_COMPOSE = {"database_url", "data_dir", "host", "port"}
# The image sets these itself, so that its default is not the one of the service.
IMAGE_DEFAULTS = {"FARMQUEUE_LOG_FORMAT": "json"}

ASSIGNMENT = re.compile(r"^#?([A-Z_]+)=(.*)$", re.MULTILINE)


def explained() -> dict[str, str]:
    return dict(ASSIGNMENT.findall(EXAMPLE))


def read_by_compose() -> set[str]:
    """Names in ${…}, and those passed on by name alone."""
    passed_on = re.findall(r"^ +([A-Z_]+):$", COMPOSE, re.MULTILINE)
    return {*re.findall(r"\$\{([A-Z_]+)", COMPOSE), *passed_on}


def compose_defaults() -> dict[str, str]:
    return dict(re.findall(r"\$\{([A-Z_]+):-([^$}]*)\}", COMPOSE))


def test_the_example_explains_what_compose_reads_and_nothing_else() -> None:
    assert set(explained()) == read_by_compose()


def test_every_other_setting_of_the_service_can_be_set_in_the_file() -> None:
    names = {f"FARMQUEUE_{name.upper()}" for name in Settings.model_fields.keys() - OF_COMPOSE}
    assert names - read_by_compose() == set()


def test_every_variable_stands_below_a_comment_of_its_group() -> None:
    for group in re.split(r"\n(?=# )|\n\n", EXAMPLE):
        if ASSIGNMENT.search(group):
            assert group.startswith("# "), group


def test_only_what_has_no_default_is_to_be_filled_in() -> None:
    to_fill_in = re.findall(r"^([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE)
    assert to_fill_in == [
        ("POSTGRES_PASSWORD", ""),
        ("SERVICE_PASSWORD", ""),
        ("READER_PASSWORD", ""),
        ("FARMQUEUE_ADMIN_TOKEN", ""),
    ]


def test_a_default_of_the_service_is_the_one_in_the_example() -> None:
    shown = {name: value for name, value in explained().items() if name.startswith("FARMQUEUE_")}
    assert shown
    for name, value in shown.items():
        if name == "FARMQUEUE_ADMIN_TOKEN":
            continue  # has none
        field = Settings.model_fields[name.removeprefix("FARMQUEUE_").lower()]
        expected = IMAGE_DEFAULTS.get(name, field.default)
        assert type(expected)(value) == expected, name


def test_a_default_of_the_compose_file_is_the_one_in_the_example() -> None:
    defaults = compose_defaults()
    assert defaults
    assert {name: explained()[name] for name in defaults} == defaults
