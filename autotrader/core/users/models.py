"""The custom user, so that later columns need no change of the user model."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A person with an account on this desk."""
