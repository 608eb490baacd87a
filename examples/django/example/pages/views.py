"""The site's pages. None of them needs the database."""

import django
from django.shortcuts import render

from example import __version__


def home(request):
    """Greet, and say which versions answer."""
    versions = {"version": __version__, "django_version": django.get_version()}
    return render(request, "pages/home.html", versions)
