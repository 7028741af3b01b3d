"""`manage.py create_api_key`: a key by which a program acts for a person; printed once and nowhere else."""

from __future__ import annotations

import getpass
import json
import sys
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand

from autotrader.core.clock import system_now
from autotrader.core.errors import Invalid
from autotrader.core.users.keys import DEFAULT_DAYS, DEFAULT_PER_MINUTE, LONGEST_DAYS, Terms, key_create
from autotrader.core.users.models import ApiKey, Scope, User
from trading.models import Account, Strategy

BAD_ARGUMENTS = 2
FLAGS = {
    "user": "--user",
    "name": "--name",
    "scopes": "--scope",
    "accounts": "--account",
    "strategies": "--strategy",
    "expires_at": "--days",
    "requests_per_minute": "--requests-per-minute",
}


class Command(BaseCommand):
    help = "Make an API key that acts for a user. The key is printed once; it cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The command's options."""
        parser.add_argument("--user", required=True, help="whom it acts for; it never may do more than this person")
        parser.add_argument("--name", required=True, help="what it is for")
        parser.add_argument(
            "--scope",
            action="append",
            default=[],
            choices=Scope.values,
            help="at least one; may be given more than once",
        )
        parser.add_argument("--account", action="append", default=[], help="only this account; may be repeated")
        parser.add_argument("--strategy", action="append", default=[], help="only this strategy; may be repeated")
        parser.add_argument("--days", type=int, default=DEFAULT_DAYS, help=f"until it expires, {LONGEST_DAYS} at most")
        parser.add_argument("--requests-per-minute", type=int, default=DEFAULT_PER_MINUTE)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit 0 with the key on stdout, 2 with what is wrong, naming its flag, on stderr."""
        try:
            terms, user = _terms(options), _user(options["user"])
            key, text = key_create(terms, user=user, actor=f"shell:{getpass.getuser()}")
        except Invalid as error:
            flag = FLAGS.get(error.details.get("field", ""), "")
            self.stderr.write(self.style.ERROR(f"{flag}: {error.message}"))
            sys.exit(BAD_ARGUMENTS)
        if options["json"]:
            self.stdout.write(json.dumps(_document(key, text, options)))
            return
        self.stderr.write(f"The key {key.name} acts for {user.get_username()} until {key.expires_at:%Y-%m-%d}.")
        self.stderr.write(self.style.WARNING("Keep it now: it is stored nowhere and cannot be shown again."))
        self.stdout.write(text)


def _terms(options: dict[str, Any]) -> Terms:
    days = options["days"]
    if not 1 <= days <= LONGEST_DAYS:
        raise Invalid(f"A key lives from 1 to {LONGEST_DAYS} days.", details={"field": "expires_at"})
    accounts = {row.pk: row.pk for row in Account.objects.filter(pk__in=options["account"])}
    strategies = {row.name: row.pk for row in Strategy.objects.filter(name__in=options["strategy"])}
    return Terms(
        name=options["name"],
        scopes=tuple(dict.fromkeys(options["scope"])),
        expires_at=system_now() + timedelta(days=days),
        accounts=_known("accounts", options["account"], accounts),
        strategies=_known("strategies", options["strategy"], strategies),
        requests_per_minute=options["requests_per_minute"],
    )


def _known(field: str, asked: list[str], found: dict[str, Any]) -> tuple[Any, ...]:
    """The ids of what was asked for; a name that is not there would limit the key to nothing."""
    missing = [name for name in asked if name not in found]
    if missing:
        raise Invalid(f"{missing[0]!r} does not exist.", details={"field": field})
    return tuple(found[name] for name in dict.fromkeys(asked))


def _user(name: str) -> User:
    user = User.objects.filter(username=name).first()
    if user is None:
        raise Invalid(f"There is no user {name!r}.", details={"field": "user"})
    return user


def _document(key: ApiKey, text: str, options: dict[str, Any]) -> dict[str, Any]:
    return {
        "key": text,
        "prefix": key.prefix,
        "name": key.name,
        "user": options["user"],
        "scopes": key.scopes,
        "accounts": key.accounts,
        "strategies": options["strategy"],
        "requests_per_minute": key.requests_per_minute,
        "expires_at": key.expires_at.isoformat(),
    }
