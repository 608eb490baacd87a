"""Celery tasks."""

from celery import shared_task


@shared_task
def add(x, y):
    """Add two numbers, to check that a worker runs."""
    return x + y
