from django.urls import path

from example.pages import views

urlpatterns = [
    path("", views.home, name="home"),
]
