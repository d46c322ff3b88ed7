"""Passwords and tokens, kept out of what is printed, logged and stored."""

from __future__ import annotations

import os
import re

SHORTEST = 8
"""Characters of a value that counts as a secret; a shorter one would be found in any text."""

_CREDENTIALS = re.compile(r"(?<=://)[^\s'\"]*@")
_SECRET = re.compile(r"(?i)\b(password|passwd|pwd|token|secret|key)=[^&\s'\"]+")
_SECRET_NAME = re.compile(
    r"(?i)pass(word|wd|phrase)|token|secret|credential|(api|access|private)_?key|^sweeps_notify$"
)
_HTTP_USER = re.compile(r"(https?://)[^\s'\"]*@")
_PASSWORD = re.compile(r"(://[^\s'\"/:@]+):[^\s'\"]*@")
_OPTION = re.compile(r"(?i)([?&](?:password|passwd|pwd|token|secret|key)=)[^&\s'\"]+")


def masked(text: str) -> str:
    """``text`` without the credentials in any address in it: ``http://***@host``, ``password=***``."""
    return _SECRET.sub(r"\1=***", without_secrets(text))


def without_secrets(text: str) -> str:
    """A traceback, or whatever else came out of code, without credentials in addresses and secrets of ours.

    A secret is the value of a variable of the environment whose name says so, such as AWS_SECRET_ACCESS_KEY,
    or that of SWEEPS_NOTIFY: who has the address of a chat room can write there.
    """
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and value in text and _SECRET_NAME.search(name):
            text = text.replace(value, "***")
    return _CREDENTIALS.sub("***@", text)


def open_address(text: str) -> str:
    """``text`` with every address in it as all may know it: it still leads there, but opens nothing.

    Of a web server neither user nor password stay (a token often stands as the user), of a database the user
    does. MLflow then takes MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, PostgreSQL PGPASSWORD.
    """
    return _OPTION.sub(r"\1", _PASSWORD.sub(r"\1@", _HTTP_USER.sub(r"\1", text)))
