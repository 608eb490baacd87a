"""Work for the Celery workers."""

from celery import shared_task


@shared_task
def add(x, y):
    """Add two numbers, to see that a worker is there."""
    return x + y
