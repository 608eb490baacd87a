"""The pages of the site. None of them uses the database."""

import django
from django.shortcuts import render

from example import __version__


def home(request):
    """Show the versions of the site and of Django."""
    versions = {"version": __version__, "django_version": django.get_version()}
    return render(request, "pages/home.html", versions)
