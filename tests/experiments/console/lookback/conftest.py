"""A console over a study, without a browser and without a rig."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from myoloop.experiments.console.app import make_app
from myoloop.experiments.console.lookback.overview import make_overview
from myoloop.experiments.console.page import Settings
from myoloop.experiments.console.screens import SCREENS
from myoloop.experiments.console.security import CSRF_HEADER, Origin, Role, Tokens

PORT = 8723


class Visitor:
    """Somebody with a role at a page of the console."""

    def __init__(self, client: TestClient, tokens: Tokens, role: Role) -> None:
        self._client, self._csrf = client, tokens.csrf(role)
        self._cookie = {"cookie": f"{Origin(PORT).cookie_name}={tokens.cookie(role)}"}

    def get(self, path: str, **query):
        return self._client.get(path, params=query or None, headers=self._cookie, follow_redirects=False)

    def post(self, path: str, said: object):
        headers = {**self._cookie, "origin": Origin(PORT).url, CSRF_HEADER: self._csrf}
        return self._client.post(path, json=said, headers=headers)


@pytest.fixture(scope="session")
def visit(tmp_path_factory):
    """Open a study's console as somebody."""

    def visited(study, role: Role, who: str = "A. Smith") -> Visitor:
        tokens = Tokens()
        settings = Settings(
            study=study, port=PORT, tokens=tokens, temporary=tmp_path_factory.mktemp("runtime"), who=who
        )
        # Not entered: nothing here needs what watches a rig.
        client = TestClient(make_app(settings, SCREENS), base_url=Origin(PORT).url)
        return Visitor(client, tokens, role)

    return visited


@pytest.fixture(scope="module")
def study(known, tmp_path_factory) -> Iterator[SimpleNamespace]:
    """One attempt with its overview."""
    root = tmp_path_factory.mktemp("study")
    attempt = known.write(root / "sub-P017" / "ses-03" / "att-1")
    make_overview(attempt)
    return SimpleNamespace(root=root, attempt=attempt, page="/sessions/P017/3/1", api="/api/sessions/P017/3/1")
