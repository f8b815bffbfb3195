"""A bundle of what was gathered: redacted, with its first page. Pure."""

from __future__ import annotations

import json

from vpccni.cli.bundle.analysis import Gathered, first_page
from vpccni.cli.bundle.archive import ABOUT, AGENT, DOCTOR, FIRST_PAGE, FORMAT, LOGS, PODS, SUBNETS, Bundle
from vpccni.cli.bundle.found import Found
from vpccni.cli.bundle.redact import Redactor, names_in


def make(found: Found, *, at: str, version: str, salt: str | None = None) -> Bundle:
    """The bundle; with a `salt`, pods' names are hidden."""
    plains = found.plains
    pods = plains.get(f"{AGENT}/v2/pods.json") or []
    decisions = plains.get(f"{AGENT}/v2/decisions.json") or []
    redactor = Redactor(salt=salt or "", names=names_in(pods, decisions) if salt is not None else ())
    texts = {name: redactor.plain(value) for name, value in plains.items()}
    texts |= {name: redactor.text(text) for name, text in found.texts.items()}
    missing = {name: redactor.text(why) for name, why in found.missing.items()}
    page = first_page(
        Gathered(
            at=at,
            version=version,
            status=plains.get(f"{AGENT}/v2/status.json"),
            decisions=decisions,
            pods=plains.get(PODS),
            doctor=plains.get(DOCTOR),
            subnets=[value for name, value in plains.items() if name.startswith(f"{SUBNETS}/")],
            logs={
                name.partition("/")[2]: text for name, text in texts.items() if name.startswith(f"{LOGS}/")
            },
            missing=missing,
        )
    )
    about = {
        "format": FORMAT,
        "made": at,
        "version": version,
        "namesHidden": salt is not None,
        "missing": missing,
    }
    return Bundle(
        {FIRST_PAGE: redactor.text(page), ABOUT: json.dumps(about, indent=1), **dict(sorted(texts.items()))}
    )
